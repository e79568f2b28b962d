"""The provider's request limits: each tier to the request, each caller for itself."""

import pytest
import requests

from sandbox.http.rate import TIERS, WITHOUT_KEY, Limits, RateLimit
from tests.sandbox_process import SandboxProcess


class Seconds:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(sandbox: SandboxProcess, key: str) -> requests.Response:
    # Every test has a caller of its own: the counts outlive a reset.
    return sandbox.call("GET", "/products?page_size=1", headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("limits", [TIERS["0"], TIERS["1"], TIERS["2"], WITHOUT_KEY], ids=["0", "1", "2", "no-key"])
def test_tier_lets_through_what_it_says(limits: Limits) -> None:
    clock = Seconds()
    rate, (a_second, a_minute) = RateLimit(clock), limits

    in_a_second = [rate.spend("key", limits) for _ in range(a_second + 1)]
    passed = a_second
    while passed < a_minute:
        clock.now += 1
        passed += sum(rate.spend("key", limits) == 0 for _ in range(min(a_second, a_minute - passed)))
    clock.now += 1
    wait_s = rate.spend("key", limits)

    assert in_a_second == [0] * a_second + [1]
    assert passed == a_minute
    assert wait_s > 0
    clock.now += wait_s
    assert rate.spend("key", limits) == 0


def test_callers_are_counted_apart() -> None:
    rate, limits = RateLimit(Seconds()), (1, 2)

    assert [rate.spend("one", limits), rate.spend("other", limits), rate.spend("one", limits)] == [0, 0, 1]


@pytest.mark.parametrize("tier", ["0", "1", "2"])
def test_answers_say_what_is_left(sandbox: SandboxProcess, tier: str) -> None:
    sandbox.control("rate", {"rate": tier})

    answers = [ask(sandbox, f"key of tier {tier}") for _ in range(2)]

    a_minute = TIERS[tier][1]
    assert [answer.headers["X-RateLimit-Limit"] for answer in answers] == [str(a_minute)] * 2
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == [str(a_minute - 1), str(a_minute - 2)]
    assert int(answers[0].headers["X-RateLimit-Reset"]) > 0


def test_too_many_requests_are_refused_on_the_wire(sandbox: SandboxProcess) -> None:
    sandbox.control("rate", {"rate": "0"})

    # The minute's limit, not the second's: however slow the machine, 250 requests take less than a minute.
    answers = [ask(sandbox, "a hasty key") for _ in range(250)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) <= 240
    assert refused[-1].json()["code"] == "TOO_MANY_REQUESTS"
    assert int(refused[-1].headers["Retry-After"]) >= 1
    assert refused[-1].headers["X-RateLimit-Limit"] == "240"


def test_limits_are_off_by_default(sandbox: SandboxProcess) -> None:
    answer = sandbox.call("GET", "/products")

    assert "X-RateLimit-Limit" not in answer.headers
