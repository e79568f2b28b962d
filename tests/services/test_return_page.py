"""The return page: truth comes from the provider for the session behind the reference (R28; security.md, section 3)."""

import pytest

from encore.services import return_page
from encore.services.pages import ReturnPage
from tests.services.conftest import Open
from tests.services.test_checkout import ref_of, started
from tests.services.world import DAY_S, LAN, MINH, World

READ = "GET /checkouts/{id}"


def test_paid_order_shows_its_summary_and_offer(world: World) -> None:
    """R28"""
    page = world.come_back(world.buy())

    assert page.state == "offer"
    assert page.order is not None
    assert page.order.product.slug == "starter-course"
    assert page.order.masked_email not in (None, "lan@example.com")


def test_order_is_granted_once_however_often_it_is_opened(world: World) -> None:
    ref = world.buy()

    for _ in range(3):
        world.come_back(ref)

    assert (len(world.rows("orders")), len(world.messages("receipt"))) == (1, 1)


def test_nothing_was_charged_is_said_only_after_the_session_was_read(world: World) -> None:
    started(world)
    world.sandbox.fault(READ, "status:503", times=10)
    assert world.come_back(ref_of(world)).state == "waiting"

    world.sandbox.clear_faults()
    assert world.come_back(ref_of(world)).state == "cancelled"


def test_without_call_budget_nothing_is_claimed_to_be_known(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    ref = world.buy()
    world.block_budget()

    assert world.come_back(ref).state == "waiting"

    world.unblock_budget()
    assert world.come_back(ref).state == "offer"


def test_waiting_page_stops_after_five_checks(world: World) -> None:
    """R28"""
    url = started(world)
    world.sandbox.next_payment("processing")
    world.pay_at(url)

    states = [
        return_page.status(world.shop, ref_of(world), buyer_key=LAN, language="en", check=check).state
        for check in range(7)
    ]

    assert states == ["waiting"] * 5 + ["still_processing"] * 2


@pytest.mark.parametrize(
    ("card", "words"),
    [("4000000000000002", "card_decline.general"), ("4000000000009995", "card_decline.insufficient_funds")],
)
def test_failed_payment_says_so_with_its_reason(world: World, card: str, words: str) -> None:
    url = started(world)
    world.sandbox.pay(url.rsplit("/", 1)[1], card=card)

    page = world.come_back(ref_of(world))

    assert (page.state, page.reason, page.order) == ("payment_failed", words, None)
    assert world.rows("orders") == []


def test_another_browser_learns_nothing(world: World) -> None:
    ref = world.buy()
    world.come_back(ref)

    for key in (MINH, None):
        page = return_page.status(world.shop, ref, buyer_key=key, language="en")
        assert page == ReturnPage(state="other_browser", ref=ref)
        order = return_page.order_page(world.shop, ref, buyer_key=key, language="en")
        assert (order.state, order.order, order.payments) == ("other_browser", None, ())


def test_unknown_reference_is_like_a_foreign_one(world: World) -> None:
    assert world.come_back("x" * 43).state == "other_browser"


def test_authority_over_an_order_ends_after_a_day(world: World) -> None:
    ref = world.buy()
    world.come_back(ref)

    world.advance(DAY_S + 1)

    assert world.come_back(ref).state == "other_browser"


def test_thanks_names_every_payment_of_today_and_their_sum(world: World) -> None:
    """P9"""
    page = world.offer()
    world.accept(page)

    thanks = world.come_back(page.order.ref)

    assert thanks.state == "thanks"
    assert [line.state for line in thanks.payments] == ["paid", "paid"]
    assert sum(line.amount.minor for line in thanks.payments) == thanks.today[0].minor
    assert thanks.payments[1].amount == page.quote.total


def test_order_page_shows_a_charge_that_is_being_checked(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", effect="none")
    world.accept(page)

    order = return_page.order_page(world.shop, page.order.ref, buyer_key=LAN, language="en")

    assert [line.state for line in order.payments] == ["paid", "checking"]
    assert order.today[0] == order.payments[0].amount


def test_recurring_product_sells_too(world: World) -> None:
    """R1a"""
    page = world.come_back(world.buy(slug="basic-plan"))

    assert page.state in ("offer", "thanks")
    (order,) = world.rows("orders")
    assert world.rows("checkouts")[0]["subscription_id"]
    assert order["state"] == "granted"
