"""The wire as bytes: the server, what stands before the routes, and what a handler is given."""
