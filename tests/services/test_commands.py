"""The command line: what each command says and the status it ends with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result
from flask import Flask

from app import create_app
from encore.services import bookkeeping, webhooks
from encore.services.shop import Shop
from encore.settings import load_settings
from encore.store import schema
from tests.deliveries import event, sign
from tests.sandbox_process import BUNDLE, SandboxProcess
from tests.services.world import World, environment_for

Run = Callable[..., Result]
RECIPES = Path("encore/services/recipes")


def runner_of(app: Flask) -> Run:
    return lambda *arguments: app.test_cli_runner().invoke(args=list(arguments))


@pytest.fixture
def app(world: World) -> Iterator[Flask]:
    made = create_app(world.shop.settings)
    yield made
    made.extensions["encore"].close()


@pytest.fixture
def run(app: Flask) -> Run:
    return runner_of(app)


def test_the_schema_is_up_to_date(run: Run) -> None:
    assert (run("db", "status").exit_code, run("db", "upgrade").output) == (0, "up to date\n")


def test_sync_says_what_is_on_sale_and_what_no_longer_is(run: Run, sandbox: SandboxProcess) -> None:
    sandbox.call("DELETE", f"/products/{BUNDLE}")

    said = run("dodo", "sync")

    assert (said.exit_code, said.output) == (0, f"7 products on sale\narchived {BUNDLE}\n")


def test_sync_without_a_provider_is_a_problem(run: Run, sandbox: SandboxProcess) -> None:
    sandbox.fault("GET /products", "status:500", times=10)

    said = run("dodo", "sync")

    assert said.exit_code == 1
    assert "not available" in said.output


def test_seed_wants_to_be_told_what(run: Run) -> None:
    assert run("seed").exit_code == 2
    assert run("seed", "--demo").exit_code == 0


def test_the_matrix_of_a_subscription_as_a_table_and_as_json(run: Run, world: World) -> None:
    row = world.subscribe(country="US", zipcode="97201")

    table = run("plans", "matrix", row.provider_subscription_id)
    cells = run("plans", "matrix", row.id, "--json")

    assert table.exit_code == 0
    assert "Pro plan  difference_immediately" in table.output
    assert "$50.00" in table.output
    assert "listed prices, before tax" in table.output
    assert json.loads(cells.output)[0]["figures"]["due_today"]["minor"] == 5000
    unknown = run("plans", "matrix", "sub_none")
    assert (unknown.exit_code, unknown.output) == (1, "There is no subscription sub_none.\n")


def test_an_import_lists_its_changes(run: Run) -> None:
    said = run("offers", "import", str(RECIPES / "starter-course.toml"), "--json")

    assert said.exit_code == 0
    assert [change["what"] for change in json.loads(said.output)] == ["unchanged"] * 3


def test_a_refused_import_names_file_line_and_fault(run: Run) -> None:
    file = RECIPES / "single-to-team.toml"

    said = run("offers", "import", str(file))

    assert said.exit_code == 1
    assert f"{file}:7: offers.team-licence.product: the catalogue has no product team-licence" in said.output
    assert said.output.endswith("Nothing was changed.\n")


def test_a_refused_import_as_json_names_each_key(run: Run) -> None:
    said = run("offers", "check", str(RECIPES / "basic-to-pro.toml"), "--json")

    assert said.exit_code == 1
    assert {fault["key"] for fault in json.loads(said.output)} == {"fault.unknown_product"}


@pytest.mark.parametrize("arguments", [("offers", "import", "nowhere.toml"), ("offers", "import"), ("offers", "pause")])
def test_a_command_that_makes_no_sense_ends_with_two(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_file_pauses_everything_in_it(run: Run) -> None:
    said = run("offers", "pause", str(RECIPES / "starter-course.toml"))

    assert said.exit_code == 0
    states = {line["id"]: line["state"] for line in json.loads(run("offers", "list", "--json").output)}
    paused = {"complete-bundle", "design-templates", "starter-course"}
    # That one is paused in every world of these tests.
    assert {name for name, state in states.items() if state == "paused"} == paused | {"basic-plan-to-pro-plan"}
    assert states["account"] == "live"


def test_what_was_paused_can_be_taken_up(run: Run) -> None:
    run("offers", "pause", "complete-bundle")

    assert run("offers", "resume", "complete-bundle").output == "live  offer complete-bundle\n"


def test_pausing_nothing_is_a_problem(run: Run) -> None:
    said = run("offers", "pause", "nothing-like-it")

    assert (said.exit_code, said.output) == (1, "No offer or funnel is called nothing-like-it.\n")


def test_a_binary_file_is_refused_in_a_sentence(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "offers.toml"
    file.write_bytes(b"\xff\xfe")

    said = run("offers", "import", str(file))

    assert (said.exit_code, said.output) == (1, f"{file}: not UTF-8 text\n")


def test_attempts_are_listed_and_shown(run: Run, world: World) -> None:
    page = world.offer()
    world.accept(page)
    attempt = world.attempt(page)

    listed = json.loads(run("attempts", "list", "--state", "paid", "--json").output)

    assert [row["id"] for row in listed] == [attempt.id]
    assert attempt.id in run("attempts", "show", attempt.id).output
    assert run("attempts", "show", "att_none").exit_code == 1


def test_webhooks_are_listed_shown_and_processed(run: Run, world: World) -> None:
    body = event("payout.success")
    webhooks.receive(world.shop, sign(world.shop, body), body)

    assert "payout.success" in run("webhooks", "list", "--state", "received").output
    assert json.loads(run("webhooks", "show", "msg_1", "--json").output)[0]["body"] == body.decode()
    assert run("webhooks", "process", "msg_1").exit_code == 0
    assert json.loads(run("webhooks", "list", "--json").output)[0]["state"] == "done"


@pytest.mark.parametrize("command", ["show", "process"])
def test_a_delivery_nobody_knows_is_a_problem(run: Run, command: str) -> None:
    assert run("webhooks", command, "msg_none").exit_code == 1


def test_processing_that_does_not_succeed_is_a_problem(run: Run, world: World) -> None:
    body = event("payment.succeeded", payment_id="pay_unknown")
    webhooks.receive(world.shop, sign(world.shop, body), body)

    assert run("webhooks", "process", "msg_1").exit_code == 1


def test_reconcile_finds_a_payment_without_webhook(run: Run, world: World) -> None:
    world.buy()

    said = run("reconcile")

    assert (said.exit_code, said.output) == (0, "1 payments read; 0 attempts looked at\n")
    assert len(world.rows("orders")) == 1


def test_alarm_is_listed_until_a_person_clears_it(run: Run, world: World) -> None:
    assert run("alarms", "list").output == "No alarms.\n"
    with world.shop.store.write():
        bookkeeping.raise_alarm(world.shop, "duplicate_refunded", object_id="pay_1", detail="second payment")

    assert "duplicate_refunded  pay_1" in run("alarms", "list").output
    said = run("alarms", "clear", "duplicate_refunded", "pay_1")

    assert (said.exit_code, said.output) == (0, "cleared  duplicate_refunded  pay_1\n")
    assert json.loads(run("alarms", "list", "--json").output) == []
    events = [json.loads(row["entry_json"])["event"] for row in world.rows("ledger")]
    assert events[-2:] == ["alarm.raised", "alarm.cleared"]


def test_clearing_an_alarm_that_does_not_stand_is_a_problem(run: Run) -> None:
    assert run("alarms", "clear", "duplicate_refunded", "pay_1").exit_code == 1


def test_rebuild_takes_in_what_a_backup_lacks(run: Run, world: World) -> None:
    world.buy()

    said = run("reconcile", "--rebuild")

    assert said.exit_code == 0
    assert said.output.startswith("1 payments settled")


def test_the_worker_does_everything_once(run: Run, world: World) -> None:
    world.buy()

    assert run("worker", "--once").exit_code == 0
    assert len(world.rows("orders")) == 1


def test_audit_is_clean_after_a_sale(run: Run, world: World) -> None:
    world.accept(world.offer())
    run("worker", "--once")

    said = run("audit", "--json")

    assert said.exit_code == 0, said.output
    assert json.loads(said.output)["exit_status"] == 0


def test_doctor_ends_with_one_and_the_repair(run: Run) -> None:
    said = run("doctor")

    assert said.exit_code == 1
    assert "worker" in said.output
    assert "-> Start it: flask --app app worker." in said.output


def test_doctor_as_json_lists_every_check(run: Run) -> None:
    checks = json.loads(run("doctor", "--json").output)

    assert {"schema", "provider", "webhooks", "worker"} <= {check["name"] for check in checks}


def test_a_mail_link_is_printed_alone(run: Run) -> None:
    said = run("mail", "link")

    assert said.output.startswith("http://127.0.0.1:5000/merchant/mail/open/")
    assert said.output.count("\n") == 1


def test_live_mode_says_so_first(tmp_path: Path, sandbox: SandboxProcess, shop: Shop) -> None:
    keys = {
        "DODO_PAYMENTS_API_KEY": "key_of_a_real_account",
        "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_" + "c" * 44,
        "ENCORE_SECRET_KEY": "kq3hB0-vTzXc7yLm2nWpRsUdJfGa9eI5",
        "ENCORE_ATTEMPT_KEY": "Zx8-wQv1bNm4kLj7hGf2dSa5pOi3uYt6",
    }
    live = {
        **keys,
        "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
        "ENCORE_DATA": str(shop.settings.data_dir),
        "ENCORE_PUBLIC_URL": "https://shop.example.com",
        "ENCORE_SMTP_HOST": "127.0.0.1",
        "ENCORE_SMTP_SECURITY": "none",
        "ENCORE_SMTP_FROM": "shop@example.com",
        "ENCORE_OWNER_EMAIL": "owner@example.com",
    }
    app = create_app(load_settings(live))

    said = runner_of(app)("attempts", "list")

    assert (said.exit_code, said.output.splitlines()[0]) == (0, "LIVE")
    assert runner_of(app)("mail", "link").exit_code == 1
    app.extensions["encore"].close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_machines_get_json(app: Flask, path: str) -> None:
    answer = app.test_client().get(path, base_url="http://127.0.0.1:5000")

    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.status_code == (200 if path == "/healthz" else 503)


def test_readyz_is_200_while_a_worker_runs(app: Flask, world: World) -> None:
    world.shop.presence.join("worker")

    answer = app.test_client().get("/readyz", base_url="http://127.0.0.1:5000")

    assert answer.status_code == 200
    assert set(answer.get_json()) == {"status", "database", "worker", "provider", "catalogue", "seed"}


def test_commands_that_need_a_schema_say_how_to_get_it(sandbox: SandboxProcess, tmp_path: Path) -> None:
    env = {**os.environ, **environment_for(sandbox, tmp_path)}
    flask = [sys.executable, "-m", "flask", "--app", "app"]

    before = subprocess.run([*flask, "doctor"], env=env, capture_output=True, text=True, check=False)
    upgraded = subprocess.run([*flask, "db", "upgrade"], env=env, capture_output=True, text=True, check=False)

    assert before.returncode != 0
    assert "db upgrade" in before.stderr
    applied = [f"applied {migration.name}" for migration in schema.migrations()]
    assert (upgraded.returncode, upgraded.stdout.splitlines()) == (0, applied)


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from leaves(part, f"{path} {name}")
    else:
        yield path, command


def test_every_command_is_documented_and_has_help(app: Flask) -> None:
    page = Path("docs/operator/commands.md").read_text("utf-8")
    ours = {
        path: command
        for name in (
            "db",
            "dodo",
            "seed",
            "offers",
            "worker",
            "attempts",
            "reconcile",
            "webhooks",
            "audit",
            "doctor",
            "mail",
        )
        for path, command in leaves(app.cli.commands[name], f"flask --app app {name}")
    }

    assert [path for path in ours if f"`{path}" not in page] == []
    assert [path for path, command in ours.items() if not command.help] == []
