"""Pages hold together where people really are: small phones, zoomed text, wide spacing, forced colours, no motion."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser.conftest import LANGUAGES
from tests.browser.exhibits import STATES
from tests.browser.gallery import Gallery, open_gallery
from tests.browser.gallery_stock import DONG_NAME, LONG_NAME, OLD_NAME

PHONE: ViewportSize = {"width": 320, "height": 568}
LAYOUT = (Path(__file__).parent / "layout.js").read_text("utf-8")
# WCAG 1.4.12, as a reader's own style sheet would set it.
SPACING = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`p { margin-bottom: 2em !important; }
    * { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }`);
  document.adoptedStyleSheets = [sheet];
}"""
# How far things have jumped since the page began to load.
SHIFT = """() => new Promise((done) => {
  let sum = 0;
  const add = (list) => list.getEntries().forEach((entry) => { sum += entry.value; });
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
})"""
OPEN_OFFERS = (
    *("offer", "offer-long", "offer-dong", "downsell", "moved", "recommendation"),
    *("plan-offer", "plan-offer-moved"),
)
AFTER_A_FAILURE = ("failed", "not-charged", "checkout-open", "action-required", "checking")
# What stands in both languages alike: names of products, shop and cards, keys, figures, the other language.
SAME_WORDS = re.compile(
    r"Starter course|Complete bundle|Design templates|Basic plan|Pro plan|Type atlas|Font club|Sách bao bì"
    r"|Brand kit|Extra project|Studio plan|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    rf"|{DONG_NAME}|{LONG_NAME}|{OLD_NAME}|Paper & Co|Dodo Payments|Visa|Mastercard|UTC|US\$"
    r"|E-\d+|\S+@example\.com|pay_\w+|req_\w+|English|Tiếng Việt"
)
NO_WORDS = " \u00a0·:.,•×₫€$0123456789"
PRESSURE = re.compile(r"!|hurry|last chance|don.t miss|limited time|only today|nhanh lên|cơ hội cuối|đừng bỏ lỡ", re.I)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with open_gallery(tmp_path_factory.mktemp("gallery")) as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE)
    yield context.new_page()
    context.close()


def visit(
    page: Page, gallery: Gallery, name: str, *, language: str = "en", width: int = 320, height: int = 568
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    gallery.exhibits[name].admit(page.context)
    page.goto(gallery.url(name, language=language))


def box_of(locator: Locator) -> dict[str, float]:
    box = locator.bounding_box()
    assert box is not None
    return {"y": box["y"], "width": box["width"], "height": box["height"], "bottom": box["y"] + box["height"]}


# ---- Every state


@pytest.mark.criterion("N9")
@pytest.mark.parametrize("name", STATES)
def test_every_state_holds_together_at_every_size(page: Page, gallery: Gallery, *, name: str) -> None:
    for language in LANGUAGES:
        visit(page, gallery, name, language=language)
        assert page.evaluate(LAYOUT) == [], f"{language} at 320 px"
        for width in (480, 640, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(LAYOUT) == [], f"{language} at {width} px"
        # A desktop window at 200 %: half the width (640, above) by zooming, or twice the text in the same width.
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate(LAYOUT) == [], f"{language} with text of twice the size"
        page.evaluate("document.documentElement.style.fontSize = ''")
        page.evaluate(SPACING)
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 568})
            assert page.evaluate(LAYOUT) == [], f"{language} with wide spacing at {width} px"


@pytest.mark.criterion("P18")
@pytest.mark.parametrize("name", STATES)
def test_every_state_speaks_one_language(page: Page, gallery: Gallery, *, name: str) -> None:
    words: dict[str, set[str]] = {}
    for language in LANGUAGES:
        visit(page, gallery, name, language=language)
        # The catalogue is the provider's and has one language; the shop's own words have two.
        page.evaluate("document.querySelectorAll('.line, .text').forEach((e) => e.remove())")
        texts = page.locator("body").inner_text().splitlines()
        lines = [SAME_WORDS.sub("", text).strip(NO_WORDS) for text in texts]
        # A product without a picture shows its first letter.
        words[language] = {line for line in lines if len(line) > 1}
        assert PRESSURE.search(page.locator("main").inner_text()) is None
        expect(page.locator("header")).to_contain_text({"en": "Test shop", "vi": "Cửa hàng thử nghiệm"}[language])

    assert words["en"] & words["vi"] == set()


# ---- Yes and no


@pytest.mark.criterion("R35a")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [*OPEN_OFFERS, "no-method"])
def test_no_is_as_large_as_yes_and_in_view_on_the_smallest_phone(
    page: Page, gallery: Gallery, *, name: str, language: str
) -> None:
    visit(page, gallery, name, language=language)
    no = page.get_by_test_id("offer-decline").get_by_role("button")
    yes = page.get_by_test_id("go-to-checkout" if name == "no-method" else "offer-accept").get_by_role("button")

    # With the band of the test shop, which a real shop has not.
    assert box_of(no)["bottom"] <= PHONE["height"]
    assert (box_of(no)["width"], box_of(no)["height"]) == (box_of(yes)["width"], box_of(yes)["height"])
    assert box_of(no)["height"] >= 48
    for style in ("fontSize", "fontWeight", "fontFamily", "lineHeight", "letterSpacing", "opacity"):
        assert no.evaluate(f"e => getComputedStyle(e).{style}") == yes.evaluate(f"e => getComputedStyle(e).{style}")


