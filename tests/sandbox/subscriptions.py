"""What the subscription tests share: a shop's clock at the day of the golden tables, plans, and what happened."""

from datetime import UTC, datetime
from typing import Any

from tests.sandbox_process import BASIC, SandboxProcess

DAY_S = 86_400


def at(year: int, month: int, day: int, hour: int = 0) -> datetime:
    """Return a UTC time."""
    return datetime(year, month, day, hour, tzinfo=UTC)


def stand_at(sandbox: SandboxProcess, moment: datetime) -> None:
    """Freeze the sandbox clock and move it to a moment."""
    sandbox.control("clock", {"freeze": True})
    now = sandbox.control("clock")["now"]
    sandbox.clock(round(moment.timestamp() * 1000 - now) / 1000)


def make_plan(
    sandbox: SandboxProcess, price: int, *, interval: str = "Month", addons: Any = None, name: str = "", **more: Any
) -> str:
    """Create a subscription product and return its id; `more` are fields of its price."""
    body: dict[str, Any] = {
        "name": name or f"Plan {price / 100:.2f}",
        "tax_category": "saas",
        "price": {
            "type": "recurring_price",
            "currency": "USD",
            "price": price,
            "discount": 0,
            "purchasing_power_parity": False,
            "payment_frequency_count": 1,
            "payment_frequency_interval": interval,
            "subscription_period_count": 20,
            "subscription_period_interval": "Year",
            **more,
        },
    }
    if addons is not None:
        body["addons"] = addons
    return str(sandbox.post("/products", body)["product_id"])


def subscribe(sandbox: SandboxProcess, product_id: str = BASIC, *, country: str = "HK", **checkout: Any) -> str:
    """Subscribe on the hosted page, from a country without tax unless told otherwise; return the subscription's id."""
    payment = sandbox.buy(product_id, country=country, zipcode="00000", **checkout)
    assert payment["status"] == "succeeded", payment
    return str(payment["subscription_ids"][0])


def body_of(product_id: str, mode: str, **more: Any) -> dict[str, Any]:
    """Return a change-plan body with everything Encore sends."""
    return {
        "product_id": product_id,
        "quantity": 1,
        "proration_billing_mode": mode,
        "effective_at": "immediately",
        "on_payment_failure": "prevent_change",
        "addons": [],
        **more,
    }


def change(sandbox: SandboxProcess, subscription_id: str, product_id: str, mode: str, **more: Any) -> Any:
    """Change a plan; it must be taken."""
    return sandbox.post(f"/subscriptions/{subscription_id}/change-plan", body_of(product_id, mode, **more))


def preview(sandbox: SandboxProcess, subscription_id: str, product_id: str, mode: str, **more: Any) -> Any:
    """Preview a plan change; it must be taken."""
    return sandbox.post(f"/subscriptions/{subscription_id}/change-plan/preview", body_of(product_id, mode, **more))


def refused(sandbox: SandboxProcess, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Send what must be refused; return the status and the code."""
    answer = sandbox.call(method, path, body)
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()["code"]


def read(sandbox: SandboxProcess, subscription_id: str) -> Any:
    """Return the subscription."""
    return sandbox.get(f"/subscriptions/{subscription_id}")


def payments_of(sandbox: SandboxProcess, subscription_id: str) -> list[Any]:
    """Return the subscription's payments, oldest first."""
    items = sandbox.get("/payments", subscription_id=subscription_id, page_size=100)["items"]
    return list(reversed(items))


def events(sandbox: SandboxProcess, after: int = 0) -> list[str]:
    """Return the types of the events so far, oldest first, but the first `after`."""
    return [event["type"] for event in sandbox.control("deliveries")["events"]][after:]


def patch(sandbox: SandboxProcess, subscription_id: str, **fields: Any) -> Any:
    """Change a subscription; it must be taken."""
    answer = sandbox.call("PATCH", f"/subscriptions/{subscription_id}", fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refuses(sandbox: SandboxProcess, subscription_id: str, **fields: Any) -> tuple[int, str]:
    """Send a change that must be refused; return the status and the code."""
    return refused(sandbox, "PATCH", f"/subscriptions/{subscription_id}", fields)


def amounts(sandbox: SandboxProcess, subscription_id: str) -> list[tuple[str, str, int]]:
    """Return what each payment of the subscription was for, how it ended and its amount, oldest first."""
    return [(p["charge_type"], p["status"], p["total_amount"]) for p in payments_of(sandbox, subscription_id)]


def fail_renewal(sandbox: SandboxProcess, code: str = "INSUFFICIENT_FUNDS", *, times: int = 1) -> None:
    """Let the renewal of 1 May fail."""
    sandbox.next_payment("failed", code, times=times)
    stand_at(sandbox, at(2027, 5, 1))
