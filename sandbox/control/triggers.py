"""Triggers: any event type on demand, with the real objects behind it.

The objects are made as a shop would make them, and what else happens on the way is announced too: a trigger of
`refund.succeeded` makes a customer, a payment and a refund, with an event for the payment as well.
"""

import json
from collections.abc import Callable

from ..core.event_types import EVENT_TYPES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import found, refuse_body, text
from ..resources import abandoned_checkouts, credit_ledger, disputes, entitlement_grants, licenses, payouts, refunds
from .bodies import read_decline, read_number
from .demo import BASIC, COURSE
from .insider import EMAIL, NAME, buy, next_charge, post, switched
from .subscription_triggers import lead_to, lead_to_dunning

# What `set` gives to the objects themselves, by what is made; every other path only changes what the body shows.
BUYING = ("customer.email", "customer.name", "billing.country", "product_id", "quantity", "metadata.*")
DECLINING = (*BUYING, "error_code")
CLAIMING = (*BUYING, "amount", "reason")
# A grant of an earlier purchase, or an earlier grant that moves on.
GRANTING = (*BUYING, "grant.payment_id", "grant.id")
MAKING = {*DECLINING, *CLAIMING, *GRANTING}
# A noun or a whole type -> the paths that its maker reads; BUYING for those that are not named.
TAKEN = {
    "payment.failed": DECLINING,
    "subscription.failed": DECLINING,
    "subscription.on_hold": DECLINING,
    "subscription.past_due": DECLINING,
    "dunning": DECLINING,
    "abandoned_checkout": DECLINING,
    "refund": CLAIMING,
    "dispute": CLAIMING,
    "payout": ("amount",),
    "entitlement_grant": GRANTING,
}
LICENSED = {
    "name": "Licensed font",
    "tax_category": "digital_products",
    "license_key_enabled": True,
    "price": {"type": "one_time_price", "currency": "USD", "price": 1500},
}


def trigger(twin: Twin, event_type: str, settings: Doc) -> Doc:
    """Make what an event is about, with the event, and return `{type, webhook_id, kind, object_id}`.

    `settings` has values by dotted path, of MAKING for the objects, else of the body. Raises WireError if the type is
    unknown, its maker does not read a path of MAKING, or a route or the hosted page refuses a value.
    """
    if event_type not in EVENT_TYPES:
        raise refuse_body("type", "unknown event type; python -m sandbox trigger --list names them")
    noun, _, name = event_type.partition(".")
    making = {path: value for path, value in settings.items() if _pattern(path) in MAKING}
    _refuse_untaken(event_type, making)
    read_decline(making, "error_code")
    with twin.store.write():
        last = twin.store.row("SELECT max(seq) AS seq FROM events")
        MAKERS[noun](twin, name, making)
        row = twin.store.row(
            "SELECT webhook_id, kind, object_id FROM events WHERE type = :type AND seq > :last ORDER BY seq DESC",
            type=event_type,
            last=(last and last["seq"]) or 0,
        )
        assert row is not None, f"{event_type} was not announced"
        _show(twin, row["webhook_id"], {path: value for path, value in settings.items() if path not in making})
    return {"type": event_type, "webhook_id": row["webhook_id"], "kind": row["kind"], "object_id": row["object_id"]}


def _pattern(path: str) -> str:
    return "metadata.*" if path.startswith("metadata.") else path


def _refuse_untaken(event_type: str, making: Doc) -> None:
    taken = TAKEN.get(event_type) or TAKEN.get(event_type.partition(".")[0], BUYING)
    for path in making:
        if _pattern(path) not in taken:
            raise refuse_body(path, f"is not used by {event_type}, which takes {', '.join(taken)}")


def _show(twin: Twin, webhook_id: str, changes: Doc) -> None:
    twin.store.run(
        "UPDATE events SET options = json_set(options, '$.changes', json(:changes)) WHERE webhook_id = :webhook_id",
        changes=json.dumps(changes),
        webhook_id=webhook_id,
    )


def _bought(twin: Twin, making: Doc, *, product_id: str = COURSE, outcome: str = "succeeded") -> Doc:
    code = making.get("error_code", "GENERIC_DECLINE") if outcome == "failed" else None
    with next_charge(twin, outcome, code):
        return buy(
            twin,
            str(making.get("product_id", product_id)),
            quantity=making.get("quantity", 1),
            email=str(making.get("customer.email", EMAIL)),
            name=str(making.get("customer.name", NAME)),
            country=str(making.get("billing.country", "US")),
            metadata={path.removeprefix("metadata."): making[path] for path in making if path.startswith("metadata.")},
        )


