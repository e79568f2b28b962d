"""The plan page and a quote's pages over real parts: the application, its store and the sandbox as a process.

Every page passes the lint, in both languages, as a whole and as what htmx is given.
"""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from encore.services import catalogue, offer_files
from tests.attacks.stage import MASTERCARD, Stage, open_stage, state_of
from tests.html import form_fields, read
from tests.sandbox.subscriptions import make_plan
from tests.sandbox_process import BASIC, BRAND_KIT, EXTRA_PROJECT, PRO
from tests.web.subscriber import STATES, Subscriber, action_required, checking, failed, minor, outcomes

# ux.md, section 8.
OUTCOMES = {
    "quote_changed": "moved",
    "quote_expired": "expired",
    "pending_change": "processing",
    "processing": "processing",
    "checking": "checking",
    "action_required": "needs-authentication",
    "changed": "paid",
    "scheduled": "answered",
    "failed": "card-declined",
    "not_charged": "needs-checkout",
    "limited": "needs-checkout",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("plans")) as opened:
        yield opened


@pytest.mark.criterion("R32")
def test_the_plan_page_shows_the_plans_side_by_side(stage: Stage) -> None:
    page = Subscriber(stage).plan()

    plans = page.all(data_testid="plan")
    assert [(plan.attributes["data-product"], plan.attributes["data-current"]) for plan in plans] == [
        (BASIC, "true"),
        (PRO, "false"),
    ]
    assert state_of(page) == "active"
    assert "4242" in page.test_id("method").text
    assert len(page.all(data_testid="choose-plan")) == 1
    assert "Most chosen" not in page.text


@pytest.mark.criterion("R16c", "R33")
def test_an_upgrade_by_plain_forms(stage: Stage) -> None:
    buyer = Subscriber(stage)

    page = buyer.quote()
    assert (state_of(page), minor(page)) == ("preview", ["5000"])
    assert "You pay only the difference." in page.text
    for hook in ("preview", "next-billing", "effective", "confirm-change", "keep-plan"):
        assert page.has_test_id(hook), hook
    done = buyer.confirm(page)

    assert done.status_code == 303
    after = buyer.browser.page(done.location)
    assert (state_of(after), outcomes(after)) == ("changed", ["paid"])
    assert "$50.00" in after.text
    assert buyer.plan().all(data_testid="plan")[1].attributes["data-current"] == "true"


def test_an_upgrade_by_htmx(stage: Stage) -> None:
    buyer = Subscriber(stage)

    chosen = buyer.choose(is_htmx=True)
    assert (chosen.status_code, chosen.mimetype) == (200, "text/html")
    done = buyer.confirm(read(chosen.get_data(as_text=True)), is_htmx=True)

    assert done.status_code == 200
    assert 'id="subscriptions-changed"' in done.get_data(as_text=True)


def test_a_downgrade_offers_both_ways_and_keeping(stage: Stage) -> None:
    """R17b R17c R18b"""
    buyer = Subscriber(stage, "pro-plan")

    page = buyer.quote(BASIC)

    buttons = [form.text.strip() for form in page.all(data_testid="confirm-change")]
    assert len(buttons) == 2
    assert re.fullmatch(r"Change on \w+ \d+, \d+", buttons[0])
    assert buttons[1] == "Change now"
    assert page.test_id("credit").attributes["data-minor"] == "5000"
    assert "You will lose" in page.text
    assert "It is not cash." in page.text
    assert len(page.all(data_testid="keep-plan")) == 1


def test_the_sums_of_a_taxed_downgrade_add_up_to_what_is_due(stage: Stage) -> None:
    """R14b R18a"""
    buyer = Subscriber(stage, "pro-plan", zipcode="10001")

    now = buyer.quote(BASIC).all("dl")[-1]

    sums = {row.all("dt")[0].text.strip(): row.all("dd")[0].text.strip() for row in now.all("div")}
    assert [sums[name] for name in ("Subtotal", "Tax", "Credit added", "Due today")] == [
        "−$50.00",
        "−$4.00",
        "$54.00",
        "$0.00",
    ]


