"""A signed-in buyer pays an offer with any of their saved cards; one who has only paid, with the card that paid."""

import json

import pytest

from encore.services import card_choice, sign_ins
from encore.services.pages import OfferPage
from tests.sandbox_process import BUNDLE
from tests.services.world import DAY_S, LAN, MINH, World

VISA, MASTERCARD = "4242424242424242", "5555555555554444"
METHODS = "GET /customers/{id}/payment-methods"


def sign_in(world: World, *, email: str = "lan@example.com", key: str = LAN) -> None:
    """Let a browser, which keeps its cookie here, have used the link mailed to an address."""
    sign_ins.ask(world.shop, address=email, network="n", language="en", leads_to="/account")
    while sign_ins.write_next(world.shop):
        pass
    link = world.shop.store.row("SELECT id FROM sign_in_links ORDER BY asked_at DESC, id DESC LIMIT 1")
    assert link is not None
    assert sign_ins.sign_in(world.shop, link["id"], old_key=None, new_key=key)


def offered(world: World, **form: str) -> OfferPage:
    """The offer after an order that the Mastercard paid, of a customer whose Visa is saved too."""
    world.sandbox.buy(card=VISA, **form)
    return world.offer(card=MASTERCARD)


def cards(world: World, page: OfferPage, *, key: str = LAN) -> OfferPage:
    found = card_choice.page(world.shop, page.instance_id, buyer_key=key, language="en")
    assert found is not None
    return found


def choose(world: World, page: OfferPage, last4: str, *, key: str = LAN) -> OfferPage:
    """Choose a card by its last four; returns the offer as it is then."""
    name = next(card.name for card in cards(world, page).cards if card.method.last4 == last4)
    assert card_choice.choose(world.shop, page.instance_id, buyer_key=key, name=name) == "chosen"
    return world.page(page)


def last4_charged(world: World, page: OfferPage) -> list[str]:
    """The cards that the charging requests for an offer named."""
    known = {m["payment_method_id"]: m["card"]["last4_digits"] for m in world.sandbox.methods(customer_of(world))}
    return [known[charge["body"]["payment_method_id"]] for charge in world.charges(page)]


def remove(world: World, last4: str) -> None:
    """Remove the saved cards with these digits, as the account's page or the provider's portal does."""
    for method in world.sandbox.methods(customer_of(world)):
        if method["card"]["last4_digits"] == last4:
            name = method["payment_method_id"]
            world.sandbox.call("DELETE", f"/customers/{customer_of(world)}/payment-methods/{name}")


def customer_of(world: World) -> str:
    row = world.shop.store.row("SELECT customer_id FROM orders ORDER BY number DESC LIMIT 1")
    assert row is not None
    return str(row["customer_id"])


@pytest.mark.criterion("P4", "R4b")
def test_signed_in_buyer_pays_with_the_card_they_choose(world: World) -> None:
    page = offered(world)
    assert not page.can_choose
    sign_in(world)

    shown = cards(world, page)
    after = choose(world, page, "4242")
    world.accept(after)

    assert shown.state == "choose_card"
    assert {(card.method.last4, card.is_chosen) for card in shown.cards} == {("4444", True), ("4242", False)}
    assert (after.state, after.quote.total) == ("offer", page.quote.total)
    assert after.quote.method is not None
    assert after.quote.method.last4 == "4242"
    assert world.page(after).state == "receipt"
    assert last4_charged(world, page) == ["4242"]
    assert world.breaches() == ()


def test_buyer_who_has_only_paid_chooses_nothing(world: World) -> None:
    page = offered(world)
    sign_in(world)
    name = next(card.name for card in cards(world, page).cards if card.method.last4 == "4242")
    sign_ins.sign_out(world.shop, LAN)

    result = card_choice.choose(world.shop, page.instance_id, buyer_key=LAN, name=name)

    assert result == "not_usable"
    assert cards(world, page).state == "offer"
    assert cards(world, page).cards == ()


def test_account_of_another_address_chooses_nothing_here(world: World) -> None:
    """Signed in as oneself, before an offer that was made to whom one typed at the checkout."""
    page = offered(world)
    world.sandbox.buy(card=VISA, email="minh@example.com")
    world.come_back(world.buy(email="minh@example.com", key=MINH), key=MINH)
    sign_in(world, email="minh@example.com", key=LAN)

    assert not cards(world, page).can_choose
    assert world.accept(page) == "taken"
    assert last4_charged(world, page)[:1] == ["4444"]


@pytest.mark.parametrize("name", ["", "pm_1", "x" * 43])
def test_name_that_is_not_in_the_page_chooses_nothing(world: World, name: str) -> None:
    page = offered(world)
    sign_in(world)

    assert card_choice.choose(world.shop, page.instance_id, buyer_key=LAN, name=name) == "not_usable"
    assert world.page(page).quote_hash == page.quote_hash


@pytest.mark.parametrize("ends", ["signed out", "half an hour idle"])
def test_choice_ends_with_the_account(world: World, ends: str) -> None:
    """What was chosen with an account is not charged without it: the click shows the card that paid, and no more."""
    page = offered(world)
    sign_in(world)
    chosen = choose(world, page, "4242")
    if ends == "signed out":
        sign_ins.sign_out(world.shop, LAN)
    else:
        with world.shop.store.write():
            world.shop.store.run("UPDATE sign_ins SET seen_at = seen_at - 1800000")

    assert world.accept(chosen) == "moved"

    after = world.page(page)
    assert after.quote.method is not None
    assert (after.state, after.is_card_moved, after.quote.method.last4) == ("quote_changed", True, "4444")
    assert world.charges(page) == []
    world.accept(after)
    assert last4_charged(world, page) == ["4444"]


