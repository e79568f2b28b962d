"""The commands of `python -m sandbox` against a sandbox that runs, each given as its program would be.

That the program itself gives them is shown by what listens here, and by the guide's commands in `test_readme`.
"""

import json
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from sandbox.__main__ import main
from sandbox.control.scenarios import SCENARIOS
from sandbox.core.event_types import EVENT_TYPES
from sandbox.resources.payments import STATUSES as PAYMENT_STATUSES
from tests.listener import SECRET, Listener
from tests.sandbox_process import ROOT, SandboxProcess, wait_for

PROGRAM = [sys.executable, "-m", "sandbox"]


def run(sandbox: SandboxProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give a command; a program of its own for each would take half a minute to say nothing more."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("SANDBOX_URL", sandbox.url)
        try:
            status = main([*arguments])
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess([*arguments], status, out.getvalue(), err.getvalue())


def answer(sandbox: SandboxProcess, *arguments: str) -> Any:
    """Run a command that must succeed and return the JSON it printed."""
    done = run(sandbox, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


@contextmanager
def listening(sandbox: SandboxProcess, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `listen` until the block ends; its first line has been printed."""
    command = [*PROGRAM, "listen", "--url", sandbox.url, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 20)
    assert ready, "no line came"
    return process.stdout.readline()


def test_trigger_makes_a_real_payment_with_what_is_set(sandbox: SandboxProcess) -> None:
    settings = ["--set", "customer.email=minh@example.com", "--set", "error_code=LOST_CARD"]
    made = answer(sandbox, "trigger", "payment.failed", *settings)

    payment = sandbox.get(f"/payments/{made['object_id']}")
    assert (made["type"], made["kind"]) == ("payment.failed", "payments")
    assert (payment["customer"]["email"], payment["error_code"]) == ("minh@example.com", "LOST_CARD")


def test_trigger_lists_every_type(sandbox: SandboxProcess) -> None:
    assert run(sandbox, "trigger", "--list").stdout.split() == list(EVENT_TYPES)


def test_listen_forwards_prints_and_leaves_no_endpoint(sandbox: SandboxProcess) -> None:
    with Listener() as shop:
        with listening(sandbox, "--forward-to", shop.url) as process:
            first = next_line(process)
            secret = re.search(r"whsec_\S+", first)
            assert secret is not None
            payment = sandbox.buy()
            second = next_line(process)

        arrival = shop.arrivals[0]
        event = Webhook(secret[0]).verify(arrival.body, arrival.headers)
    assert event["data"]["payment_id"] == payment["payment_id"]
    assert re.fullmatch(rf"\S+ \S+  \[204\]  payment\.succeeded  {arrival.headers['webhook-id']}  \d+ ms\n", second)
    assert sandbox.control("endpoints")["items"] == []


def test_listen_can_ask_for_some_types_and_outlives_a_reset(sandbox: SandboxProcess) -> None:
    with Listener() as shop, listening(sandbox, "--forward-to", shop.url, "--events", "payment.failed") as process:
        next_line(process)
        sandbox.reset()
        sandbox.buy()
        sandbox.buy(card="4000000000000002")

        assert "[204]  payment.failed  " in next_line(process)
        assert len(shop.arrivals) == 1


def test_faults_are_added_listed_and_cleared(sandbox: SandboxProcess) -> None:
    order = ["faults", "add", "POST /checkouts", "reset", "--effect", "before", "--times", "2"]
    first = answer(sandbox, *order, "--card", "4242", "--metadata", "attempt_id=att_1")
    second = answer(sandbox, "faults", "add", "*", "status:429", "--retry-after", "soon")

    assert (first["effect"], first["times"]) == ("before", 2)
    assert first["match"] == {"card": "4242", "metadata": {"attempt_id": "att_1"}}
    assert answer(sandbox, "faults", "list")["items"] == [first, second]
    assert answer(sandbox, "faults", "clear", str(first["id"]))["items"] == [second]
    assert answer(sandbox, "faults", "clear")["items"] == []


def test_fail_next_can_be_for_one_card(sandbox: SandboxProcess) -> None:
    answer(sandbox, "fail-next", "LOST_CARD", "--card", "4444")

    assert sandbox.buy()["status"] == "succeeded"
    assert sandbox.buy(card="5555555555554444")["error_code"] == "LOST_CARD"


def test_next_charge_ends_as_ordered_until_that_is_taken_back(sandbox: SandboxProcess) -> None:
    answer(sandbox, "charge-next", "processing", "--card", "4242")
    payment = sandbox.buy()
    answer(sandbox, "charge-next", "failed", "--times", "3")

    assert answer(sandbox, "charge-next", "--clear") == {"items": []}
    assert (payment["status"], sandbox.buy()["status"]) == ("processing", "succeeded")


def test_payment_is_settled_refunded_and_disputed(sandbox: SandboxProcess) -> None:
    answer(sandbox, "charge-next", "processing", "--times", "2")
    lost, paid = sandbox.buy()["payment_id"], sandbox.buy()["payment_id"]
    assert answer(sandbox, "settle", lost, "failed", "LOST_CARD")["error_code"] == "LOST_CARD"
    assert answer(sandbox, "settle", paid, "succeeded")["status"] == "succeeded"

    answer(sandbox, "switches", "refund_outcome=pending")
    refund = answer(sandbox, "refund", paid, "--amount", "100", "--reason", "late")
    dispute = answer(sandbox, "dispute", paid, "--amount", "200")

    assert (refund["amount"], refund["reason"], refund["status"]) == (100, "late", "pending")
    assert answer(sandbox, "settle", refund["refund_id"], "succeeded")["status"] == "succeeded"
    assert dispute["amount"] == "200"
    assert answer(sandbox, "dispute", dispute["dispute_id"], "--outcome", "won")["dispute_status"] == "dispute_won"


def test_subscription_is_renewed_shown_in_the_portal_and_cancelled(sandbox: SandboxProcess) -> None:
    made = answer(sandbox, "scenario", "load", "subscriber-mid-cycle")
    subscription = f"/subscriptions/{made['subscription_id']}"

    assert answer(sandbox, "renew", made["subscription_id"])["subscription_id"] == made["subscription_id"]
    link = run(sandbox, "portal", made["customer_id"]).stdout
    assert re.fullmatch(rf"{re.escape(sandbox.url)}/portal/session/\S+\n", link)
    assert answer(sandbox, "patch", subscription, "status=cancelled")["status"] == "cancelled"
    assert sandbox.get(subscription)["status"] == "cancelled"


def test_rate_endpoints_and_what_is_not_implemented(sandbox: SandboxProcess) -> None:
    added = answer(sandbox, "endpoints", "--add", "http://127.0.0.1:9/webhooks")
    assert [one["id"] for one in answer(sandbox, "endpoints")["items"]] == [added["id"]]
    assert run(sandbox, "delete", f"/webhooks/{added['id']}").returncode == 0
    assert answer(sandbox, "endpoints") == {"items": []}

    assert run(sandbox, "put", "/nowhere", "a=1").returncode == 1
    assert "/nowhere" in json.dumps(answer(sandbox, "not-implemented"))

    assert answer(sandbox, "rate", "1") == answer(sandbox, "rate") == {"rate": "1"}


def test_reader_that_stops_reading_is_no_failure(sandbox: SandboxProcess) -> None:
    command = [*PROGRAM, "state", "--url", sandbox.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        assert (process.stderr.read(), process.wait(timeout=30)) == ("", 0)


def test_delivery_is_resent(sandbox: SandboxProcess) -> None:
    with Listener() as shop:
        sandbox.webhooks(url=shop.url, secret=SECRET)
        sandbox.buy()
        wait_for(lambda: sandbox.deliveries(), what="the delivery")
        webhook_id = answer(sandbox, "deliveries")["items"][0]["webhook_id"]

        answer(sandbox, "deliveries", "--resend", webhook_id)

        wait_for(lambda: len(shop.arrivals) == 2, what="the second arrival")


def test_settings_are_read_and_set_by_name(sandbox: SandboxProcess) -> None:
    assert answer(sandbox, "webhooks", "delay_s=7200", "hold=true")["delay_s"] == 7200
    assert answer(sandbox, "switches", "saved_card_decline=http_422")["saved_card_decline"] == "http_422"
    assert answer(sandbox, "lists", "missing_page=1")["missing_page"] == 1
    assert answer(sandbox, "lists")["missing_page"] == 1
    assert sandbox.control("webhooks")["hold"] is True


def test_clock_is_moved_frozen_and_skewed(sandbox: SandboxProcess) -> None:
    assert answer(sandbox, "clock", "advance", "2h")["offset_ms"] == 7_200_000
    assert answer(sandbox, "clock", "freeze")["frozen"] is True
    assert answer(sandbox, "clock", "skew", "15m", "--behind")["skew_s"] == -900
    assert answer(sandbox, "clock", "run")["frozen"] is False
    assert answer(sandbox, "clock", "show")["skew_s"] == -900


def test_snapshots_are_saved_restored_listed_and_deleted(sandbox: SandboxProcess) -> None:
    sandbox.buy()
    answer(sandbox, "snapshot", "save", "one")
    answer(sandbox, "reset")

    answer(sandbox, "snapshot", "restore", "one")

    assert len(sandbox.payments()) == 1
    assert [one["name"] for one in answer(sandbox, "snapshot", "list")["items"]] == ["one"]
    assert answer(sandbox, "snapshot", "delete", "one") == {"items": []}


def test_wire_is_read_and_sent_to_as_a_shop_would(sandbox: SandboxProcess) -> None:
    made = answer(sandbox, "post", "/customers", "email=minh@example.com", "name=Minh", "metadata.vip=true")

    assert made["metadata"] == {"vip": True}
    assert answer(sandbox, "get", f"/customers/{made['customer_id']}") == made
    assert [item["path"] for item in sandbox.requests()] == ["/customers", f"/customers/{made['customer_id']}"]


def test_scenario_is_listed_and_loaded(sandbox: SandboxProcess) -> None:
    name = answer(sandbox, "scenario", "list")["items"][2]["name"]

    made = answer(sandbox, "scenario", "load", name)
    answer(sandbox, "clock", "to-next-renewal")

    assert len(sandbox.get("/payments", subscription_id=made["subscription_id"])["items"]) == 2


def test_cards_come_as_json_too(sandbox: SandboxProcess) -> None:
    assert answer(sandbox, "cards", "--json") == sandbox.control("cards")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fail-next", "NOPE"], "sandbox: error_code: must be a documented card-decline code\n"),
        (["snapshot", "restore", "nowhere"], "sandbox: There is no snapshot nowhere\n"),
        (["scenario", "load", "nowhere"], f"sandbox: name: must be one of {', '.join(SCENARIOS)}\n"),
        (["get", "/payments/pay_no"], "sandbox: Payment not found\n"),
        (["post", "/customers", "a=1", "a.b=2"], "sandbox: a.b: a has a value already\n"),
        (["get", "/payments/é"], "sandbox: Payment not found\n"),
        (["charge-next", "nope"], f"sandbox: outcome: must be one of {', '.join(PAYMENT_STATUSES)}\n"),
        (["rate", "9"], "sandbox: rate: must be off, 0, 1 or 2\n"),
        (["settle", "pay_no", "failed"], "sandbox: payment_id: unknown payment\n"),
        (["settle", "ref_no", "succeeded"], "sandbox: Refund not found\n"),
        (["dispute", "dp_no", "--outcome", "won"], "sandbox: Dispute not found\n"),
        (["renew", "sub_no"], "sandbox: Subscription not found\n"),
        (["portal", "a/b"], "sandbox: Customer not found\n"),
        (["endpoints", "--add", "ftp://x"], "sandbox: url: must be an http or https address\n"),
        (["faults", "clear", "a/b"], "sandbox: Fault not found\n"),
        (["faults", "clear", "99"], "sandbox: Fault not found\n"),
        (["deliveries", "--resend", "msg_no"], "sandbox: again: unknown webhook id\n"),
        (["listen", "--forward-to", "ftp://x"], "sandbox: url: must be an http or https address\n"),
    ],
)
def test_refusal_is_one_sentence_and_status_1(sandbox: SandboxProcess, arguments: list[str], sentence: str) -> None:
    done = run(sandbox, *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


@pytest.mark.parametrize(
    "arguments",
    [
        ["explode"],
        ["trigger"],
        ["trigger", "payment.failed", "--set", "novalue"],
        ["clock"],
        ["clock", "advance"],
        ["clock", "advance", "soon"],
        ["faults", "add", "POST /checkouts"],
        ["webhooks", "delay"],
        ["listen", "--forward-to"],
        ["charge-next"],
        ["settle", "pay_1"],
        ["refund", "pay_1", "--amount", "much"],
    ],
    ids=" ".join,
)
def test_senseless_command_line_is_status_2_and_says_how(sandbox: SandboxProcess, arguments: list[str]) -> None:
    done = run(sandbox, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m sandbox")


def test_sandbox_that_is_away_is_one_sentence(sandbox: SandboxProcess) -> None:
    done = run(sandbox, "state", "--url", "http://127.0.0.1:9")

    assert done.returncode == 1
    assert re.fullmatch(r"sandbox: no answer from http://127\.0\.0\.1:9: .*\n", done.stderr)


@pytest.mark.parametrize("arguments", [["help"], ["trigger", "--help"], ["faults", "add", "--help"]], ids=" ".join)
def test_help_is_there(sandbox: SandboxProcess, arguments: list[str]) -> None:
    done = run(sandbox, *arguments)

    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m sandbox")
