"""What is told to the shop."""
