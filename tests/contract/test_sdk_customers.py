"""Customers' wallets and portal through the official SDK."""

from typing import Any

import dodopayments
import pytest
from dodopayments import DodoPayments

from tests.sandbox.subscriptions import subscribe
from tests.sandbox_process import SandboxProcess


@pytest.fixture
def customer_id(client: DodoPayments) -> str:
    return client.customers.create(email="lan@example.com", name="Lan").customer_id


def adjust(client: DodoPayments, customer_id: str, entry_type: Any, amount: int, **more: Any) -> Any:
    given = {"currency": "USD", "entry_type": entry_type, "amount": amount, **more}
    return client.customers.wallets.ledger_entries.create(customer_id, **given)


def test_wallet_balance_is_what_its_entries_say(client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 1000, reason="sorry")
    wallet = adjust(client, customer_id, "debit", 300)

    entries = client.customers.wallets.ledger_entries.list(customer_id).items

    assert wallet.balance == 700
    assert [(entry.before_balance, entry.after_balance, entry.is_credit) for entry in entries] == [
        (1000, 700, False),
        (0, 1000, True),
    ]
    assert (entries[1].reason, entries[1].event_type) == ("sorry", "merchant_adjustment")


def test_wallets_are_one_for_each_currency(client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 1000)
    adjust(client, customer_id, "credit", 8400, currency="INR")

    wallets = client.customers.wallets.list(customer_id)
    rupees = client.customers.wallets.ledger_entries.list(customer_id, currency="INR").items

    assert [(wallet.currency, wallet.balance) for wallet in wallets.items] == [("USD", 1000), ("INR", 8400)]
    assert wallets.total_balance_usd == 1100
    assert [entry.amount for entry in rupees] == [8400]


def test_wallet_never_goes_below_zero(client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 100)

    with pytest.raises(dodopayments.BadRequestError) as refused:
        adjust(client, customer_id, "debit", 101)

    assert refused.value.body == {"code": "INSUFFICIENT_WALLET_FUNDS", "message": "Insufficient funds in wallet"}
    assert client.customers.wallets.list(customer_id).items[0].balance == 100


def test_idempotency_key_counts_once(client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 100, idempotency_key="once")

    with pytest.raises(dodopayments.ConflictError):
        adjust(client, customer_id, "credit", 100, idempotency_key="once")

    assert client.customers.wallets.list(customer_id).items[0].balance == 100


@pytest.mark.parametrize(
    "wrong",
    [{"amount": 0}, {"entry_type": "gift"}, {"currency": "EUR"}],
    ids=["nothing", "unknown-type", "other-currency"],
)
def test_wrong_adjustments_are_refused(client: DodoPayments, customer_id: str, wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"currency": "USD", "entry_type": "credit", "amount": 100, **wrong}

    with pytest.raises(dodopayments.UnprocessableEntityError):
        client.customers.wallets.ledger_entries.create(customer_id, **given)

    assert [wallet.balance for wallet in client.customers.wallets.list(customer_id).items] == [0, 0]


def test_portal_session_is_a_link_for_a_day(sandbox: SandboxProcess, client: DodoPayments, customer_id: str) -> None:
    session = client.customers.customer_portal.create(customer_id, return_url="https://shop.example/account")

    kept = sandbox.control("objects/portal_sessions")["items"][0]
    assert session.link == f"{sandbox.url}/portal/session/{kept['id']}"
    assert (kept["customer_id"], kept["return_url"]) == (customer_id, "https://shop.example/account")
    assert kept["expires_at"] - kept["created_at"] == 24 * 3600 * 1000


def test_portal_session_returns_to_web_addresses_only(client: DodoPayments, customer_id: str) -> None:
    with pytest.raises(dodopayments.UnprocessableEntityError):
        client.customers.customer_portal.create(customer_id, return_url="javascript:alert(1)")


def test_refused_customer_is_not_half_made(client: DodoPayments) -> None:
    with pytest.raises(dodopayments.UnprocessableEntityError):
        client.customers.create(email="minh@example.com", name="Minh", metadata={"bad key": "x"})

    assert client.customers.list(email="minh@example.com").items == []


def test_customers_are_filtered_by_name_and_time(client: DodoPayments, customer_id: str) -> None:
    client.customers.create(email="minh@example.com", name="Minh")
    created_at = client.customers.retrieve(customer_id).created_at

    assert [customer.name for customer in client.customers.list(name="INH").items] == ["Minh"]
    assert client.customers.list(created_at_lte=created_at).items[-1].customer_id == customer_id
    assert client.customers.list(created_at_gte="2050-01-01T00:00:00Z").items == []


