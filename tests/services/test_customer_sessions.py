"""The hosted checkout knows a signed-in buyer, and nobody else: not who has only paid, nor whose account is over."""

from typing import Any

import pytest

from encore.services import checkout, return_page, sign_ins
from tests.services.test_card_choice import sign_in
from tests.services.test_trials import SLUG, sell_trial
from tests.services.world import LAN, MINH, World

PLAN = "basic-plan"


def start(world: World, slug: str = "design-templates") -> str:
    started = checkout.start(world.shop, slug=slug, quantity=1, buyer_key=LAN, language="en")
    assert isinstance(started, checkout.Started), started
    return started.url


def sent(world: World) -> dict[str, Any]:
    """The body of the last session that was opened."""
    return dict(world.sandbox.requests("POST", "/checkouts")[-1]["body"])


def customer(world: World) -> str:
    return str(world.rows("customers")[0]["id"])


def ref(world: World) -> str:
    return str(world.rows("checkouts")[-1]["ref"])


def end_account(world: World, how: str) -> None:
    if how == "signed out":
        sign_ins.sign_out(world.shop, LAN)
    elif how == "idle":
        with world.shop.store.write():
            world.shop.store.run("UPDATE sign_ins SET seen_at = seen_at - 1800000")
    else:
        sign_ins.sign_out(world.shop, LAN)
        world.come_back(world.buy(email="minh@example.com", key=MINH), key=MINH)
        sign_in(world, email="minh@example.com")


over = pytest.mark.parametrize("how", ["signed out", "idle", "somebody else's"])


def test_a_signed_in_buyer_types_nothing_again(world: World) -> None:
    world.come_back(world.buy())
    sign_in(world)

    url = start(world)

    assert sent(world)["customer"] == {"customer_id": customer(world)}
    # Whose address the customer has decides whose account it is: a page left open must not be where it is changed.
    assert sent(world)["feature_flags"]["allow_customer_editing_email"] is False
    page = world.sandbox.call("GET", url.removeprefix(world.sandbox.url)).text
    assert "lan@example.com" in page
    assert "4242" in page, "and their saved card is there to choose"
    assert start(world) == url, "the same session is used again"
    world.pay_at(url)
    assert world.come_back(ref(world)).order is not None
    assert {row["customer_id"] for row in world.rows("orders")} == {customer(world)}
    world.tidy()
    assert world.breaches() == ()


def test_who_has_only_paid_is_nobody_known(world: World) -> None:
    world.come_back(world.buy())

    start(world)

    assert "customer" not in sent(world)
    assert "show_saved_payment_methods" not in sent(world)
    assert sent(world)["feature_flags"] == {"redirect_immediately": True}, "and types their own address"
    assert world.rows("customer_sessions") == []


def test_an_account_of_several_customers_names_none(world: World) -> None:
    """Which of them buys is not ours to say."""
    world.come_back(world.buy())
    sign_in(world)
    second_customer(world)
    before = len(world.sandbox.requests("POST", "/checkouts"))

    start(world)

    assert ["customer" in made["body"] for made in world.sandbox.requests("POST", "/checkouts")[before:]] == [False]


def second_customer(world: World) -> None:
    columns = ", ".join(name for name in world.rows("customers")[0] if name != "id")
    with world.shop.store.write():
        world.shop.store.run(f"INSERT INTO customers (id, {columns}) SELECT 'cus_second', {columns} FROM customers")


@over
def test_a_session_that_knows_a_customer_is_not_led_to_without_their_account(world: World, how: str) -> None:
    """A cookie outlives an account, and a session lives for a day."""
    world.come_back(world.buy())
    sign_in(world)
    known = start(world)
    opened = ref(world)
    end_account(world, how)

    again = checkout.pay_again(world.shop, opened, buyer_key=LAN)
    assert isinstance(again, checkout.Started)
    if how == "somebody else's":
        assert again.url != known, "they buy as themselves"
    else:
        assert again.url == f"{world.shop.settings.public_url}/account/sign-in?to=/r/{opened}"
    assert start(world) != known
    assert customer(world) not in str(sent(world))


@pytest.mark.parametrize("how", ["signed out", "idle"])
def test_nor_is_a_plan_sold_a_second_time_beside_it(world: World, how: str) -> None:
    """Two open sessions would be two subscriptions, so the way on is the sign-in, and from there the same session."""
    world.come_back(world.buy())
    sign_in(world)
    known = start(world, PLAN)
    opened = ref(world)
    end_account(world, how)
    sessions = len(world.sandbox.requests("POST", "/checkouts"))

    assert start(world, PLAN) == f"{world.shop.settings.public_url}/account/sign-in?to=/r/{opened}"
    assert len(world.sandbox.requests("POST", "/checkouts")) == sessions

    sign_ins.sign_out(world.shop, LAN)
    sign_in(world)
    assert start(world, PLAN) == known


def test_the_fallback_knows_a_signed_in_buyer_and_asks_for_the_account_again(world: World) -> None:
    page = world.offer(card="4000000000000341", expiry="12/34")
    world.accept(page)
    sign_in(world)

    url = world.open_checkout(page)

    assert sent(world)["customer"] == {"customer_id": customer(world)}
    assert sent(world)["show_saved_payment_methods"] is True
    assert world.open_checkout(page) == url
    sign_ins.sign_out(world.shop, LAN)
    assert world.open_checkout(page) == f"{world.shop.settings.public_url}/account/sign-in?to=/r/{page.order.ref}"

    sign_in(world)
    assert world.open_checkout(page) == url
    world.pay_at(url)
    assert world.page(page).state == "receipt"
    world.tidy()
    assert world.breaches() == ()


@pytest.mark.parametrize("slug", ["design-templates", PLAN])
def test_a_customer_whom_the_provider_refuses_buys_as_everybody_does(world: World, slug: str) -> None:
    world.come_back(world.buy())
    sign_in(world)
    world.sandbox.fault("POST /checkouts", "status:422")

    start(world, slug)

    assert "customer" not in sent(world)
    assert world.rows("customer_sessions") == []


def test_too_many_calls_are_not_answered_by_another(world: World) -> None:
    world.come_back(world.buy())
    sign_in(world)
    before = len(world.sandbox.requests("POST", "/checkouts"))
    world.sandbox.fault("POST /checkouts", "status:429")

    result = checkout.start(world.shop, slug="design-templates", quantity=1, buyer_key=LAN, language="en")

    assert result == checkout.CheckoutDown()
    assert len(world.sandbox.requests("POST", "/checkouts")) == before + 1


@pytest.mark.parametrize(
    ("slug", "trial_amount", "state"),
    [("design-templates", 0, "cancelled"), (SLUG, 500, "cancelled"), (SLUG, 0, "still_processing")],
)
def test_only_what_may_begin_without_a_payment_has_to_be_waited_for(
    world: World, slug: str, trial_amount: int, state: str
) -> None:
    """The session of a known buyer names an address from the start, so it does not tell who has left a free trial."""
    sell_trial(world, **({"trial_amount": trial_amount} if trial_amount else {}))
    world.come_back(world.buy())
    sign_in(world)
    start(world, slug)

    page = return_page.status(world.shop, ref(world), buyer_key=LAN, language="en", check=5)

    assert (page.state, page.may_have_left) == (state, state == "still_processing")
