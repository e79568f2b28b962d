"""What every part of the twin shares: its file, clock, ids, cards and places."""
