"""When a higher plan is not offered, what two tabs make of one that is, and whose it is."""

import json
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from encore.services import (
    charging,
    fallback,
    funnels,
    mail,
    observe,
    offers,
    plan_changes,
    plan_offers,
    plan_quotes,
)
from encore.services import sign_ins as sign_ins_service
from encore.store import outbox, sign_ins
from tests.concurrency.crowd import at_once
from tests.sandbox_process import PRO
from tests.services.plan_offers import (
    OFFER,
    OTHER,
    accept,
    again,
    again_at,
    bought,
    change_posts,
    declined_by_bank,
    offered,
    reasons,
    row_of,
    shown,
    subscription,
)
from tests.services.plans import UNTAXED, paid, settle, usd, whole
from tests.services.test_card_choice import sign_in
from tests.services.world import LAN, MINH, World

# ---- Not offered -----------------------------------------------------------------------------------------------


def test_a_plan_is_not_offered_to_who_bought_something_else_or_has_it(world: World) -> None:
    world.publish(OFFER.format(fields="").replace('is", value = ["basic-plan"]', 'is_not", value = ["starter-course"]'))

    assert world.come_back(world.buy(slug="design-templates")).offer is None
    assert "guard.subscription_known" in reasons(world)
    assert world.come_back(world.buy(slug="pro-plan", email="pro@example.com", **UNTAXED)).offer is None
    assert {"guard.plan_above", "guard.not_owned"} <= set(reasons(world))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("status", "on_hold", "on_hold"),
        ("status", "past_due", "past_due"),
        ("is_on_demand", 1, "on_demand"),
        ("cancels_at_period_end", 1, "cancelling"),
        ("scheduled_json", '{"product_id": "pdt_x", "quantity": 1, "addons": [], "effective_at": 1}', "scheduled"),
        ("trial_days", 60, "trial"),
        ("status", "cancelled", "cancelled"),
    ],
)
def test_a_plan_that_cannot_be_changed_is_not_offered_another(
    world: World, column: str, value: str | int, reason: str
) -> None:
    ref = known(world)
    with world.shop.store.write():
        world.shop.store.run(f"UPDATE subscriptions SET {column} = :value", value=value)
    world.publish(OFFER.format(fields=""))

    assert world.come_back(ref).offer is None

    assert reasons(world) == {"guard.plan_changeable": {"reason": reason}}
    assert change_posts(world) == []


def known(world: World) -> str:
    """Buy the lower plan before anything is offered, and have its subscription read; returns the order's reference."""
    ref = world.buy(slug="basic-plan", **UNTAXED)
    world.come_back(ref)
    world.read_subscriptions()
    return ref


def test_what_the_provider_knows_better_is_recorded_too(world: World) -> None:
    ref = known(world)
    name = subscription(world).provider_subscription_id
    assert world.sandbox.call("PATCH", f"/subscriptions/{name}", {"status": "paused"}).status_code == 200
    world.publish(OFFER.format(fields=""))

    assert world.come_back(ref).offer is None

    assert reasons(world) == {"guard.plan_priced": {"reason": "paused"}}


@pytest.mark.parametrize("saves_cards", [False, True])
def test_without_the_card_that_paid_nothing_is_offered(world: World, saves_cards: bool) -> None:
    """R5b, and never the hosted checkout: it would sell a second subscription."""
    world.sandbox.switch(saves_cards=saves_cards)
    ref = known(world)
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET payment_method_id = 'pm_of_another_order'")
    world.publish(OFFER.format(fields=""))
    world.advance(10)

    assert world.come_back(ref).offer is None

    assert reasons(world) == {"guard.plan_payable": {"reason": "method.no_card"}}


