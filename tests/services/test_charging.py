"""Charging a yes: one claim, one request, and what each answer of the provider makes of it (charging.md, 1, 3, 4)."""

import threading

import pytest

from encore.services import charging, funnels, offers
from encore.services.pages import OfferPage
from encore.services.shop import MoneyMovesInTransaction
from encore.store import attempts, catalogue, offer_instances, open_store
from tests.sandbox_process import BUNDLE
from tests.services.conftest import Open
from tests.services.points import PassPoint
from tests.services.world import CONSENT, DAY_S, LAN, MINH, TEMPLATES_FIRST, World

CONFIRM = "POST /checkouts"
UNCLEAR = (
    *("reset", "timeout", "empty", "truncated", "html", "wrong_type", "null_id", "redirect"),
    *("status:408", "status:409", "status:500", "status:503"),
)


def test_one_click_charges_the_shown_amount_once(world: World) -> None:
    """R6a R6b P3"""
    page = world.offer()

    assert world.accept(page) == "taken"

    (payment,) = world.standing(BUNDLE)
    assert (payment["total"], payment["currency"]) == (page.quote.total.minor, page.quote.currency)
    assert world.page(page).state == "receipt"
    assert world.outcome(page) == "charged"


def test_request_carries_what_the_row_says(world: World) -> None:
    """R6a R11a"""
    page = world.offer(country="US", zipcode="10001")

    world.accept(page)

    (request,) = world.charges(page)
    body = request["body"]
    assert page.quote.method is not None
    assert body["payment_method_id"] == page.quote.method.payment_method_id
    assert body["customer"] == {"customer_id": world.acceptance(page).customer_id}
    assert (body["confirm"], body["minimal_address"]) == (True, True)
    assert body["feature_flags"] == {"redirect_immediately": True}
    assert body["billing_address"]["country"] == "US"
    assert body["billing_address"]["zipcode"] == "10001"
    assert body["return_url"].endswith(f"/r/{page.order.ref}")
    assert (
        body["metadata"].items()
        >= {
            "attempt_id": world.attempt(page).id,
            "funnel_id": "starter-course",
            "step": "bundle",
            "role": "upsell",
            "placement": "return_page",
        }.items()
    )


def test_second_click_shows_the_first_result(world: World) -> None:
    """R6d R10c"""
    page = world.offer()

    results = [world.accept(page) for _ in range(3)]

    assert results == ["taken"] * 3
    assert len(world.charges(page)) == 1
    assert world.page(page).state == "receipt"


def test_another_browser_takes_nothing(world: World) -> None:
    """R10d"""
    page = world.offer()

    assert world.accept(page, key=MINH) == "taken"

    assert world.charges(page) == []
    assert world.page(page).state == "offer"


def test_hash_of_another_quote_takes_nothing(world: World) -> None:
    page = world.offer()

    result = charging.accept(world.shop, page.instance_id, buyer_key=LAN, quote_hash="0" * 64, consent=CONSENT)

    assert result == "moved"
    assert world.charges(page) == []
    assert world.page(page).state == "offer"


@pytest.mark.criterion("R10a")
def test_expired_offer_takes_nothing(world: World) -> None:
    page = world.offer()
    world.advance(31 * 60)

    assert world.accept(page) == "taken"

    assert world.charges(page) == []
    assert world.page(page).state == "expired"


# ---- What an answer means (charging.md, section 4) --------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 415, 422])
def test_well_formed_refusal_charges_nothing(world: World, status: int) -> None:
    page = world.offer()
    world.sandbox.fault(CONFIRM, f"status:{status}")

    world.accept(page)

    assert world.attempt(page).state == "rejected"
    assert world.outcome(page) == "needs_checkout"
    assert world.page(page).state == "not_charged"


