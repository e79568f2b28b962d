"""A recommended offer belongs to the account it was made for: nobody else reads, changes or takes it."""

import pytest

from encore.services import (
    fallback,
    offers,
    return_page,
    sign_ins,
)
from tests.services.recommended import AGAIN, charges, choose, open_card, page, publish, sign_in, subscriber
from tests.services.world import LAN, MINH, World


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
