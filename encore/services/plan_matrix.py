"""The plan-change matrix: what every change of one subscription would cost, in every mode, now and at the renewal.

For merchants and testers. Nothing is stored and nothing changes: each cell is one preview of the provider.
"""

from dataclasses import dataclass, replace

from encore.dodo.models import Subscription as ProviderSubscription
from encore.rules.credit_timeline import Renewal, draw_year
from encore.rules.money import Money
from encore.rules.plan_changes import AT_RENEWAL, MODE_AT_RENEWAL, MODES, NOW, Mode, PlanQuote, When, Wish
from encore.services import plan_groups, plan_quotes
from encore.services.plan_quotes import Refusal, Refused
from encore.services.shop import Shop
from encore.store import catalogue
from encore.store.subscriptions import Subscription

# At the renewal the provider takes one mode only.
WAYS: tuple[tuple[Mode, When], ...] = (*((mode, NOW) for mode in MODES), (MODE_AT_RENEWAL, AT_RENEWAL))


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one change comes to.

    `due_today`, `due_at_renewal` (None unless it is for then, `effective_at`), `credit_used` and `credit_added` are the
    provider's figures for the change, with tax. `renewals` come after it and are drawn at listed prices: those of plan,
    seats and add-ons, before tax unless `tax_inclusive`, less the credit that the change leaves. `twelve_months` is all
    of it from now on, None where it has two currencies. Times are epoch milliseconds.
    """

    due_today: Money
    due_at_renewal: Money | None
    credit_used: Money
    credit_added: Money
    effective_at: int
    renewals: tuple[Renewal, ...]
    tax_inclusive: bool
    twelve_months: Money | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One plan, mode and time: its figures, or why the provider or we refuse it."""

    product_id: str
    product_name: str
    mode: Mode
    when: When
    figures: Figures | None = None
    refused: Refusal | None = None


def make_matrix(shop: Shop, subscription: Subscription, *, quantity: int | None = None) -> list[Cell]:
    """Return every cell of a subscription, plan by plan; `quantity` asks for other seats, and so for its own plan too.

    Raises Refused if the subscription as it is cannot be changed at all.
    """
    current = plan_quotes.read_now(shop, subscription)
    group = plan_groups.group_of(shop, current.product_id)
    if group is None:
        raise Refused("not_a_plan")
    cells = []
    for plan in group.plans:
        if plan.product_id == current.product_id and quantity in (None, current.quantity or 1):
            continue
        product = catalogue.get_product(shop.store, plan.product_id)
        base = Cell(
            product_id=plan.product_id,
            product_name=product.name if product else plan.product_id,
            mode=MODES[0],
            when=NOW,
        )
        cells += _cells_of(shop, current, base, quantity=quantity)
    return cells


def _cells_of(shop: Shop, current: ProviderSubscription, base: Cell, *, quantity: int | None) -> list[Cell]:
    cells = [replace(base, mode=mode, when=when) for mode, when in WAYS]
    try:
        wish, *_ = plan_quotes.wishes_of(shop, current, product_id=base.product_id, quantity=quantity, addons={})
    except Refused as refused:
        return [replace(cell, refused=refused.reason) for cell in cells]
    return [_asked(shop, current, cell, replace(wish, mode=cell.mode, when=cell.when)) for cell in cells]


def _asked(shop: Shop, current: ProviderSubscription, cell: Cell, wish: Wish) -> Cell:
    try:
        quote = plan_quotes.ask(shop, current, wish, method=None)
    except Refused as refused:
        return replace(cell, refused=refused.reason)
    return replace(cell, figures=figures_of(quote, now=shop.now()))


def figures_of(quote: PlanQuote, *, now: int) -> Figures:
    """Return what a quote comes to within twelve months of `now`."""
    # A preview may tell nothing of the renewal that a scheduled change is made at: then that one is drawn too.
    is_untold = quote.is_scheduled and quote.due.minor == 0 and quote.credit_used.minor == 0
    first_at = quote.effective_at if is_untold else quote.next_billing_at
    # Two clocks are never quite alike: what falls on this very day in a year belongs to the next twelve months.
    started_at = min(now, quote.effective_at)
    renewals = draw_year(quote.credit_added, quote.renewal, first_at=first_at, period=quote.period, now=started_at)
    parts = [quote.due, *(renewal.to_pay for renewal in renewals)]
    is_one_currency = len({part.currency for part in parts}) == 1
    nothing = Money(0, quote.due.currency)
    return Figures(
        due_today=nothing if quote.is_scheduled else quote.due,
        due_at_renewal=quote.due if quote.is_scheduled and not is_untold else None,
        credit_used=quote.credit_used,
        credit_added=quote.credit_added,
        effective_at=quote.effective_at,
        renewals=renewals,
        tax_inclusive=quote.tax_inclusive,
        twelve_months=sum(parts, start=nothing) if is_one_currency else None,
    )
