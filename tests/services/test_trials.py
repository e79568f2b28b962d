"""Trials in the shop: nothing is charged, so the subscription settles the checkout, with a payment of zero or none."""

import json
from typing import Any

import msgspec
import pytest

from encore.i18n import format_day
from encore.services import (
    catalogue,
    checkout,
    mail,
    observe,
    plan_pages,
    quoting,
    rebuild,
    return_page,
    subscriptions,
    webhooks,
)
from encore.store import orders
from tests.deliveries import event, sign
from tests.sandbox.subscriptions import make_plan
from tests.sandbox_process import EXTRA_PROJECT, PRO
from tests.services.conftest import Open
from tests.services.test_rebuild import back_up, restore
from tests.services.world import DAY_S, LAN, MINH, TEMPLATES_FIRST, World

DECLINING, ASKS = "4000000000000002", "4000002500003155"
SLUG = "plan-80-00"
BOTH = pytest.mark.parametrize("leaves", ["zero_payment", "no_payment"])


def sell_trial(world: World, *, leaves: str = "no_payment", **more: Any) -> str:
    """Sell a plan of 80 dollars with 14 days free; `leaves` is what the provider keeps of its beginning."""
    world.sandbox.switch(free_trial=leaves)
    product_id = make_plan(world.sandbox, 8000, **{"trial_period_days": 14, **more})
    world.sync()
    return product_id


def begin(world: World, *, key: str = LAN) -> str:
    """Start the checkout of the trial; returns its session."""
    started = checkout.start(world.shop, slug=SLUG, quantity=1, buyer_key=key, language="en")
    assert isinstance(started, checkout.Started), started
    return started.url.rsplit("/", 1)[1]


def ref_of(world: World, session_id: str) -> str:
    return next(str(row["ref"]) for row in world.rows("checkouts") if row["provider_session_id"] == session_id)


def the_subscription(world: World) -> dict[str, Any]:
    (found,) = world.sandbox.get("/subscriptions")["items"]
    return dict(found)


def is_whole(world: World) -> bool:
    """One order of nothing, its access, one message that says so, and nothing that the audit would name."""
    world.read_subscriptions()
    (order,) = world.rows("orders")
    (row,) = world.rows("subscriptions")
    world.tidy()
    return (
        (order["amount"], order["currency"], order["state"], row["order_id"]) == (0, "USD", "granted", order["id"])
        and orders.list_owned_products(world.shop.store, order["customer_id"]) == {order["product_id"]}
        and world.messages("trial_started") == [f"trial_started:{order['id']}"]
        and world.messages("receipt") == []
        and world.breaches() == ()
    )


@pytest.mark.criterion("R1d")
def test_shop_names_length_price_and_first_payment(world: World) -> None:
    sell_trial(world)

    card = catalogue.get_product(world.shop, SLUG)

    assert card is not None
    assert card.trial is not None
    assert (card.trial.days, card.trial.price.minor, card.price.minor) == (14, 0, 8000)
    assert abs(card.trial.ends_at - world.shop.now() - 14 * DAY_S * 1000) < 60_000
    assert SLUG in [product.slug for product in catalogue.list_products(world.shop)]


@BOTH
def test_return_page_settles_a_free_trial_by_its_subscription(world: World, leaves: str) -> None:
    sell_trial(world, leaves=leaves)

    page = world.come_back(world.buy(slug=SLUG))

    assert (page.state, page.order is not None) == ("thanks", True)
    assert page.order is not None
    assert page.order.trial is not None
    assert (page.order.total.minor, page.order.trial.state) == (0, "running")
    assert page.order.trial.price is not None
    assert page.order.trial.price.minor == 8000
    assert [(line.state, line.amount.minor) for line in page.payments] == [("free", 0)]
    assert is_whole(world)
    assert len(world.rows("payments")) == (leaves == "zero_payment")
    (row,) = world.rows("subscriptions")
    assert plan_pages.plan_page(world.shop, world.subscription(row["id"]), language="en").state == "trial"  # type: ignore[union-attr]
    text = next(message.text for message in mail.list_messages(world.shop) if message.kind == "trial_started")
    assert "nothing was charged today" in text
    assert format_day(page.order.trial.ends_at, "en", zone="UTC") in text


