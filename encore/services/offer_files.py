"""Offers, funnels and plan groups as text: a TOML file is read, checked as a whole, and published all of it or nothing.

A published version never changes: the same text again changes nothing, other text is a new version.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from encore.errors import NotExecuted
from encore.rules.funnels import Funnel, check_version, read_funnel, write_funnel
from encore.rules.kinds import PLAN_CHANGE, Fault, Offer, read_offer, write_offer
from encore.rules.money import Money
from encore.rules.plan_groups import PlanGroup, read_plan_group, write_plan_group
from encore.services import funnels, plan_groups, plan_offer_files
from encore.services.kinds import one_time
from encore.services.shop import Shop
from encore.store import catalogue
from encore.store import funnels as funnel_rows
from encore.store import offers as offer_rows
from encore.store import plan_groups as group_rows
from encore.store.catalogue import Product
from encore.store.funnels import FunnelRow
from encore.store.offers import OfferRow
from encore.store.plan_groups import PlanGroupRow

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_PRODUCT_FIELDS = frozenset({"product", "owned_product"})
_PREVIEW_S = 8.0

Noun = Literal["offer", "funnel", "plan_group"]


@dataclass(frozen=True, kw_only=True)
class LocatedFault:
    """A fault with its place: the line of the file, None if no line is to blame alone."""

    line: int | None
    fault: Fault


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an import makes of one offer, funnel or plan group."""

    noun: Noun
    id: str
    version: int
    what: Literal["new", "changed", "unchanged"]
    state: str


@dataclass(frozen=True)
class Imported:
    """The file is published, or would be."""

    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Refused:
    """Nothing was changed; every fault is named."""

    faults: tuple[LocatedFault, ...]


@dataclass
class _Draft:
    """A file as far as it could be read; products are named by the provider's id from here on."""

    offers: dict[str, Offer] = field(default_factory=dict)
    funnels: dict[str, Funnel] = field(default_factory=dict)
    groups: dict[str, PlanGroup] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def import_text(shop: Shop, text: str) -> Imported | Refused:
    """Publish every offer, funnel and plan group of a TOML text, or none.

    Raises Unavailable if a discount cannot be checked.
    """
    draft, refused = _check(shop, text)
    if refused is not None:
        return refused
    with shop.store.write():
        changes = [
            *(_publish_offer(shop, offer) for offer in draft.offers.values()),
            *(_publish_funnel(shop, funnel) for funnel in draft.funnels.values()),
            *(_publish_group(shop, group) for group in draft.groups.values()),
        ]
    return Imported(tuple(changes))


def check_text(shop: Shop, text: str) -> Imported | Refused:
    """Say what `import_text` would do, and do nothing. Raises Unavailable if a discount cannot be checked."""
    draft, refused = _check(shop, text)
    if refused is not None:
        return refused
    changes = [
        *(_change_of_offer(shop, offer) for offer in draft.offers.values()),
        *(_change_of_funnel(shop, funnel) for funnel in draft.funnels.values()),
        *(_change_of_group(shop, group) for group in draft.groups.values()),
    ]
    return Imported(tuple(changes))


def ids_in(text: str) -> list[str]:
    """Return the ids of all offers and funnels a TOML text names; raises ValueError if it is no such text."""
    tables = _parse(text)
    rows = [row for name in ("offers", "funnels") for row in _tables(tables, name)]
    return [row["id"] for row in rows if isinstance(row.get("id"), str)]


def _check(shop: Shop, text: str) -> tuple[_Draft, Refused | None]:
    try:
        tables = _parse(text)
    except ValueError as error:
        fault = Fault(where="file", key="fault.not_toml", values=(("detail", str(error)),))
        return _Draft(), Refused((LocatedFault(line=_line_in(str(error)), fault=fault),))
    draft = _read(shop, tables)
    if not draft.faults:
        draft.faults.extend(_faults_together(shop, draft))
    if not draft.faults:
        return draft, None
    return draft, Refused(tuple(LocatedFault(line=_line_of(text, fault.where), fault=fault) for fault in draft.faults))


