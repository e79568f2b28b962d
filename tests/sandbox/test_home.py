"""The home of a QA person, without JavaScript: what it shows, and that its buttons do what stands on them."""

from typing import Any

import pytest
import requests

from tests.sandbox.pages import Page, page
from tests.sandbox_process import BASIC, SandboxProcess, wait_for

CLOSED = "http://127.0.0.1:9/hook"
SECRET = "whsec_c2FuZGJveC1ob21lLXRlc3Q="


def press(sandbox: SandboxProcess, action: str, **form: str) -> requests.Response:
    return sandbox.call("POST", "/", data={"action": action, **form})


def home(sandbox: SandboxProcess) -> Page:
    return page(sandbox, "/")


def test_everything_that_happened_is_on_the_page(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BASIC)
    sandbox.call("GET", "/wishes")

    text = home(sandbox).text

    customer = payment["customer"]
    for shown in (payment["payment_id"], payment["subscription_id"], customer["customer_id"], customer["email"]):
        assert shown in text
    assert "POST /checkouts" in text
    assert "<code>GET /wishes</code>" in text
    assert "4000002500003155" in text


def test_links_lead_to_the_json_of_each_object(sandbox: SandboxProcess) -> None:
    sandbox.buy(BASIC)
    links = [attrs["href"] for tag, attrs in home(sandbox).tags if tag == "a" and "/_sandbox/" in str(attrs["href"])]

    answers = {str(link): sandbox.call("GET", str(link)) for link in links}

    assert len(links) > 10
    assert {answer.status_code for answer in answers.values()} == {200}
    assert all(answer.headers["content-type"] == "application/json" for answer in answers.values())


def test_failing_the_next_charge_fails_one(sandbox: SandboxProcess) -> None:
    answer = press(sandbox, "fail", code="INSUFFICIENT_FUNDS")

    ordered = home(sandbox).text
    failed, paid = sandbox.buy(), sandbox.buy()
    assert (answer.status_code, answer.headers["location"]) == (303, "/#charges")
    assert "failed, INSUFFICIENT_FUNDS" in ordered
    assert failed["error_code"] == "INSUFFICIENT_FUNDS"
    assert paid["status"] == "succeeded"


def test_other_outcome_is_ordered_for_one_card(sandbox: SandboxProcess) -> None:
    press(sandbox, "next_charge", outcome="processing", times="2", card="4444")

    other, meant = sandbox.buy(), sandbox.buy(card="5555555555554444")

    assert (other["status"], meant["status"]) == ("succeeded", "processing")
    press(sandbox, "clear_charges")
    assert sandbox.control("payments")["items"] == []


def test_clock_moves_and_stops(sandbox: SandboxProcess) -> None:
    press(sandbox, "advance", by="30 days")
    press(sandbox, "freeze")
    stopped = sandbox.control("clock")
    shown = home(sandbox).text
    press(sandbox, "run")

    assert stopped["frozen"]
    assert stopped["now"] - stopped["wall"] > 29 * 86_400_000
    assert f"{stopped['now_rfc3339'][:19].replace('T', ' ')} UTC, frozen" in shown
    assert not sandbox.control("clock")["frozen"]


def test_clock_goes_to_the_next_renewal_and_no_further(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BASIC)
    before = sandbox.get(f"/subscriptions/{payment['subscription_id']}")
    sandbox.buy()

    press(sandbox, "to_renewal")

    after = sandbox.get(f"/subscriptions/{payment['subscription_id']}")
    assert after["previous_billing_date"] == before["next_billing_date"]
    newest = sandbox.get("/payments")["items"][0]
    assert (newest["charge_type"], newest["created_at"]) == ("renewal", before["next_billing_date"])
    assert sandbox.control("clock")["now_rfc3339"][:16] == before["next_billing_date"][:16]


def test_scenario_is_loaded_by_name(sandbox: SandboxProcess) -> None:
    press(sandbox, "scenario", name="subscriber-on-hold")

    held = sandbox.get("/subscriptions")["items"]
    assert [subscription["status"] for subscription in held] == ["on_hold"]


def test_whole_sandbox_is_kept_and_brought_back(sandbox: SandboxProcess) -> None:
    kept = sandbox.buy()["payment_id"]
    press(sandbox, "save", name="one-buyer")
    sandbox.buy()

    press(sandbox, "restore", name="one-buyer")

    assert [payment["id"] for payment in sandbox.payments()] == [kept]
    assert "<code>one-buyer</code>" in home(sandbox).text
    sandbox.control("snapshots/one-buyer", method="DELETE")


def test_fault_is_ordered_shown_and_cleared(sandbox: SandboxProcess) -> None:
    press(sandbox, "fault", endpoint="GET /products", fault="status:503", effect="none", times="2", card="")

    answer = sandbox.call("GET", "/products")
    text = home(sandbox).text
    press(sandbox, "clear_fault", id=str(sandbox.control("faults")["items"][0]["id"]))

    assert answer.status_code == 503
    assert "status:503, effect none, 1 left, 1 hit" in text
    assert sandbox.call("GET", "/products").status_code == 200


def test_switches_and_rate_are_set(sandbox: SandboxProcess) -> None:
    fields = {name: str(value) for name, value in sandbox.control("switches").items()}
    fields |= {"declined_checkout": "redirect", "saves_cards": "False", "saved_method_delay": "2.5"}

    press(sandbox, "switches", **fields)
    press(sandbox, "rate", rate="1")

    switches = sandbox.control("switches")
    assert {name: str(value) for name, value in switches.items()} == fields
    assert sandbox.control("rate") == {"rate": "1"}
    assert 'class="switch changed"' in home(sandbox).text


