"""Encore: one-click offers after the order, charged exactly once."""
