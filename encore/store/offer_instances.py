"""Offer instances: one offer shown to one buyer on one occasion, and what happened to it."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class OfferInstance:
    """One offer, one buyer, one occasion. `source_ref` is the order it follows; times are epoch milliseconds.

    A recommendation in an account follows the order `order_id`, and its `source_ref` names the occasion: the same offer
    may come again after it was answered or ran out, but not twice at a time.
    A buyer's own change of plan follows no order and no offer: its `source_ref` is its own id, and `alternative_id` the
    same change in the other way, now or at the renewal. The second try of an offered one follows the first.
    `may_show_lower` (0 or 1): its page may show a plan between first, which a buyer is shown once (R13).
    `methods_before_json` are the ids of the saved methods there were when the buyer left to give another card.
    """

    id: str
    offer_id: str
    offer_version: int
    funnel_id: str
    funnel_version: int
    step_key: str
    placement: str
    source_ref: str
    buyer_key: str
    customer_id: str
    product_id: str
    language: str
    quote_json: str
    quote_hash: str
    moved_from_json: str | None
    no_method_reason: str | None
    created_at: int
    expires_at: int
    answered_at: int | None
    state: str
    kind: str = "one_time"
    alternative_id: str | None = None
    chosen_method_id: str | None = None
    methods_before_json: str | None = None
    may_show_lower: int = 0
    order_id: str | None = None

    @property
    def is_recommendation(self) -> bool:
        """Whether a signed-in buyer was shown it in their account."""
        return self.order_id is not None

    @property
    def follows(self) -> str:
        """The order whose buyer, card and billing address it goes by."""
        return self.order_id or self.source_ref


_COLUMNS = columns(OfferInstance)


def insert_instance(store: Store, instance: OfferInstance) -> bool:
    """Store a shown offer; False if the order already has an instance of this offer."""
    return bool(
        store.rows(
            f"INSERT INTO offer_instances ({_COLUMNS}) VALUES ({placeholders(OfferInstance)})"
            " ON CONFLICT (source_ref, offer_id) DO NOTHING RETURNING id",
            **values(instance),
        )
    )


def get_instance(store: Store, instance_id: str) -> OfferInstance | None:
    """Return an instance by its public id."""
    return one(OfferInstance, store.row(f"SELECT {_COLUMNS} FROM offer_instances WHERE id = :id", id=instance_id))


def list_of_order(store: Store, order_id: str) -> list[OfferInstance]:
    """Return the instances shown after an order and their second tries, in the order they were shown."""
    return many(
        OfferInstance,
        store.rows(
            f"SELECT {_COLUMNS} FROM offer_instances WHERE source_ref = :order_id OR source_ref IN"
            " (SELECT id FROM offer_instances WHERE source_ref = :order_id) ORDER BY created_at, id",
            order_id=order_id,
        ),
    )


def list_recommended(store: Store, customer_id: str) -> list[OfferInstance]:
    """Return every recommendation that a customer has opened in their account, the oldest first."""
    return [instance for instance in list_of_customer(store, customer_id) if instance.is_recommendation]


def mark_superseded(store: Store, instance_id: str, *, now: int) -> None:
    """Expire a shown instance before its time: it can no longer be taken, and another one is to take its place."""
    store.run(
        "UPDATE offer_instances SET state = 'expired', answered_at = :now WHERE id = :id AND state = 'shown'",
        id=instance_id,
        now=now,
    )


def get_of_source(store: Store, *, source_ref: str, offer_id: str) -> OfferInstance | None:
    """Return the instance of an offer after an order, or after a first try."""
    return one(
        OfferInstance,
        store.row(
            f"SELECT {_COLUMNS} FROM offer_instances WHERE source_ref = :source_ref AND offer_id = :offer_id",
            source_ref=source_ref,
            offer_id=offer_id,
        ),
    )


def mark_methods_before(store: Store, instance_id: str, *, methods_json: str) -> None:
    """Note which saved methods there were before the buyer first left to give another card."""
    store.run(
        "UPDATE offer_instances SET methods_before_json = coalesce(methods_before_json, :methods) WHERE id = :id",
        id=instance_id,
        methods=methods_json,
    )


def list_of_customer(store: Store, customer_id: str) -> list[OfferInstance]:
    """Return everything a customer was ever shown, on any order and device."""
    return many(
        OfferInstance,
        store.rows(
            f"SELECT {_COLUMNS} FROM offer_instances WHERE customer_id = :customer_id ORDER BY created_at, id",
            customer_id=customer_id,
        ),
    )


def mark_alternative(store: Store, instance_id: str, *, alternative_id: str) -> None:
    """Note the other way to make the same change of plan."""
    store.run("UPDATE offer_instances SET alternative_id = :other WHERE id = :id", id=instance_id, other=alternative_id)


def claim_instance(store: Store, instance_id: str, *, quote_hash: str | None, now: int) -> bool:
    """Answer an instance with yes if it is still shown, in time and priced as the page said.

    A hash of None claims for the hosted checkout, where no amount of ours is agreed to.
    """
    # The compare-and-set is the first guard of "one charge": of any number of clicks one moves the row.
    return bool(
        store.rows(
            "UPDATE offer_instances SET state = 'accepted', answered_at = :now"
            " WHERE id = :id AND state = 'shown' AND expires_at > :now"
            " AND (:quote_hash IS NULL OR quote_hash = :quote_hash) RETURNING id",
            id=instance_id,
            quote_hash=quote_hash,
            now=now,
        )
    )


def mark_declined(store: Store, instance_id: str, *, now: int) -> bool:
    """Answer a shown instance with no; False if it was answered or expired before."""
    return bool(
        store.rows(
            "UPDATE offer_instances SET state = 'declined', answered_at = :now"
            " WHERE id = :id AND state = 'shown' AND expires_at > :now RETURNING id",
            id=instance_id,
            now=now,
        )
    )


def mark_expired(store: Store, *, now: int, limit: int) -> list[str]:
    """Expire shown instances past their time; returns their ids."""
    found = store.rows(
        "UPDATE offer_instances SET state = 'expired', answered_at = :now WHERE id IN ("
        "SELECT id FROM offer_instances WHERE state = 'shown' AND expires_at <= :now LIMIT :limit) RETURNING id",
        now=now,
        limit=limit,
    )
    return [row["id"] for row in found]


def mark_requoted(
    store: Store,
    instance_id: str,
    *,
    old_hash: str,
    quote_json: str,
    quote_hash: str,
    moved_from_json: str | None,
    no_method_reason: str | None,
    chosen_method_id: str | None,
) -> bool:
    """Replace the quote of a shown instance, if it still is the one that was compared."""
    return bool(
        store.rows(
            "UPDATE offer_instances SET quote_json = :quote_json, quote_hash = :quote_hash,"
            " moved_from_json = :moved_from_json, no_method_reason = :no_method_reason,"
            " chosen_method_id = :chosen_method_id"
            " WHERE id = :id AND state = 'shown' AND quote_hash = :old_hash RETURNING id",
            id=instance_id,
            old_hash=old_hash,
            quote_json=quote_json,
            quote_hash=quote_hash,
            moved_from_json=moved_from_json,
            no_method_reason=no_method_reason,
            chosen_method_id=chosen_method_id,
        )
    )


def insert_event(store: Store, instance_id: str, *, kind: str, now: int) -> None:
    """Count what happened to an offer, once each: shown, accepted, declined, failed, unknown, paid, refunded."""
    store.run(
        "INSERT INTO offer_events (offer_instance_id, kind, created_at) VALUES (:id, :kind, :now)"
        " ON CONFLICT (offer_instance_id, kind) DO NOTHING",
        id=instance_id,
        kind=kind,
        now=now,
    )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Why a funnel's step was or was not shown after an order; `reasons_json` lists every condition's reason."""

    order_id: str
    funnel_id: str
    step_key: str
    is_eligible: int
    reasons_json: str
    created_at: int