def test_a_subscription_paid_by_another_card_is_not_changed_by_this_browser(world: World) -> None:
    """A browser that has only paid charges the card it has paid with, and no other of the same customer's."""
    world.buy(slug="design-templates", email="lan@example.com", key=MINH, card=OTHER)
    ref = known(world)
    others = [m["payment_method_id"] for m in world.sandbox.methods(subscription(world).customer_id)]
    with world.shop.store.write():
        for name in others:
            if name != subscription(world).payment_method_id:
                world.shop.store.run("UPDATE subscriptions SET payment_method_id = :name", name=name)
                break
    world.publish(OFFER.format(fields=""))

    assert world.come_back(ref).offer is None
    assert reasons(world) == {"guard.plan_payable": {"reason": "method.other_card"}}


def test_the_page_waits_a_little_for_a_subscription_nobody_has_read(world: World) -> None:
    """R6e: a provider that is away holds up no first order."""
    ref = bought(world)
    world.sandbox.fault("GET /subscriptions/{id}", "status:503", times=99)

    assert world.come_back(ref).state == "waiting"
    world.sandbox.clear_faults()
    assert offered(world, ref).state == "offer"


def test_a_provider_that_stays_away_leads_to_the_thank_you_page(world: World) -> None:
    ref = bought(world)
    world.sandbox.fault("GET /subscriptions/{id}", "status:503", times=99)
    world.come_back(ref)
    world.advance(11)

    assert world.come_back(ref).state == "thanks"
    assert reasons(world) == {"guard.subscription_known": {"wanted": PRO}}


# ---- Races -----------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R15d")
def test_clicks_at_once_change_once(world: World) -> None:
    page = shown(world)

    at_once([partial(accept, world, page) for _ in range(6)])

    assert (len(change_posts(world)), paid(world, subscription(world))) == (1, [5000])
    assert again(world, page).state == "changed"
    whole(world)


