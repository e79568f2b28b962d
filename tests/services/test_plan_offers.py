"""A higher plan offered to who has just bought a lower one: changed in place, one net charge, never a second plan."""

import json
from functools import partial
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from encore.services import charging, fallback, mail, offers, plan_changes, plan_offers
from encore.services.plan_offer_pages import PlanOfferPage
from encore.store import offer_instances, orders, outbox, sign_ins
from encore.store.offer_instances import OfferInstance
from tests.concurrency.crowd import at_once
from tests.sandbox_process import BASIC, PRO
from tests.services.plans import CHANGE_PLAN, UNTAXED, paid, settle, usd, whole
from tests.services.world import CONSENT, LAN, MINH, World

OTHER = "5555555555554444"
OFFER = """
[[offers]]
id = "pro"
kind = "plan_change"
role = "upsell"
product = "pro-plan"
title = {{ en = "Go Pro", vi = "Lên Pro" }}
{fields}

[[offers]]
id = "templates-instead"
role = "downsell"
product = "design-templates"
title = {{ en = "Only the templates", vi = "Chỉ bộ mẫu" }}

[[funnels]]
id = "to-pro"
priority = 50
rules = [[{{ field = "product", operator = "is", value = ["basic-plan"] }}]]

[[funnels.steps]]
key = "pro"
offer = "pro"
declined = "templates"

[[funnels.steps]]
key = "templates"
offer = "templates-instead"
"""


def bought(world: World, *, fields: str = "", key: str = LAN, **form: str) -> str:
    """Publish the offer, and buy the lower plan; returns the order's reference."""
    world.publish(OFFER.format(fields=fields))
    return world.buy(slug="basic-plan", key=key, **{**UNTAXED, **form})


def offered(world: World, ref: str, *, key: str = LAN) -> PlanOfferPage:
    page = world.offered(ref, key=key)
    assert isinstance(page, PlanOfferPage), page
    return page


def shown(world: World, **form: str) -> PlanOfferPage:
    return offered(world, bought(world, **form))


def again(world: World, page: PlanOfferPage, *, key: str = LAN) -> PlanOfferPage:
    found = world.page(page, key=key)
    assert isinstance(found, PlanOfferPage)
    return found


def row_of(world: World, page: PlanOfferPage) -> OfferInstance:
    found = offer_instances.get_instance(world.shop.store, page.instance_id)
    assert found is not None
    return found


def accept(world: World, page: PlanOfferPage, *, key: str = LAN) -> str:
    return plan_offers.accept(world.shop, page.instance_id, buyer_key=key, quote_hash=page.quote_hash, consent=CONSENT)


def subscription(world: World) -> Any:
    (row,) = world.rows("subscriptions")
    return world.subscription(row["id"])


def change_posts(world: World) -> list[Any]:
    name = subscription(world).provider_subscription_id
    return list(world.sandbox.requests("POST", f"/subscriptions/{name}/change-plan"))


def reasons(world: World) -> dict[str, Any]:
    """Return the reasons of the offer's latest decision that were not met."""
    row = [row for row in world.rows("decisions") if (row["funnel_id"], row["step_key"]) == ("to-pro", "pro")][-1]
    return {r["key"]: r["values"] for r in json.loads(row["reasons_json"]) if not r["ok"]}


# ---- Yes -------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("N15")
def test_a_yes_changes_the_plan_in_place_by_one_net_charge(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)

    assert (page.state, page.change.quote.due, page.change.renewal.price) == ("offer", usd(5000), usd(8000))
    assert (page.change.before.id, page.change.after.id) == (BASIC, PRO)
    assert page.sum_with_order == usd(8000)
    assert accept(world, page) == "taken"

    assert (again(world, page).state, again(world, page).change.paid) == ("changed", usd(5000))
    assert paid(world, subscription(world)) == [5000]
    assert len(change_posts(world)) == 1
    assert [s["product_id"] for s in world.sandbox.get("/subscriptions")["items"]] == [PRO]
    assert world.sandbox.control("objects/refunds")["items"] == []
    whole(world)
    assert orders.list_owned_products(world.shop.store, subscription(world).customer_id) == {PRO}
    back = world.come_back(ref)
    assert (back.state, [line.amount for line in back.payments], back.today) == (
        "thanks",
        [usd(3000), usd(5000)],
        (usd(8000),),
    )
    assert back.settled is not None
    assert back.settled.state == "changed"
    assert len(world.messages("plan_changed")) == 1