def insert_decision(store: Store, decision: Decision) -> None:
    """Store a decision; the latest one for a step of an order stands."""
    store.run(
        f"INSERT INTO decisions ({columns(Decision)}) VALUES ({placeholders(Decision)})"
        " ON CONFLICT (order_id, funnel_id, step_key) DO UPDATE SET is_eligible = excluded.is_eligible,"
        " reasons_json = excluded.reasons_json, created_at = excluded.created_at",
        **values(decision),
    )


def list_decisions(store: Store, order_id: str) -> list[Decision]:
    """Return the decisions stored about an order's buyer."""
    found = store.rows(f"SELECT {columns(Decision)} FROM decisions WHERE order_id = :id", id=order_id)
    return many(Decision, found)


def insert_suppression(
    store: Store, *, customer_id: str, product_id: str, offer_id: str, instance_id: str, now: int
) -> None:
    """Remember a no for good: this customer is not offered this product again."""
    store.run(
        "INSERT INTO suppressions (customer_id, product_id, offer_id, offer_instance_id, created_at)"
        " VALUES (:customer_id, :product_id, :offer_id, :instance_id, :now)"
        " ON CONFLICT (customer_id, product_id) DO NOTHING",
        customer_id=customer_id,
        product_id=product_id,
        offer_id=offer_id,
        instance_id=instance_id,
        now=now,
    )


