"""A subscription whose currency Dodo does not name: no price is made up, and nothing is charged or changed."""

from typing import Any

import pytest

from tests.attacks.stage import state_of
from tests.bad_input.conftest import Deceived
from tests.bad_input.liar import saying
from tests.html import Element, form_fields
from tests.web.test_dues import Holder, name_of

SUBSCRIPTION = ("GET", r"/subscriptions/[^/]+")
NO_CURRENCY = [None, ..., "", "usd", 17]


def shown(page: Element) -> str:
    """What the form brings back to say which sum was owed."""
    return form_fields(page.test_id("pay-dues"))["shown"]


@pytest.mark.parametrize("currency", NO_CURRENCY)
def test_what_is_owed_in_no_currency_is_not_asked_for(deceived: Deceived, currency: Any) -> None:
    buyer = Holder(deceived.stage)
    before = buyer.plan()
    assert "$30.00 is due" in before.text

    with deceived.liar.telling(*SUBSCRIPTION, saying("currency", currency)):
        page = buyer.plan()
        refused = buyer.pay(before)

    assert deceived.liar.told >= 1
    assert (state_of(page), page.has_test_id("dues"), page.has_test_id("pay-dues")) == ("on_hold", False, False)
    assert "We could not ask for the latest state" in page.text
    assert refused.status_code == 503
    assert buyer.posts() == []
    # What was known before is kept, and holds again as soon as the provider can be read.
    assert shown(buyer.plan()) == shown(before)


@pytest.mark.parametrize("currency", NO_CURRENCY[:2])
def test_the_card_of_a_plan_in_no_currency_is_not_changed(deceived: Deceived, currency: Any) -> None:
    buyer = Holder(deceived.stage, on_hold=False)
    name = name_of(buyer.browser.page(f"{buyer.path}/cards"))

    with deceived.liar.telling(*SUBSCRIPTION, saying("currency", currency)):
        answer = buyer.browser.post(f"{buyer.path}/cards", {"method": name})

    assert answer.status_code == 503
    assert buyer.posts() == []
