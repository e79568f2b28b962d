"""What every command prints and how it ends: a table or JSON, and LIVE first where money is real."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import update_wrapper
from typing import Any, NoReturn, TypeVar

import click
from flask.cli import with_appcontext

from encore.errors import EncoreError
from encore.services.shop import Shop
from encore.store import StoreFull

from ...web import current_shop

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def with_shop(command: F) -> F:
    """Run a command with the shop as its first argument; our own errors end it with one sentence and status 1."""

    def run(*args: Any, **kwargs: Any) -> Any:
        shop = current_shop()
        if shop.settings.is_live:
            # On standard error, so that JSON stays JSON.
            click.echo("LIVE", err=True)
        try:
            return command(shop, *args, **kwargs)
        except (EncoreError, StoreFull) as error:
            fail(str(error))

    return update_wrapper(with_appcontext(run), command)  # type: ignore[return-value]


def fail(message: str) -> NoReturn:
    """End the command with a sentence on standard error and status 1."""
    click.echo(message, err=True)
    raise click.exceptions.Exit(1)


def print_records(records: Sequence[Any], *, columns: tuple[str, ...], as_json: bool, empty: str) -> None:
    """Print frozen dataclasses: all their fields as JSON, or these columns as a table."""
    if as_json:
        print_json([asdict(record) for record in records])
    elif not records:
        click.echo(empty)
    else:
        print_table(columns, [[_cell(name, getattr(record, name)) for name in columns] for record in records])


def print_record(record: Any, *, as_json: bool) -> None:
    """Print one frozen dataclass, a field a line."""
    fields = asdict(record)
    if as_json:
        print_json(fields)
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {_cell(name, value)}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    widths = [max(len(line[n]) for line in (header, *rows)) for n in range(len(header))]
    for line in (header, *rows):
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    # By the house's naming every `.._at` is epoch milliseconds.
    if name.endswith(("_at", "_until")) and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, tz=UTC).isoformat(sep=" ", timespec="seconds")
    return str(value)


__all__ = [
    "Shop",
    "fail",
    "json_option",
    "print_json",
    "print_record",
    "print_records",
    "print_table",
    "with_shop",
]
