"""Licence keys: one for each unit of a product that has them, and the devices on which they are active.

`/licenses/` is what a merchant's program calls at its customers': no API key. The rest is for the merchant.
"""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    empty,
    flag,
    found,
    listing,
    moment,
    page,
    query_choice,
    query_time,
    read_body,
    required_text,
    text,
    whole,
)
from ..http.server import Response
from ..money.calendar import next_date
from . import customers

routes = Routes()

STATUSES = ("active", "expired", "disabled")
SOURCES = ("auto", "import", "manual")
NAME_LIMIT = 250


# What a merchant's program calls


@routes.post("/licenses/activate")
def activate(call: Call) -> Response:
    body = read_body(call)
    key, name = required_text(body, "license_key"), required_text(body, "name", limit=NAME_LIMIT)
    license_key = found(_by_key(call.twin, key), "License key")
    if status_of(call.twin, license_key) != "active":
        raise WireError(403, "INACTIVE_LICENSE_KEY", "License key is not active")
    limit = license_key["activations_limit"]
    if limit is not None and len(_instances(call.twin, license_key)) >= limit:
        raise WireError(422, "LICENSE_KEY_LIMIT_REACHED", "License key activation limit reached")
    instance: Doc = {
        "id": call.twin.ids.new("lki_"),
        "created_at": call.twin.clock.now(),
        "customer_id": license_key["customer_id"],
        "license_key_id": license_key["id"],
        "name": name,
        "active": True,
    }
    call.twin.store.put("license_key_instances", instance)
    product = found(call.twin.store.get("products", license_key["product_id"]), "Product")
    activated = {
        **serialise_instance(instance),
        "customer": customers.limited(call.twin, license_key["customer_id"]),
        "product": {"product_id": product["id"], "name": product["name"]},
    }
    return answer(activated, 201)


@routes.post("/licenses/deactivate")
def deactivate(call: Call) -> Response:
    body = read_body(call)
    key, instance_id = required_text(body, "license_key"), required_text(body, "license_key_instance_id")
    license_key = found(_by_key(call.twin, key), "License key")
    for instance in _instances(call.twin, license_key):
        if instance["id"] == instance_id:
            call.twin.store.put("license_key_instances", {**instance, "active": False})
            return empty(200)
    message = "License key instance not found or does not belong to this license key"
    raise WireError(403, "LICENSE_KEY_NOT_FOUND", message)


@routes.post("/licenses/validate")
def validate(call: Call) -> Response:
    body = read_body(call)
    license_key = _by_key(call.twin, required_text(body, "license_key"))
    instance_id = text(body, "license_key_instance_id")
    valid = license_key is not None and status_of(call.twin, license_key) == "active"
    if valid and license_key is not None and instance_id is not None:
        valid = instance_id in [instance["id"] for instance in _instances(call.twin, license_key)]
    return answer({"valid": valid})


# What the merchant calls


@routes.post("/license_keys")
def import_key(call: Call) -> Response:
    body = read_body(call)
    key = required_text(body, "key", limit=255)
    customer = found(call.twin.store.get("customers", required_text(body, "customer_id")), "Customer")
    product = found(call.twin.store.get("products", required_text(body, "product_id")), "Product")
    if _by_key(call.twin, key) is not None:
        raise WireError(409, "LICENSE_KEY_ALREADY_EXISTS", "License key already exists")
    license_key = _insert(
        call.twin,
        key=key,
        customer_id=customer["id"],
        product_id=product["id"],
        source="import",
        activations_limit=_limit(body),
        expires_at=moment(body, "expires_at"),
    )
    return answer(serialise(call.twin, license_key), 201)


@routes.get("/license_keys")
def list_keys(call: Call) -> Response:
    limit, offset = page(call)
    status, source = query_choice(call, "status", STATUSES), query_choice(call, "source", SOURCES)
    where = {name: call.query[name] for name in ("product_id",) if call.query.get(name)}
    keys = call.twin.store.find(
        "license_keys",
        customer_id=call.query.get("customer_id"),
        where=where | ({"source": source} if source else {}),
        since=query_time(call, "created_at_gte"),
        until=query_time(call, "created_at_lte"),
    )
    keys = [key for key in keys if status in (None, status_of(call.twin, key))]
    return listing(keys[offset : offset + limit], lambda key: serialise(call.twin, key))


@routes.get("/license_keys/{license_key_id}")
def get_key(call: Call, license_key_id: str) -> Response:
    return answer(serialise(call.twin, _known(call, license_key_id)))


@routes.patch("/license_keys/{license_key_id}")
def update_key(call: Call, license_key_id: str) -> Response:
    license_key, body = _known(call, license_key_id), read_body(call)
    if "activations_limit" in body:
        license_key["activations_limit"] = _limit(body)
        used = len(_instances(call.twin, license_key))
        if license_key["activations_limit"] is not None and license_key["activations_limit"] < used:
            message = "New activation limit cannot be less than current instances count"
            raise WireError(422, "ACTIVATION_LIMIT_LESS_THAN_CURRENT_AMOUNT", message)
    if "expires_at" in body:
        if license_key["subscription_id"] is not None:
            message = "Cannot set expiry date for subscription-based license key"
            raise WireError(400, "NO_EXPIRY_ON_SUBSCRIPTION_LICENSE_KEYS", message)
        license_key["expires_at"] = moment(body, "expires_at")
    if body.get("disabled") is not None:
        license_key["disabled"] = flag(body, "disabled")
    call.twin.store.put("license_keys", license_key)
    return answer(serialise(call.twin, license_key))


