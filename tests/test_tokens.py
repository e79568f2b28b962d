"""What we sign: the token of one act on one offer, and the mark that proves a payment is ours."""

import random
from collections.abc import Sequence

import pytest
from itsdangerous import TimestampSigner

from encore import tokens

KEYS = ["current-key-of-thirty-two-letters", "older-key-of-thirty-two-letters.."]
SHOP = "https://shop.example.com"
HALF_HOUR_S = 1800


def make(keys: Sequence[str] = KEYS, *, instance_id: str = "oi_1", act: str = "accept", audience: str = SHOP) -> str:
    return tokens.make_offer_token(keys, instance_id=instance_id, act=act, audience=audience)


def reads(token: str, keys: Sequence[str] = KEYS) -> bool:
    return tokens.read_offer_token(keys, token, instance_id="oi_1", act="accept", audience=SHOP, max_age_s=HALF_HOUR_S)


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize(
    "other", [{"instance_id": "oi_2"}, {"act": "decline"}, {"audience": "https://evil.example"}], ids=str
)
def test_token_is_for_one_act_on_one_offer_at_one_shop(other: dict[str, str]) -> None:
    assert reads(make())
    assert not reads(make(**other))


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize(("age_s", "expected"), [(HALF_HOUR_S - 1, True), (HALF_HOUR_S + 2, False)])
def test_token_ends_with_its_time(age_s: int, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    token = make()
    made_at = TimestampSigner("any").get_timestamp()
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: made_at + age_s)

    assert reads(token) is expected


def test_token_of_an_older_key_works_until_the_key_is_gone() -> None:
    token = make(KEYS[1:])

    assert reads(token, KEYS)
    assert not reads(token, KEYS[:1])


def test_new_tokens_are_signed_with_the_current_key() -> None:
    assert reads(make(KEYS), KEYS[:1])


def alter(token: str, chance: random.Random) -> str:
    """Replace, lose or repeat some letters somewhere, or cut the end off."""
    start = chance.randrange(len(token))
    end = start + chance.randint(1, 3)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.é "
    middle = chance.choice(["", token[start:end] * 2, "".join(chance.choices(letters, k=end - start))])
    return token[:start] + middle + chance.choice([token[end:], token[end:], ""])


def test_no_altered_token_is_taken() -> None:
    seed = 20261125
    chance = random.Random(seed)
    token = make()

    altered = {alter(token, chance) for _ in range(20_000)} - {token}

    assert [text for text in altered if reads(text)] == [], f"seed {seed}"


def test_no_other_spelling_of_a_token_is_taken() -> None:
    """Base64 readers skip what is not base64, and the last letter has two bits that mean nothing."""
    token = make()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = {token[:-1] + letter for letter in letters} - {token}
    spellings |= {token[:place] + odd + token[place:] for place in range(len(token) + 1) for odd in "é= \n+/!\x00"}

    assert [text for text in spellings if reads(text)] == []


@pytest.mark.parametrize("token", ["", ".", "..", "null", "é", "a" * 100_000, "\x00"])
def test_what_is_no_token_is_not_taken(token: str) -> None:
    assert not reads(token)


def test_mark_proves_its_parts_and_nothing_else() -> None:
    mark = tokens.sign_mark(KEYS, "att_1", "cus_1")

    assert tokens.is_mark(KEYS, mark, "att_1", "cus_1")
    assert not tokens.is_mark(KEYS, mark, "att_1", "cus_2")
    assert not tokens.is_mark(KEYS, mark, "att_2", "cus_1")
    assert not tokens.is_mark(KEYS, mark, "att_1")
    assert not tokens.is_mark(["another-key"], mark, "att_1", "cus_1")


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "é" * 64])
def test_what_is_no_mark_proves_nothing(signature: str | None) -> None:
    assert not tokens.is_mark(KEYS, signature, "att_1", "cus_1")


def test_mark_of_an_older_key_still_proves() -> None:
    """A payment may be looked up for as long as its row exists."""
    assert tokens.is_mark(KEYS, tokens.sign_mark(KEYS[1:], "att_1", "cus_1"), "att_1", "cus_1")
