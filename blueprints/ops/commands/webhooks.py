"""`webhooks`: the deliveries received, and processing one again."""

from dataclasses import asdict

import click

from encore.services import webhooks as webhook_service
from encore.store import webhook_events

from .output import Shop, fail, json_option, print_json, print_record, print_records, with_shop

_COLUMNS = ("webhook_id", "event_type", "state", "tries", "note", "received_at")


@click.group()
def webhooks() -> None:
    """Webhook deliveries."""


@webhooks.command("list")
@click.option("--state", type=click.Choice(["received", "done", "dead"]), help="Only this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
@with_shop
def list_newest(shop: Shop, state: str | None, limit: int, as_json: bool) -> None:
    """List the newest deliveries."""
    found = webhook_events.list_events(shop.store, state=state, limit=limit)
    print_records(found, columns=_COLUMNS, as_json=as_json, empty="Nothing received.")


@webhooks.command()
@click.argument("webhook_id")
@json_option
@with_shop
def show(shop: Shop, webhook_id: str, as_json: bool) -> None:
    """Show each delivery with this id, body included."""
    found = webhook_events.list_of_id(shop.store, webhook_id)
    if not found:
        fail(f"There is no delivery {webhook_id}.")
    if as_json:
        print_json([asdict(event) for event in found])
        return
    for event in found:
        print_record(event, as_json=False)


@webhooks.command()
@click.argument("webhook_id")
@json_option
@with_shop
def process(shop: Shop, webhook_id: str, as_json: bool) -> None:
    """Process a delivery again, whatever became of it; status 1 unless it is done afterwards."""
    found = webhook_service.process(shop, webhook_id)
    if not found:
        fail(f"There is no delivery {webhook_id}.")
    print_records(found, columns=_COLUMNS, as_json=as_json, empty="")
    if any(event.state != "done" for event in found):
        raise click.exceptions.Exit(1)


COMMANDS = (webhooks,)