def _parse(text: str) -> dict[str, Any]:
    """Read TOML; raises ValueError for whatever is none, numbers and nesting without end included."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


# ---- Reading ---------------------------------------------------------------------------------------------------


def _read(shop: Shop, tables: Mapping[str, Any]) -> _Draft:
    draft = _Draft()
    unknown = [name for name in tables if name not in ("offers", "funnels", "plan_groups")]
    draft.faults.extend(Fault(where=name, key="fault.unknown_field") for name in unknown)
    for table in _tables(tables, "offers", faults=draft.faults):
        read = read_offer(_with_product_id(shop, table), version=0)
        if not isinstance(read, Offer):
            draft.faults.extend(read)
        elif _has_good_id(read.id, noun="offers", taken=draft.offers, faults=draft.faults):
            draft.offers[read.id] = read
            draft.faults.extend(_product_faults(shop, read))
    for table in _tables(tables, "funnels", faults=draft.faults):
        funnel = read_funnel(_with_product_ids(shop, table, faults=draft.faults), version=0)
        if not isinstance(funnel, Funnel):
            draft.faults.extend(funnel)
        elif _has_good_id(funnel.id, noun="funnels", taken=draft.funnels, faults=draft.faults):
            draft.funnels[funnel.id] = funnel
    _read_groups(shop, tables, draft)
    if not draft.offers and not draft.funnels and not draft.groups and not draft.faults:
        draft.faults.append(Fault(where="file", key="fault.nothing_in_it"))
    return draft


def _read_groups(shop: Shop, tables: Mapping[str, Any], draft: _Draft) -> None:
    for table in _tables(tables, "plan_groups", faults=draft.faults):
        group = read_plan_group(_with_plan_ids(shop, table), version=0)
        if not isinstance(group, PlanGroup):
            draft.faults.extend(group)
        elif _has_good_id(group.id, noun="plan_groups", taken=draft.groups, faults=draft.faults):
            draft.groups[group.id] = group
    for group in draft.groups.values():
        draft.faults.extend(_plan_faults(shop, group, others=_other_groups(shop, draft, group)))


def _with_plan_ids(shop: Shop, table: dict[str, Any]) -> dict[str, Any]:
    plans = table.get("plans")
    if not isinstance(plans, list) or not all(isinstance(plan, dict) for plan in plans):
        return table
    return {**table, "plans": [_with_product_id(shop, plan) for plan in plans]}


def _tables(tables: Mapping[str, Any], name: str, *, faults: list[Fault] | None = None) -> list[dict[str, Any]]:
    found = tables.get(name, [])
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    if faults is not None:
        faults.append(Fault(where=name, key="fault.tables_expected"))
    return []


def _has_good_id(id_: str, *, noun: str, taken: Mapping[str, object], faults: list[Fault]) -> bool:
    # The id stands in addresses of ours and in the provider's metadata.
    if not _ID.fullmatch(id_):
        faults.append(Fault(where=f"{noun}.{id_}", key="fault.bad_id"))
    elif id_ in taken:
        faults.append(Fault(where=f"{noun}.{id_}", key="fault.id_twice"))
    return _ID.fullmatch(id_) is not None and id_ not in taken


def _find_product(shop: Shop, name: str) -> Product | None:
    return catalogue.get_product(shop.store, name) or catalogue.get_by_slug(shop.store, name)


def _with_product_id(shop: Shop, table: dict[str, Any]) -> dict[str, Any]:
    name = table.get("product")
    product = _find_product(shop, name) if isinstance(name, str) else None
    return {**table, "product": product.id} if product else table


def _with_product_ids(shop: Shop, table: dict[str, Any], *, faults: list[Fault]) -> dict[str, Any]:
    """Name the products of a funnel's rules by id; what is not a rule is left for the reader to refuse."""
    rules = table.get("rules")
    if not isinstance(rules, list) or not all(isinstance(group, list) for group in rules):
        return table
    where = f"funnels.{table.get('id')}.rules"
    return {**table, "rules": [[_with_ids(shop, c, where=where, faults=faults) for c in group] for group in rules]}


def _with_ids(shop: Shop, condition: Any, *, where: str, faults: list[Fault]) -> Any:
    # Anything may stand there, a list too, which no set can be asked for.
    if not isinstance(condition, dict) or str(condition.get("field")) not in _PRODUCT_FIELDS:
        return condition
    value = condition.get("value")
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return condition
    products = {name: _find_product(shop, name) for name in names}
    faults.extend(
        Fault(where=where, key="fault.unknown_product", values=(("product", name),))
        for name, product in products.items()
        if product is None
    )
    return {**condition, "value": [product.id if product else name for name, product in products.items()]}


# ---- Checking --------------------------------------------------------------------------------------------------


def _product_faults(shop: Shop, offer: Offer) -> list[Fault]:
    where = f"offers.{offer.id}.product"
    product = catalogue.get_product(shop.store, offer.product_id)
    named = (("product", offer.product_id),)
    if product is None:
        return [Fault(where=where, key="fault.unknown_product", values=named)]
    faults = []
    if product.archived_at is not None:
        faults.append(Fault(where=where, key="fault.product_archived", values=named))
    if product.is_recurring and offer.kind != PLAN_CHANGE:
        faults.append(Fault(where=where, key="fault.product_recurring", values=named))
    if product.pay_what_you_want:
        faults.append(Fault(where=where, key="fault.product_without_price", values=named))
    if offer.deadline_at is not None and offer.deadline_at <= shop.now():
        faults.append(Fault(where=f"offers.{offer.id}.deadline", key="fault.deadline_past"))
    return faults


