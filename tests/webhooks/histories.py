"""What may become of a payment, as the provider tells it: each history with the events it sends, in their order."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from encore.services import checkout, webhooks
from encore.store import offer_instances
from tests.deliveries import event, sign
from tests.faults.provider import CONFIRM, Shopper, bring_shopper, new_key, order_fault
from tests.services.world import World

DECLINING = "4000000000000002"


@dataclass(frozen=True)
class Sent:
    """One event as the provider sent it: its body is what was true at that moment."""

    webhook_id: str
    body: bytes


class Teller:
    """Notes the events of one history, as the provider would send them."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.sent: list[Sent] = []

    def payment(self, event_type: str, payment_id: str) -> None:
        """Send an event about a payment with the body it has now."""
        self._send(event_type, self._world.sandbox.get(f"/payments/{payment_id}"))

    def refund(self, payment_id: str, refund: dict[str, Any]) -> None:
        """Send an event about a refund."""
        self._send("refund.succeeded", {**refund, "payment_id": payment_id})

    def dispute(self, event_type: str, payment_id: str) -> None:
        """Send an event about a payment's latest dispute."""
        disputes = self._world.sandbox.get(f"/payments/{payment_id}")["disputes"]
        self._send(event_type, {**disputes[-1], "payment_id": payment_id})

    def subscription(self, subscription_id: str) -> None:
        """Send the event of a subscription that has begun."""
        self._send("subscription.active", self._world.sandbox.get(f"/subscriptions/{subscription_id}"))

    def license_keys(self, email: str) -> None:
        """Send the events of the licence keys that a customer holds."""
        for key in self._world.sandbox.get("/license_keys?page_size=100")["items"]:
            if self._world.sandbox.get(f"/customers/{key['customer_id']}")["email"] == email:
                self._send("license_key.created", key)

    def _send(self, event_type: str, data: dict[str, Any]) -> None:
        self.sent.append(Sent(f"msg_{self._name}_{len(self.sent)}", event(event_type, **data)))


# ---- In the shop: nobody comes back to the return page, so only events (or a poll) tell ----


def _begin(world: World, slug: str = "starter-course") -> str:
    started = checkout.start(world.shop, slug=slug, quantity=1, buyer_key=new_key(), language="en")
    assert isinstance(started, checkout.Started), started
    return started.url.rsplit("/", 1)[1]


def _payment_of(world: World, session_id: str) -> str:
    return str(world.sandbox.get(f"/checkouts/{session_id}")["payment_id"])


def bought(world: World, teller: Teller, name: str) -> None:
    session_id = _begin(world)
    world.sandbox.pay(session_id, email=f"{name}@example.com")
    teller.payment("payment.succeeded", _payment_of(world, session_id))


def declined_then_bought(world: World, teller: Teller, name: str) -> None:
    session_id = _begin(world)
    world.sandbox.pay(session_id, email=f"{name}@example.com", card=DECLINING)
    teller.payment("payment.failed", _payment_of(world, session_id))
    world.sandbox.pay(session_id, email=f"{name}@example.com")
    teller.payment("payment.succeeded", _payment_of(world, session_id))


def bought_then_disputed(world: World, teller: Teller, name: str) -> None:
    session_id = _begin(world)
    world.sandbox.pay(session_id, email=f"{name}@example.com")
    payment_id = _payment_of(world, session_id)
    teller.payment("payment.succeeded", payment_id)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    teller.dispute("dispute.opened", payment_id)
    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "lost"})
    teller.dispute("dispute.lost", payment_id)


def bought_then_refunded(world: World, teller: Teller, name: str) -> None:
    session_id = _begin(world)
    world.sandbox.pay(session_id, email=f"{name}@example.com")
    payment_id = _payment_of(world, session_id)
    teller.payment("payment.succeeded", payment_id)
    teller.refund(payment_id, world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 100}))
    teller.refund(payment_id, world.sandbox.control("refunds", {"payment_id": payment_id}))


def begun_with_a_trial(world: World, teller: Teller, name: str) -> None:
    """No payment tells of it, only the subscription and the licence key that came with it."""
    session_id, email = _begin(world, "font-club"), f"{name}@example.com"
    world.sandbox.pay(session_id, email=email)
    (found,) = [s for s in _subscriptions(world) if s["customer"]["email"] == email]
    teller.subscription(found["subscription_id"])
    teller.license_keys(email)