def test_chosen_card_that_is_gone_is_not_replaced_silently(world: World) -> None:
    page = offered(world)
    sign_in(world)
    chosen = choose(world, page, "4242")
    remove(world, "4242")

    assert world.accept(chosen) == "moved"

    assert world.charges(page) == []
    assert world.page(page).quote.method != chosen.quote.method


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_card_that_was_removed_in_the_account_leads_to_the_checkout(world: World, is_signed_in: bool) -> None:
    """R5b: the page says so and never to try again; who has proven the address may choose another of their cards."""
    page = offered(world)
    if is_signed_in:
        sign_in(world)
    remove(world, "4444")

    assert world.accept(page) == "moved"

    after = world.page(page)
    assert (after.state, after.reason, after.quote.method) == ("no_method", "method.no_card", None)
    assert (after.can_choose, world.charges(page)) == (is_signed_in, [])
    if is_signed_in:
        after = choose(world, page, "4242")
        world.accept(after)
        assert last4_charged(world, page) == ["4242"]
    else:
        world.open_checkout(after)


def test_card_that_was_saved_anew_is_shown_before_it_is_charged(world: World) -> None:
    page = offered(world)
    remove(world, "4444")
    world.sandbox.buy(card=MASTERCARD)

    assert world.accept(page) == "moved"

    after = world.page(page)
    assert (after.state, after.is_card_moved, world.charges(page)) == ("quote_changed", True, [])
    world.accept(after)
    assert world.page(after).state == "receipt"


def test_price_that_moved_keeps_the_chosen_card(world: World) -> None:
    page = offered(world)
    sign_in(world)
    chosen = choose(world, page, "4242")
    world.reprice(BUNDLE, 8_900)

    assert world.accept(chosen) == "moved"
    after = world.page(page)
    world.accept(after)

    assert after.state == "quote_changed"
    assert last4_charged(world, page) == ["4242"]
    assert world.breaches() == ()


def test_page_from_before_the_choice_charges_nothing(world: World) -> None:
    """Another tab still shows the other card: its click is answered with the card that was chosen."""
    page = offered(world)
    sign_in(world)
    choose(world, page, "4242")

    assert world.accept(page) == "moved"

    assert world.charges(page) == []


def test_consent_names_the_chosen_card_in_the_quote(world: World) -> None:
    page = offered(world)
    sign_in(world)

    world.accept(choose(world, page, "4242"))

    row = world.shop.store.row("SELECT quote_json FROM offer_instances WHERE id = :id", id=page.instance_id)
    assert row is not None
    assert json.loads(row["quote_json"])["method"]["last4"] == "4242"


def test_card_that_cannot_pay_is_shown_with_its_reason(world: World) -> None:
    world.sandbox.buy(card=VISA, expiry="12/34")
    page = world.offer(card=MASTERCARD)
    sign_in(world)
    world.clock.wall_s += 9 * 365 * DAY_S
    with world.shop.store.write():
        world.shop.store.run("UPDATE checkouts SET authority_until = authority_until * 2")
        world.shop.store.run("UPDATE offer_instances SET expires_at = expires_at * 2")
        world.shop.store.run("UPDATE sign_ins SET seen_at = :now, signed_in_at = :now", now=world.shop.now())

    shown = cards(world, page)
    expired = next(card for card in shown.cards if card.method.last4 == "4444")

    assert expired.reason == "method.expired"
    assert card_choice.choose(world.shop, page.instance_id, buyer_key=LAN, name=expired.name) == "not_usable"


def test_offer_without_a_usable_card_gets_one_by_choosing(world: World) -> None:
    """The card that paid was not saved: signed in, the buyer takes another, and needs no checkout."""
    world.sandbox.buy(card=VISA)
    world.sandbox.switch(saves_cards=False)
    page = world.offered(world.buy(card=MASTERCARD))
    assert page.state == "no_method"
    sign_in(world)

    after = choose(world, page, "4242")

    assert after.state == "offer"
    world.accept(after)
    assert last4_charged(world, page) == ["4242"]


def test_provider_that_gives_no_list_changes_nothing(world: World) -> None:
    page = offered(world)
    sign_in(world)
    name = cards(world, page).cards[0].name
    world.advance(61)
    world.sandbox.fault(METHODS, "status:500", times=20)

    assert cards(world, page).reason == "provider_down"
    assert card_choice.choose(world.shop, page.instance_id, buyer_key=LAN, name=name) == "provider_down"
    assert world.page(page).quote_hash == page.quote_hash


def test_answered_offer_has_nothing_to_choose(world: World) -> None:
    page = offered(world)
    sign_in(world)
    name = cards(world, page).cards[0].name
    world.accept(page)
    before = world.rows("offer_instances")

    card_choice.choose(world.shop, page.instance_id, buyer_key=LAN, name=name)

    assert cards(world, page).state == "receipt"
    assert world.rows("offer_instances") == before