def test_a_change_in_the_account_meanwhile_is_the_only_one(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("processing")
    own = world.confirm(world.preview(subscription(world)))
    assert own.state == "processing"

    assert again(world, page).state == "withdrawn"
    assert accept(world, page) == "taken"
    assert world.come_back(ref).state == "thanks"
    settle(world)
    whole(world)

    assert again(world, page).state == "owned"
    assert accept(world, page) == "taken"
    assert (len(change_posts(world)), paid(world, subscription(world))) == (1, [5000])


def test_a_yes_beside_a_change_in_the_account_is_held_back_by_the_claim(world: World) -> None:
    """Both have asked the provider before either claims."""
    page = shown(world)
    own = world.preview(subscription(world))
    claim = charging.claim_and_send

    def claim_late(*arguments: Any, **options: Any) -> Any:
        with patch.object(charging, "claim_and_send", claim):
            world.confirm(own)
        return claim(*arguments, **options)

    with patch.object(charging, "claim_and_send", claim_late):
        accept(world, page)

    assert (len(change_posts(world)), paid(world, subscription(world))) == (1, [5000])
    whole(world)


@pytest.mark.parametrize("change", [{"cancel_at_next_billing_date": True}, {"status": "paused"}])
def test_what_comes_in_the_way_after_it_was_shown_withdraws_it(world: World, change: dict[str, Any]) -> None:
    ref = bought(world)
    page = offered(world, ref)
    name = subscription(world).provider_subscription_id
    answer = world.sandbox.call("PATCH", f"/subscriptions/{name}", change)
    assert answer.status_code == 200, answer.text

    assert accept(world, page) == "taken"

    assert again(world, page).state == "withdrawn"
    assert world.come_back(ref).state == "thanks"
    assert change_posts(world) == []


def test_a_payment_that_comes_due_after_it_was_shown_bars_the_claim(world: World) -> None:
    """The provider would change a plan that is past due; we do not offer it."""
    page = shown(world)

    with patch.object(plan_offers, "obstacle_of", lambda *_: "past_due"):
        assert accept(world, page) == "taken"

    assert change_posts(world) == []


def test_an_offered_change_has_no_checkout(world: World) -> None:
    """charging.md section 6: the fallback is never a new subscription."""
    page = shown(world)

    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None
    assert again(world, page).state == "offer"


def test_the_cap_of_one_click_leads_to_no_checkout(world: World, open_shop_with: Any) -> None:
    """R10f"""
    capped = open_shop_with(ENCORE_ONE_CLICK_PER_DAY="0")
    page = offered(capped, bought(capped))

    assert accept(capped, page) == "limited"
    assert (change_posts(capped), capped.rows("acceptances")) == ([], [])


# ---- Who it belongs to -----------------------------------------------------------------------------------------


def use_other_card(world: World) -> None:
    """Let the customer's account choose another saved card for the plan, on whatever device."""
    row = subscription(world)
    saved = [method["payment_method_id"] for method in world.sandbox.methods(row.customer_id)]
    (other,) = [name for name in saved if name != row.payment_method_id]
    world.sandbox.post(
        f"/subscriptions/{row.provider_subscription_id}/update-payment-method",
        {"type": "existing", "payment_method_id": other},
    )


def test_a_card_that_somebody_else_chose_meanwhile_is_not_charged(world: World) -> None:
    """R26c: while this browser gives a card, the customer's account may choose a saved one: not this browser's."""
    world.buy(slug="design-templates", key=MINH, card=OTHER)
    _, page = declined_by_bank(world)
    assert plan_offers.card_url(world.shop, row_of(world, page)) is not None
    use_other_card(world)

    assert again_at(world, page) is None
    assert len(change_posts(world)) == 1


@pytest.mark.parametrize("is_read", [False, True])
def test_a_plan_that_another_card_pays_for_says_so_and_not_to_try_again(world: World, is_read: bool) -> None:
    """R5b: whether the page is opened again, or its button pressed before anybody has read the subscription."""
    world.buy(key=MINH, card=OTHER)
    ref = bought(world)
    page = offered(world, ref)
    use_other_card(world)
    if is_read:
        world.poll()
        world.read_subscriptions()
    else:
        assert accept(world, page) == "moved"

    after = offered(world, ref)

    assert (after.state, after.reason, after.can_choose) == ("no_method", "method.other_card", False)
    assert accept(world, after) == "moved"
    assert change_posts(world) == []
    offers.decline(world.shop, after.instance_id, buyer_key=LAN)
    assert world.offered(ref).offer_id == "templates-instead", "the way on is open"
    whole(world)


def test_who_signs_in_is_shown_the_plan_with_the_card_that_pays_for_it_now(world: World) -> None:
    """R4b: the account may use all its cards; what is charged is what was shown, and a change needs a recent link."""
    world.buy(slug="design-templates", key=MINH, card=OTHER)
    ref = bought(world)
    page = offered(world, ref)
    use_other_card(world)
    accept(world, page)
    sign_in(world)

    after = offered(world, ref)
    assert after.quote.method is not None
    assert (after.state, after.quote.method.last4) == ("quote_changed", OTHER[-4:])
    assert accept(world, page) == "moved", "never by the page that showed the other card"
    with world.shop.store.write():
        world.shop.store.run("UPDATE sign_ins SET signed_in_at = signed_in_at - 1800000")
    assert accept(world, after) == "moved"
    assert again(world, after).state == "no_method"
    assert change_posts(world) == []

    sign_ins_service.sign_out(world.shop, LAN)
    sign_in(world)
    shown_now = again(world, after)
    accept(world, shown_now)
    assert again(world, shown_now).state == "changed"
    assert len(change_posts(world)) == 1
    whole(world)


def test_a_list_of_cards_that_was_refused_does_not_let_every_card_pass_for_given(world: World) -> None:
    """R26c"""
    _, page = declined_by_bank(world)
    world.sandbox.fault("GET /customers/{id}/payment-methods", "status:404")

    assert plan_offers.card_url(world.shop, row_of(world, page)) is None
    assert row_of(world, page).methods_before_json is None
    assert plan_offers.card_url(world.shop, row_of(world, page)) is not None
    assert row_of(world, page).methods_before_json == json.dumps([subscription(world).payment_method_id])


def test_what_was_declined_elsewhere_is_not_offered_a_second_time(world: World) -> None:
    """P4, I7"""
    _, page = declined_by_bank(world)
    other = offered(world, world.buy(slug="basic-plan", key=MINH, **UNTAXED), key=MINH)
    offers.decline(world.shop, other.instance_id, buyer_key=MINH)

    assert again_at(world, page) is None
    assert again(world, page).can_retry is False
    whole(world)


def test_a_no_while_the_price_is_asked_again_stands(world: World) -> None:
    """P4, I7"""
    _, page = declined_by_bank(world)
    other = offered(world, world.buy(slug="basic-plan", key=MINH, **UNTAXED), key=MINH)
    ask = plan_quotes.ask

    def ask_late(*arguments: Any, **options: Any) -> Any:
        offers.decline(world.shop, other.instance_id, buyer_key=MINH)
        return ask(*arguments, **options)

    with patch.object(plan_quotes, "ask", ask_late):
        assert again_at(world, page) is None
    whole(world)


def test_a_paused_offer_or_a_refunded_order_has_no_second_try(world: World) -> None:
    _, page = declined_by_bank(world)
    funnels.set_state(world.shop, ["pro"], state="paused")
    assert again_at(world, page) is None
    funnels.set_state(world.shop, ["pro"], state="live")
    payment_id = world.rows("orders")[0]["payment_id"]
    world.sandbox.post("/refunds", {"payment_id": payment_id})
    observe.try_payment(world.shop, payment_id, budget=world.shop.dodo.budget())

    assert again_at(world, page) is None
    assert again(world, page).can_retry is False


def test_a_browser_that_signs_in_keeps_its_second_try(world: World) -> None:
    _, page = declined_by_bank(world)
    second = again_at(world, page)
    with world.shop.store.write():
        sign_ins.rename_browser(world.shop.store, old=LAN, new=MINH)

    assert {row["id"]: row["buyer_key"] for row in world.rows("offer_instances")} == {
        page.instance_id: MINH,
        second: MINH,
    }


def test_an_offered_change_is_no_quote_of_the_account_until_it_is_under_way(world: World) -> None:
    page = shown(world)
    customers = (subscription(world).customer_id,)

    assert plan_changes.get_quote(world.shop, page.instance_id, customer_ids=customers) is None
    accept(world, page)
    assert plan_changes.get_quote(world.shop, page.instance_id, customer_ids=customers) is not None


@pytest.mark.criterion("N15")
def test_the_mail_says_what_both_payments_of_today_add_up_to(world: World) -> None:
    accept(world, shown(world))
    whole(world)

    (sent,) = [m for m in outbox.list_messages(world.shop.store, limit=100) if m.kind == "plan_changed"]
    assert json.loads(sent.payload_json)["sum_today"] == 8000
    (mailed,) = [m for m in mail.list_messages(world.shop) if m.kind == "plan_changed"]
    assert "A second payment today; with your order: $80.00." in mailed.text
    assert "A second payment today; with your order: $80.00." in mailed.html


@pytest.mark.criterion("N15")
def test_the_receipt_of_any_offer_says_the_sum_too(world: World) -> None:
    world.accept(world.offer())
    world.tidy()

    texts = [message.text for message in mail.list_messages(world.shop) if message.kind == "receipt"]
    assert ["A second payment today; with your order:" in text for text in texts].count(True) == 1


def test_what_charged_nothing_is_no_payment_of_today(world: World) -> None:
    ref = bought(world, fields='timing = "next_billing_date"')
    accept(world, offered(world, ref))

    assert [line.amount for line in world.come_back(ref).payments] == [usd(3000)]
