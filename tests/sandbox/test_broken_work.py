"""One event or timer that is broken, whatever broke it, does not stop the others."""

import pytest

from sandbox.core.store import Store
from tests.listener import SECRET, Listener
from tests.sandbox_process import SandboxProcess, wait_for


def spoil(sandbox: SandboxProcess, sql: str) -> None:
    """Write into the running sandbox's file, as no route does."""
    store = Store(sandbox.db)
    assert store.run(sql) == 1
    store.close()


@pytest.mark.parametrize("parallel", [1, 4])
def test_event_that_cannot_be_made_is_given_up_and_the_others_arrive(sandbox: SandboxProcess, parallel: int) -> None:
    with Listener() as listener:
        sandbox.webhooks(url=listener.url, secret=SECRET, hold=True, parallel=parallel)
        first, broken, last = (sandbox.buy()["payment_id"] for _ in range(3))
        spoil(sandbox, f"UPDATE events SET kind = 'nonsense' WHERE object_id = '{broken}'")

        sandbox.webhooks(hold=False)

        wait_for(lambda: len(listener.arrivals) == 2, what="the two good events")
        wait_for(lambda: sandbox.control("webhooks")["events"] == {"delivered": 2, "dead": 1}, what="the end of all")
    assert {event["data"]["payment_id"] for event in listener.events()} == {first, last}
    (given_up,) = [row for row in sandbox.deliveries() if row["error"]]
    assert given_up["status"] is None
    assert "nonsense" in given_up["error"]


def test_timer_that_cannot_be_done_is_given_up_and_the_others_are_done(sandbox: SandboxProcess) -> None:
    sandbox.control("clock", {"freeze": True})
    sandbox.next_payment("processing", then={"outcome": "succeeded", "after_s": 60})
    payment = sandbox.buy()
    spoil(sandbox, "INSERT INTO timers (due_at, action, doc) VALUES (1, 'nonsense', '{}')")

    sandbox.clock(61)

    assert sandbox.get(f"/payments/{payment['payment_id']}")["status"] == "succeeded"
