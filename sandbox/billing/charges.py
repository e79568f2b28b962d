"""Charging: what a card does now, what was scripted for the next charge, and the payment that comes of it.

Nothing here looks for an earlier payment like this one. The provider takes no idempotency key, so two
requests are two charges, and a shop that sends twice must see it.
"""

from dataclasses import dataclass, replace
from typing import Any

from ..core.cards import AUTHENTICATE, BY_FINGERPRINT, PROCESS, SUCCEED, Card, decline_message, fingerprint
from ..core.clock import rfc3339
from ..core.match import Match
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError
from ..resources import payments, subscriptions, wallets
from ..resources.customers import has_expired
from ..resources.discounts import detail
from .pricing import Priced, check_minimum


@dataclass(frozen=True)
class Order:
    """What is to be charged, and for whom."""

    priced: Priced
    customer_id: str
    billing: Doc
    metadata: Doc
    session_id: str | None
    return_url: str | None
    # What the hosted page asked for besides: [{"key", "value"}], and whom a business buyer is.
    custom_field_responses: tuple[Doc, ...] = ()
    tax_id: str | None = None
    business_name: str | None = None
    # The wire's `adaptive_currency_fees_inclusive`, None for the business's setting; a plan change keeps to it.
    fees_inclusive: bool | None = None


@dataclass(frozen=True)
class Source:
    """What is charged: a saved method, or a card just typed."""

    card: Doc
    behaviour: str
    method_id: str | None = None

    @classmethod
    def saved(cls, twin: Twin, method: Doc) -> "Source":
        """Charge a saved method; an expired card declines whatever else it would do."""
        expired = has_expired(method, rfc3339(twin.clock.now()))
        behaviour = "EXPIRED_CARD" if expired else method["later"]
        names = ("last4", "network", "country", "exp_month", "exp_year", "holder", "fingerprint")
        return cls({name: method[name] for name in names}, behaviour, method["id"])

    @classmethod
    def of_subscription(cls, twin: Twin, subscription: Doc) -> "Source":
        """Charge a subscription's method: the saved one, else the card its mandate was given with."""
        method = twin.store.get("payment_methods", subscription["payment_method_id"])
        if method is not None and not method["deleted"]:
            return cls.saved(twin, method)
        card: Doc = {} if method is not None else subscription["card"]
        behind = BY_FINGERPRINT.get(card.get("fingerprint", ""))
        # Without any method there is no mandate to charge on (the code is our choice).
        return cls(card, behind.later if behind else "MANDATE_REQUIRED")

    @classmethod
    def typed(cls, card: Card, *, exp_month: str, exp_year: str, holder: str) -> "Source":
        """Charge a card typed on the hosted page."""
        return cls(
            {
                "last4": card.last4,
                "network": card.network,
                "country": card.country,
                "exp_month": exp_month,
                "exp_year": exp_year,
                "holder": holder,
                "fingerprint": fingerprint(card.number),
            },
            card.first,
        )

    def forced(self) -> "Source":
        """Return the same source for a checkout with `force_3ds`: a card that would simply pay asks first."""
        return replace(self, behaviour=AUTHENTICATE) if self.behaviour == SUCCEED else self


@dataclass(frozen=True)
class Outcome:
    """How a charge ends; `then` is a later change: `{"outcome", "error_code", "after_s"}`."""

    status: str
    error_code: str | None = None
    then: Doc | None = None
    with_link: bool | None = None


NO_SOURCE = Source({}, SUCCEED)
OF_BEHAVIOUR = {SUCCEED: "succeeded", AUTHENTICATE: "requires_customer_action", PROCESS: "processing"}


def charge(twin: Twin, order: Order, source: Source, *, replaces: Doc | None = None) -> Doc:
    """Charge once and return the payment, whatever became of it.

    `replaces` is a payment made without a method, which this charge completes under the same id.
    Raises WireError for a charge below the minimum, or, with `saved_card_decline = http_422`, for a declined
    saved card; then there is no payment.
    """
    check_minimum(order.priced)
    outcome = decide(
        twin,
        source,
        customer_id=order.customer_id,
        pairs=order.metadata,
        # A card given for later charges is asked too, though nothing is due yet.
        is_asked=order.priced.needs_method
        and not wallets.covers(twin, order.customer_id, order.priced.currency, order.priced.total),
    )
    if outcome.status == "failed" and source.method_id is not None and twin.switch("saved_card_decline") == "http_422":
        code = outcome.error_code or "GENERIC_DECLINE"
        raise WireError(422, code, decline_message(code), keeps_effects=True)
    return finish(twin, _ordered(twin, order, source, replaces=replaces), outcome)


def begin(twin: Twin, order: Order, source: Source) -> Doc:
    """Store a payment that has no outcome yet, and the subscriptions it is to begin, and return it."""
    payment = _ordered(twin, order, source)
    twin.store.put("payments", payment)
    return payment


