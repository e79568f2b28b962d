"""`attempts`: each try to charge, and what became of it."""

import click

from encore.store import attempts as attempt_rows

from .output import Shop, fail, json_option, print_record, print_records, with_shop


@click.group()
def attempts() -> None:
    """Tries to charge."""


@attempts.command("list")
@click.option("--state", help="Only this state, such as unknown.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
@with_shop
def list_newest(shop: Shop, state: str | None, limit: int, as_json: bool) -> None:
    """List the newest attempts."""
    found = attempt_rows.list_attempts(shop.store, state=state, limit=limit)
    columns = ("id", "kind", "state", "post_count", "reason", "provider_payment_id", "created_at")
    print_records(found, columns=columns, as_json=as_json, empty="No attempts.")


@attempts.command()
@click.argument("attempt_id")
@json_option
@with_shop
def show(shop: Shop, attempt_id: str, as_json: bool) -> None:
    """Show one attempt."""
    attempt = attempt_rows.get_attempt(shop.store, attempt_id)
    if attempt is None:
        fail(f"There is no attempt {attempt_id}.")
    print_record(attempt, as_json=as_json)


COMMANDS = (attempts,)
