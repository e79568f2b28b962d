"""What every route shares: the call it answers, error bodies, reading a request, paging, metadata rules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ..core.clock import parse_rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from .server import Connection, Request, Response

MAX_METADATA_PAIRS = 50
MAX_METADATA_KEY = 40
MAX_METADATA_VALUE = 500
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 10

MESSAGES = {
    "UNAUTHORIZED": "You are not authorised to perform this action",
    "NOT_FOUND": "Item not found",
    "INVALID_REQUEST_BODY": "Your request body is invalid. Please check your request headers and object.",
    "MAXIMUM_KEYS_REACHED": "Exceeds 50 key-value pairs",
    "PRODUCT_CART_EMTPY": "product_cart is empty",
    "CHECKOUT_SESSION_CONSUMED": "Checkout session has already been consumed",
    "NO_ELIGIBLE_PAYMENT_METHODS": "No eligible payment methods found",
    "PAYMENT_NOT_SUCCEEDED": "The provided payment has not succeeded",
    "PAYMENT_ALREADY_REFUNDED": "This payment has already been refunded",
}


class WireError(Exception):
    """A refusal in the wire's shape: `{"code", "message"}`.

    `keeps_effects`: what was written before it stays, as a declined charge has used up its order.
    """

    def __init__(self, status: int, code: str, message: str | None = None, *, keeps_effects: bool = False) -> None:
        self.keeps_effects = keeps_effects
        self.status = status
        self.code = code
        self.message = message if message is not None else MESSAGES.get(code, code.replace("_", " ").capitalize())
        super().__init__(f"{code}: {self.message}")


@dataclass
class Call:
    """One request on its way through a handler."""

    twin: Twin
    request: Request
    connection: Connection

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's values; of a name given twice the first counts."""
        return _first_values(self.request.query)

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a posted HTML form; of a name given twice the first counts."""
        return _first_values(self.request.body.decode("utf-8", "replace"))


Handler = Callable[..., Response]


@dataclass(frozen=True)
class Route:
    """A method and a path template such as `/payments/{payment_id}`, and who answers it."""

    method: str
    template: str
    handler: Handler


class Routes:
    """The routes of one module; the decorators fill it."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.all: list[Route] = []

    def get(self, template: str) -> Callable[[Handler], Handler]:
        """Register a handler for GET (and HEAD)."""
        return self._add("GET", template)

    def post(self, template: str) -> Callable[[Handler], Handler]:
        """Register a handler for POST."""
        return self._add("POST", template)

    def patch(self, template: str) -> Callable[[Handler], Handler]:
        """Register a handler for PATCH."""
        return self._add("PATCH", template)

    def put(self, template: str) -> Callable[[Handler], Handler]:
        """Register a handler for PUT."""
        return self._add("PUT", template)

    def delete(self, template: str) -> Callable[[Handler], Handler]:
        """Register a handler for DELETE."""
        return self._add("DELETE", template)

    def _add(self, method: str, template: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.all.append(Route(method, self._prefix + template, handler))
            return handler

        return register


def answer(body: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, [("Content-Type", "application/json")], msgspec.json.encode(body))


def empty(status: int) -> Response:
    """Return an answer without a body."""
    return Response(status)


def refuse_body(field: str, what: str) -> WireError:
    """Return the 422 for one bad field, naming it."""
    return WireError(422, "INVALID_REQUEST_BODY", f"{field}: {what}")


def unsupported_country(country: str) -> WireError:
    """Return the 422 for a country where nothing is sold."""
    return WireError(422, "UNSUPPORTED_COUNTRY", f"Country {country[:60]} currently not supported")


def read_body(call: Call) -> Doc:
    """Return the request's JSON object; 422 for anything else."""
    try:
        body = msgspec.json.decode(call.request.body)
    except (ValueError, RecursionError):
        raise WireError(422, "INVALID_REQUEST_BODY") from None
    if not isinstance(body, dict):
        raise WireError(422, "INVALID_REQUEST_BODY")
    return body


def text(body: Doc, field: str, *, required: bool = False, limit: int = 3000) -> str | None:
    """Return a string field or None; 422 if it is missing though required, not a string, or too long."""
    value = body.get(field)
    if value is None:
        if required:
            raise refuse_body(field, "is required")
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise refuse_body(field, f"must be a string of at most {limit} characters")
    if required and not value.strip():
        raise refuse_body(field, "must not be empty")
    return value


def required_text(body: Doc, field: str, *, limit: int = 3000) -> str:
    """Return a string field that must be there."""
    value = text(body, field, required=True, limit=limit)
    assert value is not None
    return value


def flag(body: Doc, field: str, *, default: bool = False) -> bool:
    """Return a boolean field; null counts as absent."""
    value = body.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise refuse_body(field, "must be a boolean")
    return value


def whole(body: Doc, field: str, *, least: int, most: int = 2**31 - 1, default: int | None = None) -> int:
    """Return an integer field within its range; without a default it is required."""
    value = body.get(field, default)
    if value is None and default is not None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse_body(field, f"must be an integer from {least} to {most}")
    return value


def moment(body: Doc, field: str) -> int | None:
    """Return an RFC 3339 time of a body in epoch milliseconds, None if it is not given."""
    value = text(body, field)
    try:
        return None if value is None else parse_rfc3339(value)
    except ValueError:
        raise refuse_body(field, "must be an RFC 3339 time") from None


def metadata(body: Doc, field: str = "metadata") -> Doc:
    """Return the metadata after the provider's rules: 50 pairs, key 40, value 500, scalar values."""
    pairs = body.get(field) or {}
    if not isinstance(pairs, dict):
        raise refuse_body(field, "must be an object")
    if len(pairs) > MAX_METADATA_PAIRS:
        raise WireError(422, "MAXIMUM_KEYS_REACHED")
    for key, value in pairs.items():
        name_ok = 0 < len(key) <= MAX_METADATA_KEY and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
        if not name_ok:
            raise refuse_body(field, f"key {key[:60]!r} must be 1 to 40 characters of A-Z a-z 0-9 _ -")
        if not isinstance(value, str | int | float | bool) or len(str(value)) > MAX_METADATA_VALUE:
            raise refuse_body(field, f"value of {key!r} must be a scalar of at most 500 characters")
    return pairs


def found(doc: Doc | None, what: str) -> Doc:
    """Return the object, or refuse with 404."""
    if doc is None:
        raise WireError(404, "NOT_FOUND", f"{what} not found")
    return doc


def page(call: Call) -> tuple[int, int]:
    """Return (limit, offset) of a zero-based page query."""
    size = query_number(call, "page_size", DEFAULT_PAGE_SIZE)
    if size > MAX_PAGE_SIZE:
        raise WireError(422, "INVALID_QUERY_PARAMS", "page_size: must be at most 100")
    return size, size * query_number(call, "page_number", 0)


def query_number(call: Call, name: str, default: int) -> int:
    """Return a non-negative integer from the query."""
    value = call.query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise WireError(422, "INVALID_QUERY_PARAMS", f"{name}: must be a non-negative integer")
    return int(value)


def query_time(call: Call, name: str) -> int | None:
    """Return an RFC 3339 time from the query in epoch milliseconds."""
    value = call.query.get(name)
    if not value:
        return None
    try:
        return parse_rfc3339(value)
    except ValueError:
        raise WireError(422, "INVALID_QUERY_PARAMS", f"{name}: must be an RFC 3339 time") from None


def query_choice(call: Call, name: str, allowed: Iterable[str]) -> str | None:
    """Return a query value that must be one of `allowed`."""
    value = call.query.get(name)
    if value is not None and value not in allowed:
        raise WireError(422, "INVALID_QUERY_PARAMS", f"{name}: unknown value")
    return value


def query_flag(call: Call, name: str) -> bool | None:
    """Return a boolean from the query."""
    value = query_choice(call, name, ("true", "false"))
    return None if value is None else value == "true"


def listing(docs: Iterable[Doc], serialise: Callable[[Doc], Doc]) -> Response:
    """Return the wire's list: `{"items": [...]}`, no total."""
    return answer({"items": [serialise(doc) for doc in docs]})


def _first_values(encoded: str) -> dict[str, str]:
    return dict(reversed(parse_qsl(encoded, keep_blank_values=True)))