def _ordered(twin: Twin, order: Order, source: Source, *, replaces: Doc | None = None) -> Doc:
    """Return the payment of an order, not stored yet; store the subscriptions it is to begin.

    What `replaces` has begun already keeps its ids.
    """
    priced = order.priced
    if priced.subscribed:
        subscriptions.refuse_second(twin, order.customer_id)
    begun = iter(replaces["subscription_ids"] if replaces is not None else ())
    asked = {"custom_field_responses": list(order.custom_field_responses) or None}
    business = {
        "tax_id": order.tax_id,
        "business_name": order.business_name,
        "fees_inclusive": order.fees_inclusive,
    }
    bought = [
        subscriptions.create(
            twin,
            line,
            subscription_id=next(begun, None),
            customer_id=order.customer_id,
            billing=order.billing,
            pairs=order.metadata,
            codes=priced.discounts,
            more=asked | business,
        )
        for line in priced.subscribed
    ]
    kept = {} if replaces is None else {name: replaces[name] for name in ("id", "created_at", "payment_link")}
    return _new_payment(
        twin,
        source,
        {
            "customer_id": order.customer_id,
            "session_id": order.session_id,
            "return_url": order.return_url,
            "billing": order.billing,
            "currency": priced.currency,
            "total": priced.total,
            "tax": priced.tax,
            "lines": [_line(twin, line) for line in priced.lines],
            "metadata": order.metadata,
            **asked,
            # For the invoice.
            "tax_id": order.tax_id,
            "business_name": order.business_name,
            "discounts": [detail(discount, place) for place, discount in enumerate(priced.discounts)],
            "subscription_ids": [subscription["id"] for subscription in bought],
            "periods": [subscriptions.service_period(subscription) for subscription in bought],
            "charge_type": "new" if bought else None,
            **kept,
        },
    )


def insert_payment(twin: Twin, source: Source, fields: Doc) -> Doc:
    """Store a payment that has no outcome yet. `fields` say what is paid for, by whom, and how much."""
    payment = _new_payment(twin, source, fields)
    twin.store.put("payments", payment)
    return payment


def _new_payment(twin: Twin, source: Source, fields: Doc) -> Doc:
    now = twin.clock.now()
    return {
        "id": twin.ids.new("pay_"),
        "created_at": now,
        "updated_at": now,
        "status": "requires_payment_method",
        "error_code": None,
        "error_message": None,
        "card": source.card,
        "method_id": source.method_id,
        "used_saved_method": source.method_id is not None,
        "payment_link": None,
        "invoice_id": None,
        "three_ds_status": None,
        "refund_ids": [],
        "dispute_ids": [],
        "session_id": None,
        "return_url": None,
        "discounts": [],
        "retry_attempt": 0,
        # What a subscription becomes when this is paid, or fails; see settlement.
        "effect": None,
        **fields,
    }


def finish(twin: Twin, payment: Doc, outcome: Outcome) -> Doc:
    """Give a payment its first outcome, store it and plan the later one."""
    if outcome.status == "requires_customer_action":
        with_link = twin.switch("action_link") if outcome.with_link is None else outcome.with_link
        payment["payment_link"] = twin.url(f"/authenticate/{payment['id']}") if with_link else None
    if outcome.status not in ("failed", "cancelled"):
        wallets.spend(twin, payment)
    payment = payments.move(twin, payment, outcome.status, error_code=outcome.error_code)
    if outcome.then is not None:
        twin.later(
            due_at=twin.clock.now() + int(outcome.then["after_s"] * 1000),
            action="settle",
            doc={
                "payment_id": payment["id"],
                "status": outcome.then["outcome"],
                "error_code": outcome.then.get("error_code"),
            },
        )
    return payment


def script(twin: Twin) -> list[Doc]:
    """Return what is ordered for coming charges."""
    ordered: list[Doc] = twin.store.setting("next_charges", [])
    return ordered


def decide(twin: Twin, source: Source, *, customer_id: str, pairs: Doc, is_asked: bool) -> Outcome:
    """Return how a charge ends: as ordered, else as the card does. Nothing to pay asks no card."""
    scripted = _take_script(twin, source, customer_id=customer_id, pairs=pairs)
    if scripted is not None:
        status = scripted["outcome"]
        code = scripted.get("error_code") or ("GENERIC_DECLINE" if status == "failed" else None)
        return Outcome(status, code, scripted.get("then"), scripted.get("payment_link"))
    if not is_asked:
        return Outcome("succeeded")
    status = OF_BEHAVIOUR.get(source.behaviour)
    return Outcome(status) if status else Outcome("failed", source.behaviour)


def _take_script(twin: Twin, source: Source, *, customer_id: str, pairs: Doc) -> Doc | None:
    rules = script(twin)
    for number, rule in enumerate(rules):
        match = Match.of(rule.get("match") or {})
        if match.fits(customer_id, source.card.get("last4"), pairs):
            left = rule["times"] - 1
            rest = [{**rule, "times": left}] if left else []
            twin.store.set_setting("next_charges", rules[:number] + rest + rules[number + 1 :])
            return rule
    return None


def _line(twin: Twin, line: Any) -> Doc:
    return {
        "id": twin.ids.new("itm_"),
        "product_id": line.product["id"],
        "name": line.product["name"],
        "quantity": line.quantity,
        "recurring": line.product["is_recurring"],
        "addon": line.is_addon,
        "total": line.total,
        "tax": line.tax,
        "tax_inclusive": line.tax_inclusive,
        "prorated": False,
        "credited": 0,
    }
