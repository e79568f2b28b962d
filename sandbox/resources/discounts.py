"""Discount codes: made, changed, found by code, and kept for some customers only."""

import string

from ..billing.discounting import find_by_code, refusal_of
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
    flag,
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
ELIGIBILITIES = ("any", "first_time", "existing", "specific")
# OpenAPI 1.113.0: a code has 3 characters at least and 16 when it is made up.
SHORTEST_CODE, LONGEST_CODE = 3, 16
MOST_CUSTOMERS = 1000
NEW: Doc = {
    "name": None,
    "currency_options": None,
    "usage_limit": None,
    "per_customer_usage_limit": None,
    "customer_eligibility": "any",
    "subscription_cycles": None,
    "preserve_on_plan_change": False,
    "restricted_to": [],
    "starts_at": None,
    "expires_at": None,
    "metadata": {},
}


@routes.post("/discounts")
def create_discount(call: Call) -> Response:
    body = read_body(call)
    required_text(body, "type")
    whole(body, "amount", least=0)
    discount: Doc = {
        **NEW,
        "id": call.twin.ids.new("dsc_"),
        "created_at": call.twin.clock.now(),
        "times_used": 0,
        "customer_ids": [],
        "deleted": False,
        "code": _made_up_code(call.twin) if not body.get("code") else None,
    }
    _apply(call.twin, discount, body)
    call.twin.store.put("discounts", discount)
    return answer(serialise(discount))


@routes.get("/discounts")
def list_discounts(call: Call) -> Response:
    limit, offset = page(call)
    kind = query_choice(call, "discount_type", TYPES)
    where = {"deleted": 0} | ({"type": kind} if kind else {})
    discounts = call.twin.store.find("discounts", where=where)
    part = call.query.get("code", "").upper()
    active, product_id, now = query_flag(call, "active"), call.query.get("product_id"), call.twin.clock.now()
    matching = [
        discount
        for discount in discounts
        if part in discount["code_key"]
        and active in (None, refusal_of(discount, now=now) is None)
        and (not product_id or not discount["restricted_to"] or product_id in discount["restricted_to"])
    ]
    return listing(matching[offset : offset + limit], serialise)


@routes.get("/discounts/{discount_id}")
def get_discount(call: Call, discount_id: str) -> Response:
    return answer(serialise(_known(call, discount_id)))


@routes.get("/discounts/code/{code}")
def get_discount_by_code(call: Call, code: str) -> Response:
    discount = found(find_by_code(call.twin, code), "Discount")
    refused = refusal_of(discount, now=call.twin.clock.now())
    if refused is not None:
        raise refused
    return answer(serialise(discount))


@routes.patch("/discounts/{discount_id}")
def update_discount(call: Call, discount_id: str) -> Response:
    discount = _known(call, discount_id)
    _apply(call.twin, discount, read_body(call))
    call.twin.store.put("discounts", discount)
    return answer(serialise(discount))


@routes.delete("/discounts/{discount_id}")
def delete_discount(call: Call, discount_id: str) -> Response:
    call.twin.store.put("discounts", {**_known(call, discount_id), "deleted": True})
    return empty(204)


@routes.get("/discounts/{discount_id}/customers")
def list_discount_customers(call: Call, discount_id: str) -> Response:
    limit, offset = page(call)
    ids = _known(call, discount_id)["customer_ids"][offset : offset + limit]
    return answer({"items": [{"customer_id": customer_id} for customer_id in ids]})


