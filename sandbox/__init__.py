"""Dodo Payments' offline twin: its own program, port and file. It shares no code with Encore."""