def test_paid_trial_charges_its_own_price_and_says_what_follows(world: World) -> None:
    sell_trial(world, trial_amount=500)

    page = world.come_back(world.buy(slug=SLUG, country="HK", zipcode="00000"))

    assert page.order is not None
    assert page.order.trial is not None
    assert (page.order.total.minor, page.order.trial.state) == (500, "running")
    assert [line.state for line in page.payments] == ["paid"]
    world.read_subscriptions()
    world.tidy()
    (text,) = [message.text for message in mail.list_messages(world.shop) if message.kind == "trial_started"]
    assert "$5.00" in text
    assert "$80.00" in text
    assert "Your payment was received" in text
    assert (world.messages("receipt"), world.breaches()) == ([], ())


def test_event_alone_settles_a_trial_whose_buyer_never_returns(world: World) -> None:
    sell_trial(world)
    world.buy(slug=SLUG)
    body = event(
        "subscription.active", **world.sandbox.get(f"/subscriptions/{the_subscription(world)['subscription_id']}")
    )

    for _ in range(2):
        webhooks.receive(world.shop, sign(world.shop, body, webhook_id="msg_trial"), body)
        while webhooks.process_next(world.shop):
            pass

    assert is_whole(world)


def test_poll_alone_settles_a_trial(world: World) -> None:
    sell_trial(world)
    world.buy(slug=SLUG)

    world.poll()

    assert is_whole(world)


def test_payment_of_zero_that_comes_after_its_subscription_is_no_duplicate(world: World) -> None:
    sell_trial(world, leaves="zero_payment")
    world.buy(slug=SLUG)
    budget = world.shop.dodo.budget()
    subscriptions.observe_subscription(world.shop, the_subscription(world)["subscription_id"], budget=budget)
    assert world.rows("orders")[0]["payment_id"] is None

    world.poll()

    (payment,) = world.rows("payments")
    assert (payment["disposition"], world.rows("orders")[0]["payment_id"]) == ("kept", payment["id"])
    assert world.rows("alarms") == []
    assert is_whole(world)


@BOTH
def test_left_checkout_charged_nothing_and_declined_card_begins_no_trial(world: World, leaves: str) -> None:
    sell_trial(world, leaves=leaves)
    session_id = begin(world)
    ref = ref_of(world, session_id)
    assert world.come_back(ref).state == "cancelled"

    world.sandbox.pay(session_id, card=DECLINING)
    assert (world.come_back(ref).state, world.rows("orders")) == ("payment_failed", [])

    world.sandbox.pay(session_id)
    assert world.come_back(ref).state == "thanks"
    world.read_subscriptions()
    begun = [row for row in world.rows("subscriptions") if row["status"] == "active"]
    assert [row["order_id"] for row in begun] == [world.rows("orders")[0]["id"]]
    assert world.breaches() == ()


@pytest.mark.criterion("R28")
def test_trial_that_the_list_does_not_show_yet_is_not_called_left(world: World) -> None:
    """The page looks, stops and promises a message; who did leave after all can go on in the same session."""
    sell_trial(world)
    ref = world.buy(slug=SLUG)
    world.sandbox.fault("GET /subscriptions", "lag:60", times=99)

    pages = [return_page.status(world.shop, ref, buyer_key=LAN, language="en", check=n) for n in range(7)]

    assert [page.state for page in pages] == ["waiting"] * 5 + ["still_processing"] * 2
    assert all(page.may_have_left for page in pages)
    (row,) = world.rows("checkouts")
    assert checkout.pay_again(world.shop, ref, buyer_key=LAN) == checkout.Started(row["checkout_url"])
    assert len(world.rows("checkouts")) == 1, "another session could begin a second trial"

    world.sandbox.clear_faults()
    assert world.come_back(ref).state == "thanks"
    assert is_whole(world)


def test_trial_that_waits_for_the_bank_waits_and_is_not_begun_twice(world: World) -> None:
    sell_trial(world)
    session_id = begin(world)
    world.sandbox.pay(session_id, card=ASKS)

    page = world.come_back(ref_of(world, session_id))

    assert (page.state, page.begins_free, world.rows("orders")) == ("waiting", True, [])


