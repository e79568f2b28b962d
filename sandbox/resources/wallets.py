"""Customer wallets: money kept for a customer, one wallet for each currency, and every entry that moved it."""

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
    _check_customer(call, customer_id)
    wallets = call.twin.store.find("wallets", customer_id=customer_id, oldest_first=True)
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
    return answer(serialise(_adjust(call.twin, customer_id, body["currency"], signed, reason=reason, key=key)))


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
        "event_type": "merchant_adjustment",
        "reason": entry["reason"],
        "reference_object_id": None,
        "created_at": rfc3339(entry["created_at"]),
    }


def _adjust(twin: Twin, customer_id: str, currency: str, signed: int, *, reason: str | None, key: str | None) -> Doc:
    """Move a balance by `signed` minor units and return the wallet. Raises WireError (400) if it would be negative."""
    now = twin.clock.now()
    wallet_id = f"{customer_id}/{currency}"
    new: Doc = {"id": wallet_id, "created_at": now, "customer_id": customer_id, "currency": currency, "balance": 0}
    wallet = twin.store.get("wallets", wallet_id) or new
    before, after = wallet["balance"], wallet["balance"] + signed
    if after < 0:
        raise WireError(400, "INSUFFICIENT_WALLET_FUNDS", "Insufficient balance for debit")
    entry: Doc = {
        "id": twin.ids.new("cle_"),
        "created_at": now,
        "customer_id": customer_id,
        "currency": currency,
        "amount": abs(signed),
        "is_credit": signed > 0,
        "before_balance": before,
        "after_balance": after,
        "reason": reason,
        "idempotency_key": key,
    }
    twin.store.put("wallet_entries", entry)
    wallet |= {"balance": after, "updated_at": now}
    twin.store.put("wallets", wallet)
    return wallet


def _key_was_used(twin: Twin, customer_id: str, key: str) -> bool:
    return bool(twin.store.find("wallet_entries", customer_id=customer_id, where={"idempotency_key": key}, limit=1))


def _check_customer(call: Call, customer_id: str) -> None:
    found(call.twin.store.get("customers", customer_id), "Customer")
