"""Rebuild: after an older backup was restored, what the provider knows is taken in, and nothing is decided by rule."""

import shutil
from pathlib import Path

from encore.services import audit, observe, poll
from encore.services.rebuild import Rebuilt, rebuild
from encore.store import alarms, orders, payments
from tests import factories
from tests.sandbox_process import BUNDLE, COURSE, PRO
from tests.services.conftest import Open
from tests.services.world import World


def back_up(world: World) -> Path:
    """Copy the database as it is now; nobody is writing."""
    data = world.shop.settings.data_dir
    backup = data.with_name("backup")
    backup.mkdir()
    _copy_database(data, backup)
    return backup


def restore(world: World, backup: Path, open_shop_with: Open) -> World:
    """Stop the shop, put the older copy in place, and start it again."""
    data = world.shop.settings.data_dir
    world.shop.close()
    for path in data.glob("encore.sqlite3*"):
        path.unlink()
    _copy_database(backup, data)
    return open_shop_with()


def _copy_database(source: Path, target: Path) -> None:
    for path in source.glob("encore.sqlite3*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, target / path.name)


def lose_a_charge(open_shop_with: Open) -> tuple[World, str]:
    """Charge a yes that the backup restored afterwards does not have; returns the old world and the attempt."""
    world = open_shop_with()
    page = world.offer()
    backup = back_up(world)
    assert world.accept(page) == "taken"
    attempt_id = world.attempt(page).id
    return restore(world, backup, open_shop_with), attempt_id


def test_charge_without_a_row_goes_to_a_person(open_shop_with: Open) -> None:
    world, attempt_id = lose_a_charge(open_shop_with)
    (charge,) = world.standing(BUNDLE)

    found = rebuild(world.shop)

    assert found == Rebuilt(settled=0, left_to_person=(charge["id"],), is_complete=True)
    stored = payments.get_payment(world.shop.store, charge["id"])
    assert stored is not None
    assert (stored.disposition, stored.amount, stored.attempt_id) == ("manual", charge["total"], None)
    (alarm,) = alarms.list_standing(world.shop.store)
    assert (alarm.kind, alarm.object) == ("payment_needs_person", charge["id"])
    for fact in (attempt_id, charge["customer_id"], f"{charge['total']} USD"):
        assert fact in alarm.detail


def test_audit_asks_for_a_rebuild_and_is_clean_after_it(open_shop_with: Open) -> None:
    world, _ = lose_a_charge(open_shop_with)

    before = audit.run(world.shop)
    rebuild(world.shop)

    assert before.names("breach") == ("I1",)
    assert "reconcile --rebuild" in "\n".join(audit.render(before))
    assert audit.run(world.shop).names("breach") == ()


def test_alarm_of_the_sweep_ends_and_does_not_come_back(open_shop_with: Open) -> None:
    world, _ = lose_a_charge(open_shop_with)
    (charge,) = world.standing(BUNDLE)
    poll.sweep(world.shop)
    raised = [alarm.kind for alarm in alarms.list_standing(world.shop.store)]

    rebuild(world.shop)
    observe.observe_payment(world.shop, charge["id"], budget=world.shop.dodo.budget())

    assert raised == ["payment_without_row"]
    assert [alarm.kind for alarm in alarms.list_standing(world.shop.store)] == ["payment_needs_person"]


def test_nothing_is_refunded_and_a_second_run_finds_nothing(open_shop_with: Open) -> None:
    world, _ = lose_a_charge(open_shop_with)
    rebuild(world.shop)

    again = rebuild(world.shop)

    assert again == Rebuilt(settled=0, left_to_person=(), is_complete=True)
    assert world.rows("refunds") == []
    assert world.sandbox.requests("POST", "/refunds") == []


def test_refund_a_person_makes_is_noted(open_shop_with: Open) -> None:
    world, _ = lose_a_charge(open_shop_with)
    (charge,) = world.standing(BUNDLE)
    rebuild(world.shop)

    world.sandbox.control("refunds", {"payment_id": charge["id"]})
    observe.observe_payment(world.shop, charge["id"], budget=world.shop.dodo.budget())

    stored = payments.get_payment(world.shop.store, charge["id"])
    assert stored is not None
    assert stored.refunded == charge["total"]
    assert audit.run(world.shop).names("breach") == ()


def test_shop_order_without_a_checkout_goes_to_a_person(open_shop_with: Open) -> None:
    world = open_shop_with()
    backup = back_up(world)
    world.come_back(world.buy())
    old = restore(world, backup, open_shop_with)

    found = rebuild(old.shop)

    (charge,) = old.standing(COURSE)
    assert found.left_to_person == (charge["id"],)
    assert old.rows("orders") == []
    assert alarms.list_standing(old.shop.store)[0].detail.startswith(f"{charge['total']} USD paid by")
    assert audit.run(old.shop).names("breach") == ()


def test_payment_whose_row_is_here_is_settled_as_ever(open_shop_with: Open) -> None:
    world = open_shop_with()
    ref = world.buy()
    backup = back_up(world)
    world.come_back(ref)
    old = restore(world, backup, open_shop_with)

    found = rebuild(old.shop)

    assert found == Rebuilt(settled=1, left_to_person=(), is_complete=True)
    assert [order["state"] for order in old.rows("orders")] == ["granted"]
    assert alarms.list_standing(old.shop.store) == []


def test_forged_mark_is_not_taken_in(world: World) -> None:
    marks = factories.attempt_marks(world.shop, "att_lost", customer_id="cus_another")

    world.sandbox.buy(BUNDLE, metadata=marks)

    assert rebuild(world.shop) == Rebuilt(settled=0, left_to_person=(), is_complete=True)
    assert world.rows("payments") == []


def test_silent_provider_leaves_the_rebuild_incomplete(open_shop_with: Open) -> None:
    world, _ = lose_a_charge(open_shop_with)
    world.sandbox.fault("GET /payments/{id}", "status:503", times=100)

    found = rebuild(world.shop)

    assert not found.is_complete
    assert found.left_to_person == ()
    world.sandbox.clear_faults()
    assert len(rebuild(world.shop).left_to_person) == 1


def test_a_lost_change_of_plan_goes_to_a_person_and_access_follows_the_plan(open_shop_with: Open) -> None:
    world = open_shop_with()
    row = world.subscribe()
    backup = back_up(world)
    assert world.confirm(world.preview(row)).state == "changed"
    world = restore(world, backup, open_shop_with)

    found = rebuild(world.shop)
    world.advance(301)
    world.poll()
    world.read_subscriptions()
    world.tidy()

    assert (found.settled, len(found.left_to_person)) == (0, 1)
    assert [alarm.kind for alarm in alarms.list_standing(world.shop.store)] == ["payment_needs_person"]
    assert orders.list_owned_products(world.shop.store, row.customer_id) == {PRO}
    assert rebuild(world.shop) == Rebuilt(settled=0, left_to_person=(), is_complete=True)


def test_a_change_of_plan_begun_elsewhere_is_no_lost_checkout(open_shop_with: Open) -> None:
    world = open_shop_with()
    row = world.subscribe()
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "difference_immediately"}
    world.sandbox.post(f"/subscriptions/{row.provider_subscription_id}/change-plan", body)

    assert rebuild(world.shop).left_to_person == ()
    assert alarms.list_standing(world.shop.store) == []
