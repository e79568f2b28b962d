"""Lists: zero-based pages, filters, the ordered ways to mislead, and the rate limit."""

from typing import Any

import pytest

from sandbox.http.lists import MISLEADING
from tests.sandbox_process import BASIC, BUNDLE, COURSE, SandboxProcess


def ids(sandbox: SandboxProcess, **params: Any) -> list[str]:
    return [item["payment_id"] for item in sandbox.get("/payments", **params)["items"]]


@pytest.fixture
def five(sandbox: SandboxProcess) -> list[str]:
    """Five payments, newest first."""
    return [sandbox.buy(metadata={"n": str(n)})["payment_id"] for n in range(5)][::-1]


def test_pages_begin_at_zero(sandbox: SandboxProcess, five: list[str]) -> None:
    pages = [ids(sandbox, page_size=2, page_number=number) for number in range(4)]

    assert pages == [five[:2], five[2:4], five[4:], []]


@pytest.mark.parametrize(
    "query",
    ["page_size=101", "page_size=x", "page_number=-1", "status=done", "currency=ZZZ", "created_at_gte=yesterday"],
)
def test_bad_query_is_refused(sandbox: SandboxProcess, query: str) -> None:
    answer = sandbox.call("GET", f"/payments?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_QUERY_PARAMS")


def test_filters_narrow_the_list(sandbox: SandboxProcess) -> None:
    mine = sandbox.buy()
    other = sandbox.buy(BUNDLE, email="minh@example.com", card="4000000000000002")
    plan = sandbox.buy(BASIC)
    sandbox.clock(60)
    late = sandbox.buy()

    assert ids(sandbox, customer_id=other["customer"]["customer_id"]) == [other["payment_id"]]
    assert ids(sandbox, status="failed") == [other["payment_id"]]
    assert ids(sandbox, product_id=COURSE) == [late["payment_id"], mine["payment_id"]]
    assert ids(sandbox, subscription_id=plan["subscription_id"]) == [plan["payment_id"]]
    assert ids(sandbox, currency="EUR") == []
    assert ids(sandbox, created_at_gte=late["created_at"]) == [late["payment_id"]]
    assert late["payment_id"] not in ids(sandbox, created_at_lte=plan["created_at"])


def test_list_items_are_the_documented_subset(sandbox: SandboxProcess, five: list[str]) -> None:
    item = sandbox.get("/payments")["items"][0]

    assert item["metadata"] == {"n": "4"}
    assert item["checkout_session_id"].startswith("cks_")
    assert not item.keys() & {"payment_method_id", "product_cart", "tax"}


def test_lag_hides_what_is_new(sandbox: SandboxProcess, five: list[str]) -> None:
    sandbox.control("lists", {"lag_s": 120})
    assert ids(sandbox) == []

    sandbox.clock(121)

    assert ids(sandbox) == five


def test_missing_page(sandbox: SandboxProcess, five: list[str]) -> None:
    sandbox.control("lists", {"missing_page": 1})

    assert [ids(sandbox, page_size=2, page_number=n) for n in range(3)] == [five[:2], [], five[4:]]


def test_repeated_and_moving_rows(sandbox: SandboxProcess, five: list[str]) -> None:
    sandbox.control("lists", {"repeated_rows": True})
    repeated = ids(sandbox, page_size=2, page_number=1)
    sandbox.control("lists", {"repeated_rows": False, "moving_rows": True})
    moved = ids(sandbox, page_size=2, page_number=1)

    assert (repeated, moved) == (five[1:3], five[3:5])


def test_stripped_metadata_and_outage(sandbox: SandboxProcess, five: list[str]) -> None:
    sandbox.control("lists", {"metadata_stripped": True})
    stripped = sandbox.get("/payments")["items"]
    sandbox.control("lists", {"outage": True})

    assert [item["metadata"] for item in stripped] == [{}] * 5
    assert sandbox.call("GET", "/payments").status_code == 503


def test_every_list_that_is_polled_can_mislead(sandbox: SandboxProcess) -> None:
    for product in (COURSE, BASIC):
        payment = sandbox.buy(product)
    sandbox.post("/refunds", {"payment_id": payment["payment_id"]})
    sandbox.control("disputes", {"payment_id": payment["payment_id"]})

    def shown() -> list[str]:
        return [name for name in MISLEADING if sandbox.get(f"/{name}")["items"]]

    before = shown()
    sandbox.lists(of=["refunds", "disputes"], missing_page=0)
    without_two = shown()
    sandbox.lists(of=list(MISLEADING))
    without_any = shown()
    sandbox.lists(missing_page=None, lag_s=60)
    lagging = shown()
    sandbox.lists(outage=True)

    assert before == list(MISLEADING)
    assert without_two == ["payments", "subscriptions"]
    assert without_any == lagging == []
    assert {sandbox.call("GET", f"/{name}").status_code for name in MISLEADING} == {503}
    assert sandbox.call("POST", "/_sandbox/lists", {"of": ["customers"]}).status_code == 422


@pytest.mark.parametrize(("tier", "a_second"), [("0", 40), ("1", 100), ("2", 500)])
def test_rate_limit_answers_429_with_headers(sandbox: SandboxProcess, tier: str, a_second: int) -> None:
    sandbox.control("rate", {"rate": tier})
    headers = {"authorization": "Bearer k"}

    answers = [sandbox._session.get(f"{sandbox.url}/checkout/supported_countries", headers=headers) for _ in range(5)]

    limits = {"0": 240, "1": 1000, "2": 5000}
    remaining = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {str(limits[tier])}
    assert remaining == sorted(remaining, reverse=True)
    assert len(set(remaining)) == 5


def test_over_the_tier_is_429(sandbox: SandboxProcess) -> None:
    sandbox.control("rate", {"rate": "0"})
    headers = {"authorization": f"Bearer {sandbox.key}"}

    # 40 a second or 240 a minute are passed by the 241st request, however quick or slow this machine is.
    answers = [sandbox._session.get(f"{sandbox.url}/payments/x", headers=headers) for _ in range(245)]

    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "TOO_MANY_REQUESTS"
    assert int(refused.headers["retry-after"]) >= 1


def test_no_rate_headers_while_it_is_off(sandbox: SandboxProcess) -> None:
    assert "x-ratelimit-limit" not in sandbox.call("GET", "/products").headers
