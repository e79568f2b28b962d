"""Entitlement grants and licence keys: what Dodo gave is read again, kept, and shown to its own customer only."""

import random
from typing import Any

import pytest

from encore.ids import new_id
from encore.services import accounts, grants, webhooks
from encore.services.pages import GrantLine
from encore.services.sign_ins import Account
from encore.store import orders, webhook_events
from tests.deliveries import event, sign
from tests.services.world import LAN, MINH, World

SEEDS = range(20261127, 20261127 + 4)


def sell_licence(world: World, name: str = "Licensed font", **more: Any) -> str:
    """Sell a product with licence keys; returns its name in addresses."""
    price = {"type": "one_time_price", "currency": "USD", "price": 1500, "discount": 0}
    body = {"name": name, "price": price, "tax_category": "digital_products", "license_key_enabled": True, **more}
    world.sandbox.post("/products", body)
    world.sync()
    return name.lower().replace(" ", "-")


def customer_id(world: World, email: str = "lan@example.com") -> str:
    found = world.shop.store.row("SELECT id FROM customers WHERE email = :email", email=email)
    assert found is not None
    return str(found["id"])


def payment_id(world: World) -> str:
    return str(world.sandbox.payments()[-1]["id"])


def grant(world: World, word: str, **path: str) -> dict[str, Any]:
    """Let the provider grant files, or move a grant it made; returns it as the provider's list shows it."""
    told = world.sandbox.control("triggers", {"type": f"entitlement_grant.{word}", "set": path})
    holder = world.sandbox.control(f"objects/entitlement_grants/{told['object_id']}")["customer_id"]
    listed = world.sandbox.get(f"/customers/{holder}/entitlement-grants")["items"]
    return next(dict(one) for one in listed if one["id"] == told["object_id"])


def keys(world: World, customer: str) -> list[dict[str, Any]]:
    return list(world.sandbox.call("GET", f"/license_keys?customer_id={customer}").json()["items"])


def deliver(world: World, *bodies: bytes) -> None:
    for body in bodies:
        webhooks.receive(world.shop, sign(world.shop, body, webhook_id=new_id("msg")), body)
    while webhooks.process_next(world.shop):
        pass


def lines(world: World, ref: str, *, key: str = LAN) -> tuple[GrantLine, ...]:
    """Return what the thank-you page shows of the provider's grants."""
    return world.come_back(ref, key=key).grants


def kept(world: World) -> set[tuple[str, str, str]]:
    return {(row["id"], row["customer_id"], row["status"]) for row in world.rows("grants")}


def there(world: World, *customers: str) -> set[tuple[str, str, str]]:
    """Return what the provider has, as `kept` would have it."""
    found = set()
    for customer in customers:
        given = world.sandbox.get(f"/customers/{customer}/entitlement-grants")["items"]
        found |= {(one["id"], customer, one["status"].lower()) for one in [*given, *keys(world, customer)]}
    return found


def bought(world: World, slug: str, **buyer: str) -> str:
    """Buy in a shop that offers nothing afterwards, and come back: the thank-you page."""
    ref = world.buy(slug=slug, **buyer)
    with world.shop.store.write():
        world.shop.store.run("UPDATE funnels SET state = 'paused'")
    world.come_back(ref, key=buyer.get("key", LAN))
    return ref


@pytest.mark.criterion("P10")
def test_licence_of_an_order_is_shown_to_the_browser_that_paid(world: World) -> None:
    ref = bought(world, sell_licence(world))

    (line,) = lines(world, ref)

    (there_is,) = keys(world, customer_id(world))
    assert (line.kind, line.status, line.license_key) == ("license_key", "active", there_is["key"])
    assert lines(world, ref, key=MINH) == ()


@pytest.mark.criterion("P10")
def test_account_shows_every_grant_with_its_key_masked(world: World) -> None:
    ref = bought(world, sell_licence(world))
    account = Account(address="lan@example.com", customer_ids=(customer_id(world),), is_recent=True)

    (line,) = accounts.overview(world.shop, account).grants

    key = keys(world, customer_id(world))[0]["key"]
    assert (line.license_key, line.ref, line.product_name) == (f"•••• {key[-4:]}", ref, "Licensed font")


