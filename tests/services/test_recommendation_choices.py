"""How many of a recommended product, and with which card."""

import pytest

from encore.services import (
    accounts,
    card_choice,
    fallback,
    quantity_choice,
    recommendations,
)
from tests.sandbox_process import TEMPLATES
from tests.services.recommended import (
    AGAIN,
    MASTERCARD,
    VISA,
    cards,
    charges,
    choose,
    open_card,
    page,
    publish,
    sign_in,
    subscriber,
)
from tests.services.world import LAN, World


@pytest.mark.criterion("R7a", "R10b")
def test_the_quantity_is_chosen_in_its_own_step_and_charged_as_shown(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    step = quantity_choice.page(world.shop, shown.instance_id, buyer_key=LAN, language="en")
    assert step is not None
    assert (step.state, step.max_quantity) == ("choose_quantity", 5)

    assert choose(world, shown, "3") == "chosen"
    three = page(world, shown.instance_id)
    assert three.quote.quantity == 3
    assert three.quote.subtotal.minor == 3 * shown.quote.subtotal.minor
    assert three.quote.method == shown.quote.method

    # The page that still shows one is told the other figure; it charges nothing.
    assert world.accept(shown) == "moved"
    assert charges(world) == []
    assert world.accept(three) == "taken"
    (body,) = charges(world)
    assert body["product_cart"] == [{"product_id": TEMPLATES, "quantity": 3}]
    assert [row["quantity"] for row in world.rows("orders")][-1] == 3
    assert world.breaches() == ()


@pytest.mark.parametrize("text", ["0", "6", "-1", "1.5", "", "two", "١", "1_0", "9" * 5000])
def test_a_quantity_that_cannot_be_meant_changes_nothing(world: World, text: str) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    asked = len(world.sandbox.requests())

    assert choose(world, shown, text) == "bad_quantity"

    assert page(world, shown.instance_id).quote_hash == shown.quote_hash
    assert len(world.sandbox.requests()) == asked


def test_the_quantity_starts_at_one_whatever_was_bought_before(world: World) -> None:
    account = subscriber(world)
    publish(world, AGAIN)
    first = open_card(world, account, "again")
    assert choose(world, first, "4") == "chosen"
    world.accept(page(world, first.instance_id))

    assert open_card(world, account, "again").quote.quantity == 1


def test_an_offer_of_one_piece_has_no_quantity_to_choose(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account, "account-course")

    step = quantity_choice.page(world.shop, shown.instance_id, buyer_key=LAN, language="en")
    assert step is not None
    assert step.state == "offer"
    assert choose(world, shown, "2") == "closed"


@pytest.mark.criterion("P4", "R4b")
def test_the_card_is_chosen_among_all_saved_ones(world: World) -> None:
    world.sandbox.buy(card=VISA)
    account = subscriber(world, card=MASTERCARD)
    shown = open_card(world, account)
    assert shown.quote.method is not None
    assert (shown.quote.method.last4, shown.can_choose) == ("4444", True)
    step = card_choice.page(world.shop, shown.instance_id, buyer_key=LAN, language="en")
    assert step is not None
    names = {card.method.last4: card.name for card in step.cards}
    assert set(names) == {"4242", "4444"}

    assert card_choice.choose(world.shop, shown.instance_id, buyer_key=LAN, name=names["4242"]) == "chosen"
    # The card stays chosen when another quantity is.
    assert choose(world, shown, "2") == "chosen"
    world.accept(page(world, shown.instance_id))

    (body,) = charges(world)
    known = {m["payment_method_id"]: m["card"]["last4_digits"] for m in world.sandbox.methods(account.customer_ids[0])}
    assert known[body["payment_method_id"]] == "4242"


@pytest.mark.criterion("R24b", "R11b")
def test_without_a_usable_card_the_checkout_carries_the_attribution(world: World) -> None:
    world.come_back(world.buy())
    account = sign_in(world)
    for row in accounts.list_methods(world.shop, account).rows:
        assert accounts.remove_method(world.shop, account, row.name).result == "removed"
    shown = open_card(world, account)
    assert shown.state == "no_method"

    url = world.open_checkout(shown)
    session = world.sandbox.requests("POST", "/checkouts")[-1]["body"]
    marks = session["metadata"]
    assert session["return_url"].endswith(f"/o/{shown.instance_id}")
    assert (marks["role"], marks["placement"], marks["offer_id"]) == ("cross_sell", "account", "account-templates")
    world.pay_at(url)

    assert page(world, shown.instance_id).state == "receipt"
    assert accounts.list_orders(world.shop, account).rows[0].line.product_name == "Design templates"


def test_a_declined_card_is_told_and_leads_to_the_checkout(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    world.accept(shown)

    assert page(world, shown.instance_id).state == "failed"
    assert "account-templates" not in cards(world, account), "its yes is still open"
    found = recommendations.recommend(world.shop, account, language="en")
    assert [yes.instance_id for yes in found.under_way] == [shown.instance_id], "and has its way back"
    fallback.continue_without(world.shop, shown.instance_id, buyer_key=LAN)
    after = recommendations.recommend(world.shop, account, language="en")
    assert "account-templates" in [card.offer_id for card in after.cards], "leaving an unpaid yes is no no"
    assert after.under_way == ()


def test_a_moved_price_is_shown_again_instead_of_charged(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    world.reprice(TEMPLATES, 2500)

    assert world.accept(shown) == "moved"

    assert page(world, shown.instance_id).state == "quote_changed"
    assert charges(world) == []