def test_a_scheduled_downgrade_is_seen_and_cancelled(stage: Stage) -> None:
    """R17d"""
    buyer = Subscriber(stage, "pro-plan")
    done = buyer.confirm(buyer.quote(BASIC))
    assert state_of(buyer.browser.page(done.location)) == "scheduled"

    plan = buyer.plan()
    assert (state_of(plan), plan.has_test_id("scheduled-change")) == ("scheduled", True)
    assert plan.all(data_testid="choose-plan") == []
    buyer.browser.send(plan, "cancel-scheduled")

    assert state_of(buyer.plan()) == "active"
    assert not buyer.plan().has_test_id("scheduled-change")


def test_a_subscription_is_cancelled_and_kept_in_two_clicks_each(stage: Stage) -> None:
    buyer = Subscriber(stage)

    asked = buyer.browser.page(str(buyer.plan().test_id("cancel-subscription").attributes["href"]))
    assert "Nothing is charged after that." in asked.text
    assert asked.has_test_id("keep-plan")
    buyer.browser.send(asked, "confirm-cancel")

    plan = buyer.plan()
    assert state_of(plan) == "cancelling"
    assert not plan.has_test_id("cancel-subscription")
    buyer.browser.send(plan, "keep-subscription")
    assert state_of(buyer.plan()) == "active"


@pytest.mark.parametrize("act", ["cancel", "resume", "scheduled/cancel"])
def test_what_charges_nothing_is_not_said_to_be_a_payment_that_is_checked(stage: Stage, act: str) -> None:
    buyer = Subscriber(stage)
    for endpoint in ("PATCH /subscriptions/{id}", "DELETE /subscriptions/{id}/change-plan/scheduled"):
        stage.sandbox.fault(endpoint, "status:503")

    answer = buyer.browser.post(f"{buyer.path}/{act}")
    stage.sandbox.clear_faults()

    text = read(answer.get_data(as_text=True)).one("main").text
    assert answer.status_code == 503
    assert ("This step charged nothing." in text, "payment" in text) == (True, False)


def test_an_upgrade_of_an_ending_plan_says_that_it_goes_on(stage: Stage) -> None:
    buyer = Subscriber(stage)
    buyer.browser.post(f"{buyer.path}/cancel")

    page = buyer.quote()
    assert "With this change it goes on." in page.text
    stage.sandbox.next_payment("failed", "GENERIC_DECLINE")
    declined = buyer.browser.page(buyer.confirm(page).location)

    assert "Your plan still ends on" in declined.text
    assert state_of(buyer.plan()) == "cancelling"


# ---- Every state -----------------------------------------------------------------------------------------------


@pytest.mark.criterion("P18")
@pytest.mark.parametrize("reach", STATES, ids=lambda reach: reach.__name__)
def test_each_state_says_its_outcome_in_both_languages(stage: Stage, reach: Callable[[Subscriber], str]) -> None:
    buyer = Subscriber(stage)
    path = reach(buyer)

    for language in ("en", "vi"):
        page = read(buyer.browser.get(f"{path}?lang={language}").get_data(as_text=True))
        assert state_of(page) == reach.__name__
        assert outcomes(page) == [OUTCOMES[reach.__name__]]
        assert page.one("html").attributes["lang"] == language
        fragment = buyer.browser.get(path, is_htmx=True)
        assert f'id="subscriptions-{reach.__name__}"' in fragment.get_data(as_text=True)


def test_a_state_without_certainty_has_no_button_that_pays(stage: Stage) -> None:
    buyer = Subscriber(stage)
    page = buyer.browser.page(checking(buyer))

    assert page.all(data_testid="confirm-change") == []
    assert page.all(data_testid="refresh-quote") == []
    assert page.has_test_id("check-again")


def test_a_declined_change_leads_back_to_the_same_step(stage: Stage) -> None:
    buyer = Subscriber(stage)
    page = buyer.browser.page(failed(buyer))
    assert "Your plan is still Basic plan." in page.text

    again = buyer.browser.send(page, "refresh-quote")

    assert minor(buyer.browser.page(again.location)) == ["5000"]