def _other_groups(shop: Shop, draft: _Draft, group: PlanGroup) -> list[PlanGroup]:
    """Return the groups there will be beside this one: the file's, and the stored ones it does not name."""
    stored = [
        plan_groups.read_group_row(row.definition_json, version=row.version)
        for row in group_rows.list_plan_groups(shop.store)
    ]
    beside = [other for other in stored if other.id not in draft.groups] + list(draft.groups.values())
    return [other for other in beside if other.id != group.id]


def _plan_faults(shop: Shop, group: PlanGroup, *, others: list[PlanGroup]) -> list[Fault]:
    """Check that every plan can be changed to: recurring, of one currency, and in no other group."""
    where = f"plan_groups.{group.id}.plans"
    faults = []
    currencies = set()
    for plan in group.plans:
        product = catalogue.get_product(shop.store, plan.product_id)
        named = (("product", plan.product_id),)
        if product is None:
            faults.append(Fault(where=where, key="fault.unknown_product", values=named))
            continue
        currencies.add(product.currency)
        if not product.is_recurring:
            faults.append(Fault(where=where, key="fault.product_once", values=named))
        if product.archived_at is not None:
            faults.append(Fault(where=where, key="fault.product_archived", values=named))
        other = next((beside for beside in others if beside.place_of(plan.product_id) is not None), None)
        if other is not None:
            faults.append(Fault(where=where, key="fault.plan_elsewhere", values=(*named, ("group", other.id))))
    if len(currencies) > 1:
        mixed = (("currencies", ", ".join(sorted(currencies))),)
        faults.append(Fault(where=where, key="fault.currency_mixed", values=mixed))
    return faults


def _faults_together(shop: Shop, draft: _Draft) -> list[Fault]:
    """Check the funnels of the file, and the live ones elsewhere that show an offer this file changes."""
    offers = {**_stored_offers(shop), **draft.offers}
    groups = plan_offer_files.groups_with(shop, draft.groups)
    used = {
        funnel.id: funnel
        for funnel in funnels.live_funnels(shop)
        if any(step.offer_id in draft.offers for step in funnel.steps)
    }
    faults = [fault for offer in draft.offers.values() for fault in plan_offer_files.offer_faults(offer, groups)]
    prices: dict[str, Money] = {}
    for offer_id in {step.offer_id for f in (*used.values(), *draft.funnels.values()) for step in f.steps}:
        if offer_id in offers and offers[offer_id].kind != PLAN_CHANGE:
            price = _price(shop, offers[offer_id], faults=faults)
            if price is not None:
                prices[offer_id] = price
    if faults:
        return faults
    for funnel in {**used, **draft.funnels}.values():
        compared = {**prices, **plan_offer_files.prices_in(shop, funnel, offers, groups)}
        faults.extend(check_version(funnel, offers=offers, prices=compared))
        faults.extend(_currency_faults(shop, funnel, compared))
        faults.extend(plan_offer_files.funnel_faults(funnel, offers, groups))
    return faults


def _stored_offers(shop: Shop) -> dict[str, Offer]:
    rows = offer_rows.list_offers(shop.store)
    return {row.id: funnels.read_offer_row(row.definition_json, version=row.version) for row in rows}


def _price(shop: Shop, offer: Offer, *, faults: list[Fault]) -> Money | None:
    """Return what an offer of something sold once costs: listed, or with a discount as the provider previews it."""
    product = catalogue.get_product(shop.store, offer.product_id)
    if product is None:
        return None
    if offer.discount_code is None:
        return Money(product.price_minor, product.currency).times(offer.quantity)
    body = one_time.preview_request(
        product_id=offer.product_id, quantity=offer.quantity, discount_code=offer.discount_code, billing={}
    )
    # There is no buyer yet, and an empty address is refused.
    del body["billing_address"]
    try:
        answer = shop.dodo.checkouts.preview(body, budget=shop.dodo.budget(_PREVIEW_S))
    except NotExecuted as error:
        where, named = f"offers.{offer.id}.discount_code", (("code", offer.discount_code), ("reason", error.code))
        faults.append(Fault(where=where, key="fault.discount_refused", values=named))
        return None
    return Money(answer.total_price, answer.currency)


