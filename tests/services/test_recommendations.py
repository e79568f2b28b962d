"""Recommendations in the account: which are listed and why, what a card leads to, and that nobody else comes near."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from encore.services import (
    accounts,
    card_choice,
    fallback,
    mail,
    offer_files,
    offers,
    quantity_choice,
    recommendations,
    return_page,
    sign_ins,
)
from encore.services.pages import OfferPage
from encore.services.recommendations import Opened
from encore.services.sign_ins import Account
from tests.sandbox_process import TEMPLATES
from tests.services.world import DAY_S, LAN, MINH, World

VISA, MASTERCARD = "4242424242424242", "5555555555554444"
PREVIEW = "POST /checkouts/preview"
ALL = ["account-bundle", "account-templates", "account-course"]


def sign_in(world: World, *, email: str = "lan@example.com", key: str = LAN) -> Account:
    """Let a browser have used the link mailed to an address; returns its account."""
    sign_ins.ask(world.shop, address=email, network="n", language="en", leads_to="/account")
    while sign_ins.write_next(world.shop):
        pass
    link = world.shop.store.row("SELECT id FROM sign_in_links ORDER BY asked_at DESC, id DESC LIMIT 1")
    assert link is not None
    sign_ins.sign_out(world.shop, key)
    assert sign_ins.sign_in(world.shop, link["id"], old_key=None, new_key=key)
    found = sign_ins.current_account(world.shop, key)
    assert found is not None
    return found


def subscriber(world: World, **form: str) -> Account:
    """A signed-in buyer of the Basic plan, who owns none of the three products that are bought once."""
    world.subscribe(**form)
    return sign_in(world)


def cards(world: World, account: Account) -> list[str]:
    found = recommendations.list_cards(world.shop, account, language="en")
    return [card.offer_id for card in found]


def open_card(world: World, account: Account, offer_id: str = "account-templates", *, key: str = LAN) -> OfferPage:
    """Press a card's button and read the page it leads to."""
    opened = recommendations.open_card(world.shop, account, offer_id, buyer_key=key, language="en")
    assert isinstance(opened, Opened), opened
    return page(world, opened.instance_id, key=key)


def page(world: World, instance_id: str, *, key: str = LAN) -> OfferPage:
    found = offers.page(world.shop, instance_id, buyer_key=key, language="en")
    assert found is not None
    return found


def choose(world: World, shown: OfferPage, text: str, *, key: str = LAN) -> quantity_choice.ChooseResult:
    return quantity_choice.choose(world.shop, shown.instance_id, buyer_key=key, text=text, language="en")


def charges(world: World, offer_id: str = "account-templates") -> list[dict[str, Any]]:
    """The bodies of the charging requests for an offer."""
    return [request["body"] for request in world.sandbox.charges(offer_id=offer_id)]


def reasons(world: World, step_key: str) -> dict[str, bool]:
    """The stored reasons of a card's decision: key and verdict."""
    row = world.shop.store.row(
        "SELECT reasons_json FROM decisions WHERE funnel_id = 'account' AND step_key = :key"
        " ORDER BY created_at DESC, rowid DESC LIMIT 1",
        key=step_key,
    )
    assert row is not None
    return {reason["key"]: reason["ok"] for reason in json.loads(row["reasons_json"])}


def publish(world: World, text: str) -> None:
    result = offer_files.import_text(world.shop, text)
    assert isinstance(result, offer_files.Imported), result


# ---- The list ------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R7a")
def test_a_signed_in_buyer_is_recommended_what_they_do_not_own(world: World) -> None:
    account = subscriber(world)
    assert cards(world, account) == ALL

    world.come_back(world.buy(slug="complete-bundle"))

    assert cards(world, account) == ["account-templates", "account-course"]
    assert reasons(world, "bundle")["guard.not_owned"] is False
    assert reasons(world, "templates")["guard.not_owned"] is True


@pytest.mark.criterion("R7c")
def test_the_list_ends_at_the_merchants_cap(open_shop_with: Callable[..., World]) -> None:
    world = open_shop_with(ENCORE_MAX_RECOMMENDATIONS="2")
    account = subscriber(world)

    assert cards(world, account) == ALL[:2]
    assert reasons(world, "course")["guard.card_cap"] is False
    # What the list does not show cannot be opened by its name.
    result = recommendations.open_card(world.shop, account, "account-course", buyer_key=LAN, language="en")
    assert result == "not_offered"


def test_the_list_asks_the_provider_nothing_and_writes_only_news(world: World) -> None:
    account = subscriber(world)
    cards(world, account)
    asked, written = len(world.sandbox.requests()), world.rows("decisions")

    world.advance(60)
    assert cards(world, account) == ALL

    assert len(world.sandbox.requests()) == asked
    assert world.rows("decisions") == written


@pytest.mark.criterion("P8")
def test_an_owned_product_may_be_bought_again_where_the_merchant_says_so(world: World) -> None:
    account = subscriber(world)
    publish(world, AGAIN)
    first = open_card(world, account, "again")
    world.accept(first)
    (card,) = [c for c in recommendations.list_cards(world.shop, account, language="en") if c.offer_id == "again"]
    assert card.is_owned

    again = open_card(world, account, "again")

    assert (again.state, again.instance_id == first.instance_id) == ("owned", False)
    assert world.accept(again) == "taken"
    assert len(charges(world, "again")) == 1, "the plain button of a page that did not say so buys nothing twice"
    world.accept(again, buy_again=True)
    assert len(charges(world, "again")) == 2
    assert world.breaches() == ()


