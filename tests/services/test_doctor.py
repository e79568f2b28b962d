"""The doctor names what is wrong and how to repair it; readiness says the same in a word to machines."""

from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from encore.errors import BadSignature
from encore.services import catalogue, demo, doctor, status, webhooks
from encore.services.doctor import Check
from encore.services.shop import Shop, open_shop
from encore.store import schema
from tests.deliveries import event, sign
from tests.factories import make_shop
from tests.sandbox_process import SandboxProcess
from tests.services.world import MovableClock, World


def look(shop: Shop, name: str) -> Check:
    (found,) = (check for check in doctor.examine(shop) if check.name == name)
    return found


@pytest.fixture
def alone(tmp_path: Path, clock: MovableClock) -> Iterator[Shop]:
    """A shop whose provider cannot be reached."""
    made = make_shop(tmp_path / "alone", clock=clock)
    yield made
    made.close()


def test_a_shop_that_runs_is_healthy(world: World) -> None:
    world.shop.presence.join("worker")

    checks = doctor.examine(world.shop)

    assert doctor.is_healthy(checks), [check for check in checks if check.level == "problem"]


def test_every_problem_has_its_repair(alone: Shop) -> None:
    checks = doctor.examine(alone)

    assert {check.name for check in checks if check.level == "problem"} == {"provider", "catalogue", "worker"}
    assert all(check.repair for check in checks if check.level != "ok")


def test_pending_migrations_come_first(shop: Shop, tmp_path: Path) -> None:
    other = make_shop(tmp_path / "other")
    other.store.close()
    other.settings.database_path.unlink()

    (only,) = doctor.examine(other)

    assert (only.name, only.level) == ("schema", "problem")
    assert "db upgrade" in only.repair
    other.close()


def test_a_key_the_provider_refuses_is_named(sandbox: SandboxProcess, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, provider_url=sandbox.url, api_key="bad-key")

    found = look(shop, "provider")

    assert (found.level, "refuses the key" in found.said) == ("problem", True)
    shop.close()


def test_webhooks_never_received(shop: Shop) -> None:
    """Proves: R3b"""
    found = look(shop, "webhooks")

    assert found.said == "never received"
    assert "/webhooks/dodo" in found.repair
    assert "payment.*, refund.* and dispute.*" in found.repair


def test_webhooks_received_some_minutes_ago(shop: Shop, clock: MovableClock) -> None:
    """Proves: R3b"""
    body = event("payout.success")
    webhooks.receive(shop, sign(shop, body), body)
    clock.wall_s += 181

    assert look(shop, "webhooks").said == "received 3 min ago"


def test_a_wrong_signature_is_a_problem(shop: Shop) -> None:
    """Proves: R3b"""
    body = event("payout.success")
    headers = {**sign(shop, body), "Webhook-Signature": "v1," + "A" * 43 + "="}
    with pytest.raises(BadSignature):
        webhooks.receive(shop, headers, body)

    found = look(shop, "webhooks")

    assert (found.level, found.said.startswith("signature wrong")) == ("problem", True)
    assert "DODO_PAYMENTS_WEBHOOK_KEY" in found.repair


def test_a_good_delivery_after_a_wrong_one_settles_it(shop: Shop, clock: MovableClock) -> None:
    body = event("payout.success")
    with pytest.raises(BadSignature):
        webhooks.receive(shop, {**sign(shop, body), "Webhook-Id": "msg_other"}, body)
    clock.wall_s += 1

    webhooks.receive(shop, sign(shop, body), body)

    assert look(shop, "webhooks").level == "ok"


def test_a_standing_alarm_is_a_problem(shop: Shop) -> None:
    webhooks.receive(shop, sign(shop, b"not json"), b"not json")

    found = look(shop, "alarm webhook_dead")

    assert found.level == "problem"
    assert "webhooks process" in found.repair


@pytest.mark.parametrize(("ahead_s", "level"), [(0, "ok"), (100, "ok"), (400, "problem"), (-400, "problem")])
def test_a_wrong_clock_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch, ahead_s: int, level: str) -> None:
    told = {"date": formatdate(shop.now() / 1000 - ahead_s, usegmt=True)}
    monkeypatch.setattr(shop.dodo.client, "read_headers", lambda path, budget: told)

    found = look(shop, "clock")

    assert found.level == level
    assert ("NTP" in found.repair) == (level == "problem")


def test_pictures_from_hosts_that_are_not_allowed_are_named(shop: Shop) -> None:
    catalogue.sync(shop)
    with shop.store.write():
        shop.store.run("UPDATE products SET image_url = 'https://cdn.example.com/a.png' WHERE position = 0")

    found = look(shop, "pictures")

    assert found.level == "warning"
    assert "https://cdn.example.com" in found.repair
    assert catalogue.list_products(shop)[0].image_url is None


def test_ready_only_with_worker_catalogue_and_seed(shop: Shop) -> None:
    readiness = status.Readiness(shop)
    facts, is_ready = readiness.readyz()
    assert not is_ready
    assert facts == {
        "status": "not_ready",
        "database": "ok",
        "worker": "missing",
        "provider": "ok",
        "catalogue": "not_synced",
        "seed": "not_seeded",
    }

    shop.presence.join("worker")
    catalogue.sync(shop)
    demo.seed(shop)

    facts, is_ready = readiness.readyz()
    assert (is_ready, facts["status"]) == (True, "ok")


def test_a_silent_worker_is_not_ready(world: World) -> None:
    world.shop.presence.join("worker")
    world.clock.wall_s += 16

    facts, is_ready = status.Readiness(world.shop).readyz()

    assert (facts["worker"], is_ready) == ("silent", False)


def test_a_provider_that_is_away_is_not_ready(alone: Shop) -> None:
    facts, is_ready = status.Readiness(alone).readyz()

    assert (facts["provider"], is_ready) == ("unreachable", False)


def test_the_provider_is_not_asked_at_every_look(shop: Shop, sandbox: SandboxProcess, clock: MovableClock) -> None:
    readiness = status.Readiness(shop)
    for _ in range(20):
        readiness.readyz()
    assert len(sandbox.requests("GET", "/products")) == 1

    clock.steady_s += 6
    readiness.readyz()

    assert len(sandbox.requests("GET", "/products")) == 2


def test_an_unmigrated_store_is_not_ready(shop: Shop) -> None:
    fresh = open_shop(shop.settings)
    with fresh.store.write():
        fresh.store.run("DELETE FROM _sqlite_migrations")

    facts, is_ready = status.Readiness(fresh).readyz()

    assert (facts["database"], is_ready) == ("pending_migrations", False)
    assert schema.pending(fresh.store)
    fresh.close()


def test_healthz_answers_whatever_is_wrong(alone: Shop) -> None:
    assert status.healthz(alone) == {"status": "ok", "mode": "sandbox"}
