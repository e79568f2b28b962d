"""Payments that claim to be somebody's: metadata is written by anyone, so it settles nothing without proof.

The forger here has an account at the provider's hosted page and knows every id, but no key of ours.
"""

from collections.abc import Callable
from typing import Any

import pytest

from encore import tokens
from encore.services import poll
from tests.attacks.stage import DECLINES_LATER, Browser, Stage
from tests.sandbox_process import BUNDLE, COURSE

Forge = Callable[[Stage, Browser], dict[str, str]]


def open_yes(stage: Stage) -> Browser:
    """A buyer whose yes is open: its card was declined, so a success of any kind would settle it."""
    buyer = stage.buyer(DECLINES_LATER, expiry="12/34")
    buyer.act("accept")
    assert acceptance_of(stage, buyer)["outcome"] == "needs_checkout"
    return buyer


def acceptance_of(stage: Stage, buyer: Browser) -> dict[str, Any]:
    return stage.one("SELECT * FROM acceptances WHERE offer_instance_id = :id", id=buyer.instance)


def attempt_of(stage: Stage, buyer: Browser) -> str:
    acceptance = acceptance_of(stage, buyer)
    return str(stage.one("SELECT id FROM attempts WHERE acceptance_id = :id", id=acceptance["id"])["id"])


def sign(stage: Stage, *parts: str, keys: tuple[str, ...] | None = None) -> str:
    return tokens.sign_mark(keys or stage.settings.attempt_sig_keys, *parts)


def other_key(stage: Stage, buyer: Browser) -> dict[str, str]:
    signature = sign(stage, attempt_of(stage, buyer), buyer.row()["customer_id"], keys=("somebody-elses-key",))
    return {"attempt_id": attempt_of(stage, buyer), "attempt_sig": signature}


def session_key(stage: Stage, buyer: Browser) -> dict[str, str]:
    """Signed with our other secret: one leak must not open both."""
    signature = sign(stage, attempt_of(stage, buyer), buyer.row()["customer_id"], keys=stage.settings.secret_keys)
    return {"attempt_id": attempt_of(stage, buyer), "attempt_sig": signature}


def other_attempt(stage: Stage, buyer: Browser) -> dict[str, str]:
    """A true signature, moved to another attempt of another buyer."""
    other = open_yes(stage)
    signature = sign(stage, attempt_of(stage, other), other.row()["customer_id"])
    return {"attempt_id": attempt_of(stage, buyer), "attempt_sig": signature}


def checkout_mark(stage: Stage, buyer: Browser) -> dict[str, str]:
    """The mark of the buyer's own shop checkout, which the provider's records show, in the place of an attempt's."""
    checkout = stage.one("SELECT id FROM checkouts WHERE ref = :ref", ref=buyer.ref)["id"]
    return {"attempt_id": attempt_of(stage, buyer), "attempt_sig": sign(stage, "checkout", checkout)}


def bare_checkout(stage: Stage, buyer: Browser) -> dict[str, str]:
    return {"checkout_id": str(stage.one("SELECT id FROM checkouts WHERE ref = :ref", ref=buyer.ref)["id"])}


def true_mark(stage: Stage, buyer: Browser) -> dict[str, str]:
    attempt = attempt_of(stage, buyer)
    return {"attempt_id": attempt, "attempt_sig": sign(stage, attempt, buyer.row()["customer_id"])}


UNPROVEN: dict[str, Forge] = {
    "id alone": lambda stage, buyer: {"attempt_id": attempt_of(stage, buyer)},
    "empty signature": lambda stage, buyer: {"attempt_id": attempt_of(stage, buyer), "attempt_sig": ""},
    "zeros": lambda stage, buyer: {"attempt_id": attempt_of(stage, buyer), "attempt_sig": "0" * 64},
    "upper case": lambda stage, buyer: {
        **true_mark(stage, buyer),
        "attempt_sig": true_mark(stage, buyer)["attempt_sig"].upper(),
    },
    "cut": lambda stage, buyer: {**true_mark(stage, buyer), "attempt_sig": true_mark(stage, buyer)["attempt_sig"][:-1]},
    "no Latin": lambda stage, buyer: {"attempt_id": attempt_of(stage, buyer), "attempt_sig": "é" * 64},
    "another key": other_key,
    "session key": session_key,
    "another attempt": other_attempt,
    "a checkout's mark": checkout_mark,
    "a checkout's id alone": bare_checkout,
    "attempt nobody has": lambda stage, buyer: {"attempt_id": "att_nobody", "attempt_sig": "0" * 64},
}


