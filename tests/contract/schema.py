"""Check answers of the wire against the schemas derived from the official SDK 1.123.0."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).parent
DERIVED = "openapi-derived-sdk-1.123.0.json"


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
    return json.loads((FOLDER / "openapi-1.113.0.json").read_text())


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
    errors = [f"{error.json_path}: {error.message}" for error in _validator(endpoint).iter_errors(body)]
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


@cache
def _validator(endpoint: str) -> Draft202012Validator:
    method, template = endpoint.split(" ")
    wanted = re.sub(r"\{\w+\}", "{}", template)
    for path, operations in document()["paths"].items():
        if re.sub(r"\{\w+\}", "{}", path) == wanted:
            content = operations[method.lower()]["responses"]["200"]["content"]
            # References point into the whole document, so the schema is looked up from its root.
            place = f"urn:derived#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method.lower()}"
            resource = Resource.from_contents(document(), default_specification=DRAFT202012)
            registry: Registry[Any] = Registry().with_resource("urn:derived", resource)
            assert "application/json" in content
            reference = f"{place}/responses/200/content/application~1json/schema".replace("{", "%7B")
            return Draft202012Validator({"$ref": reference.replace("}", "%7D")}, registry=registry)
    raise LookupError(endpoint)


@cache
def _webhook_validator(event_type: str) -> Draft202012Validator:
    resource = Resource.from_contents(official(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:official", resource)
    place = f"urn:official#/webhooks/{event_type}/post/requestBody/content/application~1json/schema"
    return Draft202012Validator({"$ref": place}, registry=registry)
