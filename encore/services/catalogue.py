"""The catalogue: the provider's products, mirrored so that no shop page waits for the provider."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from encore.dodo import Budget
from encore.dodo.models import Addon, ProductListItem
from encore.errors import NotExecuted, Unavailable
from encore.rules.money import Money
from encore.rules.trials import trial_end
from encore.services import bookkeeping, budgets
from encore.services.pages import ProductCard, Trial
from encore.services.shop import Shop
from encore.store import addons, catalogue, meta, offers, orders
from encore.store.addons import ListedAddon
from encore.store.catalogue import Product

SYNCED_AT = "catalogue.synced_at"
_ARCHIVED_ALARM = "product_archived"

# A sync may take long pages of a slow provider, but not so long that the worker's next heartbeat looks late.
_SYNC_S = 12.0
# Two missed refreshes are bad luck; after the third the prices on the page may well be old.
_STALE_AFTER_REFRESHES = 3
_GONE = frozenset({404, 410})
_LONGEST_SLUG = 60


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What a sync found: how many products are on sale, and the ids of those that no longer are."""

    on_sale: int
    archived: tuple[str, ...]


@dataclass(frozen=True)
class _Reading:
    """The provider's catalogue as read, before anything of ours changes."""

    on_sale: tuple[ProductListItem, ...]
    archived_ids: frozenset[str]
    addons: tuple[Addon, ...]
    addons_of: dict[str, list[str]]


def sync(shop: Shop) -> Synced:
    """Copy the provider's products; whatever fails changes nothing.

    Raises NotExecuted or Unavailable, the latter also when the call budget is needed for money.
    """
    if not budgets.take(shop, "catalogue"):
        raise Unavailable("rate_budget")
    reading = _read(shop, budget=shop.dodo.budget(_SYNC_S))
    now = shop.now()
    # One transaction: a page drawn in the middle of a sync must not miss products.
    with shop.store.write():
        for position, item in enumerate(reading.on_sale):
            _store(shop, item, position=position, now=now)
        archived = [
            product_id
            for product_id in sorted(reading.archived_ids)
            if catalogue.mark_archived(shop.store, product_id, now=now)
        ]
        _store_addons(shop, reading, now=now)
        meta.mark_value(shop.store, SYNCED_AT, value=now)
        _tell_of_archived(shop)
    return Synced(on_sale=len(reading.on_sale), archived=tuple(archived))


def list_products(shop: Shop) -> list[ProductCard]:
    """Return the products on sale in the provider's order."""
    listed = catalogue.list_products(shop.store)
    return [to_card(shop, product) for product in listed if product.archived_at is None]


def get_product(shop: Shop, slug: str) -> ProductCard | None:
    """Return a product by the name in its address, archived ones too; None if there is none to be shown."""
    product = catalogue.get_by_slug(shop.store, slug)
    return to_card(shop, product) if product is not None else None


def get_by_id(shop: Shop, product_id: str) -> ProductCard | None:
    """Return a product by the provider's id, archived ones too."""
    product = catalogue.get_product(shop.store, product_id)
    return to_card(shop, product) if product is not None else None


def is_stale(shop: Shop) -> bool:
    """Tell whether the last good sync is so old that pages must say "prices confirmed at checkout"."""
    synced_at = meta.get_number(shop.store, SYNCED_AT)
    longest_ms = int(_STALE_AFTER_REFRESHES * shop.settings.catalogue_every_s * 1000)
    return synced_at is None or shop.now() - synced_at > longest_ms


def is_owned(shop: Shop, product_id: str, *, buyer_key: str | None, customer_ids: Sequence[str] = ()) -> bool:
    """Tell whether this browser's orders, or those of its account, give access to a product; nobody else's count."""
    if any(product_id in orders.list_owned_products(shop.store, customer) for customer in customer_ids):
        return True
    if buyer_key is None:
        return False
    return orders.is_owned_by_browser(shop.store, buyer_key=buyer_key, product_id=product_id)


def to_card(shop: Shop, product: Product) -> ProductCard:
    """Return a product as pages show it."""
    return ProductCard(
        id=product.id,
        slug=product.slug,
        name=product.name,
        description=product.description,
        image_url=product.image_url if _is_allowed_image(shop, product.image_url) else None,
        price=Money(product.price_minor, product.currency),
        tax_inclusive=bool(product.tax_inclusive),
        is_recurring=bool(product.is_recurring),
        interval_count=product.interval_count,
        interval_unit=product.interval_unit,
        is_archived=product.archived_at is not None,
        trial=_trial_of(shop, product) if product.trial_days else None,
    )


def _trial_of(shop: Shop, product: Product) -> Trial:
    return Trial(
        days=product.trial_days,
        price=Money(product.trial_minor, product.currency),
        ends_at=trial_end(shop.now(), product.trial_days),
    )


def _is_allowed_image(shop: Shop, url: str | None) -> bool:
    # The content policy blocks every other host: no picture looks better than a broken one.
    try:
        parts = urlsplit(url or "")
    except ValueError:  # such as "http://[": whatever the provider holds, the shop's pages are drawn
        return False
    return f"{parts.scheme}://{parts.netloc}" in shop.settings.media_origins