def test_the_bank_step_leads_to_the_bank(stage: Stage) -> None:
    buyer = Subscriber(stage)
    page = buyer.browser.page(action_required(buyer))

    gone = buyer.browser.send(page, "go-to-bank")

    assert gone.status_code == 303
    assert gone.location.startswith(stage.sandbox.url)


@pytest.mark.parametrize("place", ["the plan's page", "a declined change"])
def test_another_card_is_given_on_the_providers_page(stage: Stage, place: str) -> None:
    """R26b"""
    buyer = Subscriber(stage)
    old = str(urlsplit(buyer.choose().location).path)
    page = buyer.plan() if place == "the plan's page" else buyer.browser.page(failed(buyer))

    gone = buyer.browser.send(page, "change-card")
    assert gone.location.startswith(stage.sandbox.url)
    card = {"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}
    given = stage.sandbox.call("POST", urlsplit(gone.location).path, data=card)
    assert given.headers["location"].startswith(f"http://127.0.0.1:5000{buyer.path}?")
    back = buyer.browser.get(f"{buyer.path}?status=succeeded")

    assert (back.status_code, back.location) == (303, buyer.path)
    assert state_of(buyer.plan()) == "active"
    assert state_of(buyer.browser.page(old)) == "quote_expired"
    assert "4444" in buyer.quote().text
    paid = stage.sandbox.get("/payments", subscription_id=buyer.provider_id)["items"]
    assert [p["total_amount"] for p in paid if p["status"] == "succeeded" and p["total_amount"]] == [3000]


def test_no_card_is_asked_for_where_that_would_charge_what_is_owed(stage: Stage) -> None:
    buyer = Subscriber(stage)
    with stage.shop.store.write():
        stage.shop.store.run("UPDATE subscriptions SET status = 'on_hold', observed_at = observed_at + 10000000")

    assert not buyer.plan().has_test_id("change-card")
    assert buyer.browser.post(f"{buyer.path}/card").status_code == 503
    assert stage.sandbox.requests("POST", f"/subscriptions/{buyer.provider_id}/update-payment-method") == []


# ---- Bad input and strangers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "status", "sentence"),
    [
        ({"product": "pdt_none"}, 422, "This is not one of the plans you can change to."),
        ({}, 422, "This is not one of the plans you can change to."),
        ({"product": BASIC}, 422, "This is the plan you have."),
        ({"product": PRO, "quantity": "0"}, 422, "Please enter a number of seats from 1 to 10,000."),
        ({"product": PRO, "quantity": "99999999999"}, 422, "Please enter a number of seats from 1 to 10,000."),
        ({"product": PRO, "quantity": "two"}, 422, "Please enter a number of seats from 1 to 10,000."),
        (
            {"product": BASIC, "addon": BRAND_KIT, "addon_quantity": "1"},
            422,
            "This add-on cannot be had with this plan.",
        ),
        *(
            (
                {"product": BASIC, "addon": EXTRA_PROJECT, "addon_quantity": count},
                422,
                "Please enter a number from 0 to 10,000 for each add-on.",
            )
            for count in ("-1", "99999999999", "two")
        ),
        ({"product": BASIC, "addon": EXTRA_PROJECT}, 400, "We could not read that"),
    ],
)
def test_each_wrong_wish_has_its_own_sentence(stage: Stage, form: dict[str, str], status: int, sentence: str) -> None:
    buyer = Subscriber(stage)

    for is_htmx in (False, True):
        answer = buyer.browser.post(f"{buyer.path}/preview", form, is_htmx=is_htmx)
        assert answer.status_code == status
        assert sentence in answer.get_data(as_text=True)
    assert buyer.changes() == []


@pytest.mark.parametrize("more", [{"proration_billing_mode": "for_free"}, {"amount": "1"}, {"addons": ""}])
def test_a_form_that_names_what_the_row_decides_is_refused(stage: Stage, more: dict[str, str]) -> None:
    buyer = Subscriber(stage)
    page = buyer.quote()

    assert buyer.browser.post(f"{buyer.path}/preview", {"product": PRO, **more}).status_code == 400
    form = page.test_id("confirm-change")
    answer = buyer.browser.open("POST", form.attributes["action"], data={**form_fields(form), **more})
    assert answer.status_code == 400
    assert buyer.changes() == []