def list_suppressed_products(store: Store, customer_id: str) -> frozenset[str]:
    """Return the products this customer has declined."""
    found = store.rows("SELECT product_id FROM suppressions WHERE customer_id = :id", id=customer_id)
    return frozenset(row["product_id"] for row in found)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What decides whether an instance may still be taken: `version` and `definition_json` are the live offer's.

    `is_owned` and `is_declined` are 0 or 1: the customer has access to the product; has declined it since it was shown.
    """

    order_state: str
    archived_at: int | None
    offer_state: str
    version: int
    definition_json: str
    funnel_state: str
    is_owned: int
    is_declined: int


def get_standing(store: Store, instance_id: str) -> Standing | None:
    """Return how an instance stands; None if a row it names is gone."""
    return one(
        Standing,
        store.row(
            "SELECT orders.state AS order_state, products.archived_at, offers.state AS offer_state,"
            " offer_versions.version, offer_versions.definition_json, funnels.state AS funnel_state,"
            " CASE WHEN EXISTS (SELECT 1 FROM entitlements WHERE entitlements.customer_id = shown.customer_id"
            " AND entitlements.product_id = shown.product_id AND entitlements.revoked_at IS NULL)"
            " THEN 1 ELSE 0 END AS is_owned,"
            " CASE WHEN EXISTS (SELECT 1 FROM suppressions WHERE suppressions.customer_id = shown.customer_id"
            " AND suppressions.product_id = shown.product_id AND suppressions.created_at >= shown.created_at)"
            " THEN 1 ELSE 0 END AS is_declined"
            " FROM offer_instances AS shown JOIN orders ON orders.id = coalesce(shown.order_id, shown.source_ref)"
            " JOIN products ON products.id = shown.product_id"
            " JOIN offers ON offers.id = shown.offer_id"
            " JOIN offer_versions ON offer_versions.offer_id = offers.id"
            " AND offer_versions.version = offers.live_version"
            " JOIN funnels ON funnels.id = shown.funnel_id WHERE shown.id = :id",
            id=instance_id,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class PreparedQuote:
    """A price previewed before the buyer came back, so that their page need not wait for the provider."""

    order_id: str
    offer_id: str
    offer_version: int
    quote_json: str
    previewed_at: int


def upsert_prepared_quote(store: Store, quote: PreparedQuote) -> None:
    """Store the newest preview of an offer for an order."""
    store.run(
        f"INSERT INTO prepared_quotes ({columns(PreparedQuote)}) VALUES ({placeholders(PreparedQuote)})"
        " ON CONFLICT (order_id, offer_id) DO UPDATE SET quote_json = excluded.quote_json,"
        " offer_version = excluded.offer_version, previewed_at = excluded.previewed_at",
        **values(quote),
    )


def get_prepared_quote(store: Store, *, order_id: str, offer_id: str) -> PreparedQuote | None:
    """Return the preview stored for an offer after an order, whatever its age."""
    return one(
        PreparedQuote,
        store.row(
            f"SELECT {columns(PreparedQuote)} FROM prepared_quotes WHERE order_id = :order_id AND offer_id = :offer_id",
            order_id=order_id,
            offer_id=offer_id,
        ),
    )
