"""Rows as frozen dataclasses, without slots: a record's fields are the columns its statements list."""

from dataclasses import fields
from typing import Any, TypeVar

from encore.store.engine import Row

T = TypeVar("T")


def columns(record: type[Any]) -> str:
    """Return the record's columns as a SELECT list."""
    return ", ".join(field.name for field in fields(record))


def placeholders(record: type[Any]) -> str:
    """Return the record's columns as named parameters, in the same order."""
    return ", ".join(f":{field.name}" for field in fields(record))


def values(record: Any) -> Row:
    """Return the record as named parameters."""
    return dict(vars(record))


def one(record: type[T], row: Row | None) -> T | None:
    """Read one row, or None."""
    return None if row is None else _read(record, row)


def many(record: type[T], rows: list[Row]) -> list[T]:
    """Read several rows."""
    return [_read(record, row) for row in rows]


def _read(record: type[T], row: Row) -> T:
    # Past `__init__`, which sets the fields of a frozen record one by one and takes five times as long (measured).
    found = object.__new__(record)
    found.__dict__.update(row)
    return found
