"""Offers and funnels as they stand: which are live, what each version says, and taking one off at once."""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from encore.rules import funnels as funnel_rules
from encore.rules import kinds
from encore.rules.funnels import Funnel
from encore.rules.kinds import Offer
from encore.services.shop import Shop
from encore.store import funnels as funnel_rows
from encore.store import offers as offer_rows

__all__ = ["Funnel", "Offer"]

Noun = Literal["offer", "funnel"]
State = Literal["live", "paused"]
LIVE = "live"
PAUSED = "paused"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A line of the merchant's list: `detail` is the product's id of an offer, the steps of a funnel."""

    noun: Noun
    id: str
    version: int
    state: str
    detail: str
    changed_at: int


def shown_until(shop: Shop, offer: Offer, *, now: int) -> int:
    """Return when an offer that is shown now ends: with its life, or with its deadline for all if that is sooner.

    Both times are epoch milliseconds.
    """
    life_s = offer.expires_after_min * 60 if offer.expires_after_min else shop.settings.offer_life_s
    ends_at = now + life_s * 1000
    return min(ends_at, offer.deadline_at or ends_at)


def get_offer(shop: Shop, offer_id: str, *, version: int | None = None) -> Offer | None:
    """Return an offer in the version given, else in its live one; paused ones too."""
    row = offer_rows.get_offer(shop.store, offer_id, version=version)
    return read_offer_row(row.definition_json, version=row.version) if row else None


def get_funnel(shop: Shop, funnel_id: str, *, version: int | None = None) -> Funnel | None:
    """Return a funnel in the version given, else in its live one; paused ones too."""
    row = funnel_rows.get_funnel(shop.store, funnel_id, version=version)
    return _capped(shop, read_funnel_row(row.definition_json, version=row.version)) if row else None


def live_offers(shop: Shop) -> dict[str, Offer]:
    """Return the offers that may be shown now, by id: neither paused nor past their deadline."""
    rows = [row for row in offer_rows.list_offers(shop.store) if row.state == LIVE]
    offers = [read_offer_row(row.definition_json, version=row.version) for row in rows]
    return {offer.id: offer for offer in offers if not is_over(shop, offer)}


def live_funnels(shop: Shop, *, placement: str | None = None) -> list[Funnel]:
    """Return the funnels to be considered at a place, or at any, the most important first."""
    rows = [row for row in funnel_rows.list_funnels(shop.store) if row.state == LIVE]
    found = [_capped(shop, read_funnel_row(row.definition_json, version=row.version)) for row in rows]
    return [funnel for funnel in found if placement in (None, funnel.placement)]


def _capped(shop: Shop, funnel: Funnel) -> Funnel:
    """Hold a funnel to the shop's own number of pages an order may see, whatever the funnel says."""
    return replace(funnel, page_cap=min(funnel.page_cap, shop.settings.max_pages_per_order))


def list_all(shop: Shop) -> list[Listed]:
    """Return every offer and funnel with its state, funnels by priority."""
    offers = [
        Listed(
            noun="offer",
            id=row.id,
            version=row.version,
            state=row.state,
            detail=row.product_id,
            changed_at=row.changed_at,
        )
        for row in offer_rows.list_offers(shop.store)
    ]
    return [*offers, *(_listed_funnel(row) for row in funnel_rows.list_funnels(shop.store))]


def set_state(shop: Shop, ids: list[str], *, state: State) -> list[tuple[Noun, str]]:
    """Pause or take up every offer and funnel with one of these ids; returns those there are, changed or not.

    No offer of a paused one is shown or taken from the next request on; what was accepted before stands.
    """
    found: list[tuple[Noun, str]] = []
    with shop.store.write():
        for id_ in ids:
            if offer_rows.get_offer(shop.store, id_) is not None:
                offer_rows.mark_state(shop.store, id_, state=state, now=shop.now())
                found.append(("offer", id_))
            if funnel_rows.get_funnel(shop.store, id_) is not None:
                funnel_rows.mark_state(shop.store, id_, state=state, now=shop.now())
                found.append(("funnel", id_))
    return found


# A published version never changes, and a page reads its offer several times: the same text is read once.
@lru_cache(maxsize=1024)
def read_offer_row(definition_json: str, *, version: int) -> Offer:
    """Read a stored offer; raises ValueError if it is not what an import stored."""
    offer = kinds.read_offer(json.loads(definition_json), version=version)
    if not isinstance(offer, Offer):
        raise ValueError(f"stored offer cannot be read: {offer[0].where} {offer[0].key}")
    return offer


@lru_cache(maxsize=1024)
def read_funnel_row(definition_json: str, *, version: int) -> Funnel:
    """Read a stored funnel; raises ValueError if it is not what an import stored."""
    funnel = funnel_rules.read_funnel(json.loads(definition_json), version=version)
    if not isinstance(funnel, Funnel):
        raise ValueError(f"stored funnel cannot be read: {funnel[0].where} {funnel[0].key}")
    return funnel


def is_over(shop: Shop, offer: Offer) -> bool:
    """Tell whether an offer is past its deadline."""
    return offer.deadline_at is not None and shop.now() >= offer.deadline_at


def _listed_funnel(row: funnel_rows.FunnelRow) -> Listed:
    funnel = read_funnel_row(row.definition_json, version=row.version)
    return Listed(
        noun="funnel",
        id=row.id,
        version=row.version,
        state=row.state,
        detail=", ".join(step.offer_id for step in funnel.steps),
        changed_at=row.changed_at,
    )