def _subscriptions(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.sandbox.get("/subscriptions?page_size=100")["items"]
    return found


# ---- One click, its answer lost ----


def _click(world: World, name: str, *, effect: str = "before", **outcome: Any) -> tuple[Shopper, list[str]]:
    """Press the button, lose the answer, and return the payments the provider has made of it."""
    shopper = bring_shopper(world, name)
    if outcome:
        world.sandbox.next_payment(match={"customer_id": shopper.customer_id}, **outcome)
    order_fault(world, CONFIRM, "reset", effect=effect, match={"customer_id": shopper.customer_id})
    world.accept(shopper.page, key=shopper.key)
    instance = offer_instances.get_instance(world.shop.store, shopper.page.instance_id)
    assert instance is not None
    made = [p["id"] for p in world.sandbox.payments() if p["metadata"].get("first_order") == instance.source_ref]
    return shopper, made


def clicked(world: World, teller: Teller, name: str) -> None:
    _, (payment_id,) = _click(world, name)
    teller.payment("payment.succeeded", payment_id)


def clicked_and_declined(world: World, teller: Teller, name: str) -> None:
    _, (payment_id,) = _click(world, name, outcome="failed", error_code="INSUFFICIENT_FUNDS")
    teller.payment("payment.failed", payment_id)


def clicked_and_waited(world: World, teller: Teller, name: str) -> None:
    _, (payment_id,) = _click(world, name, outcome="processing")
    teller.payment("payment.processing", payment_id)
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})
    teller.payment("payment.succeeded", payment_id)


def clicked_and_failed_late(world: World, teller: Teller, name: str) -> None:
    _, (payment_id,) = _click(world, name, outcome="processing")
    teller.payment("payment.processing", payment_id)
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "failed", "error_code": "GENERIC_DECLINE"})
    teller.payment("payment.failed", payment_id)


def clicked_and_authenticated(world: World, teller: Teller, name: str) -> None:
    _, (payment_id,) = _click(world, name, outcome="requires_customer_action")
    teller.payment("payment.processing", payment_id)
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})
    teller.payment("payment.succeeded", payment_id)


def clicked_and_charged_twice(world: World, teller: Teller, name: str) -> None:
    _, payment_ids = _click(world, name, effect="twice")
    assert len(payment_ids) == 2
    for payment_id in payment_ids:
        teller.payment("payment.succeeded", payment_id)


KINDS: tuple[Callable[[World, Teller, str], None], ...] = (
    bought,
    declined_then_bought,
    bought_then_disputed,
    bought_then_refunded,
    begun_with_a_trial,
    clicked,
    clicked_and_declined,
    clicked_and_waited,
    clicked_and_failed_late,
    clicked_and_authenticated,
    clicked_and_charged_twice,
)


def live(world: World, kind: Callable[[World, Teller, str], None], number: int) -> list[Sent]:
    """Let one history happen; returns its events in the order they were sent."""
    name = f"{kind.__name__.replace('_', '-')}-{number}"
    teller = Teller(world, name)
    kind(world, teller, name)
    return teller.sent


def deliver(world: World, sent: Iterable[Sent], *, shuffled: random.Random | None = None) -> None:
    """Deliver events and let the worker process what is there, now and then in between if `shuffled`."""
    for one in sent:
        webhooks.receive(world.shop, sign(world.shop, one.body, webhook_id=one.webhook_id), one.body)
        if shuffled is not None and shuffled.random() < 0.3:
            webhooks.process_next(world.shop)
    while webhooks.process_next(world.shop):
        pass


def state_of(world: World) -> dict[str, list[Any]]:
    """Return what must be the same whatever came when: payments, attempts, orders, access, grants, dues, messages.

    A payment is named by its id; of two that one request has made, whichever was seen first is kept, so they are
    named by their attempt.
    """
    store = world.shop.store
    made = Counter(row["attempt_id"] for row in store.rows("SELECT attempt_id FROM payments WHERE attempt_id NOTNULL"))
    names = {
        row["id"]: row["attempt_id"] if made[row["attempt_id"]] > 1 else row["id"]
        for row in store.rows("SELECT id, attempt_id FROM payments")
    }

    def named(sql: str) -> list[Any]:
        rows = [{**row, "payment": names.get(row["payment"], row["payment"])} for row in store.rows(sql)]
        return sorted((list(row.values()) for row in rows), key=json.dumps)

    return {
        "payments": named(
            "SELECT id AS payment, status, amount, currency, refunded, disposition, dispute_status FROM payments"
        ),
        "orders": named("SELECT payment_id AS payment, state, product_id, amount FROM orders"),
        "entitlements": named(
            "SELECT o.payment_id AS payment, e.product_id, e.revoked_at IS NOT NULL AS is_revoked FROM entitlements e"
            " JOIN orders o ON o.id = e.order_id"
        ),
        "attempts": named(
            "SELECT a.provider_payment_id AS payment, a.id, a.state, a.decline_code, c.outcome FROM attempts a"
            " JOIN acceptances c ON c.id = a.acceptance_id"
        ),
        "refunds": named("SELECT payment_id AS payment, is_full, amount, reason, state FROM refunds"),
        "checkouts": named("SELECT payment_id AS payment, id, state FROM checkouts"),
        "subscriptions": named(
            "SELECT provider_subscription_id AS payment, status, order_id IS NULL FROM subscriptions"
        ),
        "grants": named("SELECT payment_id AS payment, id, customer_id, kind, status FROM grants"),
        "messages": named("SELECT recipient AS payment, kind, count(*) AS n FROM outbox GROUP BY recipient, kind"),
    }


def hash_of(state: dict[str, list[Any]]) -> str:
    """Return one word for a state."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