@pytest.mark.parametrize(("word", "status"), [("created", "pending"), ("delivered", "delivered"), ("failed", "failed")])
def test_event_of_a_grant_keeps_what_the_provider_has(world: World, word: str, status: str) -> None:
    ref = bought(world, "starter-course")
    given = grant(world, word, **{"grant.payment_id": payment_id(world)})
    # The body lies: whatever it says, the provider is asked.
    body = event(f"entitlement_grant.{word}", **{**given, "status": "Revoked"})

    deliver(world, body, body)

    assert kept(world) == {(given["id"], customer_id(world), status)}
    assert [(line.kind, line.status) for line in lines(world, ref)] == [("digital_files", status)]


def test_revoked_grant_is_shown_as_revoked_and_late_news_does_not_bring_it_back(world: World) -> None:
    ref = bought(world, "starter-course")
    given = grant(world, "delivered", **{"grant.payment_id": payment_id(world)})
    told_before = event("entitlement_grant.delivered", **given)
    revoked = grant(world, "revoked", **{"grant.id": given["id"]})

    deliver(world, event("entitlement_grant.revoked", **revoked), told_before)

    assert [line.status for line in lines(world, ref)] == ["revoked"]


def test_disabled_and_vanished_keys_follow_the_provider(world: World) -> None:
    ref = bought(world, sell_licence(world))
    lines(world, ref)
    (key,) = keys(world, customer_id(world))
    world.sandbox.call("PATCH", f"/license_keys/{key['id']}", {"disabled": True})

    deliver(world, event("license_key.created", **key))

    assert [(line.status, line.license_key) for line in lines(world, ref)] == [("disabled", key["key"])]


def test_page_repairs_what_no_event_told(world: World) -> None:
    ref = bought(world, "starter-course")
    assert lines(world, ref) == ()
    grant(world, "delivered", **{"grant.payment_id": payment_id(world)})

    world.advance(61)

    assert [line.status for line in lines(world, ref)] == ["delivered"]


def test_page_without_an_answer_shows_what_was_known(world: World) -> None:
    ref = bought(world, sell_licence(world))
    (line,) = lines(world, ref)
    world.advance(61)
    world.sandbox.fault("GET /license_keys", "status:503", times=9)

    assert lines(world, ref) == (line,)


def test_poll_finds_a_key_that_no_event_told(world: World) -> None:
    bought(world, sell_licence(world))
    (first,) = keys(world, customer_id(world))
    world.sandbox.call("PATCH", f"/license_keys/{first['id']}", {"disabled": True})

    world.poll()

    assert kept(world) == {(first["id"], customer_id(world), "disabled")}


def test_account_that_may_not_list_keys_is_polled_all_the_same(world: World) -> None:
    ref = world.buy()
    world.sandbox.fault("GET /license_keys", "status:403:FORBIDDEN", times=9)

    world.poll()

    assert world.come_back(ref).order is not None


def test_grant_of_another_customer_never_shows(world: World) -> None:
    slug = sell_licence(world)
    lan = bought(world, slug)
    minh = bought(world, slug, email="minh@example.com", key=MINH)
    (of_lan,), (of_minh,) = (keys(world, customer_id(world, f"{name}@example.com")) for name in ("lan", "minh"))

    # A provider whose filter lets everything through, and a body that names the other's payment.
    deliver(world, event("license_key.created", **{**of_minh, "payment_id": of_lan["payment_id"]}))

    assert [line.license_key for line in lines(world, lan)] == [of_lan["key"]]
    assert [line.license_key for line in lines(world, minh, key=MINH)] == [of_minh["key"]]


def test_list_with_rows_of_others_stores_none_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slug = sell_licence(world)
    world.come_back(world.buy(slug=slug, email="minh@example.com", key=MINH), key=MINH)
    world.come_back(world.buy(slug=slug))
    lan = customer_id(world)
    real = world.shop.dodo.grants.list_keys
    monkeypatch.setattr(world.shop.dodo.grants, "list_keys", lambda *, customer_id, budget: real(budget=budget))

    with world.shop.store.write():
        world.shop.store.run("DELETE FROM grants")
    grants.observe_grants(world.shop, lan, budget=world.shop.dodo.budget())

    assert [row["customer_id"] for row in world.rows("grants")] == [lan]


def test_order_shows_only_what_it_bought(world: World) -> None:
    """Who typed this customer's address at another checkout sees nothing of what the first one was given."""
    slug = sell_licence(world)
    bought(world, slug)
    thief = bought(world, "starter-course", key=MINH)

    assert lines(world, thief, key=MINH) == ()


