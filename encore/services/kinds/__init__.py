"""One module an offer kind: how it is quoted, asked for and read."""