def test_what_the_sandbox_does_not_grant_is_empty(client: DodoPayments, customer_id: str) -> None:
    assert client.customers.list_entitlements(customer_id).items == []
    assert client.customers.list_credit_entitlements(customer_id).items == []
    assert client.customers.list_entitlement_grants(customer_id).items == []
    assert client.customers.emails.list(customer_id).items == []


def test_triggered_grants_are_listed(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.control("triggers", {"type": "entitlement_grant.delivered", "set": {}})
    customer_id = client.customers.list().items[0].customer_id

    grants = client.customers.list_entitlement_grants(customer_id).items
    entitlements = client.customers.list_entitlements(customer_id).items

    assert [(grant.status, grant.integration_type) for grant in grants] == [("Delivered", "digital_files")]
    assert [(item.grant_id, item.status) for item in entitlements] == [(grants[0].id, "delivered")]
    assert client.customers.list_entitlement_grants(customer_id, status="Failed").items == []


def ledger(client: DodoPayments, customer_id: str) -> list[tuple[str, int]]:
    entries = client.customers.wallets.ledger_entries.list(customer_id).items
    return [(entry.event_type, entry.after_balance) for entry in reversed(entries)]


def test_wallet_pays_before_the_card(sandbox: SandboxProcess, client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 6000)

    # The course costs 49.00: first all of it comes from the wallet, then what is left of it.
    first = sandbox.buy(card="4000000000009995", country="HK")
    second = sandbox.buy(country="HK")

    assert (first["status"], second["status"], second["total_amount"]) == ("succeeded", "succeeded", 4900)
    assert ledger(client, customer_id) == [("merchant_adjustment", 6000), ("payment", 1100), ("payment", 0)]
    entry = client.customers.wallets.ledger_entries.list(customer_id).items[0]
    assert entry.reference_object_id == second["payment_id"]


def test_declined_card_leaves_the_wallet_alone(sandbox: SandboxProcess, client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 1000)

    payment = sandbox.buy(card="4000000000009995", country="HK")

    assert (payment["status"], payment["error_code"]) == ("failed", "INSUFFICIENT_FUNDS")
    assert ledger(client, customer_id) == [("merchant_adjustment", 1000)]


def test_payment_that_fails_later_is_put_back(sandbox: SandboxProcess, client: DodoPayments, customer_id: str) -> None:
    adjust(client, customer_id, "credit", 1000)
    payment = sandbox.buy(card="4000000000000077", country="HK")
    taken = ledger(client, customer_id)[-1]

    sandbox.control("settle", {"payment_id": payment["payment_id"], "status": "failed"})

    assert (taken, ledger(client, customer_id)[-1]) == (("payment", 0), ("payment_reversal", 1000))


def test_refund_returns_the_wallet_its_part_last(
    sandbox: SandboxProcess, client: DodoPayments, customer_id: str
) -> None:
    adjust(client, customer_id, "credit", 1000)
    payment_id = sandbox.buy(country="HK")["payment_id"]
    line = client.payments.retrieve_line_items(payment_id).items[0].items_id

    # The card paid 39.00 of the 49.00.
    client.refunds.create(payment_id=payment_id, items=[{"item_id": line, "amount": 3000}])
    after_the_card = ledger(client, customer_id)[-1]
    client.refunds.create(payment_id=payment_id)

    assert (after_the_card, ledger(client, customer_id)[-1]) == (("payment", 0), ("refund", 1000))


def test_wallet_pays_nothing_when_the_switch_says_so(
    sandbox: SandboxProcess, client: DodoPayments, customer_id: str
) -> None:
    adjust(client, customer_id, "credit", 6000)
    sandbox.switch(wallet_pays=False)

    payment = sandbox.buy(card="4000000000009995", country="HK")

    assert payment["status"] == "failed"
    assert client.customers.wallets.list(customer_id).items[0].balance == 6000


def test_renewal_takes_from_the_wallet_first(sandbox: SandboxProcess, client: DodoPayments, customer_id: str) -> None:
    subscription_id = subscribe(sandbox, card="4000000000000341", expiry="12/34")
    adjust(client, customer_id, "credit", 3000)

    sandbox.control("renewals", {"subscription_id": subscription_id})

    assert client.subscriptions.retrieve(subscription_id).status == "active"
    assert ledger(client, customer_id)[-1] == ("payment", 0)
