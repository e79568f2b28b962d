"""Check answers of the wire against both documents of the provider.

The schemas derived from the official SDK 1.123.0 judge every answer; the official document, 1.113.0, judges it too
where it has the route. A key that neither document knows is a mismatch.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).parent
DERIVED = "openapi-derived-sdk-1.123.0.json"
# What 1.113.0 is too old to know.
NEWER_VALUES = ("past_due",)
# A schema, and the document that its references are in.
Schema = tuple[Any, Any]


@cache
def document() -> Any:
    """Return the derived OpenAPI document."""
    return json.loads((FOLDER / DERIVED).read_text())


@cache
def webhook_examples() -> Any:
    """Return the official webhook bodies: event -> description, example."""
    return json.loads((FOLDER / "webhook-examples-1.113.0.json").read_text())


@cache
def official() -> Any:
    """Return the official OpenAPI document, the only one that has the webhooks."""
    # `oneOf: [number, integer]` is refused by every whole number, which is both; the document means either.
    return json.loads((FOLDER / "openapi-1.113.0.json").read_text().replace('"oneOf"', '"anyOf"'))


def assert_webhook(body: Any) -> None:
    """Fail with the path of each mismatch if `body` is no webhook of its type.

    The official document is older than `subscription.past_due`, which is held against its kin `on_hold`.
    """
    event_type = body["type"]
    if event_type == "subscription.past_due":
        event_type = "subscription.on_hold"
        body = {**body, "type": event_type, "data": {**body["data"], "status": "on_hold"}}
    errors = [f"{error.json_path}: {error.message}" for error in _webhook_validator(event_type).iter_errors(body)]
    assert not errors, f"{event_type}\n" + "\n".join(errors)


def assert_answer(endpoint: str, body: Any) -> None:
    """Fail with the path of each mismatch if `body` is no 200 answer of `GET /payments/{id}` and the like."""
    errors = [
        f"{name}: {error.json_path}: {error.message}"
        for name, validator in _judges(endpoint)
        for error in validator.iter_errors(body)
        if name != "1.113.0" or error.instance not in NEWER_VALUES
    ]
    errors += [f"{key}: neither document knows it" for key in unknown_keys(_schemas(endpoint), body)]
    assert not errors, f"{endpoint}\n" + "\n".join(errors)


def assert_exchange(method: str, path: str, status: int, body: Any) -> None:
    """Fail if an answer with a body is not what the document says for its route, or no refusal of the wire.

    Routes that the document does not have are not judged.
    """
    if status >= 400:
        assert set(body) == {"code", "message"}, (method, path, body)
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", body["code"]), body
        return
    template = _template_of(method, path)
    if template is not None:
        assert_answer(f"{method} {template}", body)


@cache
def _template_of(method: str, path: str) -> str | None:
    for template, operations in document()["paths"].items():
        if method.lower() in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return str(template)
    return None


def unknown_keys(schemas: list[Schema], value: Any, path: str = "$") -> Iterator[str]:
    """Yield the path of each key that none of the schemas names, each given with the document its references are in."""
    plain = [one for schema in schemas for one in _plain(*schema)]
    if isinstance(value, list):
        inner = [(whole, one["items"]) for whole, one in plain if "items" in one]
        for item in value:
            yield from unknown_keys(inner, item, f"{path}[]")
    elif isinstance(value, dict) and any("properties" in one for _, one in plain):
        if any(isinstance(one.get("additionalProperties"), dict) for _, one in plain):
            return
        for key, child in value.items():
            inner = [(whole, one["properties"][key]) for whole, one in plain if key in one.get("properties", {})]
            if not inner:
                yield f"{path}.{key}"
            yield from unknown_keys(inner, child, f"{path}.{key}")


def _plain(whole: Any, schema: Any) -> Iterator[Schema]:
    """Yield a schema and whatever it refers to or is made of."""
    yield whole, schema
    if "$ref" in schema:
        place = whole
        for name in schema["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        yield from _plain(whole, place)
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, []):
            yield from _plain(whole, part)


@cache
def _judges(endpoint: str) -> list[tuple[str, Draft202012Validator]]:
    newer, older = (_validator(name, whole, endpoint) for name, whole in _documents())
    if newer is None:
        raise LookupError(endpoint)
    return [("1.123.0", newer)] + ([("1.113.0", older)] if older is not None else [])


def _documents() -> list[tuple[str, Any]]:
    return [("derived", document()), ("official", official())]


@cache
def _schemas(endpoint: str) -> list[Schema]:
    places = [(whole, _place(whole, endpoint)) for _, whole in _documents()]
    return [(whole, place[1]) for whole, place in places if place is not None]


def endpoint_of(endpoint: str) -> str:
    """Return an endpoint with its parameters unnamed, as the documents name them differently."""
    return re.sub(r"\{\w+\}", "{}", endpoint)


def _place(whole: Any, endpoint: str) -> tuple[str, Any] | None:
    """Return where a document has the schema of an endpoint's answer, and the schema; None if it has none."""
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            if endpoint_of(f"{method.upper()} {path}") == endpoint_of(endpoint):
                content = operation["responses"].get("200", {}).get("content", {})
                if "application/json" not in content:
                    return None
                where = f"#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}/responses/200/content"
                return f"{where}/application~1json/schema", content["application/json"]["schema"]
    return None


def _validator(name: str, whole: Any, endpoint: str) -> Draft202012Validator | None:
    place = _place(whole, endpoint)
    if place is None:
        return None
    # References point into the whole document, so the schema is looked up from its root.
    resource = Resource.from_contents(whole, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(f"urn:{name}", resource)
    reference = f"urn:{name}{place[0]}".replace("{", "%7B").replace("}", "%7D")
    return Draft202012Validator({"$ref": reference}, registry=registry)


@cache
def _webhook_validator(event_type: str) -> Draft202012Validator:
    resource = Resource.from_contents(official(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:official", resource)
    place = f"urn:official#/webhooks/{event_type}/post/requestBody/content/application~1json/schema"
    return Draft202012Validator({"$ref": place}, registry=registry)