def test_of_two_cards_for_one_product_the_more_important_is_shown(world: World) -> None:
    account = subscriber(world)
    publish(world, AGAIN)

    assert cards(world, account) == ["again", "account-bundle", "account-course"]
    assert reasons(world, "templates")["guard.listed_once"] is False


def test_without_an_order_to_go_by_nothing_is_recommended(world: World) -> None:
    world.sandbox.buy(card=VISA)
    nobody = Account(address="lan@example.com", customer_ids=(), is_recent=True)
    assert cards(world, nobody) == []


def test_rules_look_at_the_latest_order_and_at_what_is_owned(world: World) -> None:
    account = subscriber(world)
    publish(world, FOR_BUNDLE_OWNERS)
    assert "after-bundle" not in cards(world, account)

    world.come_back(world.buy(slug="complete-bundle"))

    assert cards(world, account)[0] == "after-bundle"


# ---- A card leads to an offer --------------------------------------------------------------------------------------


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


# ---- How many, and with which card ---------------------------------------------------------------------------------


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


# ---- Today's other payments ----------------------------------------------------------------------------------------


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


# ---- Authority -----------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R7b", "R10d")
def test_only_the_account_comes_near(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    thief = "c" * 64
    # Paid with the subscriber's address: the provider's customer is the same, the address is not proven.
    world.come_back(world.buy(key=thief), key=thief)

    for key in (thief, MINH, None):
        assert offers.page(world.shop, shown.instance_id, buyer_key=key, language="en") is None
        assert choose(world, shown, "2", key=key or "") == "closed"
        if key is not None:
            world.accept(shown, key=key)
            assert fallback.open_checkout(world.shop, shown.instance_id, buyer_key=key) is None
        offers.decline(world.shop, shown.instance_id, buyer_key=key)

    assert offers.public_product(world.shop, shown.instance_id) is None
    assert charges(world) == []
    assert page(world, shown.instance_id).quote_hash == shown.quote_hash


def test_another_account_cannot_open_or_answer_it(world: World) -> None:
    shown = open_card(world, subscriber(world))
    world.come_back(world.buy(email="minh@example.com", key=MINH), key=MINH)
    sign_in(world, email="minh@example.com", key=MINH)

    assert offers.page(world.shop, shown.instance_id, buyer_key=MINH, language="en") is None
    world.accept(shown, key=MINH)
    assert charges(world) == []


def test_the_account_answers_it_on_another_device_and_after_signing_in_again(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    sign_in(world, key=MINH)
    assert open_card(world, account, key=MINH).instance_id == shown.instance_id

    sign_ins.sign_out(world.shop, LAN)
    assert offers.page(world.shop, shown.instance_id, buyer_key=LAN, language="en") is None
    assert world.accept(shown, key=LAN) == "taken"
    assert charges(world) == []
    world.accept(shown, key=MINH)

    assert len(charges(world)) == 1


@pytest.mark.parametrize("seconds", [30 * 60 + 1, 12 * 3600 + 1])
def test_the_limits_of_the_sign_in_hold(world: World, seconds: int) -> None:
    account = subscriber(world)
    publish(world, AGAIN.replace("max_quantity", "expires_after_min = 1440\nmax_quantity"))
    shown = open_card(world, account, "again")

    world.clock.wall_s += seconds

    assert offers.page(world.shop, shown.instance_id, buyer_key=LAN, language="en") is None
    world.accept(shown)
    assert charges(world, "again") == []


def test_a_browser_that_has_only_paid_reads_nothing_of_what_the_account_buys(world: World) -> None:
    thief = "c" * 64
    ref = world.buy(key=thief)
    world.come_back(ref, key=thief)
    account = sign_in(world)
    world.accept(open_card(world, account))

    seen = return_page.order_page(world.shop, ref, buyer_key=thief, language="en")
    assert [line.product_name for line in seen.payments] == ["Starter course"]
    back = world.come_back(ref, key=thief)
    assert "Design templates" not in [line.product_name for line in back.payments]
    owner = return_page.order_page(world.shop, ref, buyer_key=LAN, language="en", account=account)
    assert [line.product_name for line in owner.payments] == ["Starter course", "Design templates"]


# ---- Each alone ----------------------------------------------------------------------------------------------------


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


AGAIN = """
[[offers]]
id = "again"
role = "cross_sell"
product = "design-templates"
buy_again = true
max_quantity = 5
title = { en = "More templates", vi = "Thêm mẫu" }

[[funnels]]
id = "again"
placement = "account"
priority = 50
[[funnels.steps]]
key = "again"
offer = "again"
"""
FOR_BUNDLE_OWNERS = """
[[offers]]
id = "after-bundle"
role = "cross_sell"
product = "design-templates"
title = { en = "Templates for the bundle", vi = "Mẫu cho trọn bộ" }

[[funnels]]
id = "after-bundle"
placement = "account"
priority = 50
rules = [
  [{ field = "product", operator = "is", value = ["complete-bundle"] }],
  [{ field = "owned_product", operator = "is", value = ["complete-bundle"] }],
]
[[funnels.steps]]
key = "templates"
offer = "after-bundle"
"""
