"""Payments beside what they should agree with (I1, I2)."""

from dataclasses import dataclass

from encore.store.audit.parts import COST_NOTHING, GIVEN_BACK, LIVE, Objects, objects_of
from encore.store.engine import Store
from encore.store.records import many


@dataclass(frozen=True, kw_only=True)
class BookedPayment:
    """A payment of ours beside the attempt it is booked to; flags are 0 or 1, times epoch milliseconds."""

    id: str
    attempt_id: str | None
    acceptance_id: str | None
    checkout_id: str | None
    customer_id: str
    status: str
    amount: int
    currency: str
    refunded: int
    disposition: str
    created_at: int
    kind: str | None
    attempt_session_id: str | None
    attempt_subscription_id: str | None
    attempt_claimed_at: int | None
    source_ref: str | None
    checkout_session_id: str | None
    consent_customer_id: str | None
    product_id: str | None
    quantity: int | None
    is_owner_live: int
    is_given_back: int

    @property
    def owner_id(self) -> str | None:
        """The acceptance or checkout that the payment pays."""
        return self.acceptance_id or self.checkout_id

    @property
    def is_standing(self) -> bool:
        """Whether the money is with us and we do not owe it; a zero-amount success left to a person moved none."""
        is_nothing = self.disposition == "renewal" or (self.disposition == "manual" and self.amount == 0)
        return self.status == "succeeded" and not self.is_given_back and not is_nothing

    @property
    def is_refunded(self) -> bool:
        """Whether the rows say that all of it went back."""
        return self.amount > 0 and self.refunded >= self.amount


def list_booked_payments(store: Store) -> list[BookedPayment]:
    """Return every payment with what it should agree with."""
    return many(
        BookedPayment,
        store.rows(
            "SELECT payments.id, payments.attempt_id, payments.acceptance_id, payments.checkout_id,"
            " payments.customer_id, payments.status, payments.amount, payments.currency, payments.refunded,"
            " payments.disposition, payments.created_at, attempts.kind,"
            " attempts.provider_session_id AS attempt_session_id,"
            " attempts.subscription_id AS attempt_subscription_id, attempts.claimed_at AS attempt_claimed_at,"
            " offer_instances.source_ref,"
            " checkouts.provider_session_id AS checkout_session_id, acceptances.customer_id AS consent_customer_id,"
            " coalesce(acceptances.product_id, checkouts.product_id) AS product_id,"
            " coalesce(acceptances.quantity, checkouts.quantity) AS quantity,"
            f" (CASE WHEN attempts.state IN {LIVE} OR checkouts.state IN ('opening','open') THEN 1 ELSE 0 END)"
            " AS is_owner_live,"
            f" (CASE WHEN {GIVEN_BACK} THEN 1 ELSE 0 END) AS is_given_back"
            " FROM payments LEFT JOIN attempts ON attempts.id = payments.attempt_id"
            " LEFT JOIN acceptances ON acceptances.id = payments.acceptance_id"
            " LEFT JOIN offer_instances ON offer_instances.id = acceptances.offer_instance_id"
            " LEFT JOIN checkouts ON checkouts.id = payments.checkout_id ORDER BY payments.created_at, payments.id"
        ),
    )


def list_expected_payments(store: Store) -> dict[str, int]:
    """Return how many payments must stand (0 or 1) for each acceptance, and each checkout with an order."""
    found = store.rows(
        # A plan change that charges nothing has an order and no payment.
        "SELECT acceptances.id, (CASE WHEN acceptances.outcome = 'charged' AND NOT EXISTS (SELECT orders.id FROM orders"
        f" WHERE orders.acceptance_id = acceptances.id AND {COST_NOTHING}) THEN 1 ELSE 0 END) AS n"
        " FROM acceptances UNION ALL"
        f" SELECT checkout_id AS id, (CASE WHEN state = 'granted' AND NOT {COST_NOTHING} THEN 1 ELSE 0 END) AS n"
        " FROM orders WHERE checkout_id IS NOT NULL"
    )
    return {row["id"]: int(row["n"]) for row in found}


def list_kept_without_paid_attempt(store: Store) -> list[Objects]:
    """Return kept payments that no paid attempt, and no shop checkout, accounts for."""
    return objects_of(
        store,
        "SELECT payments.id FROM payments LEFT JOIN attempts ON attempts.id = payments.attempt_id"
        " AND attempts.acceptance_id = payments.acceptance_id AND attempts.state = 'paid'"
        " WHERE payments.disposition = 'kept' AND payments.checkout_id IS NULL AND attempts.id IS NULL",
    )


def list_paid_attempts_without_payment(store: Store) -> list[Objects]:
    """Return paid attempts without a kept payment."""
    return objects_of(
        store,
        "SELECT attempts.id FROM attempts LEFT JOIN payments ON payments.attempt_id = attempts.id"
        " AND payments.disposition = 'kept' LEFT JOIN orders ON orders.attempt_id = attempts.id"
        f" WHERE attempts.state = 'paid' AND payments.id IS NULL AND (orders.id IS NULL OR NOT {COST_NOTHING})",
    )


def list_charges_unlike_consent(store: Store) -> list[Objects]:
    """Return charged acceptances, with the payment, whose customer, product or currency is not the one agreed to."""
    # A hosted page may be paid in another currency, and its session stands in for the customer.
    return objects_of(
        store,
        "SELECT acceptances.id, payments.id AS payment_id FROM acceptances"
        " JOIN payments ON payments.acceptance_id = acceptances.id AND payments.disposition = 'kept'"
        " JOIN attempts ON attempts.id = payments.attempt_id"
        " LEFT JOIN orders ON orders.acceptance_id = acceptances.id WHERE acceptances.outcome = 'charged'"
        " AND (orders.product_id <> acceptances.product_id OR orders.quantity <> acceptances.quantity"
        " OR orders.customer_id <> acceptances.customer_id OR (attempts.kind <> 'hosted'"
        " AND (payments.customer_id <> acceptances.customer_id OR payments.currency <> acceptances.currency)))",
    )