@pytest.mark.criterion("R15e")
def test_seats_and_add_ons_by_plain_forms(stage: Stage) -> None:
    """Added in one form with the seats; removed in the same form, which says so before the price is agreed to."""
    buyer = Subscriber(stage)

    form = buyer.plan().test_id("change-seats")
    assert [addon.attributes["data-addon"] for addon in form.all(data_testid="addon")] == [EXTRA_PROJECT]
    fields = {"csrf_token": form_fields(form)["csrf_token"], "product": BASIC, "addon": EXTRA_PROJECT}
    chosen = buyer.browser.post(f"{buyer.path}/preview", {**fields, "quantity": "2", "addon_quantity": "3"})
    page = buyer.browser.page(chosen.location)
    assert (minor(page), page.all(data_testid="addons-removed")) == (["6000"], [])
    assert "New: Extra project × 3" in page.text
    buyer.confirm(page)

    plan = buyer.plan()
    assert plan.test_id("addons").text == "With Extra project × 3"
    assert "Extra project" in plan.test_id("change-seats").text
    chosen = buyer.browser.post(f"{buyer.path}/preview", {**fields, "quantity": "2", "addon_quantity": "0"})
    page = buyer.browser.page(chosen.location)
    assert len(page.all(data_testid="addons-removed")) == 1
    assert "These add-ons are removed: Extra project × 3" in page.text
    buyer.confirm(page, 1)
    assert not buyer.plan().has_test_id("addons")


def test_a_discount_is_said_to_stay_or_to_end(stage: Stage) -> None:
    stages = {"STAYS": "discount-kept", "ENDS": "discount-lost"}
    for code in stages:
        body = {"type": "percentage", "amount": 1000, "code": code, "preserve_on_plan_change": code == "STAYS"}
        stage.sandbox.post("/discounts", body)
        buyer = Subscriber(stage, discount_code=code)
        assert "less your discount" in buyer.plan().text

        page = buyer.quote()

        assert code in page.test_id(stages[code]).text
        buyer.confirm(page)
        kept = stage.one("SELECT consent_json FROM acceptances WHERE product_id = :id ORDER BY rowid DESC", id=PRO)
        assert f"Your discount {code}" in kept["consent_json"], "it is in what the buyer agreed to"


@pytest.mark.criterion("R13b")
def test_a_lower_option_leaves_what_was_asked_for_one_click_away(stage: Stage) -> None:
    between = make_plan(stage.sandbox, 5000)
    catalogue.sync(stage.shop)
    shipped = (files("encore.services") / "recipes" / "plans.toml").read_text("utf-8")
    plan = f'[[plan_groups.plans]]\nproduct = "{between}"\npoints = [{{ en = "By telephone" }}]\n\n'
    first, last = shipped.rsplit("[[plan_groups.plans]]", 1)
    offer_files.import_text(stage.shop, f"{first}{plan}[[plan_groups.plans]]{last}")
    try:
        buyer = Subscriber(stage, "pro-plan")
        page = buyer.quote(BASIC)
        assert page.test_id("lower-option").attributes["data-product"] == between
        # Both ways of what was asked for, on the same page.
        assert len(page.all(data_testid="confirm-change")) == 2
        chosen = buyer.browser.send(page, "choose-lower")
        instead = buyer.browser.page(chosen.location)
        assert "By telephone" not in [line.text for line in instead.all(data_testid="lower-option")]
        assert not instead.has_test_id("lower-option")
        assert buyer.confirm(page).status_code == 303
        assert state_of(buyer.plan()) == "scheduled"
    finally:
        offer_files.import_text(stage.shop, shipped)


def test_a_preview_that_fails_says_so_and_gives_no_button(stage: Stage) -> None:
    """R14d"""
    buyer = Subscriber(stage)
    stage.sandbox.fault("POST /subscriptions/{id}/change-plan/preview", "status:500", times=1)

    answer = buyer.choose()

    page = read(answer.get_data(as_text=True))
    assert (answer.status_code, state_of(page)) == (503, "preview_failed")
    assert "The price cannot be shown now, so nothing can be changed." in page.text
    assert page.all(data_testid="confirm-change") == []


