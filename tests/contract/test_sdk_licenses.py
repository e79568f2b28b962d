"""Licence keys through the official SDK: made by a payment, activated, limited, ended."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import dodopayments
import pytest
import requests
from dodopayments import DodoPayments

from tests.contract.schema import assert_answer, webhook_examples
from tests.listener import Listener
from tests.sandbox_process import SandboxProcess, wait_for

# The SDK deprecates the merchant's routes in favour of entitlement grants; they are still the wire.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


def sell(client: DodoPayments, **changes: Any) -> str:
    given: Any = {
        "name": "Editor",
        "tax_category": "saas",
        "price": {"type": "one_time_price", "currency": "USD", "price": 900},
        "license_key_enabled": True,
        "license_key_activations_limit": 2,
        **changes,
    }
    return client.products.create(**given).product_id


def code_of(error: pytest.ExceptionInfo[dodopayments.APIStatusError]) -> tuple[int, str]:
    body: Any = error.value.body
    return error.value.status_code, body["code"]


def test_each_unit_bought_has_a_key(sandbox: SandboxProcess, client: DodoPayments) -> None:
    payment = sandbox.buy(sell(client), quantity=2)

    keys = client.license_keys.list(customer_id=payment["customer"]["customer_id"]).items

    assert len({key.key for key in keys}) == 2
    assert {(key.payment_id, key.source, key.status, key.activations_limit) for key in keys} == {
        (payment["payment_id"], "auto", "active", 2)
    }
    assert client.payments.list().items[0].has_license_key
    assert_answer("GET /license_keys", sandbox.get("/license_keys"))


def test_no_key_comes_of_other_products_or_declines(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.buy()
    sandbox.buy(sell(client), card="4000000000000002")

    assert client.license_keys.list().items == []


def test_buyer_returns_with_the_keys(sandbox: SandboxProcess, client: DodoPayments) -> None:
    session = client.checkout_sessions.create(
        product_cart=[{"product_id": sell(client), "quantity": 2}],
        return_url="https://shop.example/thanks",
        feature_flags={"redirect_immediately": True},
    )

    location = sandbox.pay(session.session_id).headers["location"]

    keys = parse_qs(urlsplit(location).query)["license_key"][0].split(",")
    assert sorted(keys) == sorted(key.key for key in client.license_keys.list().items)


def test_key_is_announced(sandbox: SandboxProcess, client: DodoPayments, listener: Listener) -> None:
    sandbox.buy(sell(client))

    arrivals = wait_for(lambda: [a for a in listener.arrivals if b"license_key.created" in a.body], what="the key")

    event: Any = client.webhooks.unwrap(arrivals[0].body.decode(), headers=arrivals[0].headers)
    assert event.type == "license_key.created"
    assert event.data.key == client.license_keys.list().items[0].key
    example = webhook_examples()["license_key.created"]["example"]["data"]
    assert set(event.data.to_dict()) >= set(example)


def test_activations_are_limited_and_freed(client: DodoPayments, sandbox: SandboxProcess) -> None:
    sandbox.buy(sell(client))
    key = client.license_keys.list().items[0]
    first = client.licenses.activate(license_key=key.key, name="Laptop")
    client.licenses.activate(license_key=key.key, name="Desktop")

    with pytest.raises(dodopayments.UnprocessableEntityError) as full:
        client.licenses.activate(license_key=key.key, name="Phone")
    client.licenses.deactivate(license_key=key.key, license_key_instance_id=first.id)
    client.licenses.activate(license_key=key.key, name="Phone")

    assert code_of(full) == (422, "LICENSE_KEY_LIMIT_REACHED")
    assert (first.product.name, first.customer.email) == ("Editor", "lan@example.com")
    instances = client.license_key_instances.list(license_key_id=key.id).items
    assert [instance.name for instance in instances] == ["Phone", "Desktop"]
    assert client.license_keys.retrieve(key.id).instances_count == 2


def test_activation_answers_201(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.buy(sell(client))
    body = {"license_key": client.license_keys.list().items[0].key, "name": "Laptop"}

    answer = sandbox.call("POST", "/licenses/activate", body)

    assert answer.status_code == 201
    assert_answer("POST /licenses/activate", answer.json())


def test_validity_follows_key_and_instance(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.buy(sell(client))
    key = client.license_keys.list().items[0]
    instance = client.licenses.activate(license_key=key.key, name="Laptop")

    def valid(instance_id: str | None = None) -> bool:
        return client.licenses.validate(license_key=key.key, license_key_instance_id=instance_id).valid

    before = (valid(), valid(instance.id), valid("lki_another"))
    client.license_keys.update(key.id, disabled=True)

    assert before == (True, True, False)
    assert (valid(), valid(instance.id)) == (False, False)
    assert not client.licenses.validate(license_key="no such key").valid


def test_a_key_lasts_as_long_as_its_product_says(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.buy(sell(client, license_key_duration={"count": 2, "interval": "Day"}))
    key = client.license_keys.list().items[0]

    sandbox.clock(2 * 86_400 + 1)

    assert client.license_keys.list(status="expired").items[0].id == key.id
    with pytest.raises(dodopayments.PermissionDeniedError) as refused:
        client.licenses.activate(license_key=key.key, name="Laptop")
    assert code_of(refused) == (403, "INACTIVE_LICENSE_KEY")


def test_licence_routes_need_no_api_key(sandbox: SandboxProcess) -> None:
    answer = requests.post(f"{sandbox.url}/licenses/validate", json={"license_key": "no such key"}, timeout=5)
    listed = requests.get(f"{sandbox.url}/license_keys", timeout=5)

    assert (answer.status_code, answer.json()) == (200, {"valid": False})
    assert listed.status_code == 401


def test_unknown_keys_and_strange_instances_are_refused(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.buy(sell(client), quantity=2)
    one, other = client.license_keys.list().items
    instance = client.licenses.activate(license_key=one.key, name="Laptop")

    with pytest.raises(dodopayments.NotFoundError):
        client.licenses.activate(license_key="no such key", name="Laptop")
    with pytest.raises(dodopayments.PermissionDeniedError) as strange:
        client.licenses.deactivate(license_key=other.key, license_key_instance_id=instance.id)

    assert code_of(strange) == (403, "LICENSE_KEY_NOT_FOUND")


def test_keys_are_imported_once(sandbox: SandboxProcess, client: DodoPayments) -> None:
    customer_id = client.customers.create(email="lan@example.com", name="Lan").customer_id
    product_id = sell(client)
    made = client.license_keys.create(key="OLD-KEY-1", customer_id=customer_id, product_id=product_id)

    with pytest.raises(dodopayments.ConflictError):
        client.license_keys.create(key="OLD-KEY-1", customer_id=customer_id, product_id=product_id)

    assert (made.source, made.payment_id, made.expires_at) == ("import", None, None)
    assert client.license_keys.list(source="import").items == [made]


def test_limit_cannot_go_below_the_instances(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.buy(sell(client))
    key = client.license_keys.list().items[0]
    instance = client.licenses.activate(license_key=key.key, name="Laptop")
    client.licenses.activate(license_key=key.key, name="Desktop")

    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        client.license_keys.update(key.id, activations_limit=1)
    changed = client.license_keys.update(key.id, activations_limit=None, expires_at="2050-01-01T00:00:00Z")

    assert code_of(refused) == (422, "ACTIVATION_LIMIT_LESS_THAN_CURRENT_AMOUNT")
    assert (changed.activations_limit, changed.expires_at is not None) == (None, True)
    assert client.license_key_instances.update(instance.id, name="Old laptop").name == "Old laptop"


def test_a_subscription_key_has_no_expiry(sandbox: SandboxProcess, client: DodoPayments) -> None:
    price: Any = {
        "type": "recurring_price",
        "currency": "USD",
        "price": 2000,
        "payment_frequency_count": 1,
        "payment_frequency_interval": "Month",
        "subscription_period_count": 1,
        "subscription_period_interval": "Year",
    }
    payment = sandbox.buy(sell(client, price=price, license_key_duration={"count": 1, "interval": "Day"}))
    key = client.license_keys.list().items[0]

    with pytest.raises(dodopayments.BadRequestError) as refused:
        client.license_keys.update(key.id, expires_at="2050-01-01T00:00:00Z")

    assert (key.subscription_id, key.expires_at) == (payment["subscription_id"], None)
    assert code_of(refused) == (400, "NO_EXPIRY_ON_SUBSCRIPTION_LICENSE_KEYS")
