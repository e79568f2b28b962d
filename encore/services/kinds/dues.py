"""The kind `dues`: what a subscription on hold owes, charged through `update-payment-method`."""

from encore.dodo.models import PaymentListItem
from encore.rules.dues import DuesQuote, SeenPayment
from encore.rules.money import Money
from encore.store.payments import Payment


def charge_request(quote: DuesQuote, *, return_url: str) -> dict[str, object]:
    """Return the body of the one POST that pays dues: with a saved method, or with a new one on the provider's page.

    Flat, as the wire has it, and without metadata, which it does not take. Source: dodo-api.md, section 10.6.
    """
    if quote.method is None:
        return {"type": "new", "return_url": return_url}
    return {"type": "existing", "payment_method_id": quote.method.payment_method_id}


def seen(item: PaymentListItem) -> SeenPayment:
    """Read a listed payment as the rules look at it."""
    return SeenPayment(
        payment_id=item.payment_id,
        status=item.status,
        amount=Money(item.total_amount, item.currency),
        at=item.created_at,
        charge_type=item.charge_type,
    )


def as_seen(payment: Payment) -> SeenPayment:
    """Read a stored payment as the rules look at it."""
    return SeenPayment(
        payment_id=payment.id,
        status=payment.status,
        amount=Money(payment.amount, payment.currency),
        at=payment.created_at,
        charge_type=payment.charge_type,
    )
