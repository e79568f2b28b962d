"""A recommendation leads to an offer: charged once, returned alone, remembered when it is declined, named in sums."""

import pytest

from encore.services import (
    accounts,
    mail,
    offers,
    recommendations,
    return_page,
)
from tests.sandbox_process import TEMPLATES
from tests.services.recommended import (
    AGAIN,
    PREVIEW,
    VISA,
    cards,
    charges,
    open_card,
    page,
    publish,
    reasons,
    sign_in,
    subscriber,
)
from tests.services.world import DAY_S, LAN, MINH, World


@pytest.mark.criterion("R7b", "R11a")
def test_one_click_charges_the_card_of_the_latest_order_once(world: World) -> None:
    account = subscriber(world, card=VISA)
    shown = open_card(world, account)
    assert shown.state == "offer"
    assert (shown.quote.quantity, shown.quote.method and shown.quote.method.last4) == (1, "4242")

    assert world.accept(shown) == "taken"
    assert world.accept(shown) == "taken"

    (body,) = charges(world)
    assert body["product_cart"] == [{"product_id": TEMPLATES, "quantity": 1}]
    marks = body["metadata"]
    assert (marks["role"], marks["placement"], marks["step"]) == ("cross_sell", "account", "templates")
    first = world.shop.store.row("SELECT id FROM orders WHERE checkout_id IS NOT NULL")
    assert first is not None
    assert marks["first_order"] == first["id"]
    assert body["return_url"].endswith(f"/o/{shown.instance_id}")
    done = page(world, shown.instance_id)
    assert (done.state, done.next_url) == ("receipt", f"/orders/{done.order.ref}")
    assert world.breaches() == ()


def test_what_was_bought_is_an_order_with_its_receipt_in_the_account(world: World) -> None:
    account = subscriber(world)
    world.accept(open_card(world, account))

    newest = accounts.list_orders(world.shop, account).rows[0]

    assert (newest.line.product_name, newest.first_number) == ("Design templates", 1001)
    assert newest.ref is not None
    found = return_page.order_page(world.shop, newest.ref, buyer_key=MINH, language="en", account=account)
    assert [line.product_name for line in found.payments] == ["Basic plan", "Design templates"]
    assert len(world.messages("receipt")) == 2
    assert cards(world, account) == ["account-bundle", "account-course"]


def test_opening_a_card_again_leads_to_the_same_offer_until_it_ran_out(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    assert open_card(world, account).instance_id == shown.instance_id

    world.advance(31 * 60)
    account = sign_in(world)
    later = open_card(world, account)

    assert later.instance_id != shown.instance_id
    assert page(world, shown.instance_id).state == "expired"
    refs = [row["source_ref"] for row in world.rows("offer_instances")]
    assert len(set(refs)) == 2


def test_a_card_pressed_again_after_paying_leads_to_what_it_came_to(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    world.accept(shown)

    again = open_card(world, account)

    assert (again.instance_id, again.state) == (shown.instance_id, "receipt")
    assert len(charges(world)) == 1


@pytest.mark.criterion("R36a")
def test_a_no_is_remembered_and_the_product_recommended_no_more(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)

    offers.decline(world.shop, shown.instance_id, buyer_key=LAN)

    assert cards(world, account) == ["account-bundle", "account-course"]
    assert page(world, shown.instance_id).state == "answered"
    assert open_card(world, account).state == "answered"
    assert reasons(world, "templates")["guard.not_declined"] is False
    assert world.breaches() == ()


def test_a_no_after_an_earlier_purchase_is_no_breach(world: World) -> None:
    """I8: the same offer after the same order, charged on one occasion and declined on the next."""
    account = subscriber(world)
    publish(world, AGAIN)
    world.accept(open_card(world, account, "again"))

    offers.decline(world.shop, open_card(world, account, "again").instance_id, buyer_key=LAN)

    assert [row["state"] for row in world.rows("offer_instances")] == ["accepted", "declined"]
    assert world.breaches() == ()


def test_a_no_after_an_order_counts_in_the_account(world: World) -> None:
    offer = world.offer()
    offers.decline(world.shop, offer.instance_id, buyer_key=LAN)

    assert "account-bundle" not in cards(world, sign_in(world))


def test_a_price_that_cannot_be_had_makes_no_offer(world: World) -> None:
    account = subscriber(world)
    world.sandbox.fault(PREVIEW, "status:500", times=20)

    result = recommendations.open_card(world.shop, account, "account-templates", buyer_key=LAN, language="en")

    assert result == "no_price"
    assert world.rows("offer_instances") == []


@pytest.mark.criterion("N15")
def test_todays_sum_is_named_only_if_there_was_another_payment_today(world: World) -> None:
    account = subscriber(world)
    today = open_card(world, account)
    assert today.sum_with_order is not None
    assert today.sum_with_order.minor > today.quote.total.minor

    world.clock.wall_s += 2 * DAY_S
    account = sign_in(world)
    later = open_card(world, account)

    assert later.sum_with_order is None


def test_the_receipt_of_a_recommendation_names_no_order_it_does_not_follow(world: World) -> None:
    account = subscriber(world)
    world.accept(open_card(world, account))
    world.tidy()

    receipts = [message.text for message in mail.list_messages(world.shop) if message.kind == "receipt"]
    (text,) = [text for text in receipts if "Design templates" in text]
    assert "second payment" not in text


@pytest.mark.criterion("R7c")
def test_one_of_two_is_given_back_alone(world: World) -> None:
    account = subscriber(world)
    kept, returned = open_card(world, account, "account-course"), open_card(world, account)
    world.accept(kept)
    world.accept(returned)
    assert len(charges(world, "account-course")) == len(charges(world)) == 1

    world.sandbox.control("refunds", {"payment_id": world.attempt(returned).provider_payment_id})
    world.poll()

    assert (page(world, kept.instance_id).state, page(world, returned.instance_id).state) == ("receipt", "returned")
    assert world.breaches() == ()