def test_a_strangers_subscription_and_quote_are_unknown(stage: Stage) -> None:
    buyer, stranger = Subscriber(stage), Subscriber(stage)
    quote = str(urlsplit(buyer.choose().location).path)
    with stage.unchanged(but=("sign_ins", "subscriptions", "ledger")):
        for path in (buyer.path, quote, "/account/subscriptions/sbs_none", "/quotes/quo_none"):
            assert stranger.browser.get(path).status_code == 404
        for act in ("preview", "scheduled/cancel", "cancel", "resume"):
            path = f"{buyer.path}/{act}"
            assert stranger.browser.post(path).status_code == 404
        for act in ("confirm", "refresh", "bank", "leave"):
            assert stranger.browser.post(f"{quote}/{act}").status_code == 404


def test_a_quote_is_no_offer(stage: Stage) -> None:
    """Its own browser cannot charge it through the pages of offers, which know nothing of its price."""
    buyer = Subscriber(stage)
    quote = str(urlsplit(buyer.choose().location).path).rpartition("/")[2]

    for act in ("accept", "decline", "continue", "cancel", "checkout"):
        fields = {"offer_token": stage.token(quote, act)}
        answer = buyer.browser.post(f"/o/{quote}/{act}", fields)
        assert (answer.status_code, answer.location) == (303, "/p/pro-plan")
    assert buyer.browser.get(f"/o/{quote}").status_code == 404
    assert buyer.changes() == []
    assert state_of(buyer.browser.page(f"/quotes/{quote}")) == "preview"


def test_who_has_only_paid_is_asked_to_sign_in(stage: Stage) -> None:
    """A thief's browser: a typed address proves nothing."""
    buyer = Subscriber(stage)
    thief = stage.buyer(email=buyer.browser.email)
    quote = str(urlsplit(buyer.choose().location).path)
    with stage.unchanged(but=("sign_ins",)):
        for path in (buyer.path, quote):
            answer = thief.get(path)
            assert (answer.status_code, "/account/sign-in" in answer.location) == (303, True)
        for path in (f"{buyer.path}/preview", f"{quote}/confirm"):
            answer = thief.post(path)
            assert (answer.status_code, "/account/sign-in" in answer.location) == (303, True)


def test_a_change_wants_a_recent_sign_in(stage: Stage) -> None:
    buyer = Subscriber(stage)
    page = buyer.quote()
    stage.clock.wall_s += 1500
    buyer.plan()
    stage.clock.wall_s += 400

    answer = buyer.confirm(page)

    assert answer.status_code == 303
    assert answer.location.startswith("/account/sign-in?to=/quotes/")
    assert buyer.changes() == []


def test_reading_changes_nothing_and_posts_only_post(stage: Stage) -> None:
    """R10e"""
    buyer = Subscriber(stage)
    quote = str(urlsplit(buyer.choose().location).path)

    for path in (f"{quote}/confirm", f"{buyer.path}/preview", f"{buyer.path}/scheduled/cancel", f"{buyer.path}/resume"):
        assert buyer.browser.get(path).status_code == 405
    buyer.browser.get(quote)
    buyer.browser.get(buyer.path)
    assert buyer.changes() == []


@pytest.mark.parametrize("action", ["refresh", "cancel", "resume", "scheduled/cancel"])
def test_what_costs_calls_of_the_provider_is_limited(tmp_path: Path, action: str) -> None:
    with open_stage(tmp_path, ENCORE_LIMITS="on") as stage:
        buyer = Subscriber(stage)
        path = buyer.choose().location if action == "refresh" else buyer.path

        answers = [buyer.browser.post(f"{path}/{action}").status_code for _ in range(14)]
        after_limit = len(stage.sandbox.requests())
        refused = buyer.browser.post(f"{path}/{action}")

        assert answers[0] == 303
        assert (refused.status_code, len(stage.sandbox.requests())) == (429, after_limit)