def test_lists_mislead_and_are_put_right(sandbox: SandboxProcess) -> None:
    press(sandbox, "lists", lag_s="2.5", missing_page="1", outage="true")
    ordered = sandbox.control("lists")
    press(sandbox, "lists", lag_s="0", missing_page="")

    assert (ordered["lag_s"], ordered["missing_page"], ordered["outage"]) == (2.5, 1, True)
    assert sandbox.control("lists") == {**ordered, "lag_s": 0, "missing_page": None, "outage": False}


def test_event_is_sent_again_and_its_tries_are_shown(sandbox: SandboxProcess) -> None:
    sandbox.webhooks(url=CLOSED, secret=SECRET)
    sandbox.buy()
    wait_for(sandbox.deliveries)
    (first,) = sandbox.deliveries()

    press(sandbox, "resend", webhook_id=first["webhook_id"])
    wait_for(lambda: len(sandbox.deliveries()) == 2)

    shown = home(sandbox)
    assert CLOSED in shown.text
    assert len(shown.all_by_testid("resend")) >= 2
    assert shown.text.count("ConnectionError") == 2


def test_held_events_go_out_when_the_box_is_unticked(sandbox: SandboxProcess) -> None:
    sandbox.webhooks(url=CLOSED, secret=SECRET)
    press(sandbox, "modes", hold="true", drop="0", repeat="1")
    sandbox.buy()
    held = home(sandbox).text

    press(sandbox, "modes", drop="0", repeat="1")

    assert ">held<" in held
    assert wait_for(sandbox.deliveries)


def test_any_event_is_triggered(sandbox: SandboxProcess) -> None:
    press(sandbox, "trigger", type="dispute.opened")

    assert "dispute.opened" in [event["type"] for event in sandbox.control("deliveries")["events"]]


def test_payment_is_given_back_and_disputed(sandbox: SandboxProcess) -> None:
    first, second = sandbox.buy()["payment_id"], sandbox.buy()["payment_id"]

    press(sandbox, "refund", payment_id=first)
    press(sandbox, "dispute", payment_id=second)

    assert sandbox.get(f"/payments/{first}")["refund_status"] == "full"
    assert sandbox.get(f"/payments/{second}")["disputes"] != []


@pytest.mark.parametrize(("action", "status"), [("succeed", "succeeded"), ("decline", "failed")])
def test_payment_that_waits_is_settled(sandbox: SandboxProcess, action: str, status: str) -> None:
    payment_id = sandbox.buy(card="4000000000000077")["payment_id"]

    press(sandbox, action, payment_id=payment_id)

    assert sandbox.get(f"/payments/{payment_id}")["status"] == status


def test_another_endpoint_is_added(sandbox: SandboxProcess) -> None:
    press(sandbox, "endpoint", url="http://127.0.0.1:9/other")

    added = [one for one in sandbox.control("endpoints")["items"] if one["url"] == "http://127.0.0.1:9/other"]
    assert "http://127.0.0.1:9/other" in home(sandbox).text
    for one in added:
        sandbox.control(f"endpoints/{one['id']}", method="DELETE")


def test_portal_of_a_customer_opens(sandbox: SandboxProcess) -> None:
    customer_id = sandbox.buy()["customer"]["customer_id"]

    location = press(sandbox, "portal", customer_id=customer_id).headers["location"]

    assert location.startswith(f"{sandbox.url}/portal/session/")


def test_reset_empties_the_page(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.buy()["payment_id"]

    press(sandbox, "reset")

    assert payment_id not in home(sandbox).text
    assert sandbox.payments() == []


@pytest.mark.parametrize(
    ("action", "form", "field"),
    [
        ("wish", {}, "action"),
        ("fault", {"endpoint": "GET /nowhere"}, "endpoint"),
        ("fault", {"endpoint": "GET /products", "fault": "explode"}, "fault"),
        ("fault", {"endpoint": "GET /products", "times": "often"}, "times"),
        ("fail", {"code": "NOPE"}, "error_code"),
        ("advance", {"by": "for ever"}, "advance_s"),
        ("to_renewal", {}, "to"),
        ("scenario", {"name": "wishes"}, "name"),
        ("save", {"name": "../etc"}, "name"),
        ("switches", {"saved_method_delay": "soon"}, "saved_method_delay"),
        ("resend", {"webhook_id": "msg_no"}, "again"),
        ("lists", {"lag_s": "soon"}, "lag_s"),
        ("refund", {"payment_id": "pay_no"}, "payment_id"),
        ("endpoint", {"url": "ftp://x"}, "url"),
        ("trigger", {"type": "payment.exploded"}, "type"),
        ("modes", {"drop": "-1"}, "drop"),
    ],
)
def test_bad_order_is_told_on_the_page_and_changes_nothing(
    sandbox: SandboxProcess, action: str, form: dict[str, Any], field: str
) -> None:
    before = sandbox.control("state")

    answer = press(sandbox, action, **form)

    shown = Page(answer.text)
    assert answer.status_code == 422
    assert shown.by_testid("error") is not None
    assert f"{field}:" in answer.text
    after = sandbox.control("state")
    assert after.pop("clock")["offset_ms"] == before.pop("clock")["offset_ms"]
    assert after == before


def test_long_lists_are_cut(sandbox: SandboxProcess) -> None:
    for _ in range(60):
        sandbox.call("GET", f"/products?{'x' * 500}")

    shown = home(sandbox)

    assert shown.text.count("GET /products?") == 25
    assert len(shown.text) < 100_000
