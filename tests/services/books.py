"""A shop's rows with one of everything at rest, and the means to plant a breach in them."""

import json
from dataclasses import dataclass
from typing import Any

# The store's own driver: two SQLite libraries in one process undo each other's locks.
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from encore.services import audit, bookkeeping
from encore.services.audit import Witness
from encore.services.shop import Shop
from encore.store import outbox, webhook_events
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order
from tests import factories
from tests.dodo.fixed_clock import FixedClock
from tests.factories import Yes

MINH = {"customer_id": "cus_minh", "email": "minh@example.com"}
HOA = {"customer_id": "cus_hoa", "email": "hoa@example.com"}
EVENT = {"type": "payment.succeeded", "data": {"payment_id": "pay_1"}}
DELIVERY = {"webhook_id": "msg_1", "status": 204, "body": EVENT}


@dataclass
class Books:
    """A shop with one of everything at rest: a yes that was charged and then charged again, a no, and a failed yes."""

    shop: Shop
    clock: FixedClock
    order: Order
    charged: Yes
    returned_id: str
    later: Order
    declined: OfferInstance
    failed: Yes

    @property
    def payment_id(self) -> str:
        """The payment kept for the charged yes."""
        return str(self.charged.attempt.provider_payment_id)

    @property
    def witness(self) -> Witness:
        """What the other side saw of all this."""
        return Witness(requests=self._requests(), deliveries=(DELIVERY,))

    def _requests(self) -> tuple[dict[str, Any], ...]:
        return tuple(self.request_of(yes) for yes in (self.charged, self.failed))

    def request_of(self, yes: Yes, *, after_ms: int = 0, confirm: bool = True) -> dict[str, Any]:
        """Return the charging request of a yes as its receiver would list it."""
        assert yes.attempt.claimed_at is not None
        metadata = bookkeeping.attribution(
            self.shop,
            yes.instance,
            role="upsell",
            attempt_id=yes.attempt.id,
            customer_id=yes.acceptance.customer_id,
        )
        body = {"confirm": confirm, "metadata": metadata}
        return {"method": "POST", "path": "/checkouts", "body": body, "at": yes.attempt.claimed_at + after_ms}

    def plant(self, *statements: str, **params: Any) -> None:
        """Edit rows behind the store's back: no foreign key, no CHECK and no transaction of ours is in the way."""
        with sqlite3.connect(self.shop.store.path, isolation_level=None) as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute("PRAGMA ignore_check_constraints=ON")
            for statement in statements:
                # A plant that touches no row proves nothing.
                assert connection.execute(statement, params).rowcount != 0, statement
        connection.close()

    def audit(self, *, witness: Witness | None = None) -> audit.Report:
        return audit.run(self.shop, witness=witness or self.witness, provider=False)

    def broken(self, *, witness: Witness | None = None) -> tuple[str, ...]:
        return self.audit(witness=witness).names("breach")


def make_books(shop: Shop, clock: FixedClock) -> Books:
    """Let it all happen, and the worker send every message."""
    factories.add_catalogue(shop)
    order = factories.add_order(shop)
    charged = factories.add_charge(shop, order)
    returned_id = factories.settle(shop, factories.yes_payment(shop, charged))
    later = factories.add_order(shop, customer=MINH)
    declined = factories.add_instance(shop, later)
    clock.advance(1)
    factories.decline(shop, declined)
    clock.advance(1)
    failed = factories.add_yes(shop, factories.add_instance(shop, factories.add_order(shop, customer=HOA)))
    decline = factories.yes_payment(shop, failed, customer=HOA, status="failed", error_code="CARD_DECLINED")
    factories.settle(shop, decline)
    receive_event(shop)
    send_messages(shop)
    return Books(
        shop=shop,
        clock=clock,
        order=order,
        charged=charged,
        returned_id=returned_id,
        later=later,
        declined=declined,
        failed=factories.reread(shop, failed),
    )


def receive_event(shop: Shop) -> None:
    with shop.store.write():
        webhook_events.insert_event(
            shop.store,
            webhook_id="msg_1",
            body_sha256="0" * 64,
            body=json.dumps(EVENT),
            event_type="payment.succeeded",
            state="done",
            note=None,
            now=shop.now(),
        )


def send_messages(shop: Shop) -> None:
    now = shop.now()
    with shop.store.write():
        while message := outbox.claim_message(shop.store, now=now, lease_until=now + 1):
            outbox.mark_sent(shop.store, message.id, now=now)
