"""axe finds nothing, on any page in any state: both languages, light and dark, with scripts and without."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import bring_axe, faults_of
from tests.browser.conftest import LANGUAGES, NewShopper
from tests.browser.exhibits import STATES
from tests.browser.gallery import Gallery, open_gallery
from tests.browser.shopper import FAILS_LATER, TEMPLATES
from tests.installation import Installation

STATE_NAMES = list(STATES)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with open_gallery(tmp_path_factory.mktemp("gallery")) as made:
        yield made


@pytest.fixture(scope="module", params=[True, False], ids=["scripts", "no scripts"])
def has_scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def page(has_scripts: bool, browser: Browser) -> Iterator[Page]:
    """One window for all states: a new one each would start a process of the browser that knows nothing yet."""
    context = browser.new_context()
    if not has_scripts:
        # axe is a script itself: the page is left without its own ones.
        context.route("**/*.js*", lambda route: route.abort())
    bring_axe(context)
    yield context.new_page()
    context.close()


@pytest.mark.criterion("N9")
@pytest.mark.parametrize("name", STATES)
def test_every_state_is_without_a_finding(gallery: Gallery, page: Page, has_scripts: bool, *, name: str) -> None:
    exhibit = gallery.exhibits[name]
    exhibit.admit(page.context)

    # Without scripts the same words stand in the same elements: every second state in the other language will do.
    one = [*LANGUAGES][STATE_NAMES.index(name) % len(LANGUAGES)]
    for language in LANGUAGES if has_scripts else [one]:
        page.goto(gallery.url(name, language=language))
        assert page.locator("main").get_attribute("data-page-state") == exhibit.state
        assert page.locator("html").get_attribute("lang") == language
        # Colours do not depend on the language, and they are what takes the longest: each state's are looked at once.
        assert faults_of(page, colours=has_scripts and language == one) == [], language


# ---- What a page becomes after an answer was put into it


@pytest.mark.criterion("N9")
@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_put_into_the_page_are_without_a_finding(
    new_shopper: NewShopper, shop: Installation, *, language: str
) -> None:
    away = new_shopper(language=language, allowed=("status of 503",)).offered()
    shop.sandbox.fault("GET /customers/{id}/payment-methods", "status:403")
    away.press("offer-accept").sees("limited", "needs-checkout")
    shop.sandbox.clear_faults()
    assert faults_of(away.page) == []

    shopper = new_shopper(language=language).offered(card=FAILS_LATER)
    shopper.press("offer-decline").sees_offer(TEMPLATES)
    assert faults_of(shopper.page) == []
    shopper.press("offer-accept").sees("failed", "card-declined")
    assert faults_of(shopper.page) == []


@pytest.mark.criterion("N9")
@pytest.mark.parametrize("language", LANGUAGES)
def test_checkout_that_cannot_be_reached_is_told_without_a_finding(
    new_shopper: NewShopper, shop: Installation, *, language: str
) -> None:
    shopper = new_shopper(language=language, allowed=("status of 503",)).open("/p/starter-course")
    shop.sandbox.fault("POST /checkouts", "status:403")

    shopper.press("buy").sees("checkout_down")

    shop.sandbox.clear_faults()
    expect(shopper.page.get_by_role("alert")).to_be_visible()
    assert faults_of(shopper.page) == []


def test_gallery_left_books_that_agree(gallery: Gallery) -> None:
    # Dues that were paid twice wait for a person, who gives the second payment back.
    for alarm in gallery.shop.store.rows("SELECT object FROM alarms WHERE kind = 'dues_paid_twice'"):
        gallery.shop.sandbox.control("refunds", {"payment_id": alarm["object"]})
        gallery.shop.wait_row(
            "SELECT webhook_id FROM webhook_events WHERE event_type = 'refund.succeeded' AND state = 'received'"
        )
    # The one unknown charge is there to be looked at, so no worker runs: what has been delivered since is read now.
    for event in gallery.shop.store.rows("SELECT webhook_id FROM webhook_events WHERE state = 'received'"):
        gallery.shop.flask("webhooks", "process", event["webhook_id"])

    report = gallery.shop.audit()

    assert report["exit"] == 0, str([found for found in report["invariants"] if found["verdict"] == "breach"])