def test_older_answer_does_not_replace_a_newer_one(world: World) -> None:
    ref = bought(world, sell_licence(world))
    lines(world, ref)
    customer = customer_id(world)
    (key,) = keys(world, customer)
    world.clock.wall_s -= 5
    world.sandbox.call("PATCH", f"/license_keys/{key['id']}", {"disabled": True})

    grants.observe_grants(world.shop, customer, budget=world.shop.dodo.budget())

    assert [row["status"] for row in world.rows("grants")] == ["active"]


def test_grant_of_nobody_we_know_waits_and_is_closed_without_an_alarm(world: World) -> None:
    given = grant(world, "delivered", **{"customer.email": "stranger@example.com"})
    webhook_id = new_id("msg")
    body = event("entitlement_grant.delivered", **given)
    webhooks.receive(world.shop, sign(world.shop, body, webhook_id=webhook_id), body)

    while webhooks.process_next(world.shop):
        pass

    (row,) = webhook_events.list_of_id(world.shop.store, webhook_id)
    assert (row.state, row.note) == ("received", "unknown customer")
    assert world.rows("grants") == world.rows("alarms") == []


@pytest.mark.criterion("R19c")
@pytest.mark.parametrize("seed", SEEDS)
def test_any_telling_of_grants_leaves_what_the_provider_has(world: World, seed: int) -> None:
    """Grants and keys made, delivered, failed, revoked, disabled; events twice, shuffled, half of them lost."""
    chance = random.Random(seed)
    slug = sell_licence(world)
    refs = [bought(world, slug, email=f"{name}@example.com") for name in ("lan", "minh")]
    customers = [customer_id(world, f"{name}@example.com") for name in ("lan", "minh")]
    bodies = []
    for _ in range(8):
        holder = chance.choice(customers)
        given = world.sandbox.get(f"/customers/{holder}/entitlement-grants")["items"]
        word = chance.choice(["delivered", "failed", "revoked"])
        if chance.random() < 0.3:
            key = chance.choice(keys(world, holder))
            world.sandbox.call("PATCH", f"/license_keys/{key['id']}", {"disabled": chance.random() < 0.5})
            bodies.append(event("license_key.created", **key))
        elif given and chance.random() < 0.6:
            told = grant(world, word, **{"grant.id": chance.choice(given)["id"]})
            bodies.append(event(f"entitlement_grant.{word}", **told))
        else:
            paid = chance.choice([p for p in world.sandbox.payments() if p["customer_id"] == holder])
            bodies.append(event(f"entitlement_grant.{word}", **grant(world, word, **{"grant.payment_id": paid["id"]})))
    told_of = [body for body in bodies if chance.random() < 0.5] * 2
    chance.shuffle(told_of)

    deliver(world, *told_of)
    world.advance(61)
    for ref in refs:
        lines(world, ref)

    assert kept(world) == there(world, *customers)


def test_key_of_a_trial_without_a_payment_is_shown_by_its_subscription(world: World) -> None:
    world.sandbox.switch(free_trial="no_payment")
    monthly = {"payment_frequency_count": 1, "payment_frequency_interval": "Month", "trial_period_days": 14}
    term = {"subscription_period_count": 20, "subscription_period_interval": "Year"}
    price = {"type": "recurring_price", "currency": "USD", "price": 1500, "discount": 0, **monthly, **term}
    ref = bought(world, sell_licence(world, "Licensed club", price=price))

    (line,) = lines(world, ref)

    (there_is,) = keys(world, customer_id(world))
    assert (line.license_key, there_is["payment_id"]) == (there_is["key"], None)


def test_what_the_account_was_given_later_is_not_the_first_browsers(world: World) -> None:
    """A key that a later payment of the same subscription has bought belongs to whoever is signed in."""
    ref = bought(world, "basic-plan")
    world.read_subscriptions()
    (row,) = world.rows("subscriptions")
    customer = customer_id(world)
    with world.shop.store.write():
        # As after a renewal that gave a new key.
        world.shop.store.run(
            "INSERT INTO grants (id, customer_id, payment_id, subscription_id, kind, status, created_at, changed_at)"
            " VALUES ('entg_later', :customer, 'pay_later', :subscription, 'digital_files', 'delivered', 1, 1)",
            customer=customer,
            subscription=row["provider_subscription_id"],
        )
    (order,) = world.rows("orders")
    found = orders.get_order(world.shop.store, order["id"])
    assert found is not None

    assert (len(lines(world, ref)), len(grants.of_order(world.shop, found, with_account=True))) == (0, 1)
