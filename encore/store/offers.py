"""Offers: what the merchant proposes. A published version never changes; a changed offer is a new version."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import many, one


@dataclass(frozen=True, kw_only=True)
class OfferRow:
    """One version of an offer; `state` and `live_version` are the offer's, `definition_json` the version's."""

    id: str
    version: int
    live_version: int
    state: str
    product_id: str
    definition_json: str
    published_at: int
    changed_at: int


_SELECT = (
    "SELECT offers.id, offer_versions.version, offers.live_version, offers.state, offer_versions.product_id,"
    " offer_versions.definition_json, offer_versions.published_at, offers.changed_at"
    " FROM offers JOIN offer_versions ON offer_versions.offer_id = offers.id"
)


def get_offer(store: Store, offer_id: str, *, version: int | None = None) -> OfferRow | None:
    """Return an offer in the version given, else in its live one."""
    return one(
        OfferRow,
        store.row(
            f"{_SELECT} WHERE offers.id = :id AND offer_versions.version = coalesce(:version, offers.live_version)",
            id=offer_id,
            version=version,
        ),
    )


def list_offers(store: Store) -> list[OfferRow]:
    """Return every offer in its live version, by id."""
    return many(
        OfferRow,
        store.rows(f"{_SELECT} WHERE offer_versions.version = offers.live_version ORDER BY offers.id"),
    )


def insert_version(store: Store, offer_id: str, *, definition_json: str, product_id: str, now: int) -> int:
    """Publish an offer's next version, make it the live one and return its number; a paused offer stays paused."""
    found = store.row("SELECT max(version) AS latest FROM offer_versions WHERE offer_id = :id", id=offer_id)
    version = 1 + int((found and found["latest"]) or 0)
    store.run(
        "INSERT INTO offers (id, live_version, state, changed_at) VALUES (:id, :version, 'live', :now)"
        " ON CONFLICT (id) DO UPDATE SET live_version = excluded.live_version, changed_at = excluded.changed_at",
        id=offer_id,
        version=version,
        now=now,
    )
    store.run(
        "INSERT INTO offer_versions (offer_id, version, definition_json, product_id, published_at)"
        " VALUES (:id, :version, :definition_json, :product_id, :now)",
        id=offer_id,
        version=version,
        definition_json=definition_json,
        product_id=product_id,
        now=now,
    )
    return version


def mark_state(store: Store, offer_id: str, *, state: str, now: int) -> bool:
    """Pause, end or take up an offer; False if it is in that state already or there is none."""
    return bool(
        store.rows(
            "UPDATE offers SET state = :state, changed_at = :now WHERE id = :id AND state <> :state RETURNING id",
            id=offer_id,
            state=state,
            now=now,
        )
    )
