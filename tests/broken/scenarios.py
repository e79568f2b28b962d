"""What each broken build is put through. The right build comes out of all of it with nothing broken.

A scenario acts, lets the worker's part be done, and returns how often the provider was asked to charge. What is broken
is read afterwards from the audit and from the payments that stand at the provider before any refund is sent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from encore import tokens
from encore.services import fallback, observe
from encore.services.pages import OfferPage
from tests.concurrency.crowd import at_once
from tests.sandbox_process import BUNDLE, PRO, wait_for
from tests.services.points import PassPoint
from tests.services.world import LAN, World

CONFIRM = "POST /checkouts"


@dataclass(frozen=True)
class Scenario:
    """`act` plays it on a world whose settings are changed by `env`; returns the number of charging requests."""

    act: Callable[[World, PassPoint], int]
    env: dict[str, str] = field(default_factory=dict)


def broken_promises(world: World) -> set[str]:
    """Return the invariants that are broken: by the audit, and I2 by the provider's own count of what stands."""
    found = set(world.breaches())
    return found | {"I2"} if len(world.standing(BUNDLE)) > 1 else found


def _pay_if_offered(world: World, page: OfferPage) -> None:
    """Do what a buyer does who is told that nothing was charged and shown another way to pay."""
    url = fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN)
    if url is not None:
        world.sandbox.pay(url.rsplit("/", 1)[1], card="5555555555554444")
        world.look()


def _click_six_times(world: World, pass_point: PassPoint) -> int:
    page = world.offer()
    at_once([partial(world.accept, page) for _ in range(6)])
    return len(world.charges(page))


def _click_two_instances(world: World, pass_point: PassPoint) -> int:
    pages = [world.offer(), world.offer()]
    world.sandbox.next_payment("processing", times=2)
    at_once([partial(world.accept, page) for page in pages])
    return sum(len(world.charges(page)) for page in pages)


def _lose_the_answer(world: World, pass_point: PassPoint) -> int:
    """Charged, and the answer takes longer than we wait."""
    page = world.offer()
    world.sandbox.fault(CONFIRM, "timeout", effect="before")
    world.accept(page)
    _pay_if_offered(world, page)
    world.look()
    return len(world.charges(page))


def _hide_the_charge(world: World, pass_point: PassPoint) -> int:
    """Charged, the answer lost, and the provider's list a minute behind."""
    page = world.offer()
    world.sandbox.control("lists", {"lag_s": 60})
    world.sandbox.fault(CONFIRM, "reset", effect="before")
    world.accept(page)
    world.look()
    _pay_if_offered(world, page)
    world.sandbox.control("lists", {"lag_s": 0})
    world.look()
    return len(world.charges(page))


def _pause_the_sender(world: World, pass_point: PassPoint) -> int:
    """The sender stops after its last check, for longer than the quarantine, and then goes on."""
    page = world.offer()

    def wait_and_give_up() -> None:
        for _ in range(8):
            world.clock.steady_s += 1
            world.look()
        _pay_if_offered(world, page)

    pass_point("send.window_checked", wait_and_give_up)
    world.accept(page)
    world.look()
    return len(world.charges(page))


def _sleep_before_the_first_byte(world: World, pass_point: PassPoint) -> int:
    """The machine sleeps for 11 s between the claim and the first byte."""
    # The sandbox's log has true time, so our clock is set back first and is right again when the machine wakes up.
    world.clock.wall_s = world.clock.steady_s = -11.0
    page = world.offer()

    def wake_up() -> None:
        world.clock.wall_s = world.clock.steady_s = 0.0

    pass_point("send.connected", wake_up)
    world.accept(page)
    return len(world.charges(page))


def _charge_late_while_the_wall_clock_jumps(world: World, pass_point: PassPoint) -> int:
    page = world.offer()
    world.sandbox.fault(CONFIRM, "reset", effect="late:1")
    world.accept(page)
    for _ in range(8):
        world.clock.wall_s += 600
        world.look()
    _pay_if_offered(world, page)
    wait_for(lambda: any(_is_direct(payment) for payment in world.sandbox.payments()), what="the late charge")
    world.look()
    world.tidy()
    return len(world.charges(page))


def _is_direct(payment: dict[str, object]) -> bool:
    return bool(payment["used_saved_method"]) and payment["status"] == "succeeded"


def _learn_of_the_payment_before_the_answer(world: World, pass_point: PassPoint) -> int:
    page = world.offer()
    world.sandbox.fault(CONFIRM, "timeout", effect="before")

    def poll() -> None:
        wait_for(lambda: any(_is_direct(payment) for payment in world.sandbox.payments()), what="the charge")
        world.poll()

    pass_point("send.written", poll)
    world.accept(page)
    world.look()
    world.advance(300)
    world.look()
    world.tidy()
    return len(world.charges(page))


def _succeed_after_the_no(world: World, pass_point: PassPoint) -> int:
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)
    payment_id = str(world.attempt(page).provider_payment_id)
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})
    observe.observe_payment(world.shop, payment_id, budget=world.shop.dodo.budget())
    world.tidy()
    return len(world.charges(page))


def _renew_with_our_mark(world: World, pass_point: PassPoint) -> int:
    """A subscription sold elsewhere carries the mark of an attempt, and its renewals inherit it."""
    page = world.offer()
    world.accept(page)
    _buy_elsewhere(world, page, product_id=PRO, signature=_signature_of(world, page))
    (subscription,) = world.sandbox.control("objects/subscriptions")["items"]
    world.sandbox.control("renewals", {"subscription_id": subscription["id"]})
    world.poll()
    world.tidy()
    return len(world.charges(page))


def _signature_of(world: World, page: OfferPage) -> str:
    keys = world.shop.settings.attempt_sig_keys
    return tokens.sign_mark(keys, world.attempt(page).id, world.acceptance(page).customer_id)


def _buy_elsewhere(world: World, page: OfferPage, *, product_id: str, signature: str, email: str = "") -> None:
    world.sandbox.buy(
        product_id,
        email=email or "lan@example.com",
        metadata={"attempt_id": world.attempt(page).id, "attempt_sig": signature},
    )


def _forge_a_mark(world: World, pass_point: PassPoint) -> int:
    """A stranger pays by a link that claims to be somebody's attempt."""
    page = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(page)
    _buy_elsewhere(world, page, product_id=BUNDLE, signature="0" * 64, email="stranger@example.com")
    world.poll()
    return len(world.charges(page))


def _pay_every_address_shown(world: World, pass_point: PassPoint) -> int:
    page = world.offer()
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    world.accept(page)
    for url in {world.open_checkout(page), world.open_checkout(page)}:
        world.pay_at(url, card="5555555555554444")
    world.poll()
    return len(world.charges(page))


SIX_CLICKS = Scenario(_click_six_times)
TWO_INSTANCES = Scenario(_click_two_instances)
LOST_ANSWER = Scenario(_lose_the_answer)
HIDDEN_CHARGE = Scenario(_hide_the_charge)
PAUSED_SENDER = Scenario(_pause_the_sender)
SLEEPING_SENDER = Scenario(_sleep_before_the_first_byte)
LATE_CHARGE = Scenario(_charge_late_while_the_wall_clock_jumps, env={"ENCORE_QUARANTINE_S": "10"})
EARLY_NEWS = Scenario(_learn_of_the_payment_before_the_answer)
LATE_SUCCESS = Scenario(_succeed_after_the_no)
MARKED_RENEWAL = Scenario(_renew_with_our_mark)
FORGED_MARK = Scenario(_forge_a_mark)
TWO_ADDRESSES = Scenario(_pay_every_address_shown)