@routes.get("/license_key_instances")
def list_instances(call: Call) -> Response:
    limit, offset = page(call)
    where: Doc = {"active": 1}
    if call.query.get("license_key_id"):
        where["license_key_id"] = call.query["license_key_id"]
    if call.query.get("grant_id"):
        # No key here comes of an entitlement grant.
        return listing([], serialise_instance)
    found_instances = call.twin.store.find("license_key_instances", where=where, limit=limit, offset=offset)
    return listing(found_instances, serialise_instance)


@routes.get("/license_key_instances/{instance_id}")
def get_instance(call: Call, instance_id: str) -> Response:
    return answer(serialise_instance(_known_instance(call, instance_id)))


@routes.patch("/license_key_instances/{instance_id}")
def update_instance(call: Call, instance_id: str) -> Response:
    instance = _known_instance(call, instance_id)
    instance["name"] = required_text(read_body(call), "name", limit=NAME_LIMIT)
    call.twin.store.put("license_key_instances", instance)
    return answer(serialise_instance(instance))


def issue(twin: Twin, payment: Doc, *, names_payment: bool) -> None:
    """Make the keys a succeeded first payment has bought, one for each unit, and announce each."""
    subscriptions = iter(payment["subscription_ids"])
    for line in payment["lines"]:
        subscription_id = next(subscriptions, None) if line["recurring"] and not line["addon"] else None
        product = twin.store.get("products", line["product_id"])
        if product is None or not product["license_key_enabled"]:
            continue
        lasts = None if subscription_id else product["license_key_duration"]
        for _ in range(line["quantity"]):
            license_key = _insert(
                twin,
                key=twin.ids.uuid(),
                customer_id=payment["customer_id"],
                product_id=product["id"],
                source="auto",
                activations_limit=product["license_key_activations_limit"],
                # A subscription's key ends with the subscription, not on a day: no expiry can be set on it.
                expires_at=next_date(twin.clock.now(), lasts["count"], lasts["interval"]) if lasts else None,
                payment_id=payment["id"] if names_payment else None,
                subscription_id=subscription_id,
            )
            emit(twin, "license_key.created", kind="license_keys", object_id=license_key["id"])
        # Noted here, so that a list of payments need not look for keys.
        payment["has_license_key"] = True
        twin.store.put("payments", payment)


def keys_of(twin: Twin, payment: Doc) -> list[str]:
    """Return the keys a payment has bought, oldest first."""
    where = {"payment_id": payment["id"]}
    found_keys = twin.store.find("license_keys", customer_id=payment["customer_id"], where=where, oldest_first=True)
    return [license_key["key"] for license_key in found_keys]


def status_of(twin: Twin, license_key: Doc) -> str:
    """Return active, expired or disabled. A subscription's key is active while the subscription gives access."""
    if license_key["disabled"]:
        return "disabled"
    if license_key["expires_at"] is not None and twin.clock.now() >= license_key["expires_at"]:
        return "expired"
    subscription = twin.store.get("subscriptions", license_key["subscription_id"])
    if subscription is not None and subscription["status"] in ("cancelled", "failed", "expired"):
        return "expired"
    return "active"


def serialise(twin: Twin, license_key: Doc) -> Doc:
    """Return the key as the wire and its webhook show it."""
    expires_at = license_key["expires_at"]
    return {
        "id": license_key["id"],
        "business_id": BUSINESS_ID,
        "brand_id": BRAND_ID,
        "customer_id": license_key["customer_id"],
        "product_id": license_key["product_id"],
        "payment_id": license_key["payment_id"],
        "subscription_id": license_key["subscription_id"],
        "key": license_key["key"],
        "source": license_key["source"],
        "status": status_of(twin, license_key),
        "activations_limit": license_key["activations_limit"],
        "instances_count": len(_instances(twin, license_key)),
        "expires_at": None if expires_at is None else rfc3339(expires_at),
        "created_at": rfc3339(license_key["created_at"]),
    }


def serialise_instance(instance: Doc) -> Doc:
    """Return one activation as the wire shows it."""
    return {
        "id": instance["id"],
        "business_id": BUSINESS_ID,
        "license_key_id": instance["license_key_id"],
        "name": instance["name"],
        "created_at": rfc3339(instance["created_at"]),
    }


def _insert(
    twin: Twin,
    *,
    key: str,
    customer_id: str,
    product_id: str,
    source: str,
    activations_limit: int | None,
    expires_at: int | None,
    payment_id: str | None = None,
    subscription_id: str | None = None,
) -> Doc:
    license_key: Doc = {
        "id": twin.ids.new("lic_"),
        "created_at": twin.clock.now(),
        "customer_id": customer_id,
        "product_id": product_id,
        "payment_id": payment_id,
        "subscription_id": subscription_id,
        "key": key,
        "source": source,
        "activations_limit": activations_limit,
        "expires_at": expires_at,
        "disabled": False,
    }
    twin.store.put("license_keys", license_key)
    return license_key


def _by_key(twin: Twin, key: str) -> Doc | None:
    known = twin.store.find("license_keys", where={"key": key}, limit=1)
    return known[0] if known else None


def _instances(twin: Twin, license_key: Doc) -> list[Doc]:
    return twin.store.find("license_key_instances", where={"license_key_id": license_key["id"], "active": 1})


def _known(call: Call, license_key_id: str) -> Doc:
    return found(call.twin.store.get("license_keys", license_key_id), "License key")


def _known_instance(call: Call, instance_id: str) -> Doc:
    instance = found(call.twin.store.get("license_key_instances", instance_id), "License key instance")
    return found(instance if instance["active"] else None, "License key instance")


def _limit(body: Doc) -> int | None:
    return None if body.get("activations_limit") is None else whole(body, "activations_limit", least=0)
