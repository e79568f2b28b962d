"""Offer tokens at the door: altered, aged and used ones. What binds a token is in tests/test_tokens.py."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner

from tests.attacks.stage import DAY_S, Browser, Stage, state_of
from tests.attacks.test_identities import ACTS
from tests.scale import proves, scaled

TOKENS = scaled(200, proof=5_000)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


@pytest.fixture(scope="module")
def buyer(stage: Stage) -> Browser:
    return stage.buyer()


@pytest.fixture(scope="module")
def csrf(buyer: Browser) -> str:
    return buyer.csrf()


@proves(TOKENS, "altered tokens of an offer")
@settings(max_examples=TOKENS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    act=st.sampled_from(ACTS),
    place=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 4),
    letters=st.text(LETTERS, max_size=4) | st.text(max_size=3),
)
def test_altered_token_does_nothing(
    stage: Stage, buyer: Browser, csrf: str, act: str, place: float, length: int, letters: str
) -> None:
    token = stage.token(buyer.instance, act)
    at = int(place * len(token))
    altered = token[:at] + letters + token[at + length :]
    if altered == token:
        return

    answer = buyer.open("POST", f"/o/{buyer.instance}/{act}", data={"csrf_token": csrf, "offer_token": altered})

    assert answer.status_code == 404
    assert buyer.row()["state"] == "shown"


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("age_s", [DAY_S + 1, -10, 30 * 365 * DAY_S])
def test_token_past_its_day_or_from_the_future_does_nothing(
    stage: Stage, buyer: Browser, act: str, age_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    csrf = buyer.csrf()
    with monkeypatch.context() as patch:
        made_at = TimestampSigner("any").get_timestamp() - age_s
        patch.setattr(TimestampSigner, "get_timestamp", lambda signer: made_at)
        token = stage.token(buyer.instance, act)

    with stage.unchanged():
        answer = buyer.act(act, offer_token=token, csrf_token=csrf)

    assert answer.status_code == 404


@pytest.mark.criterion("R10a")
def test_token_ends_with_its_offer(stage: Stage) -> None:
    """The offer's half hour is over, the browser's day is not: the form of the old page charges nothing."""
    buyer = stage.buyer()

    with stage.later(1801):
        answer = buyer.act("accept")
        page = buyer.offer()

    assert answer.location == f"/o/{buyer.instance}"
    assert state_of(page) == "expired"
    assert "Nothing was charged." in page.text
    assert buyer.charges() == []


@pytest.mark.criterion("R10c")
@pytest.mark.parametrize("is_htmx", [False, True])
def test_token_used_again_shows_the_result_and_charges_once(stage: Stage, is_htmx: bool) -> None:
    buyer = stage.buyer()
    token = stage.token(buyer.instance, "accept")
    form = {"offer_token": token, "quote_hash": buyer.row()["quote_hash"], "csrf_token": buyer.csrf()}

    answers = [buyer.post(f"/o/{buyer.instance}/accept", form, is_htmx=is_htmx) for _ in range(5)]

    assert {answer.status_code for answer in answers} == ({200} if is_htmx else {303})
    assert state_of(buyer.offer()) == "receipt"
    assert len(buyer.charges()) == 1
    assert stage.breaches() == ()


@pytest.mark.criterion("R10c")
def test_yes_after_a_no_shows_the_no(stage: Stage) -> None:
    buyer = stage.buyer()
    buyer.act("decline")

    answer = buyer.act("accept")

    assert answer.location == f"/o/{buyer.instance}"
    assert state_of(buyer.offer()) == "answered"
    assert buyer.charges() == []


@pytest.mark.parametrize("quote_hash", ["", "x", "0" * 64, "é" * 64, "a" * 10_000])
def test_hash_of_another_quote_charges_nothing(stage: Stage, buyer: Browser, quote_hash: str) -> None:
    """A form says what its page showed: another price is another answer."""
    answer = buyer.act("accept", quote_hash=quote_hash)

    assert answer.status_code == 303
    assert buyer.charges() == []
    assert buyer.row()["state"] == "shown"