def test_the_request_carries_the_quote_and_where_it_comes_from(world: World) -> None:
    """R11a R15a"""
    ref = bought(world)
    accept(world, offered(world, ref))

    (request,) = change_posts(world)
    order = world.rows("orders")[0]
    assert request["body"]["on_payment_failure"] == "prevent_change"
    assert request["body"]["proration_billing_mode"] == "difference_immediately"
    metadata = request["body"]["metadata"]
    assert (metadata["role"], metadata["offer_id"], metadata["placement"]) == ("upsell", "pro", "return_page")
    assert metadata["first_order"] == order["id"]


@pytest.mark.parametrize(
    ("fields", "due", "state"),
    [
        ('mode = "full_immediately"', 8000, "changed"),
        ('mode = "do_not_bill"', 0, "changed"),
        ('timing = "next_billing_date"', 8000, "scheduled"),
    ],
)
def test_an_offer_names_its_own_mode_and_time(world: World, fields: str, due: int, state: str) -> None:
    page = shown(world, fields=fields)

    assert page.change.quote.due == usd(due)
    accept(world, page)

    assert again(world, page).state == state
    assert paid(world, subscription(world)) == ([due] if state == "changed" and due else [])
    whole(world)


# ---- No, and what the bank or nobody says ----------------------------------------------------------------------


def test_a_no_leads_to_the_downsell_and_is_remembered(world: World) -> None:
    """R12a R36a"""
    ref = bought(world)
    page = offered(world, ref)

    offers.decline(world.shop, page.instance_id, buyer_key=LAN)
    after = world.come_back(ref)

    assert after.offer is not None
    assert after.offer.offer_id == "templates-instead"
    assert again(world, page).state == "answered"
    assert change_posts(world) == []
    assert PRO in offer_instances.list_suppressed_products(world.shop.store, subscription(world).customer_id)
    whole(world)


def test_a_declined_card_leaves_the_plan_and_its_page_waits_for_the_buyer(world: World) -> None:
    """R25b"""
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    accept(world, page)

    after = again(world, page)
    assert (after.state, after.reason, after.can_retry) == ("failed", "card_decline.insufficient_funds", True)
    back = world.come_back(ref)
    assert back.offer is not None
    assert back.offer.state == "failed"
    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)
    assert world.come_back(ref).state == "thanks"
    assert again(world, page).state == "answered"
    assert subscription(world).product_id == BASIC
    assert offer_instances.list_suppressed_products(world.shop.store, subscription(world).customer_id) == frozenset()
    whole(world)


def test_after_a_failure_the_price_is_asked_anew_once(world: World) -> None:
    """R26b R27b"""
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    accept(world, page)
    failed = row_of(world, page)

    second = plan_offers.try_again(world.shop, failed, language="en")
    assert second == plan_offers.try_again(world.shop, failed, language="en")
    retried = offered(world, ref)
    assert (retried.instance_id, retried.state, retried.can_retry) == (second, "offer", False)
    accept(world, retried)

    assert again(world, retried).state == "changed"
    back = world.come_back(ref)
    assert (back.state, [line.product_name for line in back.payments]) == ("thanks", ["Basic plan", "Pro plan"])
    assert (len(change_posts(world)), paid(world, subscription(world))) == (2, [5000])
    assert change_posts(world)[1]["body"]["metadata"]["first_order"] == world.rows("orders")[0]["id"]
    whole(world)


def test_a_second_failure_is_the_last(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)
    for _ in range(2):
        world.sandbox.next_payment("failed", "GENERIC_DECLINE")
        accept(world, page)
        instance = row_of(world, page)
        plan_offers.try_again(world.shop, instance, language="en")
        page = offered(world, ref)

    assert (page.state, page.can_retry) == ("failed", False)
    assert len(change_posts(world)) == 2
    whole(world)


