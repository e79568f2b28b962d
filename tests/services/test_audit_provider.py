"""The audit against a real sandbox: what the provider says of our payments, and the breach each difference is."""

import json
from dataclasses import replace
from typing import Any

import pytest

from encore.services import audit, observe
from encore.services.audit import read_witness
from tests import factories
from tests.sandbox_process import BUNDLE
from tests.services.world import World


def full_audit(world: World) -> audit.Report:
    """Audit with the provider's answer and with the sandbox's own log as witness."""
    logs = {"requests": world.sandbox.requests(), "deliveries": world.sandbox.deliveries()}
    return audit.run(world.shop, witness=read_witness(json.dumps(logs)))


def charge(world: World) -> str:
    """Buy and accept; returns the payment's id at the provider."""
    page = world.offer()
    assert world.accept(page) == "taken"
    return str(world.attempt(page).provider_payment_id)


def edit(world: World, statement: str, **params: Any) -> None:
    with world.shop.store.write():
        assert world.shop.store.run(statement, **params)


def test_real_purchase_is_clean_in_every_invariant(world: World) -> None:
    charge(world)

    report = full_audit(world)

    assert report.names("ok") == tuple(finding.invariant for finding in report.findings), audit.render(report)


def test_payment_with_our_mark_and_no_row_is_named(world: World) -> None:
    charge(world)
    customer_id = world.sandbox.payments()[0]["customer_id"]
    marks = factories.attempt_marks(world.shop, "att_lost", customer_id=customer_id)

    world.sandbox.buy(BUNDLE, metadata=marks)

    assert full_audit(world).names("breach") == ("I1",)


@pytest.mark.parametrize("signature", ["", "0" * 64])
def test_payment_with_a_forged_mark_is_nobody_s(world: World, signature: str) -> None:
    page = world.offer()
    world.accept(page)

    world.sandbox.buy(BUNDLE, metadata={"attempt_id": world.attempt(page).id, "attempt_sig": signature})

    assert full_audit(world).names("breach") == ()


def test_payment_booked_without_proof_is_named(world: World) -> None:
    charge(world)
    # With another key the mark is one that anybody could have written.
    world.shop.settings = replace(world.shop.settings, attempt_sig_keys=("another key",))

    assert full_audit(world).names("breach") == ("I1",)


def test_payment_for_another_product_is_named(world: World) -> None:
    payment_id = charge(world)
    edit(world, "UPDATE acceptances SET product_id = 'pdt_x', quantity = 1")
    edit(world, "UPDATE orders SET product_id = 'pdt_x' WHERE payment_id = :id", id=payment_id)
    edit(world, "UPDATE entitlements SET product_id = 'pdt_x' WHERE product_id = :id", id=BUNDLE)

    assert full_audit(world).names("breach") == ("I1",)


def test_double_charge_is_named_three_times(world: World) -> None:
    page = world.offer()
    world.accept(page)
    (request,) = world.charges(page)

    world.sandbox.post("/checkouts", request["body"])

    assert full_audit(world).names("breach") == ("I1", "I2", "I4")


def test_charge_that_failed_at_the_provider_is_named(world: World) -> None:
    payment_id = charge(world)

    world.sandbox.control("settle", {"payment_id": payment_id, "status": "failed", "error_code": "CARD_DECLINED"})

    assert full_audit(world).names("breach") == ("I2",)


def test_charge_that_was_refunded_elsewhere_is_named_until_observed(world: World) -> None:
    payment_id = charge(world)
    world.sandbox.control("refunds", {"payment_id": payment_id})

    unobserved = full_audit(world).names("breach")
    observe.observe_payment(world.shop, payment_id, budget=world.shop.dodo.budget())

    assert unobserved == ("I2",)
    assert full_audit(world).names("breach") == ()


def test_refund_that_the_provider_never_made_is_named(world: World) -> None:
    payment_id = charge(world)
    world.sandbox.control("snapshots", {"name": "charged"})
    world.sandbox.control("refunds", {"payment_id": payment_id})
    observe.observe_payment(world.shop, payment_id, budget=world.shop.dodo.budget())

    world.sandbox.control("snapshots", {"restore": "charged"})

    assert full_audit(world).names("breach") == ("I2",)


def test_charge_unknown_at_the_provider_is_named(world: World) -> None:
    charge(world)

    world.sandbox.reset()

    assert full_audit(world).names("breach") == ("I2",)


def test_success_not_yet_observed_is_no_breach(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", effect="before")
    world.accept(page)
    assert world.attempt(page).state == "unknown"

    unsettled = full_audit(world).names("breach")
    world.look()

    assert unsettled == ()
    assert world.outcome(page) == "charged"
    assert full_audit(world).names("breach") == ()


def test_success_of_an_attempt_called_absent_is_named(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", effect="before")
    world.accept(page)
    edit(world, "UPDATE attempts SET state = 'absent' WHERE kind = 'one_click'")
    edit(world, "UPDATE acceptances SET outcome = 'needs_checkout'")

    assert full_audit(world).names("breach") == ("I1", "I2")


def test_silent_provider_leaves_two_unchecked(world: World) -> None:
    charge(world)
    world.sandbox.fault("GET /payments", "status:503", times=100)

    report = full_audit(world)

    assert report.names("unchecked") == ("I1", "I2")
    assert report.exit_status == 0
    assert "       not checked: the provider gave no whole list of its payments" in audit.render(report)