@pytest.mark.parametrize("slug", [SLUG, "basic-plan"])
def test_second_press_after_a_plan_was_bought_leads_to_its_order(world: World, slug: str) -> None:
    """Neither its session again nor another one, which would sell a second subscription."""
    sell_trial(world)
    first = checkout.start(world.shop, slug=slug, quantity=1, buyer_key=LAN, language="en")
    assert isinstance(first, checkout.Started)
    world.sandbox.pay(first.url.rsplit("/", 1)[1])

    again = checkout.start(world.shop, slug=slug, quantity=1, buyer_key=LAN, language="en")

    (row,) = world.rows("checkouts")
    assert again == checkout.Started(f"{world.shop.settings.public_url}/r/{row['ref']}")
    assert len(world.rows("orders")) == 1


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("card", [DECLINING, ASKS])
def test_second_press_of_a_plan_goes_on_in_the_session_that_is_still_open(
    world: World, card: str, language: str
) -> None:
    """Two open sessions would be two subscriptions, once both are paid, and whatever language they are in."""
    first = checkout.start(world.shop, slug="basic-plan", quantity=1, buyer_key=LAN, language="en")
    assert isinstance(first, checkout.Started)
    world.sandbox.pay(first.url.rsplit("/", 1)[1], card=card)
    world.poll()

    assert checkout.start(world.shop, slug="basic-plan", quantity=1, buyer_key=LAN, language=language) == first


def test_session_that_began_two_trials_is_told_to_a_person(world: World) -> None:
    product_id = sell_trial(world)
    world.come_back(world.buy(slug=SLUG))
    (sent,) = [row["body"] for row in world.sandbox.requests("POST", "/checkouts")]
    cart = [{"product_id": product_id, "quantity": 1}]
    twin = world.sandbox.post("/checkouts", {"product_cart": cart, "metadata": sent["metadata"]})
    world.sandbox.pay(twin["session_id"])
    second = world.sandbox.get("/subscriptions")["items"][0]["subscription_id"]

    subscriptions.observe_subscription(world.shop, second, budget=world.shop.dodo.budget())

    assert [(row["kind"], row["object"]) for row in world.rows("alarms")] == [("second_trial", second)]
    assert len(world.rows("orders")) == 1


def test_no_answer_is_not_nothing_charged(world: World) -> None:
    sell_trial(world)
    ref = world.buy(slug=SLUG)
    world.sandbox.fault("GET /subscriptions", "status:503", times=9)

    assert world.come_back(ref).state == "waiting"

    world.sandbox.clear_faults()
    assert world.come_back(ref).state == "thanks"


def test_first_offer_is_paid_by_the_method_the_trial_began_with(world: World) -> None:
    """By its id, and never by another saved card of the same customer (security.md, section 2)."""
    sell_trial(world)
    world.publish(TEMPLATES_FIRST)
    world.buy(email="lan@example.com", key=MINH, card="5555555555554444")
    page = world.offered(world.buy(slug=SLUG))

    assert page.state == "offer"
    (begun,) = [row for row in world.rows("checkouts") if row["begun_method_id"]]
    assert page.quote.method is not None
    assert (page.quote.method.payment_method_id, page.quote.method.last4) == (begun["begun_method_id"], "4242")
    assert page.quote.country == "US"
    world.accept(page)
    assert world.outcome(page) == "charged"
    world.tidy()
    assert world.breaches() == ()


def test_method_given_to_the_trial_later_is_not_this_browsers(world: World) -> None:
    """Seen only after a while, the method may be another's: the standard checkout it is."""
    sell_trial(world)
    world.publish(TEMPLATES_FIRST)
    ref = world.buy(slug=SLUG)
    world.advance(3600)

    assert world.offered(ref).state == "no_method"
    assert [row["begun_method_id"] for row in world.rows("checkouts")] == [None]


def test_stranger_with_a_forged_mark_settles_nothing(world: World) -> None:
    product_id = sell_trial(world)
    session_id = begin(world)
    (row,) = world.rows("checkouts")
    forged = world.sandbox.post(
        "/checkouts",
        {
            "product_cart": [{"product_id": product_id, "quantity": 1}],
            "metadata": {"checkout_id": row["id"], "checkout_sig": "0" * 64},
        },
    )
    world.sandbox.pay(forged["session_id"], email="eve@example.com")

    world.poll()

    assert world.come_back(ref_of(world, session_id)).state == "cancelled"
    assert world.rows("orders") == []


def test_cancelled_trial_says_so_and_its_end_takes_the_access(world: World) -> None:
    sell_trial(world)
    ref = world.buy(slug=SLUG)
    world.come_back(ref)
    name = the_subscription(world)["subscription_id"]
    world.sandbox.call("PATCH", f"/subscriptions/{name}", {"cancel_at_next_billing_date": True})
    budget = world.shop.dodo.budget()
    subscriptions.observe_subscription(world.shop, name, budget=budget)
    page = world.come_back(ref)
    assert page.order is not None
    assert page.order.trial is not None
    assert page.order.trial.state == "ending"

    world.advance(15 * DAY_S)
    subscriptions.observe_subscription(world.shop, name, budget=world.shop.dodo.budget())

    assert orders.list_owned_products(world.shop.store, world.rows("orders")[0]["customer_id"]) == frozenset()
    assert [payment["total"] for payment in world.sandbox.payments()] == []


