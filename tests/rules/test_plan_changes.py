"""A quote of a plan change: what may still be confirmed, and what is kept of it (proration.md, section 1)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.money import MixedCurrency, Money
from encore.rules.plan_changes import (
    AT_RENEWAL,
    NOW,
    Addon,
    ChangeLine,
    Period,
    PlanQuote,
    Wish,
    change_hash,
    freeze_change,
    is_done,
    may_confirm,
    subscription_state,
    thaw_change,
)
from encore.rules.quotes import QuoteUnreadable
from tests.rules.samples import CARD, NOON, usd

DAY_MS = 86_400_000
WISH = Wish("sub_1", "pdt_pro", 1, (Addon("adn_seat", 3),), "difference_immediately", NOW)
UPGRADE = PlanQuote(
    wish=WISH,
    from_product_id="pdt_basic",
    from_quantity=1,
    from_addons=(Addon("adn_seat", 3), Addon("adn_kit", 1)),
    discounts_kept=("TEN",),
    discounts_lost=(),
    state="s" * 32,
    lines=(
        ChangeLine("pdt_basic", "Basic", usd(3000), 1, "-1"),
        ChangeLine("pdt_pro", "Pro", usd(8000), 1, "1"),
    ),
    due=usd(5000),
    subtotal=5000,
    tax=None,
    credit_used=usd(0),
    credit_added=usd(0),
    renewal=usd(8000),
    tax_inclusive=False,
    period=Period(1, "Month"),
    next_billing_at=NOON + 30 * DAY_MS,
    billing_at_before=NOON + 10 * DAY_MS,
    effective_at=NOON,
    method=CARD.as_quoted(),
    previewed_at=NOON,
)
DOWNGRADE = replace(UPGRADE, due=usd(0), subtotal=-5000, credit_added=usd(5000), renewal=usd(3000))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"due": usd(4999)},
        {"previewed_at": NOON + 60_000, "next_billing_at": NOON + 30 * DAY_MS + 60_000},
        {"renewal": usd(7999)},
        {"due": usd(4000), "credit_used": usd(1000)},
    ],
    ids=["same", "a cent lower", "a minute later", "cheaper renewal", "paid with credit"],
)
def test_a_change_no_worse_than_shown_goes(changes: dict[str, Any]) -> None:
    assert may_confirm(UPGRADE, replace(UPGRADE, **changes)) == "go"


@pytest.mark.parametrize(
    "changes",
    [
        {"due": usd(5001)},
        {"due": Money(4000, "EUR")},
        {"next_billing_at": NOON + 31 * DAY_MS},
        {"renewal": usd(8001)},
        {"renewal": Money(1, "EUR")},
        {"credit_used": usd(1)},
        {"tax_inclusive": True},
        {"period": Period(1, "Week")},
        {"discounts_kept": (), "discounts_lost": ("TEN",)},
    ],
    ids=[
        *("more due", "other currency", "other renewal day", "dearer renewal", "renewal in another currency"),
        *("more credit spent", "tax on another side", "renewed more often", "a discount ends"),
    ],
)
def test_a_change_worse_than_shown_does_not_go(changes: dict[str, Any]) -> None:
    assert may_confirm(UPGRADE, replace(UPGRADE, **changes)) == "moved"


@pytest.mark.parametrize(
    ("credit", "expected"),
    [(usd(5000), "go"), (usd(4950), "go"), (usd(4949), "moved"), (usd(6000), "go"), (Money(5000, "EUR"), "moved")],
)
def test_a_credit_may_shrink_by_one_percent(credit: Money, expected: str) -> None:
    fresh = replace(DOWNGRADE, credit_added=credit, credit_used=Money(0, credit.currency))

    assert may_confirm(DOWNGRADE, fresh) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "t" * 32},
        {"wish": replace(WISH, quantity=2)},
        {"wish": replace(WISH, addons=())},
        {"wish": replace(WISH, when=AT_RENEWAL)},
    ],
)
def test_a_changed_subscription_or_wish_voids_the_quote(changes: dict[str, Any]) -> None:
    assert may_confirm(UPGRADE, replace(UPGRADE, **changes)) == "expired"


@given(due=st.integers(0, 10**6), fresh=st.integers(0, 10**6))
def test_nothing_above_the_quote_ever_goes(due: int, fresh: int) -> None:
    shown = replace(UPGRADE, due=usd(due))

    assert (may_confirm(shown, replace(shown, due=usd(fresh))) == "go") == (fresh <= due)


def test_a_frozen_quote_thaws_to_itself() -> None:
    for quote in (UPGRADE, DOWNGRADE, replace(UPGRADE, method=None, billing_at_before=None, tax=-300)):
        assert thaw_change(freeze_change(quote)) == quote


def test_a_quote_frozen_before_add_ons_stood_in_it_thaws() -> None:
    told = json.loads(freeze_change(UPGRADE))
    for later in ("direction", "from_addons", "discounts_kept", "discounts_lost"):
        del told[later]
    older = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert thaw_change(older) == replace(UPGRADE, from_addons=(), discounts_kept=(), discounts_lost=())


@pytest.mark.parametrize("text", ["", "{}", "[1]", freeze_change(UPGRADE).replace('"due":[5000', '"due": [5000')])
def test_what_was_not_frozen_is_unreadable(text: str) -> None:
    with pytest.raises(QuoteUnreadable):
        thaw_change(text)


def test_the_hash_covers_what_is_agreed_to_and_not_the_time() -> None:
    assert change_hash(UPGRADE) == change_hash(replace(UPGRADE, previewed_at=NOON + 1))
    for changed in (
        replace(UPGRADE, due=usd(4999)),
        replace(UPGRADE, method=None),
        replace(UPGRADE, next_billing_at=NOON),
        replace(UPGRADE, wish=replace(WISH, mode="do_not_bill")),
        replace(UPGRADE, renewal=usd(1)),
    ):
        assert change_hash(changed) != change_hash(UPGRADE)


def test_credit_has_one_currency() -> None:
    with pytest.raises(MixedCurrency):
        replace(UPGRADE, credit_added=Money(0, "EUR"))


def test_a_moved_renewal_day_is_said() -> None:
    assert UPGRADE.moves_billing_day
    assert not replace(UPGRADE, next_billing_at=NOON + 10 * DAY_MS).moves_billing_day
    assert not replace(UPGRADE, wish=replace(WISH, when=AT_RENEWAL)).moves_billing_day


def test_a_change_is_done_when_everything_of_it_is_there() -> None:
    seats = (Addon("adn_seat", 3),)

    assert is_done(WISH, product_id="pdt_pro", quantity=1, addons=seats, scheduled=None)
    assert is_done(WISH, product_id="pdt_basic", quantity=1, addons=(), scheduled=("pdt_pro", 1, seats))
    assert not is_done(WISH, product_id="pdt_pro", quantity=2, addons=seats, scheduled=None)
    assert not is_done(WISH, product_id="pdt_pro", quantity=1, addons=(), scheduled=None)
    assert not is_done(WISH, product_id="pdt_basic", quantity=1, addons=seats, scheduled=None)


def test_the_state_names_every_fact() -> None:
    facts = {"product": "pdt_basic", "quantity": 1}

    assert subscription_state(facts) == subscription_state(dict(reversed(facts.items())))
    assert subscription_state(facts) != subscription_state({**facts, "quantity": 2})
