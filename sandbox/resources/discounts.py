"""Discount codes: percentage and flat, as far as a checkout needs them."""

from ..core.clock import rfc3339
from ..core.places import CURRENCIES
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    empty,
    found,
    listing,
    metadata,
    moment,
    page,
    query_choice,
    query_flag,
    read_body,
    refuse_body,
    required_text,
    text,
    whole,
)
from ..http.server import Response

routes = Routes()

TYPES = ("percentage", "flat")


@routes.post("/discounts")
def create_discount(call: Call) -> Response:
    body = read_body(call)
    kind = required_text(body, "type")
    if kind not in TYPES:
        raise refuse_body("type", "must be percentage or flat")
    discount_id = call.twin.ids.new("dsc_")
    code = text(body, "code", limit=64) or discount_id[-8:].upper()
    if _by_code(call.twin, code) is not None:
        raise refuse_body("code", "already exists")
    discount: Doc = {
        "id": discount_id,
        "created_at": call.twin.clock.now(),
        "code": code,
        "code_key": code.upper(),
        "name": text(body, "name"),
        "type": kind,
        "amount": whole(body, "amount", least=0, most=10_000 if kind == "percentage" else 2**31 - 1),
        "currency_options": _currency_options(body),
        "usage_limit": _optional_count(body, "usage_limit"),
        "per_customer_usage_limit": _optional_count(body, "per_customer_usage_limit"),
        "subscription_cycles": _optional_count(body, "subscription_cycles"),
        "restricted_to": body.get("restricted_to") or [],
        "starts_at": moment(body, "starts_at"),
        "expires_at": moment(body, "expires_at"),
        "metadata": metadata(body),
        "times_used": 0,
        "deleted": False,
    }
    call.twin.store.put("discounts", discount)
    return answer(serialise(discount))


@routes.get("/discounts")
def list_discounts(call: Call) -> Response:
    limit, offset = page(call)
    where: Doc = {"deleted": 0}
    if call.query.get("code"):
        where["code_key"] = call.query["code"].upper()
    kind = query_choice(call, "discount_type", TYPES)
    if kind:
        where["type"] = kind
    discounts = call.twin.store.find("discounts", where=where)
    if query_flag(call, "active"):
        discounts = [d for d in discounts if refusal_of(d, now=call.twin.clock.now()) is None]
    product_id = call.query.get("product_id")
    if product_id:
        discounts = [d for d in discounts if not d["restricted_to"] or product_id in d["restricted_to"]]
    return listing(discounts[offset : offset + limit], serialise)


@routes.get("/discounts/{discount_id}")
def get_discount(call: Call, discount_id: str) -> Response:
    return answer(serialise(found(_kept(call.twin.store.get("discounts", discount_id)), "Discount")))


@routes.get("/discounts/code/{code}")
def get_discount_by_code(call: Call, code: str) -> Response:
    discount = found(_by_code(call.twin, code), "Discount")
    refusal = refusal_of(discount, now=call.twin.clock.now())
    if refusal is not None:
        raise refusal
    return answer(serialise(discount))


@routes.delete("/discounts/{discount_id}")
def delete_discount(call: Call, discount_id: str) -> Response:
    discount = found(_kept(call.twin.store.get("discounts", discount_id)), "Discount")
    call.twin.store.put("discounts", {**discount, "deleted": True})
    return empty(204)


def usable_discounts(twin: Twin, codes: list[str]) -> list[Doc]:
    """Return the discounts behind the codes, in order; raises WireError for a code that cannot be used now."""
    discounts = []
    for code in codes:
        discount = _by_code(twin, code)
        if discount is None:
            raise WireError(422, "INVALID_DISCOUNT_CODE", "The discount code is invalid")
        refusal = refusal_of(discount, now=twin.clock.now())
        if refusal is not None:
            raise refusal
        discounts.append(discount)
    return discounts


def refusal_of(discount: Doc, *, now: int) -> WireError | None:
    """Return why a discount cannot be used at `now`, or None."""
    if discount["starts_at"] is not None and now < discount["starts_at"]:
        return WireError(422, "DISCOUNT_NOT_YET_ACTIVE", "The discount is not active yet")
    if discount["expires_at"] is not None and now >= discount["expires_at"]:
        return WireError(422, "DISCOUNT_CODE_EXPIRED", "The discount code has expired")
    if discount["usage_limit"] is not None and discount["times_used"] >= discount["usage_limit"]:
        return WireError(422, "DISCOUNT_CODE_USAGE_LIMIT_EXCEEDED", "The discount code has been used up")
    return None


def count_use(twin: Twin, discount_ids: list[str]) -> None:
    """Count one use of each discount; called when a payment succeeds."""
    for discount_id in discount_ids:
        discount = twin.store.get("discounts", discount_id)
        if discount is not None:
            twin.store.put("discounts", {**discount, "times_used": discount["times_used"] + 1})


def serialise(discount: Doc) -> Doc:
    """Return the discount as the wire shows it."""
    return {
        "discount_id": discount["id"],
        "business_id": BUSINESS_ID,
        "code": discount["code"],
        "name": discount["name"],
        "type": discount["type"],
        "amount": discount["amount"],
        "currency_options": discount["currency_options"],
        "usage_limit": discount["usage_limit"],
        "per_customer_usage_limit": discount["per_customer_usage_limit"],
        "customer_eligibility": "any",
        "subscription_cycles": discount["subscription_cycles"],
        "preserve_on_plan_change": False,
        "restricted_to": discount["restricted_to"],
        "times_used": discount["times_used"],
        "metadata": discount["metadata"],
        "starts_at": _shown(discount["starts_at"]),
        "expires_at": _shown(discount["expires_at"]),
        "created_at": rfc3339(discount["created_at"]),
    }


def detail(discount: Doc, position: int) -> Doc:
    """Return the discount as a payment carries it."""
    shown = serialise(discount)
    for field in ("currency_options", "per_customer_usage_limit", "customer_eligibility", "starts_at"):
        del shown[field]
    return {**shown, "position": position, "cycles_remaining": None}


def _by_code(twin: Twin, code: str) -> Doc | None:
    known = twin.store.find("discounts", where={"code_key": code.upper(), "deleted": 0}, limit=1)
    return known[0] if known else None


def _kept(discount: Doc | None) -> Doc | None:
    return None if discount is None or discount["deleted"] else discount


def _optional_count(body: Doc, field: str) -> int | None:
    return None if body.get(field) is None else whole(body, field, least=1)


def _shown(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)


def _currency_options(body: Doc) -> list[Doc] | None:
    options = body.get("currency_options")
    if options is None:
        return None
    if not isinstance(options, list) or not all(
        isinstance(option, dict) and option.get("currency") in CURRENCIES for option in options
    ):
        raise refuse_body("currency_options", "must be a list of objects with a currency")
    return [
        {
            "currency": option["currency"],
            "is_default": bool(option.get("is_default", False)),
            "minimum_subtotal": whole(option, "minimum_subtotal", least=0, default=0),
            "max_amount_possible": option.get("max_amount_possible"),
        }
        for option in options
    ]