def _currency_faults(shop: Shop, funnel: Funnel, prices: Mapping[str, Money]) -> list[Fault]:
    """An offer is shown only for an order of its own currency: with another one it would silently never be."""
    wanted = {prices[step.offer_id].currency for step in funnel.steps if step.offer_id in prices}
    if len(wanted) > 1:
        mixed = ("currencies", ", ".join(sorted(wanted)))
        return [Fault(where=f"funnels.{funnel.id}", key="fault.currency_mixed", values=(mixed,))]
    bought = {
        product.currency
        for group in funnel.rules
        for condition in group
        if (condition.field, condition.operator) == ("product", "is") and len(group) == 1
        for product in (catalogue.get_product(shop.store, id_) for id_ in condition.value)
        if product is not None
    }
    if wanted and bought and not wanted & bought:
        named = (("offered", ", ".join(wanted)), ("bought", ", ".join(sorted(bought))))
        return [Fault(where=f"funnels.{funnel.id}.rules", key="fault.currency_never", values=named)]
    return []


# ---- Publishing ------------------------------------------------------------------------------------------------


def _publish_offer(shop: Shop, offer: Offer) -> Change:
    change = _change_of_offer(shop, offer)
    if change.what == "unchanged":
        return change
    offer_rows.insert_version(
        shop.store,
        offer.id,
        definition_json=_canonical(write_offer(offer)),
        product_id=offer.product_id,
        now=shop.now(),
    )
    return change


def _change_of_offer(shop: Shop, offer: Offer) -> Change:
    row = offer_rows.get_offer(shop.store, offer.id)
    return _change("offer", offer.id, row, write_offer(offer), state=row.state if row else funnels.LIVE)


def _publish_funnel(shop: Shop, funnel: Funnel) -> Change:
    change = _change_of_funnel(shop, funnel)
    if change.what == "unchanged":
        return change
    funnel_rows.insert_version(
        shop.store,
        funnel.id,
        definition_json=_canonical(write_funnel(funnel)),
        priority=funnel.priority,
        now=shop.now(),
    )
    return change


def _change_of_funnel(shop: Shop, funnel: Funnel) -> Change:
    row = funnel_rows.get_funnel(shop.store, funnel.id)
    return _change("funnel", funnel.id, row, write_funnel(funnel), state=row.state if row else funnels.LIVE)


def _publish_group(shop: Shop, group: PlanGroup) -> Change:
    change = _change_of_group(shop, group)
    if change.what != "unchanged":
        definition_json = _canonical(write_plan_group(group))
        group_rows.upsert_plan_group(shop.store, group.id, definition_json=definition_json, now=shop.now())
    return change


def _change_of_group(shop: Shop, group: PlanGroup) -> Change:
    row = group_rows.get_plan_group(shop.store, group.id)
    return _change("plan_group", group.id, row, write_plan_group(group), state=funnels.LIVE)


def _change(
    noun: Noun, object_id: str, row: OfferRow | FunnelRow | PlanGroupRow | None, table: dict[str, Any], *, state: str
) -> Change:
    """Compare what a file says with the live version, if there is one."""
    if row is None:
        return Change(noun=noun, id=object_id, version=1, what="new", state=state)
    if row.definition_json == _canonical(table):
        return Change(noun=noun, id=object_id, version=row.version, what="unchanged", state=state)
    return Change(noun=noun, id=object_id, version=row.version + 1, what="changed", state=state)


def _canonical(table: dict[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, ensure_ascii=False)


# ---- Places ----------------------------------------------------------------------------------------------------

_HEADER = re.compile(r"\s*\[\[\s*(?P<noun>offers|funnels|plan_groups)\s*\]\]")
_VALUE = re.compile(r"\s*(?P<name>[A-Za-z0-9_]+)\s*[.=]")
_TABLE = re.compile(r"\s*\[+\s*(offers|funnels|plan_groups)\s*\.\s*(?P<name>[A-Za-z0-9_]+)")


def _line_in(message: str) -> int | None:
    found = re.search(r"line (\d+)", message)
    return int(found[1]) if found else None


def _line_of(text: str, where: str) -> int | None:
    """Find the line of a place such as `offers.bundle.title` or, for a step, `funnels.starter.second`.

    The TOML reader of the standard library keeps no lines, so this looks for the entry and then for its field.
    """
    noun, _, rest = where.partition(".")
    id_, _, name = rest.partition(".")
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    for start, end in pairwise([*starts, len(lines)]):
        header = _HEADER.match(lines[start])
        is_entry = any(re.match(rf"""\s*id\s*=\s*["']{re.escape(id_)}["']""", line) for line in lines[start:end])
        if header is not None and header["noun"] == noun and is_entry:
            return 1 + next((n for n in range(start, end) if name and _is_place(lines[n], name)), start)
    return None


def _is_place(line: str, name: str) -> bool:
    first = name.split(".")[0]
    named = _VALUE.match(line) or _TABLE.match(line)
    is_step = re.search(rf"""\bkey\s*=\s*["']{re.escape(first)}["']""", line) is not None
    return is_step or (named is not None and named["name"] == first)
