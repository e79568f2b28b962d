"""Customer wallets: money kept for a customer, one wallet for each currency, and every entry that moved it.

A wallet pays before the card (docs, Customer Wallet), while the switch `wallet_pays` is on. How the wire shows that is
not documented: here a payment's total stays what was bought, and the ledger says what the wallet gave.
"""

from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    found,
    listing,
    page,
    query_choice,
    read_body,
    refuse_body,
    text,
    whole,
)
from ..http.server import Response
from ..money.currency import convert

routes = Routes()

# The docs' wallet page names these two only.
WALLET_CURRENCIES = ("USD", "INR")
ENTRY_TYPES = ("credit", "debit")


@routes.get("/customers/{customer_id}/wallets")
def list_wallets(call: Call, customer_id: str) -> Response:
    customer = found(call.twin.store.get("customers", customer_id), "Customer")
    wallets = [_wallet(call.twin, customer, currency) for currency in WALLET_CURRENCIES]
    total = sum(convert(wallet["balance"], wallet["currency"], "USD") for wallet in wallets)
    return answer({"items": [serialise(wallet) for wallet in wallets], "total_balance_usd": total})


@routes.get("/customers/{customer_id}/wallets/ledger-entries")
def list_entries(call: Call, customer_id: str) -> Response:
    _check_customer(call, customer_id)
    limit, offset = page(call)
    currency = query_choice(call, "currency", WALLET_CURRENCIES)
    where = {"currency": currency} if currency else {}
    entries = call.twin.store.find("wallet_entries", customer_id=customer_id, where=where, limit=limit, offset=offset)
    return listing(entries, serialise_entry)


@routes.post("/customers/{customer_id}/wallets/ledger-entries")
def create_entry(call: Call, customer_id: str) -> Response:
    _check_customer(call, customer_id)
    body = read_body(call)
    amount = whole(body, "amount", least=1)
    if body.get("entry_type") not in ENTRY_TYPES:
        raise refuse_body("entry_type", "must be credit or debit")
    if body.get("currency") not in WALLET_CURRENCIES:
        raise WireError(422, "UNSUPPORTED_CURRENCY", "Wallets are kept in USD and INR only")
    reason, key = text(body, "reason"), text(body, "idempotency_key", limit=255)
    if key is not None and _key_was_used(call.twin, customer_id, key):
        raise WireError(409, "DUPLICATE_IDEMPOTENCY_KEY", "The idempotency key has already been used")
    signed = amount if body["entry_type"] == "credit" else -amount
    entry = {"event_type": "merchant_adjustment", "reason": reason, "idempotency_key": key}
    return answer(serialise(_move(call.twin, customer_id, body["currency"], signed, entry)))


def covers(twin: Twin, customer_id: str, currency: str, total: int) -> bool:
    """Return whether the wallet pays all of a total, so that no card is asked."""
    return total > 0 and _available(twin, customer_id, currency) >= total


def spend(twin: Twin, payment: Doc) -> None:
    """Take from the wallet what it can give to a payment, and note it as `wallet_amount`, in minor units."""
    amount = min(payment["total"], _available(twin, payment["customer_id"], payment["currency"]))
    if amount > 0:
        payment["wallet_amount"] = amount
        _move_for(twin, payment, "payment", -amount)


def give_back(twin: Twin, payment: Doc) -> None:
    """Put back what a payment took that came to nothing."""
    amount = payment.get("wallet_amount", 0)
    if amount:
        payment["wallet_amount"] = 0
        _move_for(twin, payment, "payment_reversal", amount)


def refund(twin: Twin, payment: Doc, *, refunded: int, amount: int) -> None:
    """Put back the wallet's share of a refund of `amount`, after `refunded` before it: the card's money goes first."""
    by_card = payment["total"] - payment.get("wallet_amount", 0)
    share = max(0, refunded + amount - by_card) - max(0, refunded - by_card)
    if share:
        _move_for(twin, payment, "refund", share)


def serialise(wallet: Doc) -> Doc:
    """Return the wallet as the wire shows it."""
    return {
        "customer_id": wallet["customer_id"],
        "currency": wallet["currency"],
        "balance": wallet["balance"],
        "created_at": rfc3339(wallet["created_at"]),
        "updated_at": rfc3339(wallet["updated_at"]),
    }


def serialise_entry(entry: Doc) -> Doc:
    """Return the ledger entry as the wire shows it."""
    return {
        "id": entry["id"],
        "business_id": BUSINESS_ID,
        "customer_id": entry["customer_id"],
        "currency": entry["currency"],
        "amount": entry["amount"],
        "is_credit": entry["is_credit"],
        "before_balance": entry["before_balance"],
        "after_balance": entry["after_balance"],
        "event_type": entry["event_type"],
        "reason": entry["reason"],
        "reference_object_id": entry["reference_object_id"],
        "created_at": rfc3339(entry["created_at"]),
    }


def _available(twin: Twin, customer_id: str, currency: str) -> int:
    wallet = twin.store.get("wallets", f"{customer_id}/{currency}") if twin.switch("wallet_pays") else None
    return int(wallet["balance"]) if wallet else 0


def _wallet(twin: Twin, customer: Doc, currency: str) -> Doc:
    """Return a wallet of a customer, who has them from the beginning (docs, Customer Wallet)."""
    wallet_id, created_at = f"{customer['id']}/{currency}", customer["created_at"]
    new: Doc = {
        "id": wallet_id,
        "created_at": created_at,
        "updated_at": created_at,
        "customer_id": customer["id"],
        "currency": currency,
        "balance": 0,
    }
    return twin.store.get("wallets", wallet_id) or new


def _move_for(twin: Twin, payment: Doc, event_type: str, signed: int) -> None:
    entry = {"event_type": event_type, "reference_object_id": payment["id"]}
    _move(twin, payment["customer_id"], payment["currency"], signed, entry)


def _move(twin: Twin, customer_id: str, currency: str, signed: int, entry: Doc) -> Doc:
    """Move a balance by `signed` minor units and return the wallet. Raises WireError (400) if it would be negative."""
    now = twin.clock.now()
    customer = twin.store.get("customers", customer_id)
    assert customer is not None
    wallet = _wallet(twin, customer, currency)
    before, after = wallet["balance"], wallet["balance"] + signed
    if after < 0:
        raise WireError(400, "INSUFFICIENT_WALLET_FUNDS", "Insufficient funds in wallet")
    stored: Doc = {
        "reason": None,
        "idempotency_key": None,
        "reference_object_id": None,
        **entry,
        "id": twin.ids.new("cle_"),
        "created_at": now,
        "customer_id": customer_id,
        "currency": currency,
        "amount": abs(signed),
        "is_credit": signed > 0,
        "before_balance": before,
        "after_balance": after,
    }
    twin.store.put("wallet_entries", stored)
    wallet |= {"balance": after, "updated_at": now}
    twin.store.put("wallets", wallet)
    return wallet


def _key_was_used(twin: Twin, customer_id: str, key: str) -> bool:
    return bool(twin.store.find("wallet_entries", customer_id=customer_id, where={"idempotency_key": key}, limit=1))


def _check_customer(call: Call, customer_id: str) -> None:
    found(call.twin.store.get("customers", customer_id), "Customer")