@pytest.mark.criterion("R35a")
@pytest.mark.parametrize("name", OPEN_OFFERS)
def test_no_is_as_large_as_yes_on_a_desktop(page: Page, gallery: Gallery, *, name: str) -> None:
    for language in LANGUAGES:
        visit(page, gallery, name, language=language, width=1280, height=800)
        no, yes = (page.get_by_test_id(f"offer-{act}").get_by_role("button") for act in ("decline", "accept"))

        assert (box_of(no)["width"], box_of(no)["height"]) == (box_of(yes)["width"], box_of(yes)["height"])
        assert box_of(no)["bottom"] <= 800


@pytest.mark.criterion("P3", "R35b")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", OPEN_OFFERS)
def test_total_tax_and_card_stand_above_the_button_that_repeats_the_sum(
    page: Page, gallery: Gallery, *, name: str, language: str
) -> None:
    visit(page, gallery, name, language=language)
    button = page.get_by_test_id("offer-accept").get_by_role("button")
    total = page.get_by_text(re.compile("^(Tổng cộng|Thanh toán hôm nay|Total|Due today)")).first
    card = page.get_by_text("Visa •••• 4242").first
    tax = page.get_by_text("Thuế" if language == "vi" else "Tax").first

    amount = re.search(r"[\d.,]+\d", button.inner_text())
    assert amount is not None
    assert re.sub(r"\D", "", amount[0]) == page.get_by_test_id("offer").get_attribute("data-amount")
    sums = page.locator(".total").first.inner_text()
    assert amount[0] in sums
    assert box_of(tax)["bottom"] <= box_of(total)["y"] + 1
    assert box_of(total)["bottom"] <= box_of(card)["y"] + 1
    assert box_of(card)["bottom"] <= box_of(button)["y"]


@pytest.mark.criterion("R25b")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", AFTER_A_FAILURE)
def test_complete_order_is_in_view_after_any_failure(page: Page, gallery: Gallery, *, name: str, language: str) -> None:
    visit(page, gallery, name, language=language)

    said = page.get_by_test_id("order-summary").get_by_text("hoàn tất" if language == "vi" else "is complete")

    assert box_of(said)["bottom"] <= PHONE["height"]


# ---- Readers' own settings


@pytest.mark.parametrize("name", ["shop", "product", "offer", "failed", "checking", "thanks-paid"])
def test_forced_colours_keep_every_border_and_the_focus_ring(browser: Browser, gallery: Gallery, *, name: str) -> None:
    context = browser.new_context(forced_colors="active", viewport={"width": 768, "height": 800})
    gallery.exhibits[name].admit(context)
    page = context.new_page()
    page.goto(gallery.url(name))

    for button in page.locator("main").get_by_role("button").all():
        assert button.evaluate(
            "e => getComputedStyle(e).borderTopStyle + parseInt(getComputedStyle(e).borderTopWidth)"
        ) in (
            "solid2",
            "none0",
        )
    page.keyboard.press("Tab")
    ring = "e => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth"
    assert page.locator(":focus").evaluate(ring) == "solid3px"
    context.close()


def test_nothing_moves_for_those_who_asked_for_no_motion(browser: Browser, gallery: Gallery) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    for name in ("shop", "offer", "checking", "receipt"):
        gallery.exhibits[name].admit(context)
        page.goto(gallery.url(name))

        moving = page.evaluate(
            "[...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e);"
            " return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none'; }).length"
        )

        assert moving == 0, name
    context.close()


# ---- Weight


@pytest.mark.parametrize("name", ["shop", "product", "offer", "receipt"])
def test_page_is_light_steady_and_asks_nobody_else(browser: Browser, gallery: Gallery, *, name: str) -> None:
    context = browser.new_context(viewport=PHONE)
    gallery.exhibits[name].admit(context)
    page = context.new_page()
    loaded: list[tuple[str, int]] = []
    page.on("response", lambda answer: loaded.append((answer.url, len(answer.body()))))

    page.goto(gallery.url(name), wait_until="networkidle")

    own = [(url, size) for url, size in loaded if url.startswith(gallery.shop.url)]
    pictures = [url for url, _ in loaded if not url.startswith(gallery.shop.url)]
    assert len(own) <= 6
    assert sum(size for _, size in own) <= 108_000
    assert all("/static/products/" in url for url in pictures), pictures
    shift = page.evaluate(SHIFT)
    assert shift <= 0.02
    context.close()
