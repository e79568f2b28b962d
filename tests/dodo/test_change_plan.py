"""Plan changes on the wire: the preview, the one POST that charges, and what each answer to it proves."""

import json
from typing import Any

import pytest

from encore.clock import Clock
from encore.dodo import Dodo
from encore.dodo.answers import Accepted, Answer, NotSent, Refused, UnknownAnswer
from encore.errors import Unavailable
from tests.dodo.broken_conversations import CASES, Case
from tests.dodo.examples import MakeDodo
from tests.dodo.raw_server import RawServer, answering, http
from tests.dodo.test_confirm import QUICK

BODY = {
    "product_id": "pdt_pro",
    "quantity": 1,
    "addons": [],
    "proration_billing_mode": "difference_immediately",
    "effective_at": "immediately",
    "on_payment_failure": "prevent_change",
    "metadata": {"attempt_id": "att_1"},
}
ALL_NULL = b'{"payment_id":null,"payment_link":null,"client_secret":null,"expires_on":null}'
SUBSCRIPTION = {
    "subscription_id": "sub_1",
    "status": "active",
    "product_id": "pdt_pro",
    "quantity": 1,
    "addons": [{"addon_id": "adn_1", "quantity": 3}],
    "currency": "USD",
    "recurring_pre_tax_amount": 8000,
    "tax_inclusive": False,
    "payment_frequency_count": 1,
    "payment_frequency_interval": "Month",
    "next_billing_date": "2027-05-16T00:00:00Z",
    "previous_billing_date": "2027-04-16T00:00:00Z",
    "created_at": "2027-04-01T00:00:00Z",
    "customer": {"customer_id": "cus_1", "email": "a@example.com", "name": None},
    "scheduled_change": None,
    "a_key_of_tomorrow": {},
}
PREVIEW = {
    "immediate_charge": {
        "effective_at": "2027-04-16T00:00:00Z",
        "line_items": [
            {"type": "subscription", "id": "1", "product_id": "pdt_basic", "name": "Basic", "currency": "USD"}
            | {"unit_price": 3000, "quantity": 1, "proration_factor": -0.5, "tax_inclusive": False},
            {"type": "meter", "id": "2", "units_consumed": "5", "price_per_unit": "0.1", "subtotal": 0},
        ],
        "summary": {
            "total_amount": 2500,
            "currency": "USD",
            "settlement_amount": 1750,
            "settlement_tax": 250,
            "settlement_currency": "USD",
            "customer_credits": -1000,
            "customer_credits_currency": "USD",
        },
    },
    "new_plan": SUBSCRIPTION,
}


def change(dodo: Dodo, body: dict[str, Any] | None = None) -> Answer:
    return dodo.subscriptions.change_plan("sub_1", body or BODY, before_first_byte=lambda: True)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.criterion("R27a")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_has_its_class_and_one_post(case: Case, make_dodo: MakeDodo) -> None:
    with RawServer(case.behaviour) as server:
        began = Clock().monotonic()
        answer = change(make_dodo(server.url, timeouts=QUICK) if case.never_ends else make_dodo(server.url))

    assert isinstance(answer, case.kind), answer
    assert server.posts <= 1
    assert Clock().monotonic() - began < 4.0


@pytest.mark.parametrize("body", [b"", ALL_NULL, b"{}"], ids=["empty", "all null", "no keys"])
def test_the_usual_answer_says_nothing(body: bytes, make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, body))) as server:
        answer = change(make_dodo(server.url))

    assert isinstance(answer, UnknownAnswer)
    assert [(r.method, r.path) for r in server.requests] == [("POST", "/subscriptions/sub_1/change-plan")]
    assert json.loads(server.requests[0].body) == BODY


def test_an_answer_that_names_its_payment_is_accepted(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, b'{"payment_id":"pay_1"}'))) as server:
        assert change(make_dodo(server.url)) == Accepted("pay_1", None)


@pytest.mark.parametrize("code", ["PENDING_PLAN_CHANGE_EXISTS", "SCHEDULED_PLAN_CHANGE_EXISTS"])
def test_a_change_under_way_is_refused(code: str, make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(409, as_json({"code": code, "message": "No."})))) as server:
        answer = change(make_dodo(server.url))

    assert isinstance(answer, Refused)
    assert answer.code == code


@pytest.mark.parametrize("missing", ["on_payment_failure", "addons", "quantity"])
def test_a_body_that_could_do_harm_never_leaves(missing: str, make_dodo: MakeDodo) -> None:
    """R15a R14f"""
    body = {name: value for name, value in BODY.items() if name != missing}

    with RawServer(answering(http(200, b""))) as server, pytest.raises(ValueError, match="prevents"):
        change(make_dodo(server.url), body)

    assert server.requests == []


def test_an_id_that_is_none_sends_nothing(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, b""))) as server:
        answer = make_dodo(server.url).subscriptions.change_plan("a/b", BODY, before_first_byte=lambda: True)

    assert isinstance(answer, NotSent)
    assert server.requests == []


def test_a_preview_is_read_with_what_we_need(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PREVIEW)))) as server:
        dodo = make_dodo(server.url)
        preview = dodo.subscriptions.preview_change("sub_1", BODY, budget=dodo.budget())

    summary = preview.immediate_charge.summary
    assert (summary.settlement_amount, summary.settlement_tax, summary.customer_credits) == (1750, 250, -1000)
    assert preview.immediate_charge.line_items[0].proration_factor == -0.5
    assert preview.new_plan.next_billing_at == 1_810_425_600_000
    assert server.requests[0].path == "/subscriptions/sub_1/change-plan/preview"


def test_a_preview_without_its_amount_is_none(make_dodo: MakeDodo) -> None:
    charge = {**PREVIEW["immediate_charge"], "summary": {"total_amount": 2500, "currency": "USD"}}
    with RawServer(answering(http(200, as_json({**PREVIEW, "immediate_charge": charge})))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.subscriptions.preview_change("sub_1", BODY, budget=dodo.budget())


def test_another_subscription_is_not_believed(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(SUBSCRIPTION)))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.subscriptions.get("sub_2", budget=dodo.budget())


def test_a_scheduled_change_is_dropped(make_dodo: MakeDodo) -> None:
    gone = http(404, b'{"code":"SCHEDULED_PLAN_CHANGE_NOT_FOUND","message":"No."}')
    with RawServer(answering(b"HTTP/1.1 204 No Content\r\n\r\n", gone)) as server:
        dodo = make_dodo(server.url)
        dropped = [dodo.subscriptions.cancel_scheduled_change("sub_1", budget=dodo.budget()) for _ in range(2)]

    assert dropped == [True, False]
    assert {(r.method, r.path) for r in server.requests} == {("DELETE", "/subscriptions/sub_1/change-plan/scheduled")}


def test_an_outage_drops_nothing(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(503, b""))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.subscriptions.cancel_scheduled_change("sub_1", budget=dodo.budget())


@pytest.mark.parametrize("wanted", [True, False])
def test_a_cancellation_is_set_and_taken_back(wanted: bool, make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json({**SUBSCRIPTION, "cancel_at_next_billing_date": wanted})))) as server:
        dodo = make_dodo(server.url)
        found = dodo.subscriptions.set_cancellation("sub_1", at_next_billing=wanted, budget=dodo.budget())

    assert found.cancel_at_next_billing_date is wanted
    assert (server.requests[0].method, json.loads(server.requests[0].body)) == (
        "PATCH",
        {"cancel_at_next_billing_date": wanted},
    )
