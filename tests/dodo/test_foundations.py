"""Clock, ids, errors and crash points: what everything else stands on."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from encore import ids
from encore.clock import Clock
from encore.crash_point import armed_fault, choose, crash_point
from encore.errors import EncoreError, NotExecuted, ProviderError, RateLimited, Unavailable
from encore.ids import new_id, random_ref
from tests.dodo.fixed_clock import FixedClock


def test_clocks_run_forward_in_their_units() -> None:
    clock = Clock()

    assert 1_700_000_000_000 < clock.now() < 10_000_000_000_000
    assert clock.monotonic() <= clock.monotonic()
    assert clock.boottime() <= clock.boottime()


def test_ids_are_prefixed_ulids_in_order() -> None:
    made = [new_id("att") for _ in range(2_000)]

    assert all(re.fullmatch(r"att_[0-7][0-9A-HJKMNP-TV-Z]{25}", name) for name in made)
    assert made == sorted(set(made))


def test_ids_stay_unique_in_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("x"), range(4_000)))

    assert len(set(made)) == len(made)


def test_a_clock_set_back_keeps_ids_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FixedClock()
    monkeypatch.setattr(ids, "_ulids", ids._UlidSource(clock))

    first = new_id("x")
    clock.advance(-3600)

    assert new_id("x") > first


def test_two_forks_of_one_moment_make_different_ids() -> None:
    clock = FixedClock()
    one, other = ids._UlidSource(clock), ids._UlidSource(clock)
    one._last = other._last = (clock.now() + 1) << 80

    assert one.next() != other.next()


def test_references_are_unguessable_and_url_safe() -> None:
    made = {random_ref() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", ref) for ref in made)


def test_errors_carry_code_status_and_message() -> None:
    class OfferExpired(EncoreError):
        code, status, message = "offer_expired", 410, "The offer has ended."

    error = OfferExpired()
    assert (error.code, error.status, str(error)) == ("offer_expired", 410, "The offer has ended.")
    assert OfferExpired("Ended at noon.").message == "Ended at noon."


def test_provider_errors_share_a_base() -> None:
    refused, limited = NotExecuted("X", 422, "no"), RateLimited("Y", "slow", reset_at=5)

    assert (refused.code, refused.status, str(refused)) == ("X", 422, "no")
    assert (limited.status, limited.reset_at) == (429, 5)
    assert Unavailable("deadline").reason == "deadline"
    assert all(isinstance(error, ProviderError) for error in (refused, limited, Unavailable("x")))


PROGRAM = """
import atexit, sys
from encore.crash_point import crash_point
atexit.register(print, "cleaned up")
try:
    for number in range(4):
        crash_point("claim.begun")
        crash_point("claim.committed")
        print(number, flush=True)
finally:
    print("finally")
"""


def run_with(**switches: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENCORE_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**env, **switches}, capture_output=True, text=True, check=False
    )


def test_a_crash_switch_ends_the_process_at_the_named_pass() -> None:
    ended = run_with(ENCORE_TESTING="1", ENCORE_CRASH_AT="claim.committed#3")

    assert ended.returncode == 137
    assert ended.stdout == "0\n1\n"


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"ENCORE_CRASH_AT": "claim.committed"},
        {"ENCORE_TESTING": "1", "ENCORE_CRASH_AT": "claim.other"},
        {"ENCORE_TESTING": "1", "ENCORE_CRASH_AT": "claim.committed#0"},
    ],
)
def test_no_other_switch_ends_the_process(switches: dict[str, str]) -> None:
    ended = run_with(**switches)

    assert ended.returncode == 0
    assert ended.stdout == "0\n1\n2\n3\nfinally\ncleaned up\n"


def test_a_pause_switch_holds_the_thread_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[float] = []
    monkeypatch.setattr("encore.crash_point.sleep", held.append)
    point = choose({"ENCORE_TESTING": "1", "ENCORE_PAUSE_AT": "send.written:1.5#2"})

    for _ in range(3):
        point("send.connected")
        point("send.written")

    assert held == [1.5]


def test_without_a_switch_the_point_is_an_empty_function() -> None:
    assert choose({}) is choose({"ENCORE_CRASH_AT": "claim.begun"}) is crash_point


@pytest.mark.parametrize("name", ["ENCORE_CRASH_AT", "ENCORE_PAUSE_AT"])
@pytest.mark.parametrize(
    ("testing", "host", "live"),
    [("", "127.0.0.1", False), ("1", "test.dodopayments.com", False), ("1", "127.0.0.1", True)],
)
def test_a_switch_outside_a_test_stops_the_start(name: str, testing: str, host: str, live: bool) -> None:
    env = {name: "send.written:1", "ENCORE_TESTING": testing}

    assert name in (armed_fault(env, provider_host=host, live=live) or "")


def test_a_switch_in_a_test_is_let_through() -> None:
    env = {"ENCORE_TESTING": "1", "ENCORE_CRASH_AT": "send.written#2"}

    assert armed_fault(env, provider_host="127.0.0.1", live=False) is None
    assert armed_fault(env, provider_host="::1", live=False) is None
    assert armed_fault({}, provider_host="live.dodopayments.com", live=True) is None


@pytest.mark.parametrize("value", ["#2", "send.written#", "send written", "send.written#-1"])
def test_a_switch_that_is_not_understood_stops_the_start(value: str) -> None:
    env = {"ENCORE_TESTING": "1", "ENCORE_CRASH_AT": value}

    assert "not understood" in (armed_fault(env, provider_host="127.0.0.1", live=False) or "")
