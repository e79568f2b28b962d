"""The credit ledger in the store: what plan changes add and renewals draw, as entries that are never changed."""

from ..core.store import Doc
from ..core.twin import Twin
from ..money import credit
from ..money.credit import Entry

KIND = "credit_entries"


def balance(twin: Twin, subscription: Doc) -> int:
    """Return what the subscription's next charge may use, in minor units of its currency."""
    return credit.balance(_entries(twin, subscription["customer_id"]), **_reach(twin, subscription))


def move(twin: Twin, subscription: Doc, amount: int, *, payment_id: str | None) -> None:
    """Add credit (positive) or spend it (negative); `payment_id` is the charge that does so."""
    if amount > 0:
        _write(twin, subscription, [Entry(subscription["id"], subscription["currency"], amount, payment_id)])
    elif amount < 0:
        entries = _entries(twin, subscription["customer_id"])
        spent = credit.spend(entries, -amount, payment_id=payment_id, **_reach(twin, subscription))
        _write(twin, subscription, spent)


def put_back(twin: Twin, subscription: Doc, payment_id: str) -> None:
    """Undo what a payment that failed has moved."""
    _write(twin, subscription, credit.put_back(_entries(twin, subscription["customer_id"]), payment_id))


def _reach(twin: Twin, subscription: Doc) -> dict[str, str]:
    scope = str(twin.switch("credit_scope"))
    return {"subscription_id": subscription["id"], "currency": subscription["currency"], "scope": scope}


def _entries(twin: Twin, customer_id: str) -> list[Entry]:
    docs = twin.store.find(KIND, customer_id=customer_id, oldest_first=True)
    return [Entry(doc["subscription_id"], doc["currency"], doc["amount"], doc["payment_id"]) for doc in docs]


def _write(twin: Twin, subscription: Doc, entries: list[Entry]) -> None:
    for entry in entries:
        doc = {
            "id": twin.ids.new("crd_"),
            "created_at": twin.clock.now(),
            "customer_id": subscription["customer_id"],
            **vars(entry),
        }
        twin.store.put(KIND, doc)