def test_another_card_given_on_the_providers_page_pays_and_any_other_does_not(world: World) -> None:
    """R26c: a browser that has only paid charges a card it has shown to hold."""
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    accept(world, page)
    failed = row_of(world, page)
    url = plan_offers.card_url(world.shop, failed)
    assert url is not None
    card = {"card_number": OTHER, "expiry": "06/32", "cvc": "123"}
    given = world.sandbox.call("POST", urlsplit(url).path, data=card)
    assert given.status_code == 303, given.text
    failed = row_of(world, page)

    second = plan_offers.try_again(world.shop, failed, language="en")

    retried = offered(world, ref)
    assert retried.instance_id == second
    assert retried.quote.method is not None
    assert retried.quote.method.last4 == OTHER[-4:]
    accept(world, retried)
    assert again(world, retried).state == "changed"
    whole(world)


def test_the_bank_step_leads_to_the_bank_and_back(world: World) -> None:
    """P5"""
    page = shown(world)
    world.sandbox.next_payment("requires_customer_action")

    accept(world, page)

    assert again(world, page).state == "action_required"
    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is not None
    (attempt,) = world.rows("attempts")
    world.sandbox.control("settle", {"payment_id": attempt["provider_payment_id"], "status": "succeeded"})
    assert again(world, page).state == "changed"
    whole(world)


def test_leaving_the_bank_step_takes_the_failed_edge(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("requires_customer_action")
    accept(world, page)

    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    assert world.come_back(ref).state == "thanks"
    assert subscription(world).product_id == BASIC


def test_a_lost_answer_is_checked_and_never_sent_again(world: World) -> None:
    page = shown(world)
    world.sandbox.fault(CHANGE_PLAN, "reset", effect="before")
    accept(world, page)

    assert again(world, page).state in ("checking", "changed")
    world.look()
    assert again(world, page).state == "changed"
    assert (len(change_posts(world)), paid(world, subscription(world))) == (1, [5000])
    whole(world)


# ---- The price promise -----------------------------------------------------------------------------------------


def test_a_price_raised_since_it_was_shown_charges_nothing(world: World) -> None:
    """N1"""
    page = shown(world)
    world.reprice(PRO, 9000)

    assert accept(world, page) == "moved"

    after = again(world, page)
    assert (after.state, after.change.quote.due) == ("quote_changed", usd(6000))
    assert after.change.moved_from is not None
    assert after.change.moved_from.due == usd(5000)
    assert change_posts(world) == []
    assert accept(world, after) == "taken"
    assert paid(world, subscription(world)) == [6000]
    whole(world)


def test_figures_older_than_ten_minutes_are_shown_anew(world: World) -> None:
    """R14c"""
    page = shown(world)
    world.advance(601)

    assert accept(world, page) == "moved"

    after = again(world, page)
    assert (after.state, after.change.quote.due) == ("quote_changed", page.change.quote.due)
    assert change_posts(world) == []
    world.advance(601)
    assert accept(world, again(world, page)) == "taken"
    assert len(change_posts(world)) == 1


def test_without_a_price_nothing_can_be_pressed_through(world: World) -> None:
    """R14d"""
    page = shown(world)
    world.sandbox.fault(CHANGE_PLAN + "/preview", "status:500", times=100)
    assert accept(world, page) == "unavailable"
    world.advance(601)

    assert again(world, page).state == "limited"
    assert change_posts(world) == []


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
    assert reasons(world) == {"guard.plan_payable": {"reason": "other_card"}}


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


def test_a_card_that_somebody_else_chose_meanwhile_is_not_charged(world: World) -> None:
    """R26c: while this browser gives a card, the customer's account may choose a saved one: not this browser's."""
    world.buy(slug="design-templates", key=MINH, card=OTHER)
    page = offered(world, bought(world))
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    accept(world, page)
    assert plan_offers.card_url(world.shop, row_of(world, page)) is not None
    row = subscription(world)
    saved = [method["payment_method_id"] for method in world.sandbox.methods(row.customer_id)]
    (other,) = [name for name in saved if name != row.payment_method_id]
    world.sandbox.post(
        f"/subscriptions/{row.provider_subscription_id}/update-payment-method",
        {"type": "existing", "payment_method_id": other},
    )

    assert plan_offers.try_again(world.shop, row_of(world, page), language="en") is None
    assert len(change_posts(world)) == 1


def test_a_browser_that_signs_in_keeps_its_second_try(world: World) -> None:
    page = shown(world)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    accept(world, page)
    second = plan_offers.try_again(world.shop, row_of(world, page), language="en")
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
