"""`plans`: what changes of a subscription's plan would cost."""

from dataclasses import asdict

import click

from encore.i18n import format_day, format_money
from encore.rules.money import Money
from encore.services import plan_matrix
from encore.services.plan_matrix import Cell, Figures
from encore.services.plan_quotes import Refused
from encore.store import subscriptions

from .output import Shop, fail, json_option, print_json, print_table, with_shop

_HEADER = ("plan", "billed", "when", "due today", "credit", "next renewal", "in 12 months", "credit after each renewal")
_NOTE = (
    "What is due, today or at the renewal of the change, is Dodo's own preview of this moment, with tax. All that comes"
    " after it (*) is drawn at listed prices{tax}. Nothing was changed."
)


@click.group()
def plans() -> None:
    """Plans of subscriptions."""


@plans.command()
@click.argument("subscription_id")
@click.option("--quantity", type=click.IntRange(1), help="Ask for this many seats instead of those it has.")
@json_option
@with_shop
def matrix(shop: Shop, subscription_id: str, quantity: int | None, as_json: bool) -> None:
    """Show every change of a subscription, by plan, mode and time. SUBSCRIPTION_ID is Dodo's or ours."""
    row = subscriptions.get_by_provider_id(shop.store, subscription_id)
    row = row or subscriptions.get_subscription(shop.store, subscription_id)
    if row is None:
        fail(f"There is no subscription {subscription_id}.")
    try:
        cells = plan_matrix.make_matrix(shop, row, quantity=quantity)
    except Refused as refused:
        fail(f"This subscription cannot be changed: {refused.reason}.")
    if as_json:
        print_json([asdict(cell) for cell in cells])
        return
    zone = shop.settings.timezone
    print_table(_HEADER, [(cell.product_name, cell.mode, cell.when, *_told(cell, zone=zone)) for cell in cells])
    is_inclusive = all(cell.figures.tax_inclusive for cell in cells if cell.figures)
    click.echo(_NOTE.format(tax="" if is_inclusive else ", before tax"))


def _told(cell: Cell, *, zone: str) -> tuple[str, ...]:
    figures = cell.figures
    if figures is None:
        return (f"refused: {cell.refused}", "", "", "", "")
    credit = ", ".join(_money(renewal.left) for renewal in figures.renewals if renewal.used.minor)
    year = _money(figures.twelve_months) + "*" if figures.twelve_months else "-"
    added = _money(figures.credit_added) if figures.credit_added.minor else "-"
    return (_money(figures.due_today), added, _next_renewal(figures, zone=zone), year, credit or "-")


def _next_renewal(figures: Figures, *, zone: str) -> str:
    if figures.due_at_renewal is not None:
        return f"{format_day(figures.effective_at, 'en', zone=zone)}: {_money(figures.due_at_renewal)}"
    if not figures.renewals:
        return "later"
    first = figures.renewals[0]
    return f"{format_day(first.at, 'en', zone=zone)}: {_money(first.to_pay)}*"


def _money(amount: Money) -> str:
    return format_money(amount, "en")


COMMANDS = (plans,)
