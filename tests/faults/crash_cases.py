"""Every crash point with the journey that passes it and the process that ends there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.installation import Buyer, Installation


@dataclass(frozen=True)
class Scene:
    """A buyer on the page from which the crash starts; `html` is that page."""

    shop: Installation
    buyer: Buyer
    html: str


@dataclass(frozen=True)
class Case:
    """`prepare` brings the buyer to the page with everything alive, `act` passes the point.

    `alone`: the other process is not running, or it could pass the point first.
    """

    process: Literal["web", "worker"]
    prepare: Callable[[Installation, Buyer], str]
    act: Callable[[Scene], None]
    alone: bool = False


def _see_offer(shop: Installation, buyer: Buyer) -> str:
    return buyer.buy()


def _see_shop(shop: Installation, buyer: Buyer) -> str:
    return buyer.get("/p/starter-course")


def _see_card_decline(shop: Installation, buyer: Buyer) -> str:
    html = buyer.buy()
    shop.sandbox.next_payment("failed", "GENERIC_DECLINE")
    location = buyer.post_form(html, "offer-accept").headers["location"]
    return buyer.get(location)


def _see_hosted_checkout(shop: Installation, buyer: Buyer) -> str:
    html = _see_card_decline(shop, buyer)
    buyer.post_form(html, "go-to-checkout")
    return buyer.get(f"/r/{buyer.ref}")


def _press(testid: str) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        scene.buyer.post_form(scene.html, testid)

    return act


def _come_back(scene: Scene) -> None:
    """Pay on the hosted page and come back: the return page reads the session."""
    started = scene.buyer.post_form(scene.html, "buy")
    session_id = started.headers["location"].rsplit("/", 1)[1]
    paid = scene.shop.sandbox.pay(session_id, email=scene.buyer.email)
    scene.buyer.ref = paid.headers["location"].split("?")[0].rsplit("/", 1)[1]
    scene.buyer.get(f"/r/{scene.buyer.ref}")


def _receive_webhook(scene: Scene) -> None:
    """Pay on the hosted page; the crash meets the delivery, not the buyer."""
    _come_back_without_looking(scene)


def _come_back_without_looking(scene: Scene) -> None:
    started = scene.buyer.post_form(scene.html, "buy")
    session_id = started.headers["location"].rsplit("/", 1)[1]
    paid = scene.shop.sandbox.pay(session_id, email=scene.buyer.email)
    scene.buyer.ref = paid.headers["location"].split("?")[0].rsplit("/", 1)[1]


def _wait_in_queue(scene: Scene) -> None:
    """Press while the provider asks for patience: the yes waits in the queue, and is the worker's when calls go on."""
    _press_while_blocked(scene)
    _block_calls(scene.shop, until=0)


def _wait_too_long_in_queue(scene: Scene) -> None:
    _press_while_blocked(scene)
    with scene.shop.store.write():
        scene.shop.store.run("UPDATE attempts SET created_at = created_at - 60000 WHERE state = 'queued'")
    _block_calls(scene.shop, until=0)


def _press_while_blocked(scene: Scene) -> None:
    _block_calls(scene.shop, until=int(time.time() * 1000) + 3_600_000)
    scene.buyer.post_form(scene.html, "offer-accept")
    assert scene.shop.store.row("SELECT id FROM attempts WHERE state = 'queued'"), "the yes was not queued"


def _block_calls(shop: Installation, *, until: int) -> None:
    with shop.store.write():
        shop.store.run("UPDATE rate_budget SET blocked_until = :until", until=until)


def _lose_uncharged(scene: Scene) -> None:
    scene.shop.sandbox.fault("POST /checkouts", "reset", effect="none")
    scene.buyer.post_form(scene.html, "offer-accept")


def _charge_twice(scene: Scene) -> None:
    """The provider runs one request twice: the second payment must go back, once."""
    scene.shop.sandbox.fault("POST /checkouts", "reset", effect="twice")
    scene.buyer.post_form(scene.html, "offer-accept")
    # The page that answers the click looks for the lost charge at once.
    scene.buyer.get(f"/r/{scene.buyer.ref}")


def _accept_path(*points: str) -> dict[str, Case]:
    return {point: Case("web", _see_offer, _press("offer-accept")) for point in points}


def _worker(act: Callable[[Scene], None], *points: str) -> dict[str, Case]:
    return {point: Case("worker", _see_offer, act) for point in points}


CASES: dict[str, Case] = {
    **_accept_path(
        *("claim.checked", "claim.begun", "claim.uncommitted", "claim.committed", "claim.before_reply"),
        *("send.connected", "send.window_checked", "send.written", "send.answered"),
        *("settle.status_read", "settle.uncommitted", "settle.committed"),
    ),
    **{
        point: Case("web", _see_shop, _press("buy"))
        for point in ("checkout.opening_committed", "checkout.posted", "checkout.stored")
    },
    **{
        point: Case("web", _see_shop, _come_back)
        for point in ("checkout.return_read", "observe.uncommitted", "observe.committed")
    },
    **{
        point: Case("web", _see_shop, _receive_webhook)
        for point in ("inbox.verified", "inbox.uncommitted", "inbox.committed")
    },
    **{
        point: Case("web", _see_offer, _press("offer-decline"))
        for point in ("decline.uncommitted", "decline.committed")
    },
    **{
        point: Case("web", _see_card_decline, _press("go-to-checkout"))
        for point in ("hosted.opening_committed", "hosted.posted", "hosted.stored")
    },
    "hosted.closing_read": Case("web", _see_hosted_checkout, _press("continue-without")),
    **_worker(
        _press("offer-accept"),
        "inbox.leased",
        "inbox.processed",
        "inbox.marked",
        "outbox.leased",
        "outbox.sent",
        "outbox.marked",
    ),
    **_worker(_wait_in_queue, "queue.uncommitted", "queue.claimed"),
    **_worker(_wait_too_long_in_queue, "queue.expired"),
    **_worker(
        _lose_uncharged,
        *("reconcile.leased", "reconcile.page_read", "reconcile.miss_committed"),
        *("reconcile.absent_uncommitted", "reconcile.absent_committed"),
    ),
    "refund.due_uncommitted": Case("web", _see_offer, _charge_twice, alone=True),
    **_worker(
        _charge_twice,
        *("refund.claimed", "refund.due_committed", "refund.posted", "refund.settled"),
    ),
}
ACCEPT_PATH = tuple(point for point in CASES if point.split(".")[0] in ("claim", "send", "settle"))

# What a change of plan passes on its way, once or, with #2, for the second time: its subscription is read before the
# claim and again after the send. Played by `test_plan_crashes`.
PLAN_POINTS = (
    *("claim.checked", "claim.begun", "claim.uncommitted", "claim.committed", "claim.before_reply"),
    *("send.connected", "send.window_checked", "send.written", "send.answered"),
    *("settle.uncommitted", "settle.committed", "reconcile.leased", "reconcile.page_read"),
    *("subscription.uncommitted", "subscription.uncommitted#2", "subscription.committed", "subscription.committed#2"),
    *("observe.uncommitted", "observe.committed", "change.looked", "change.unscheduled"),
    # Of a subscription that is set to end.
    *("end.noted", "end.withdrawn", "end.put_back"),
)

# A plan that is given another card, and one on hold that is ended. Played by `test_dues_crashes`.
CARD_POINTS = ("card.noted", "card.sent")
END_POINTS = ("hold_end.noted", "hold_end.done")
