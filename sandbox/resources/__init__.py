"""One module a noun of the wire: its routes, its answers and its rules."""
