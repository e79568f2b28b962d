"""The pages of the twin: hosted checkout, authentication and the home of a QA person."""