@pytest.mark.parametrize("fault", UNCLEAR)
@pytest.mark.parametrize("effect", ["none", "before"])
def test_unclear_answer_is_unknown_and_then_settled(world: World, fault: str, effect: str) -> None:
    """R27a N2: whatever was lost, the page says "checking", and asking the provider ends it."""
    page = world.offer()
    world.sandbox.fault(CONFIRM, fault, effect=effect)

    world.accept(page)

    assert world.attempt(page).state == "unknown"
    assert world.glance(page).state == "checking"
    world.look()
    is_charged = effect == "before"
    assert world.outcome(page) == ("charged" if is_charged else "open")
    assert world.page(page).state == ("receipt" if is_charged else "checking")
    assert len(world.standing(BUNDLE)) == int(is_charged)
    assert len(world.charges(page)) == 1


def test_refused_connection_sends_nothing(world: World) -> None:
    page = world.offer()
    world.sandbox.control("listen", {"accept": False, "for_s": 30})
    try:
        # The methods are read first, and without them nothing is claimed.
        assert world.accept(page) == "unavailable"
    finally:
        world.sandbox.control("listen", {"accept": True})

    assert world.page(page).state == "offer"
    assert world.charges(page) == []


def test_connection_refused_after_the_claim_is_not_sent(world: World, pass_point: PassPoint) -> None:
    page = world.offer()
    pass_point("claim.committed", lambda: world.sandbox.control("listen", {"accept": False, "for_s": 30}))

    world.accept(page)

    world.sandbox.control("listen", {"accept": True})
    assert (world.attempt(page).state, world.outcome(page)) == ("not_sent", "needs_checkout")
    assert world.page(page).state == "not_charged"
    assert world.charges(page) == []


def test_too_many_requests_is_refused_and_blocks_the_budget(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.sandbox.fault(CONFIRM, "status:429", retry_after="30")

    world.accept(page)

    assert world.attempt(page).state == "rejected"
    assert len(world.charges(page)) == 1
    (budget,) = world.rows("rate_budget")
    assert budget["blocked_until"] > world.shop.now() + 20_000


def test_payment_id_of_another_attempt_proves_nothing(world: World) -> None:
    first = world.offer()
    world.accept(first)
    second = world.offer(email="minh@example.com")
    world.sandbox.fault(CONFIRM, "other_id", effect="before")

    world.accept(second)

    assert (world.attempt(second).state, world.attempt(second).provider_payment_id) == ("unknown", None)
    world.look()
    assert world.outcome(second) == "charged"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("INSUFFICIENT_FUNDS", "card_decline.insufficient_funds"),
        ("EXPIRED_CARD", "card_decline.expired"),
        ("GENERIC_DECLINE", "card_decline.general"),
        ("STOLEN_CARD", "card_decline.general"),
    ],
)
def test_card_decline_is_told_and_leads_to_the_checkout(world: World, code: str, words: str) -> None:
    """R25a R24a"""
    page = world.offer()
    world.sandbox.next_payment("failed", code)

    world.accept(page)

    assert (world.attempt(page).state, world.attempt(page).decline_code) == ("failed", code)
    assert world.outcome(page) == "needs_checkout"
    assert (world.page(page).state, world.page(page).reason) == ("failed", words)


def test_card_decline_may_come_as_a_refusal(world: World) -> None:
    """R5c: no payment exists then, but the buyer reads the same words."""
    world.sandbox.switch(saved_card_decline="http_422")
    page = world.offer()
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    world.accept(page)

    assert world.attempt(page).state == "rejected"
    assert world.page(page).state == "failed"
    assert len(world.charges(page)) == 1


def test_processing_payment_waits_and_is_followed(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(page)
    assert (world.attempt(page).state, world.page(page).state) == ("pending", "processing")

    world.sandbox.control("settle", {"payment_id": world.attempt(page).provider_payment_id, "status": "succeeded"})
    world.look()

    assert (world.outcome(page), world.page(page).state) == ("charged", "receipt")


def test_authentication_leads_to_the_bank_and_back(world: World) -> None:
    """P5"""
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)
    assert world.page(page).state == "action_required"

    bank = world.open_checkout(page)
    payment_id = bank.rsplit("/", 1)[1]
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})

    assert world.page(page).state == "receipt"
    assert world.outcome(page) == "charged"