def _subscribed(twin: Twin, making: Doc, *, outcome: str = "succeeded") -> Doc:
    payment = _bought(twin, making, product_id=BASIC, outcome=outcome)
    if not payment["subscription_ids"]:
        raise refuse_body("product_id", "must be a recurring product")
    return found(twin.store.get("subscriptions", payment["subscription_ids"][0]), "Subscription")


def _amount(making: Doc, usual: int) -> int:
    return int(read_number(making, "amount", default=usual, least=1, most=2**53))


def _reason(making: Doc) -> str | None:
    return text(making, "reason")


def _payment(twin: Twin, name: str, making: Doc) -> None:
    _bought(twin, making, outcome=name)


def _refund(twin: Twin, name: str, making: Doc) -> None:
    payment = _bought(twin, making)
    amount = _amount(making, payment["total"]) if "amount" in making else None
    with switched(twin, "refund_outcome", name):
        refunds.begin(twin, payment, items=None, reason=_reason(making), pairs={}, amount=amount)


def _dispute(twin: Twin, name: str, making: Doc) -> None:
    payment = _bought(twin, making)
    amount, reason = _amount(making, payment["total"]), _reason(making) or "fraudulent"
    opened = disputes.open_dispute(twin, payment, amount=amount, reason=reason)
    if name != "opened":
        disputes.decide(twin, opened, name)


def _subscription(twin: Twin, name: str, making: Doc) -> None:
    subscription = _subscribed(twin, making, outcome="failed" if name == "failed" else "succeeded")
    if name not in ("active", "renewed", "failed"):
        # The purchase has announced those.
        lead_to(twin, name, subscription, making)


def _dunning(twin: Twin, name: str, making: Doc) -> None:
    lead_to_dunning(twin, name, _subscribed(twin, making), making)


def _license_key(twin: Twin, name: str, making: Doc) -> None:
    licensed = post(twin, "/products", LICENSED)["product_id"] if "product_id" not in making else None
    payment = _bought(twin, making, product_id=licensed or COURSE)
    if not licenses.keys_of(twin, payment):
        raise refuse_body("product_id", "must be a product with license keys")


def _payout(twin: Twin, name: str, making: Doc) -> None:
    payout = payouts.create(twin, amount=_amount(making, payouts.AMOUNT))
    if name != "created":
        payouts.move(twin, payout, name)


def _credit(twin: Twin, name: str, making: Doc) -> None:
    subscription = _subscribed(twin, making)
    if name == "balance_low":
        credit_ledger.warn(twin, subscription)
    else:
        credit_ledger.write(twin, subscription, name)


def _abandoned_checkout(twin: Twin, name: str, making: Doc) -> None:
    payment = _bought(twin, making, outcome="failed")
    abandoned_checkouts.detect(twin, {"payment_id": payment["id"]})
    if name == "recovered":
        paid = _bought(twin, making)
        if not twin.switch("abandoned_checkouts"):
            abandoned_checkouts.recover(twin, paid)


def _entitlement_grant(twin: Twin, name: str, making: Doc) -> None:
    if "grant.id" in making:
        if name == "created":
            raise refuse_body("grant.id", "is made already")
        grant = found(twin.store.get("entitlement_grants", str(making["grant.id"])), "Entitlement grant")
        entitlement_grants.move(twin, grant, name)
        return
    named = making.get("grant.payment_id")
    payment = _bought(twin, making) if named is None else found(twin.store.get("payments", str(named)), "Payment")
    grant = entitlement_grants.create(twin, payment)
    if name != "created":
        entitlement_grants.move(twin, grant, name)


# The noun of an event type -> who makes its objects, given the rest of the type.
MAKERS: dict[str, Callable[[Twin, str, Doc], None]] = {
    "payment": _payment,
    "refund": _refund,
    "dispute": _dispute,
    "subscription": _subscription,
    "dunning": _dunning,
    "license_key": _license_key,
    "payout": _payout,
    "credit": _credit,
    "abandoned_checkout": _abandoned_checkout,
    "entitlement_grant": _entitlement_grant,
}
