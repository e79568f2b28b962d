"""Whatever stands in a field, the answer is the wire's: never a broken sandbox, never a dropped connection.

Contract mode is the place for it: every id is there, nothing lasts, and a refusal is answered by a sensible request,
so that only what breaks shows.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.contract import INSTEAD, SUITE_IDS
from tests.contract.schema import document
from tests.sandbox_process import SandboxProcess, start_sandbox

WRONG: list[Any] = [
    None, True, 10**30, 1.5, "x" * 5000, "\ud800", [None], {"a": None},
    # Moments that are there in one zone and beyond the calendar in another.
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
]  # fmt: skip
RAW = [b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe", b'{"a":' + b"[" * 20_000, b'{"a":1e999}', b'{"a":NaN}']
WRONG_QUERY = ["", "x", "-1", "9" * 30, "1e9", "true", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "\x00", "é"]
# Path parameter, or the noun before an `{id}`, -> prefix of the id that is there.
PREFIXES = {
    "customer_id": "cus_",
    "payment_id": "pay_",
    "subscription_id": "sub_",
    "discount_id": "dsc_",
    "webhook_id": "whk_",
    "products": "pdt_",
    "addons": "adn_",
    "license_keys": "lic_",
}
# Fields of fields, and of list items; what is below goes the same way.
DEEPEST = 1


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    directory: Path = tmp_path_factory.mktemp("contract")
    with start_sandbox(directory, contract=True) as sandbox:
        yield sandbox


def operations() -> list[tuple[str, str, Any]]:
    """Return (method, path, body schema) of every served route that takes a body."""
    found = []
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            endpoint = f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}"
            if endpoint in INSTEAD and "requestBody" in operation:
                found.append((method.upper(), path, operation["requestBody"]["content"]["application/json"]["schema"]))
    return found


def spoilt(schema: Any, body: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the body with each wrong value in each field, those of objects and of list items included."""
    for choice in choices(schema):
        for name, field in choice.get("properties", {}).items():
            for value in WRONG:
                yield {**body, name: value}
            for inner in choices(field) if depth < DEEPEST else ():
                below = body.get(name) if isinstance(body.get(name), dict) else {}
                yield from ({**body, name: value} for value in spoilt(inner, below, depth + 1))
                for item in choices(inner["items"]) if "items" in inner else ():
                    first = (body.get(name) or [{}])[0]
                    yield from ({**body, name: [value]} for value in spoilt(item, first, depth + 1))


def choices(schema: Any) -> list[Any]:
    """Return what a schema may be: itself, or its alternatives, references followed."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return [choice for part in schema["anyOf"] for choice in choices(part)] if "anyOf" in schema else [schema]


def place(path: str) -> str:
    """Return a path with the ids of contract mode in it."""
    noun = path.split("/")[1]
    return re.sub(r"{(\w+)}", lambda found: SUITE_IDS[PREFIXES.get(found[1]) or PREFIXES[noun]], path)


@pytest.mark.parametrize(
    ("method", "path", "schema"), operations(), ids=[f"{method} {path}" for method, path, _ in operations()]
)
def test_no_field_breaks_the_sandbox(contract: SandboxProcess, method: str, path: str, schema: Any) -> None:
    _, sensible = INSTEAD[f"{method} {re.sub(r'{[^}]+}', '{}', path)}"]
    url, broken, count = contract.url + place(path), [], 0

    with requests.Session() as session:
        session.headers["authorization"] = "Bearer key"
        for body in [json.dumps(body).encode() for body in spoilt(schema, sensible)] + RAW:
            count += 1
            status = session.request(method, url, data=body, timeout=10).status_code
            if status >= 500:
                broken.append((status, body[:300]))

    assert broken == []
    assert count >= len(WRONG) + len(RAW)


def listings() -> list[tuple[str, list[str]]]:
    """Return (path, query parameters) of every route that can be read with a query and has no id in its path."""
    return [
        (path, [field["name"] for field in methods["get"]["parameters"]])
        for path, methods in document()["paths"].items()
        if "{" not in path and methods.get("get", {}).get("parameters")
    ]


@pytest.mark.parametrize(("path", "names"), listings(), ids=[path for path, _ in listings()])
def test_no_query_breaks_the_sandbox(contract: SandboxProcess, path: str, names: list[str]) -> None:
    statuses = {
        (name, value): contract.call("GET", path, params={name: value}).status_code
        for name in names
        for value in WRONG_QUERY
    }

    assert {query: status for query, status in statuses.items() if status >= 500} == {}


@pytest.mark.parametrize("strange", ["%00", "%ff", "..%2f..%2fetc", "a" * 5000, "é", "'; DROP TABLE objects; --"])
def test_no_id_breaks_the_sandbox(contract: SandboxProcess, strange: str) -> None:
    for noun in ("payments", "customers", "products", "subscriptions", "discounts/code", "uploads", "session"):
        assert contract.call("GET", f"/{noun}/{strange}").status_code == 404
