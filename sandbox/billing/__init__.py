"""What is charged, and when."""