def _read(shop: Shop, *, budget: Budget) -> _Reading:
    listed = tuple(shop.dodo.products.list_all(budget=budget))
    listed_ids = {item.product_id for item in listed}
    missing = [
        product.id
        for product in catalogue.list_products(shop.store)
        if product.archived_at is None and product.id not in listed_ids
    ]
    addons_listed = tuple(shop.dodo.addons.list_all(budget=budget))
    return _Reading(
        on_sale=listed,
        archived_ids=_confirm_archived(shop, missing, budget=budget),
        addons=addons_listed,
        # Only a product by itself tells its add-ons; a business without any is spared the reads.
        addons_of=_read_addons_of(shop, listed, budget=budget) if addons_listed else {},
    )


def _read_addons_of(shop: Shop, listed: tuple[ProductListItem, ...], *, budget: Budget) -> dict[str, list[str]]:
    """Return which add-ons each plan takes; where calls are short the rest stay as they were known."""
    found = {}
    for item in listed:
        if not item.is_recurring:
            continue
        if not budgets.take(shop, "catalogue"):
            break
        found[item.product_id] = list(shop.dodo.products.get(item.product_id, budget=budget).addons or ())
    return found


def _confirm_archived(shop: Shop, missing: list[str], *, budget: Budget) -> frozenset[str]:
    """Return those of the missing products that the provider calls archived or does not know.

    A list that lost a row would otherwise end a live offer: one that can still be read and is in neither list stays.
    """
    if not missing:
        return frozenset()
    archived = {item.product_id for item in shop.dodo.products.list_all(archived=True, budget=budget)}
    return frozenset(
        product_id for product_id in missing if product_id in archived or _is_gone(shop, product_id, budget=budget)
    )


def _is_gone(shop: Shop, product_id: str, *, budget: Budget) -> bool:
    try:
        shop.dodo.products.get(product_id, budget=budget)
    except NotExecuted as error:
        if error.status in _GONE:
            return True
        raise
    return False


def _store(shop: Shop, item: ProductListItem, *, position: int, now: int) -> None:
    detail = item.price_detail
    amount = item.price if item.price is not None else (detail.amount if detail else None)
    currency = item.currency or (detail.currency if detail else None)
    if amount is None or not currency:
        return  # without a price it cannot be sold; what an earlier sync knew of it stays
    known = catalogue.get_product(shop.store, item.product_id)
    name = (item.name or "").strip() or item.product_id
    inclusive = item.tax_inclusive if item.tax_inclusive is not None else (detail.tax_inclusive if detail else None)
    catalogue.upsert_product(
        shop.store,
        Product(
            id=item.product_id,
            slug=known.slug if known else _free_slug(shop, name),
            position=position,
            name=name,
            description=item.description or "",
            image_url=item.image or None,
            price_minor=amount,
            currency=currency,
            tax_inclusive=int(bool(inclusive)),
            is_recurring=int(item.is_recurring),
            interval_count=detail.payment_frequency_count if detail else None,
            interval_unit=detail.payment_frequency_interval if detail else None,
            trial_days=(detail.trial_period_days or 0) if detail else 0,
            trial_minor=(detail.trial_amount or 0) if detail else 0,
            pay_what_you_want=int(bool(detail and detail.pay_what_you_want)),
            archived_at=None,
            synced_at=now,
        ),
    )


def _store_addons(shop: Shop, reading: _Reading, *, now: int) -> None:
    for position, addon in enumerate(reading.addons):
        addons.upsert_addon(
            shop.store,
            ListedAddon(
                id=addon.id,
                position=position,
                name=(addon.name or "").strip() or addon.id,
                description=addon.description or "",
                price_minor=addon.price,
                currency=addon.currency,
                archived_at=None,
                synced_at=now,
            ),
        )
    addons.archive_unlisted(shop.store, synced_at=now)
    for product_id, addon_ids in reading.addons_of.items():
        addons.set_of_product(shop.store, product_id, addon_ids)


def _free_slug(shop: Shop, name: str) -> str:
    plain = slug_of(name)
    slug, number = plain, 1
    while catalogue.get_by_slug(shop.store, slug) is not None:
        number += 1
        slug = f"{plain}-{number}"
    return slug


def slug_of(name: str) -> str:
    """Return a name as it stands in an address: `Khoá học Đầu tiên` becomes `khoa-hoc-dau-tien`."""
    # NFKD takes the marks off every Latin letter but đ, which has no mark to take off.
    letters = unicodedata.normalize("NFKD", name.lower().replace("đ", "d")).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    return words[:_LONGEST_SLUG].rstrip("-") or "product"


def _tell_of_archived(shop: Shop) -> None:
    """Raise an alarm for each archived product a live offer names (R2b), and clear those that are settled."""
    uses: dict[str, list[str]] = {}
    for offer in offers.list_offers(shop.store):
        if offer.state == "live":
            uses.setdefault(offer.product_id, []).append(offer.id)
    for product in catalogue.list_products(shop.store):
        if product.archived_at is not None and product.id in uses:
            detail = f"{product.name} is no longer sold; stopped offers: {', '.join(uses[product.id])}"
            bookkeeping.raise_alarm(shop, _ARCHIVED_ALARM, object_id=product.id, detail=detail)
        else:
            bookkeeping.clear_alarm(shop, _ARCHIVED_ALARM, object_id=product.id)