@routes.post("/discounts/{discount_id}/customers")
def add_discount_customers(call: Call, discount_id: str) -> Response:
    discount, ids = _known(call, discount_id), read_body(call).get("customer_ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_CUSTOMERS:
        raise refuse_body("customer_ids", f"must be a list of 1 to {MOST_CUSTOMERS} ids")
    for customer_id in ids:
        if not isinstance(customer_id, str) or call.twin.store.get("customers", customer_id) is None:
            raise refuse_body("customer_ids", f"{str(customer_id)[:60]} does not exist")
    discount["customer_ids"] = list(dict.fromkeys([*discount["customer_ids"], *ids]))
    call.twin.store.put("discounts", discount)
    return answer({"items": [{"customer_id": customer_id} for customer_id in ids]})


@routes.delete("/discounts/{discount_id}/customers/{customer_id}")
def remove_discount_customer(call: Call, discount_id: str, customer_id: str) -> Response:
    discount = _known(call, discount_id)
    if customer_id not in discount["customer_ids"]:
        raise WireError(404, "NOT_FOUND", "The customer is not attached to this discount")
    discount["customer_ids"].remove(customer_id)
    call.twin.store.put("discounts", discount)
    return empty(204)


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
        "currency_options": discount["currency_options"] or [],
        "usage_limit": discount["usage_limit"],
        "per_customer_usage_limit": discount["per_customer_usage_limit"],
        "customer_eligibility": discount["customer_eligibility"],
        "subscription_cycles": discount["subscription_cycles"],
        "preserve_on_plan_change": discount["preserve_on_plan_change"],
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


def _known(call: Call, discount_id: str) -> Doc:
    discount = call.twin.store.get("discounts", discount_id)
    return found(None if discount is None or discount["deleted"] else discount, "Discount")


def _apply(twin: Twin, discount: Doc, body: Doc) -> None:
    """Set what a body names, null where a field can be empty; raises WireError if the whole would make no sense."""
    if body.get("code"):
        _set_code(twin, discount, body)
    discount["code_key"] = discount["code"]
    for field in ("usage_limit", "per_customer_usage_limit", "subscription_cycles"):
        if field in body:
            discount[field] = None if body[field] is None else whole(body, field, least=1)
    for field in ("starts_at", "expires_at"):
        if field in body:
            discount[field] = moment(body, field)
    if "name" in body:
        discount["name"] = text(body, "name", limit=250)
    for field, allowed in (("type", TYPES), ("customer_eligibility", ELIGIBILITIES)):
        if body.get(field) is not None:
            if body[field] not in allowed:
                raise refuse_body(field, f"must be one of {', '.join(allowed)}")
            discount[field] = body[field]
    if body.get("amount") is not None:
        discount["amount"] = whole(body, "amount", least=0)
    if body.get("preserve_on_plan_change") is not None:
        discount["preserve_on_plan_change"] = flag(body, "preserve_on_plan_change")
    if body.get("metadata") is not None:
        discount["metadata"] = metadata(body)
    if body.get("restricted_to") is not None:
        discount["restricted_to"] = _ids(body["restricted_to"])
    if body.get("currency_options") is not None:
        discount["currency_options"] = _currency_options(body["currency_options"])
    _check_whole(discount)


def _check_whole(discount: Doc) -> None:
    options, limit, each = discount["currency_options"], discount["usage_limit"], discount["per_customer_usage_limit"]
    if discount["type"] == "percentage":
        if discount["amount"] > 10_000:
            raise WireError(422, "INVALID_PERCENTAGE", "Percentage amount cannot be more than 10000")
        if discount["amount"] < 1:
            raise refuse_body("amount", "must be at least 1 basis point")
    elif not options or not all(option["max_amount_possible"] for option in options):
        raise refuse_body("currency_options", "a flat discount needs a max_amount_possible in each currency")
    if limit is not None and limit < discount["times_used"]:
        message = "Usage limit cannot be less than times_used"
        raise WireError(422, "DISCOUNT_CODE_USAGE_LIMIT_EXCEEDED", message)
    if limit is not None and each is not None and each > limit:
        raise refuse_body("per_customer_usage_limit", "must not be above usage_limit")
    if None not in (discount["starts_at"], discount["expires_at"]) and discount["starts_at"] >= discount["expires_at"]:
        raise refuse_body("starts_at", "must be before expires_at")


def _set_code(twin: Twin, discount: Doc, body: Doc) -> None:
    code = required_text(body, "code", limit=LONGEST_CODE).upper()
    if len(code) < SHORTEST_CODE:
        raise refuse_body("code", f"must have at least {SHORTEST_CODE} characters")
    other = find_by_code(twin, code)
    if other is not None and other["id"] != discount["id"]:
        raise WireError(422, "DISCOUNT_CODE_ALREADY_EXISTS", "Discount Code already exists")
    discount["code"] = code


def _made_up_code(twin: Twin) -> str:
    letters = twin.ids.new("").upper()
    return "".join(letter for letter in letters if letter in string.ascii_uppercase + string.digits)[:LONGEST_CODE]


def _shown(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)


def _ids(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(product_id, str) for product_id in value):
        raise refuse_body("restricted_to", "must be a list of product ids")
    return value


def _currency_options(options: object) -> list[Doc] | None:
    if not isinstance(options, list) or not all(
        isinstance(option, dict) and option.get("currency") in CURRENCIES for option in options
    ):
        raise refuse_body("currency_options", "must be a list of objects with a currency")
    read = [_currency_option(option) for option in options]
    if len({option["currency"] for option in read}) < len(read):
        raise refuse_body("currency_options", "a currency is named twice")
    if len(read) == 1:
        # The only one is the default, whatever it says.
        read[0]["is_default"] = True
    if read and sum(option["is_default"] for option in read) != 1:
        raise refuse_body("currency_options", "exactly one must be the default")
    return read or None


def _currency_option(option: Doc) -> Doc:
    most = option.get("max_amount_possible")
    return {
        "currency": option["currency"],
        "is_default": flag(option, "is_default"),
        "minimum_subtotal": whole(option, "minimum_subtotal", least=0, default=0),
        "max_amount_possible": None if most is None else whole(option, "max_amount_possible", least=1),
    }
