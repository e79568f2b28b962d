import pytest

from encore.rules.card_declines import HARD, QUIET, SOFT, CardDecline, DeclineClass, DeclineWords, read_card_decline

NAMED = {"INSUFFICIENT_FUNDS": DeclineWords.INSUFFICIENT_FUNDS, "EXPIRED_CARD": DeclineWords.EXPIRED}


def test_all_44_documented_codes_have_one_class() -> None:
    assert (len(SOFT), len(HARD)) == (29, 15)
    assert not SOFT & HARD


@pytest.mark.parametrize("code", sorted(SOFT | HARD))
def test_each_code_is_read(code: str) -> None:
    decline = read_card_decline(code)

    assert decline == CardDecline(
        decline_class=DeclineClass.HARD if code in HARD else DeclineClass.SOFT,
        words=NAMED.get(code, DeclineWords.GENERAL),
        is_quiet=code in ("LOST_CARD", "STOLEN_CARD", "PICKUP_CARD", "FRAUDULENT"),
    )


@pytest.mark.parametrize("code", [None, "", "SOMETHING_NEW", "insufficient_funds", "INSUFFICIENT_FUNDS "], ids=repr)
def test_an_unlisted_code_takes_the_general_path(code: str | None) -> None:
    assert read_card_decline(code) == CardDecline(DeclineClass.SOFT, DeclineWords.GENERAL, is_quiet=False)


@pytest.mark.parametrize("code", sorted(QUIET))
def test_what_would_help_a_thief_has_general_words(code: str) -> None:
    assert read_card_decline(code).words == DeclineWords.GENERAL