def look_everywhere(stage: Stage, payment_id: str) -> None:
    """Let every way a payment is noticed notice it: the poll, and a delivery that names it."""
    poll.poll(stage.shop)
    stage.deliver("payment.succeeded", payment_id=payment_id)


def assert_settled_nothing(stage: Stage, buyer: Browser, payment_id: str) -> None:
    """I1: a payment without our true mark is nobody's; nothing is granted, kept or given back for it."""
    acceptance = acceptance_of(stage, buyer)
    assert acceptance["outcome"] == "needs_checkout", "I1: a forged payment settled a yes"
    row = stage.shop.store.row("SELECT * FROM payments WHERE id = :id", id=payment_id)
    assert row is None or row["disposition"] == "renewal", "I1: a forged payment was taken in"
    assert stage.shop.store.row("SELECT 1 AS n FROM refunds WHERE payment_id = :id", id=payment_id) is None
    orders = stage.shop.store.rows("SELECT 1 FROM orders WHERE acceptance_id = :id", id=acceptance["id"])
    assert orders == []
    assert stage.breaches() == ()


@pytest.mark.parametrize("name", UNPROVEN)
def test_payment_without_a_true_mark_settles_nothing(stage: Stage, name: str) -> None:
    """The right customer pays the right product for the right amount; only the proof is missing."""
    buyer = open_yes(stage)
    metadata = UNPROVEN[name](stage, buyer)

    forged = stage.sandbox.buy(BUNDLE, email=buyer.email, metadata=metadata)
    look_everywhere(stage, forged["payment_id"])

    assert forged["customer"]["customer_id"] == buyer.row()["customer_id"]
    assert_settled_nothing(stage, buyer, forged["payment_id"])


def test_true_mark_of_the_right_customer_settles(stage: Stage) -> None:
    """What the forgeries lack is all that keeps them out: the same payment with its proof is taken in."""
    buyer = open_yes(stage)

    late = stage.sandbox.buy(BUNDLE, email=buyer.email, metadata=true_mark(stage, buyer))
    look_everywhere(stage, late["payment_id"])

    assert acceptance_of(stage, buyer)["outcome"] in ("charged", "refunded")


def test_true_mark_on_another_customers_payment_settles_nothing(stage: Stage) -> None:
    """Somebody has seen the mark and pays with it from an account of their own: a yes is paid by who gave it."""
    buyer = open_yes(stage)

    forged = stage.sandbox.buy(BUNDLE, email="forger@example.com", metadata=true_mark(stage, buyer))
    look_everywhere(stage, forged["payment_id"])

    assert_settled_nothing(stage, buyer, forged["payment_id"])


def test_cheaper_product_with_a_forged_mark_buys_nothing(stage: Stage) -> None:
    buyer = open_yes(stage)

    forged = stage.sandbox.buy(COURSE, email=buyer.email, metadata=UNPROVEN["another key"](stage, buyer))
    look_everywhere(stage, forged["payment_id"])

    assert_settled_nothing(stage, buyer, forged["payment_id"])


def test_payment_of_another_session_with_a_checkouts_id_completes_no_order(stage: Stage) -> None:
    """A buyer who has not paid makes a cheap payment elsewhere that names the open checkout."""
    thief = stage.browser()
    session = str(thief.send(thief.page("/p/complete-bundle"), "buy").location).rpartition("/")[2]
    checkout = stage.one("SELECT * FROM checkouts WHERE provider_session_id = :id", id=session)

    forged = stage.sandbox.buy(COURSE, email=thief.email, metadata={"checkout_id": checkout["id"]})
    look_everywhere(stage, forged["payment_id"])

    after = stage.one("SELECT * FROM checkouts WHERE id = :id", id=checkout["id"])
    assert (after["state"], after["payment_id"]) == ("open", None)
    assert stage.shop.store.row("SELECT 1 AS n FROM orders WHERE checkout_id = :id", id=checkout["id"]) is None


def test_delivery_that_lies_about_a_payment_is_read_again(stage: Stage) -> None:
    """Signed, so the provider's: and still only a hint. The payment it calls succeeded has failed."""
    buyer = open_yes(stage)
    payment = stage.one("SELECT provider_payment_id AS id FROM attempts WHERE id = :id", id=attempt_of(stage, buyer))[
        "id"
    ]

    stage.deliver("payment.succeeded", payment_id=payment, status="succeeded", metadata=true_mark(stage, buyer))

    assert acceptance_of(stage, buyer)["outcome"] == "needs_checkout"
    assert stage.breaches() == ()
