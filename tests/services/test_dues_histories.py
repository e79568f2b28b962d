"""Paying dues in generated histories: any try, any of the provider's own, settled, left and looked at in any order."""

import random
from typing import Any

import pytest

from encore.rules.attempts import LIVE_DIRECT
from encore.services import dues
from encore.services.dues import Taken
from encore.store.subscriptions import Subscription
from tests.services.test_dues import FATES, card, glance, on_hold, posts, settle_quietly, try_pay
from tests.services.test_dues_owners import alarms, charge, leave, settle
from tests.services.world import World

_STEPS = 14
_OWN_FATES = ("paid", "declined", "processing", "bank")


class History:
    """One subscription on hold, and what chance lets happen to it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.row: Subscription = on_hold(world)
        self.told: list[Any] = []
        self.pages: list[str] = []
        self.own_requests = 0

    def live(self) -> None:
        acts = [self.press] * 3 + [self.try_itself, self.leave_one, self.world.poll, self.world.look]
        acts += [self.settle_one] * 2 + [lambda: settle_quietly(self.world), self.world.read_subscriptions]
        for _ in range(_STEPS):
            self.chance.choice(acts)()
            self.row = self.world.subscription(self.row.id)

    def press(self) -> None:
        form = dues.form(self.world.shop, self.row)
        if form is None or form.reason is not None:
            return
        fate = self.chance.choice(sorted(FATES))
        FATES[fate](self.world)
        name = self.chance.choice([card(form), card(form, "4242"), None])
        taken = try_pay(self.world, self.row, form, name=name)
        assert isinstance(taken, Taken), taken
        self.pages.append(taken.instance_id)
        self.told.append((fate, name, glance(self.world, taken.instance_id).state))

    def try_itself(self) -> None:
        """The provider tries the subscription's card again."""
        fate = self.chance.choice(_OWN_FATES)
        FATES[fate](self.world)
        charge(self.world, self.row, self.row.payment_method_id)
        self.own_requests += 1
        self.told.append(("its own", fate))

    def leave_one(self) -> None:
        if self.pages:
            leave(self.world, self.chance.choice(self.pages))
            self.told.append("left")

    def payments(self, *statuses: str) -> list[Any]:
        name = self.row.provider_subscription_id
        own = [payment for payment in self.world.sandbox.payments() if name in payment["subscription_ids"]]
        return [payment for payment in own if payment["status"] in statuses and payment["charge_type"] != "new"]

    def open_payments(self) -> list[Any]:
        return self.payments("processing", "requires_customer_action", "requires_payment_method")

    def settle_one(self) -> None:
        if self.open_payments():
            payment = self.chance.choice(self.open_payments())
            status = self.chance.choice(["succeeded", "failed"])
            settle(self.world, payment["id"], status)
            self.told.append((payment["status"], status))

    def end(self) -> None:
        """Let every payment have its end, and the worker see it."""
        while self.open_payments():
            self.settle_one()
        self.world.poll()
        settle_quietly(self.world)
        self.world.advance(1)
        settle_quietly(self.world)
        self.world.read_subscriptions()


@pytest.mark.parametrize("seed", range(8))
def test_every_payment_of_a_try_is_kept_or_told_a_person_and_nothing_hangs(world: World, seed: int) -> None:
    history = History(world, seed)
    history.live()
    history.end()

    tries = [attempt for attempt in world.rows("attempts") if attempt["kind"] == "dues"]
    booked = {payment["id"]: payment["disposition"] for payment in world.rows("payments")}
    paid = [payment["id"] for payment in history.payments("succeeded")]
    of_tries = {attempt["provider_payment_id"] for attempt in tries}
    assert [attempt["state"] for attempt in tries if attempt["state"] in LIVE_DIRECT] == [], history.told
    assert len(posts(world, history.row)) - history.own_requests == len(tries), history.told
    assert {booked[payment_id] for payment_id in of_tries & set(paid)} <= {"kept", "manual"}, history.told
    # Whoever made them: of two successes for what was owed once, a person is told.
    assert ("dues_paid_twice" in alarms(world)) == (len(paid) > 1), history.told
    # The clock was moved (I4), and a payment left to a person stands beside the one that was kept (I2).
    assert set(world.breaches()) <= {"I4", *(["I2"] if "manual" in booked.values() else [])}, history.told