def test_authentication_without_a_link_goes_to_the_checkout(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action", payment_link=False)

    world.accept(page)

    assert (world.attempt(page).state, world.outcome(page)) == ("dropped", "needs_checkout")
    assert world.page(page).state == "not_charged"


def test_authentication_ends_after_a_day(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)

    world.advance(DAY_S + 1)
    world.look()

    assert (world.attempt(page).state, world.outcome(page)) == ("dropped", "closed")


# ---- The price and the method, asked again before the claim -----------------------------------------------------


def test_moved_price_is_shown_again_and_charges_nothing(world: World) -> None:
    """N1"""
    page = world.offer()
    world.reprice(BUNDLE, page.quote.subtotal.minor + 1000)
    world.advance(61)

    assert world.accept(page) == "moved"

    after = world.page(page)
    assert after.state == "quote_changed"
    assert after.moved_from == page.quote
    assert after.quote.total > page.quote.total
    assert world.charges(page) == []


def test_new_price_is_charged_only_by_a_click_on_it(world: World) -> None:
    page = world.offer()
    world.reprice(BUNDLE, page.quote.subtotal.minor + 1000)
    world.advance(61)
    world.accept(page)
    again = world.page(page)

    assert world.accept(page) == "moved"
    assert world.charges(page) == []
    assert world.accept(again) == "taken"

    (payment,) = world.standing(BUNDLE)
    assert payment["total"] == again.quote.total.minor


def test_lower_price_is_shown_again_too(world: World) -> None:
    page = world.offer()
    world.reprice(BUNDLE, page.quote.subtotal.minor - 1000)
    world.advance(61)

    assert world.accept(page) == "moved"
    assert world.page(page).quote.total < page.quote.total


def test_price_moved_after_the_last_question_is_refunded(world: World) -> None:
    """N1: charged more than the button said; the whole payment goes back."""
    page = world.offer()

    world.accept_as_price_moves(page, page.quote.subtotal.minor + 1000)

    assert world.outcome(page) == "refunded"
    assert world.page(page).state == "returned"
    (refund,) = world.rows("refunds")
    assert (refund["reason"], refund["is_full"], refund["state"]) == ("overcharged", 1, "due")
    assert [alarm["kind"] for alarm in world.rows("alarms")] == ["overcharged"]


def test_removed_method_leads_to_the_checkout(world: World) -> None:
    """R4a: the list is read again before charging."""
    page = world.offer()
    assert page.quote.method is not None
    method = page.quote.method.payment_method_id
    customer = world.shop.store.row("SELECT customer_id FROM offer_instances")
    assert customer is not None
    answer = world.sandbox.call("DELETE", f"/customers/{customer['customer_id']}/payment-methods/{method}")
    assert answer.status_code in (200, 204), answer.text

    assert world.accept(page) == "moved"

    after = world.page(page)
    assert (after.state, after.reason) == ("no_method", "method.no_card")
    assert world.charges(page) == []


def test_method_that_expired_leads_to_the_checkout(world: World) -> None:
    """R5a: good on the last day of its month, and not an hour longer."""
    page = world.offer()
    world.clock.wall_s += 7 * 365 * 24 * 3600
    with world.shop.store.write():
        world.shop.store.run("UPDATE offer_instances SET expires_at = :later", later=world.shop.now() + 60_000)

    assert world.accept(page) == "moved"

    assert world.charges(page) == []
    row = world.shop.store.row("SELECT no_method_reason FROM offer_instances")
    assert row == {"no_method_reason": "method.expired"}


def test_unreadable_methods_charge_nothing(world: World) -> None:
    """R4d: no answer is not "no method"."""
    page = world.offer()
    world.sandbox.fault("GET /customers/{customer_id}/payment-methods", "status:502", times=5)

    assert world.accept(page) == "unavailable"

    world.sandbox.clear_faults()
    assert world.page(page).state == "offer"
    assert world.charges(page) == []


# ---- The second look inside the claim ---------------------------------------------------------------------------


@pytest.mark.parametrize("paused", ["complete-bundle", "starter-course"], ids=["offer", "funnel"])
def test_paused_offer_takes_nothing(world: World, pass_point: PassPoint, paused: str) -> None:
    """P12: a pause between the click and its claim holds too."""
    page = world.offer()
    pass_point("claim.checked", lambda: funnels.set_state(world.shop, [paused], state="paused"))

    world.accept(page)

    assert world.charges(page) == []
    assert world.attempts(page) == []
    assert world.page(page).state == "withdrawn"


def change(world: World, statement: str) -> None:
    with world.shop.store.write():
        world.shop.store.run(statement)


def test_offer_whose_deadline_has_passed_takes_nothing(world: World, pass_point: PassPoint) -> None:
    page = world.offer()
    passed = "json_set(definition_json, '$.deadline', '2020-01-01T00:00:00+00:00')"
    pass_point("claim.checked", lambda: change(world, f"UPDATE offer_versions SET definition_json = {passed}"))

    world.accept(page)

    assert world.charges(page) == []
    assert world.page(page).state == "withdrawn"


def test_order_reversed_since_takes_nothing(world: World, pass_point: PassPoint) -> None:
    page = world.offer()
    pass_point("claim.checked", lambda: change(world, "UPDATE orders SET state = 'reversed'"))

    world.accept(page)

    assert world.charges(page) == []
    assert world.page(page).state == "withdrawn"


@pytest.mark.criterion("R2b")
def test_product_archived_since_takes_nothing(world: World, pass_point: PassPoint) -> None:
    page = world.offer()

    def archive() -> None:
        with world.shop.store.write():
            catalogue.mark_archived(world.shop.store, BUNDLE, now=world.shop.now())

    pass_point("claim.checked", archive)

    world.accept(page)

    assert world.charges(page) == []
    assert world.page(page).state == "withdrawn"


def test_product_owned_since_takes_nothing(world: World) -> None:
    """P8: bought in the shop meanwhile; only "buy again" buys it again."""
    page = world.offer()
    world.come_back(world.buy(slug="complete-bundle"))
    assert world.page(page).state == "owned"

    world.accept(page)
    assert world.charges(page) == []

    world.accept(page, buy_again=True)
    assert len(world.charges(page)) == 1


def test_declined_elsewhere_since_takes_nothing(world: World, pass_point: PassPoint) -> None:
    """R36a: a no on another page of the customer, at the same moment."""
    first = world.offer()
    second = world.offer()
    pass_point("claim.checked", lambda: offers.decline(world.shop, first.instance_id, buyer_key=LAN))

    world.accept(second)

    assert world.charges(second) == []
    assert world.page(second).state == "answered"


def test_two_orders_offering_one_product_take_one_yes(world: World) -> None:
    first = world.offer()
    second = world.offer()
    world.sandbox.next_payment("processing")

    world.accept(first)
    world.accept(second)

    assert len(world.charges(first)) + len(world.charges(second)) == 1
    # The loser is sent to the first yes.
    assert world.page(second).instance_id == first.instance_id


# ---- Limits -----------------------------------------------------------------------------------------------------


def test_charge_beyond_the_daily_number_goes_to_the_checkout(open_shop_with: Open) -> None:
    """R10f"""
    world = open_shop_with(ENCORE_ONE_CLICK_PER_DAY="1")
    world.accept(world.offer())

    page = _second_offer(world)
    world.accept(page)

    assert world.charges(page) == []
    assert (world.outcome(page), world.attempts(page)) == ("needs_checkout", [])
    assert world.page(page).state == "not_charged"
    assert world.open_checkout(page)


def test_daily_number_counts_anew_the_next_day(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_ONE_CLICK_PER_DAY="1")
    world.accept(world.offer())
    world.advance(DAY_S)

    page = _second_offer(world)
    world.accept(page)

    assert world.outcome(page) == "charged"


def test_charge_beyond_the_money_cap_goes_to_the_checkout(open_shop_with: Open) -> None:
    """R10f"""
    world = open_shop_with(ENCORE_ONE_CLICK_CAPS="USD:100")
    page = world.offer()

    world.accept(page)

    assert world.charges(page) == []
    assert world.outcome(page) == "needs_checkout"


def test_five_unknowns_pause_one_click(world: World) -> None:
    """Of the last ten sends within a minute five are unknown: no more money is put at stake."""
    pages = [world.offer(email=f"buyer{number}@example.com") for number in range(6)]
    world.sandbox.fault(CONFIRM, "reset", times=5)
    for page in pages[:5]:
        world.accept(page)

    world.accept(pages[5])

    assert world.charges(pages[5]) == []
    assert (world.outcome(pages[5]), world.attempts(pages[5])) == ("needs_checkout", [])


def test_one_click_resumes_a_minute_after_the_unknowns(world: World) -> None:
    pages = [world.offer(email=f"buyer{number}@example.com") for number in range(6)]
    world.sandbox.fault(CONFIRM, "reset", times=5)
    for page in pages[:5]:
        world.accept(page)
    world.advance(61)

    world.accept(pages[5])

    assert world.outcome(pages[5]) == "charged"


# ---- Queue ------------------------------------------------------------------------------------------------------


def test_empty_budget_queues_and_the_worker_sends(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()
    world.worker_beats()

    assert world.accept(page) == "taken"
    assert (world.attempt(page).state, world.page(page).state) == ("queued", "processing")
    assert world.page(page).can_cancel
    assert world.charges(page) == []

    world.unblock_budget()
    assert charging.send_queued(world.shop) == 1

    assert world.outcome(page) == "charged"
    assert len(world.charges(page)) == 1


def test_queued_for_half_a_minute_is_not_sent(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()
    world.worker_beats()
    world.accept(page)

    world.advance(30)
    world.unblock_budget()
    charging.send_queued(world.shop)

    assert (world.attempt(page).state, world.outcome(page)) == ("not_sent", "needs_checkout")
    assert world.charges(page) == []


def test_queued_yes_can_be_taken_back(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()
    world.worker_beats()
    world.accept(page)

    charging.cancel(world.shop, page.instance_id, buyer_key=LAN)
    world.unblock_budget()
    charging.send_queued(world.shop)

    assert (world.attempt(page).state, world.outcome(page)) == ("not_sent", "closed")
    assert world.charges(page) == []


def test_cancel_after_the_send_does_nothing(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(page)

    charging.cancel(world.shop, page.instance_id, buyer_key=LAN)

    assert world.attempt(page).state == "pending"


def test_without_a_worker_nothing_is_queued(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()

    assert world.accept(page) == "limited"

    assert world.attempts(page) == []
    assert world.rows("offer_instances")[0]["state"] == "shown"


def test_no_free_slot_and_no_worker_takes_nothing(world: World) -> None:
    """A queued yes would wait for nobody."""
    page = world.offer()
    for _ in range(8):
        assert world.shop.send_slots.acquire(blocking=False)

    assert world.accept(page) == "limited"

    assert world.attempts(page) == []


def test_no_free_slot_queues_for_the_worker(world: World) -> None:
    page = world.offer()
    world.worker_beats()
    for _ in range(8):
        assert world.shop.send_slots.acquire(blocking=False)

    assert world.accept(page) == "taken"
    assert world.attempt(page).state == "queued"

    charging.send_queued(world.shop)
    assert world.outcome(page) == "charged"


def test_a_rush_that_waits_is_sent_side_by_side(world: World, pass_point: PassPoint) -> None:
    """One after the other, a slow provider would let the last of them wait out their time."""
    world.worker_beats()
    for _ in range(8):
        assert world.shop.send_slots.acquire(blocking=False)
    pages = [world.offer(email="lan@example.com"), world.offer(key=MINH, email="minh@example.com")]
    assert [world.accept(pages[0]), world.accept(pages[1], key=MINH)] == ["taken", "taken"]
    both_written = threading.Barrier(2, timeout=10)

    def wait_for_the_other() -> None:
        pass_point("send.written", both_written.wait)
        both_written.wait()

    pass_point("send.written", wait_for_the_other)

    assert charging.send_queued(world.shop) == 2

    assert [world.outcome(page) for page in pages] == ["charged", "charged"]
    assert [len(world.charges(page)) for page in pages] == [1, 1]


# ---- The send window and the sender -----------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["wall", "wall_back", "steady"])
def test_send_after_the_window_is_withheld(world: World, pass_point: PassPoint, clock: str) -> None:
    """A process that slept must not charge a buyer who was long told something else (charging.md, 1, step 4)."""
    page = world.offer()

    def sleep() -> None:
        world.clock.wall_s += {"wall": 9.0, "wall_back": -9.0, "steady": 0.0}[clock]
        world.clock.steady_s += 9.0 if clock == "steady" else 0.0

    pass_point("send.connected", sleep)

    world.accept(page)

    assert (world.attempt(page).state, world.attempt(page).reason) == ("not_sent", "window")
    assert world.outcome(page) == "needs_checkout"
    assert world.charges(page) == []


def test_sender_counts_as_alive_from_claim_to_answer(world: World, pass_point: PassPoint) -> None:
    """Its own heartbeat must not call a thread gone that is about to send."""
    page = world.offer()
    seen: list[int | None] = []

    def beat() -> None:
        world.shop.presence.beat()
        (attempt,) = attempts.list_attempts(world.shop.store, state="sending", limit=5)
        seen.append(attempt.socket_closed_at)

    pass_point("claim.committed", beat)

    world.accept(page)

    assert seen == [None]
    assert world.outcome(page) == "charged"


def test_webhook_before_the_answer_is_not_overwritten(world: World, pass_point: PassPoint) -> None:
    """The payment was observed while the answer was on its way: settling only adds ids."""
    page = world.offer()
    pass_point("send.answered", world.poll)

    world.accept(page)

    assert world.outcome(page) == "charged"
    assert world.attempt(page).state == "paid"
    assert len(world.rows("payments")) == 2
    assert len(world.messages("receipt")) == 2


def test_full_store_claims_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    page = world.offer()
    monkeypatch.setattr(world.shop.store, "has_room", lambda: False)

    assert world.accept(page) == "unavailable"
    assert world.attempts(page) == []


def test_provider_is_never_called_inside_a_transaction(world: World) -> None:
    budget = world.shop.dodo.budget()

    with world.shop.store.write(), pytest.raises(MoneyMovesInTransaction):
        world.shop.dodo.checkouts.confirm({"confirm": True}, before_first_byte=lambda: True)
    with world.shop.store.write(), pytest.raises(MoneyMovesInTransaction):
        world.shop.dodo.payments.get("pay_1", budget=budget)

    assert world.sandbox.charges() == []


def _second_offer(world: World) -> OfferPage:
    """Offer the same customer another product, after a second order."""
    world.publish(TEMPLATES_FIRST)
    return world.offer()


def test_what_was_read_before_a_call_is_read_again_after_it(world: World) -> None:
    page, shop = world.offer(), world.shop
    other = open_store(shop.store.path)

    def state() -> str:
        instance = offer_instances.get_instance(shop.store, page.instance_id)
        assert instance is not None
        return instance.state

    with shop.store.look():
        assert state() == "shown"
        with other.write():
            offer_instances.mark_declined(other, page.instance_id, now=shop.now())
        assert state() == "shown"
        shop.dodo.products.list_all(budget=shop.dodo.budget())
        assert state() == "declined"

    other.close()
