"""Trying a failed renewal again by hand, through the official SDK."""

import dodopayments
import pytest
from dodopayments import DodoPayments

from tests.sandbox.subscriptions import subscribe
from tests.sandbox_process import SandboxProcess

LATER_DECLINED = {"card": "4000000000000341", "expiry": "12/34"}


@pytest.fixture
def stopped(sandbox: SandboxProcess) -> str:
    """A subscription whose renewal was declined."""
    subscription_id = subscribe(sandbox, **LATER_DECLINED)
    sandbox.control("renewals", {"subscription_id": subscription_id})
    return subscription_id


def last_payment(client: DodoPayments, subscription_id: str) -> str:
    return client.payments.list(subscription_id=subscription_id).items[0].payment_id


def test_declined_renewal_can_be_retried(client: DodoPayments, stopped: str) -> None:
    state = client.payments.retrieve_retry_state(last_payment(client, stopped))

    assert (state.can_retry, state.reason, state.sends_used, state.sends_allowed) == (True, None, 0, 10)
    assert (state.automatic_retry_number, state.next_automatic_retry_at) == (None, None)


def test_retry_that_succeeds_starts_the_subscription_again(
    sandbox: SandboxProcess, client: DodoPayments, stopped: str
) -> None:
    failed = last_payment(client, stopped)
    before = client.subscriptions.retrieve(stopped).status
    sandbox.next_payment("succeeded")

    retried = client.payments.retry(failed)

    assert (before, client.subscriptions.retrieve(stopped).status) == ("on_hold", "active")
    assert (retried.status, retried.is_manual_retry, retried.retry_attempt, retried.sends_used) == (
        "succeeded",
        True,
        1,
        1,
    )
    assert retried.payment_id == last_payment(client, stopped) != failed
    assert client.payments.retrieve_retry_state(failed).reason == "payment_not_owed"


def test_retry_that_fails_can_be_retried_ten_times(client: DodoPayments, stopped: str) -> None:
    used = [client.payments.retry(last_payment(client, stopped)).sends_used for _ in range(10)]

    state = client.payments.retrieve_retry_state(last_payment(client, stopped))
    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        client.payments.retry(last_payment(client, stopped))

    assert used == list(range(1, 11))
    assert (state.can_retry, state.reason) == (False, "retry_limit_reached")
    assert "SUBSCRIPTION_PAYMENT_RETRY_LIMIT_EXCEEDED" in str(refused.value.body)


def test_dunning_is_shown_beside_it(sandbox: SandboxProcess, client: DodoPayments) -> None:
    sandbox.switch(dunning=True)
    subscription_id = subscribe(sandbox, **LATER_DECLINED)
    sandbox.control("renewals", {"subscription_id": subscription_id})

    state = client.payments.retrieve_retry_state(last_payment(client, subscription_id))

    assert (state.automatic_retry_number, state.automatic_retry_total) == (1, 8)
    assert state.next_automatic_retry_at is not None


def test_what_nobody_owes_is_not_retried(sandbox: SandboxProcess, client: DodoPayments) -> None:
    payment_id = sandbox.buy()["payment_id"]

    with pytest.raises(dodopayments.UnprocessableEntityError):
        client.payments.retry(payment_id)

    assert not client.payments.retrieve_retry_state(payment_id).can_retry
    assert len(client.payments.list().items) == 1
