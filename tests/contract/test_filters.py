"""Every documented filter of every list filters: a value that fits nothing leaves nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.schema import document
from tests.sandbox_process import SandboxProcess, start_sandbox

SERVED = (
    "/payments",
    "/customers",
    "/products",
    "/addons",
    "/subscriptions",
    "/refunds",
    "/disputes",
    "/discounts",
    "/license_keys",
    "/license_key_instances",
)
# A value of each kind of filter that no seeded object has.
FITS_NOTHING: dict[str, Any] = {
    "created_at_gte": "2090-01-01T00:00:00Z",
    "created_at_lte": "2001-01-01T00:00:00Z",
    "currency": "EUR",
    "status": {
        "/payments": "cancelled",
        "/subscriptions": "expired",
        "/refunds": "review",
        "/license_keys": "disabled",
    },
    "source": "manual",
    "active": "false",
    "archived": "true",
    "cancel_at_next_billing_date": "true",
    "discount_type": "flat",
    "dispute_stage": "pre_dispute",
    "dispute_status": "dispute_won",
}
# Paging and translation are no filters; `recurring` divides the products, see below; a discount fits every product.
NO_FILTERS = {"page_size", "page_number", "locale", "recurring", "product_id of /discounts"}


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    directory: Path = tmp_path_factory.mktemp("contract")
    with start_sandbox(directory, contract=True) as sandbox:
        yield sandbox


def filters() -> list[tuple[str, str]]:
    return [
        (path, parameter["name"])
        for path in SERVED
        for parameter in document()["paths"][path]["get"]["parameters"]
        if not {parameter["name"], f"{parameter['name']} of {path}"} & NO_FILTERS
    ]


@pytest.mark.parametrize(("path", "name"), filters(), ids=[f"{path} {name}" for path, name in filters()])
def test_value_that_fits_nothing_leaves_nothing(contract: SandboxProcess, path: str, name: str) -> None:
    value = FITS_NOTHING.get(name, "nobody@example.com")
    value = value[path] if isinstance(value, dict) else value

    assert contract.get(path)["items"]
    assert contract.get(path, **{name: value})["items"] == []


def test_products_are_divided_by_recurring(contract: SandboxProcess) -> None:
    both, once, again = (
        len(contract.get("/products", page_size=100, **query)["items"])
        for query in ({}, {"recurring": "false"}, {"recurring": "true"})
    )

    assert 0 < once < both == once + again
