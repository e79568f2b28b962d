"""Audit: reads that look for rows which cannot all be true. Nothing here changes a row.

Each `list_..` returns what is wrong, as tuples of ids, so an empty list is the good answer.
"""