def test_first_charge_after_the_trial_is_a_renewal_and_keeps_the_order(world: World) -> None:
    sell_trial(world)
    world.come_back(world.buy(slug=SLUG))
    world.advance(15 * DAY_S)

    world.poll()
    world.read_subscriptions()

    assert [row["disposition"] for row in world.rows("payments")] == ["renewal"]
    assert len(world.rows("orders")) == 1
    world.tidy()
    assert world.breaches() == ()


def test_older_backup_takes_the_trial_in_or_tells_a_person(open_shop_with: Open) -> None:
    world = open_shop_with()
    sell_trial(world)
    empty = back_up(world)
    session_id = begin(world)
    world.sandbox.pay(session_id)
    assert rebuild.rebuild(world.shop).settled == 1
    assert is_whole(world)

    world = restore(world, empty, open_shop_with)
    assert rebuild.rebuild(world.shop).settled == 0
    assert [row["kind"] for row in world.rows("alarms")] == ["trial_without_row"]


def test_change_of_plan_in_a_trial_keeps_order_and_access(world: World) -> None:
    product_id = sell_trial(world)
    world.publish(
        f'[[plan_groups]]\nid = "plans"\n[[plan_groups.plans]]\nproduct = "{product_id}"\n'
        f'[[plan_groups.plans]]\nproduct = "{PRO}"\n'
    )
    ref = world.buy(slug=SLUG)
    world.come_back(ref)
    world.read_subscriptions()
    (row,) = world.rows("subscriptions")

    after = world.confirm(world.preview(world.subscription(row["id"])))
    world.read_subscriptions()
    world.tidy()

    assert after.state == "changed"
    page = world.come_back(ref)
    assert page.order is not None
    assert page.order.trial is not None
    assert page.order.trial.state == "over"
    assert world.breaches() == ()


def test_quote_of_an_order_without_payment_has_the_trials_address(world: World) -> None:
    sell_trial(world)
    world.come_back(world.buy(slug=SLUG))

    assert quoting.billing_of(world.shop, world.rows("orders")[0]["id"])["country"] == "US"


def test_look_of_one_buyer_leaves_the_add_ons_of_another_alone(world: World) -> None:
    """The provider's list names no add-ons; taken for the whole, it would take them from everybody it lists."""
    product_id = sell_trial(world, addons=[EXTRA_PROJECT])
    world.come_back(world.buy(slug=SLUG))
    name = the_subscription(world)["subscription_id"]
    addons = [{"addon_id": EXTRA_PROJECT, "quantity": 2}]
    change = {"product_id": product_id, "quantity": 1, "proration_billing_mode": "do_not_bill", "addons": addons}
    world.sandbox.post(f"/subscriptions/{name}/change-plan", change)
    subscriptions.observe_subscription(world.shop, name, budget=world.shop.dodo.budget())

    page = world.come_back(world.buy(slug=SLUG, email="minh@example.com", key=MINH), key=MINH)

    assert page.state == "thanks"
    assert json.loads(world.rows("subscriptions")[0]["addons_json"]) == [[EXTRA_PROJECT, 2]]


def test_first_price_after_a_trial_is_no_duplicate_whatever_the_provider_calls_it(world: World) -> None:
    sell_trial(world)
    world.come_back(world.buy(slug=SLUG))
    world.advance(15 * DAY_S)
    (item,) = world.sandbox.payments()
    renewal = world.shop.dodo.payments.get(item["id"], budget=world.shop.dodo.budget())
    session_id = world.rows("checkouts")[0]["provider_session_id"]

    observe.settle_payment(
        world.shop, msgspec.structs.replace(renewal, charge_type="new", checkout_session_id=session_id)
    )

    assert [row["disposition"] for row in world.rows("payments")] == ["renewal"]
    assert (world.rows("refunds"), world.rows("alarms")) == ([], [])


def test_offer_after_a_free_trial_is_no_second_payment(world: World) -> None:
    sell_trial(world)
    world.publish(TEMPLATES_FIRST)

    page = world.offered(world.buy(slug=SLUG))
    world.accept(page)
    world.tidy()

    assert page.sum_with_order is None
    (text,) = [message.text for message in mail.list_messages(world.shop) if message.kind == "receipt"]
    assert "second payment" not in text
