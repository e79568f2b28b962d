"""Contract mode: placeholders get whole answers, other refusals stand, and nothing lasts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contract import SUITE_IDS
from tests.sandbox_process import SandboxProcess, start_sandbox

PLACEHOLDERS = {"product_cart": [{"product_id": "product_id", "quantity": 0}]}


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    directory: Path = tmp_path_factory.mktemp("contract")
    with start_sandbox(directory, contract=True) as sandbox:
        yield sandbox


def test_placeholders_are_refused_only_in_truthful_mode(sandbox: SandboxProcess, contract: SandboxProcess) -> None:
    assert sandbox.call("POST", "/checkouts", PLACEHOLDERS).status_code == 422
    assert contract.post("/checkouts", PLACEHOLDERS)["session_id"].startswith("cks_")


def test_ids_the_suite_names_are_there(contract: SandboxProcess) -> None:
    payment = contract.get(f"/payments/{SUITE_IDS['pay_']}")

    assert payment["status"] == "succeeded"
    assert payment["checkout_session_id"] is None
    assert contract.get(f"/subscriptions/{SUITE_IDS['sub_']}")["status"] == "active"
    assert payment["refunds"][0]["refund_id"] == SUITE_IDS["ref_"]


def test_nothing_lasts_in_contract_mode(contract: SandboxProcess) -> None:
    made = contract.post("/customers", {"email": "minh@example.com", "name": "Minh"})
    renamed = contract.call("PATCH", f"/customers/{SUITE_IDS['cus_']}", {"name": "Another"})

    assert renamed.json()["name"] == "Another"
    assert contract.call("GET", f"/customers/{made['customer_id']}").status_code == 404
    assert contract.get(f"/customers/{SUITE_IDS['cus_']}")["name"] == "Lan"


def test_unknown_routes_are_unknown_in_contract_mode_too(contract: SandboxProcess) -> None:
    answer = contract.call("POST", "/no-such-route", {})

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_answers_of_a_sister_are_counted_by_endpoint(contract: SandboxProcess) -> None:
    before = contract.control("state")["sister_answers"].get("POST /checkouts", 0)

    contract.post("/checkouts", PLACEHOLDERS)
    contract.post("/customers", {"email": "minh@example.com", "name": "Minh"})

    after = contract.control("state")["sister_answers"]
    assert after["POST /checkouts"] == before + 1
    assert "POST /customers" not in after
