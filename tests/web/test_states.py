"""Every page state in both languages: what it says, what it offers, and what it must not offer."""

import pytest

from encore.services.pages import OfferState
from tests.html import read
from tests.web import factories
from tests.web.conftest import Visit, World

LANGUAGES = ("en", "vi")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", factories.OFFER_STATES)
def test_offer_state_draws_the_same_alone_and_on_the_return_page(
    visit: Visit, world: World, state: OfferState, language: str
) -> None:
    visit.language = language
    world.offer = factories.offer_page(state)
    world.returned = factories.return_page("offer", offer=world.offer)

    alone = visit.get(f"/o/{factories.INSTANCE}")
    returned = visit.get(f"/r/{factories.REF}")

    for answer in (alone, returned):
        assert answer.status_code == 200
        page = read(answer.get_data(as_text=True))
        assert page.one("main").attributes["data-page-state"] == state
        assert page.one("html").attributes["lang"] == language
        assert page.test_id("sign-out").tag == "form"
