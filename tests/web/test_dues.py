"""The plan page of a subscription on hold, paying what it owes, and the cards of a running one, over real parts.

Every page passes the lint, in both languages, as a whole and as what htmx is given.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from encore.rules.money import Money
from encore.services import card_charges, poll
from encore.services.kinds import dues as kinds
from tests.attacks.stage import MASTERCARD, Stage, open_stage, state_of
from tests.html import Element, form_fields, read
from tests.web.subscriber import Subscriber, outcomes

UPDATE = "POST /subscriptions/{id}/update-payment-method"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("dues")) as opened:
        yield opened


class Holder(Subscriber):
    """A signed-in browser with two cards, whose plan is on hold unless told otherwise."""

    def __init__(self, stage: Stage, *, on_hold: bool = True) -> None:
        super().__init__(stage)
        started = self.browser.send(self.browser.page("/p/design-templates"), "buy")
        session = urlsplit(started.location).path.rpartition("/")[2]
        back = stage.sandbox.pay(session, card=MASTERCARD, email=self.browser.email)
        self.browser.page(urlsplit(back.headers["location"]).path)
        if on_hold:
            self.fail_renewal()

    def fail_renewal(self) -> None:
        self.stage.sandbox.fail_renewal(self.provider_id)

    def pay(self, page: Element | None = None, **options: Any) -> TestResponse:
        """Press the pay button of the plan's page with the card that did not fail."""
        form = (page or self.plan()).test_id("pay-dues")
        fields = {**form_fields(form), "method": name_of(form)}
        return self.browser.open("POST", form.attributes["action"], data=fields, **options)

    def outcome(self) -> str:
        """Pay, and return the path of the page that tells what came of it."""
        return str(urlsplit(str(self.pay().location)).path)

    def posts(self) -> list[Any]:
        return self.stage.sandbox.requests("POST", f"/subscriptions/{self.provider_id}/update-payment-method")


def name_of(page: Element, last4: str = "4444") -> str:
    """Return what a form calls the saved card with these digits."""
    (option,) = [option for option in page.all(data_testid="method") if last4 in option.text]
    return str(option.one("input").attributes["value"])


@pytest.mark.criterion("R26b")
def test_on_hold_says_what_is_owed_and_is_paid_by_a_plain_form(stage: Stage) -> None:
    buyer = Holder(stage)

    page = buyer.plan()
    assert state_of(page) == "on_hold"
    assert "Your last payment failed. $30.00 is due." in page.text
    assert len(page.test_id("dues").all(data_testid="method")) == 2
    assert page.all(data_testid="choose-plan") == []
    done = buyer.pay(page)

    assert done.status_code == 303
    after = buyer.browser.page(done.location)
    assert (state_of(after), outcomes(after)) == ("recovered", ["paid"])
    assert "$30.00" in after.text
    assert "4444" in after.test_id("method").text
    assert state_of(buyer.plan()) == "active"
    assert len(buyer.posts()) == 1


def test_paying_by_htmx_swaps_in_what_came_of_it(stage: Stage) -> None:
    buyer = Holder(stage)

    done = buyer.pay(is_htmx=True)

    assert done.status_code == 200
    assert 'id="dues-recovered"' in done.get_data(as_text=True)


@pytest.mark.parametrize("language", ["en", "vi"])
def test_who_does_not_want_to_pay_ends_the_plan_in_two_clicks(stage: Stage, language: str) -> None:
    buyer = Holder(stage)
    link = str(buyer.plan().test_id("cancel-subscription").attributes["href"])
    asked = read(buyer.browser.get(f"{link}?lang={language}").get_data(as_text=True))
    said = {"en": "so it ends at once. It is not renewed", "vi": "nên sẽ kết thúc ngay. Gói không gia hạn nữa"}
    assert said[language] in asked.text
    assert asked.has_test_id("keep-plan")

    done = buyer.browser.send(asked, "confirm-cancel")

    after = buyer.browser.page(done.location)
    assert (state_of(after), after.has_test_id("dues")) == ("cancelled", False)
    assert not after.has_test_id("cancel-subscription")
    assert (after.all(data_testid="plan"), "/p/basic-plan") == ([], after.test_id("buy-anew").attributes["href"])
    there = stage.sandbox.get(f"/subscriptions/{buyer.provider_id}")
    assert there["status"] == "cancelled"


def test_a_plan_is_not_ended_beside_a_payment_or_without_an_answer_and_the_page_says_so(stage: Stage) -> None:
    buyer = Holder(stage)
    asked = buyer.browser.page(str(buyer.plan().test_id("cancel-subscription").attributes["href"]))
    stage.sandbox.fault("PATCH /subscriptions/{id}", "status:503")
    lost = buyer.browser.send(asked, "confirm-cancel")
    assert (lost.status_code, "gave no answer" in lost.get_data(as_text=True)) == (503, True)

    with stage.later(31):
        # By now it cannot arrive any more, and this one is surely not taken.
        stage.sandbox.fault("PATCH /subscriptions/{id}", "status:422")
        unwilling = buyer.browser.send(asked, "confirm-cancel")
    said = read(unwilling.get_data(as_text=True)).one("main").text
    assert (unwilling.status_code, "gave no answer" in said) == (503, False)
    assert "Your subscription was not ended. Please try again in a minute." in said

    saved = stage.sandbox.methods(stage.sandbox.get(f"/subscriptions/{buyer.provider_id}")["customer"]["customer_id"])
    stage.sandbox.next_payment("processing")
    body = {"type": "existing", "payment_method_id": saved[0]["payment_method_id"]}
    stage.sandbox.post(f"/subscriptions/{buyer.provider_id}/update-payment-method", body)
    refused = buyer.browser.send(asked, "confirm-cancel")

    assert refused.status_code == 409
    assert "Your subscription was not ended." in read(refused.get_data(as_text=True)).one("main").text
    assert stage.sandbox.get(f"/subscriptions/{buyer.provider_id}")["status"] == "on_hold"


@pytest.mark.parametrize("fault", ["extra field", "another customer", "signed in long ago"])
def test_only_its_own_buyer_ends_a_plan_and_only_lately_signed_in(stage: Stage, fault: str) -> None:
    """R10d"""
    buyer = Holder(stage)
    form, browser = {}, buyer.browser
    if fault == "extra field":
        form = {"status": "cancelled"}
    elif fault == "another customer":
        browser = Holder(stage, on_hold=False).browser
    else:
        with stage.shop.store.write():
            stage.shop.store.run("UPDATE sign_ins SET signed_in_at = signed_in_at - 1800000")

    answer = browser.post(f"{buyer.path}/end", form)

    assert answer.status_code == {"extra field": 400, "another customer": 404}.get(fault, 303)
    assert stage.sandbox.get(f"/subscriptions/{buyer.provider_id}")["status"] == "on_hold"


# ---- Every state -----------------------------------------------------------------------------------------------


def recovered(buyer: Holder) -> str:
    return buyer.outcome()


def processing(buyer: Holder) -> str:
    buyer.stage.sandbox.next_payment("processing")
    return buyer.outcome()


def checking(buyer: Holder) -> str:
    buyer.stage.sandbox.fault(UPDATE, "reset", effect="none")
    return buyer.outcome()


def action_required(buyer: Holder) -> str:
    buyer.stage.sandbox.next_payment("requires_customer_action")
    return buyer.outcome()


def failed(buyer: Holder) -> str:
    buyer.stage.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    return buyer.outcome()


def not_charged(buyer: Holder) -> str:
    buyer.stage.sandbox.fault(UPDATE, "status:422")
    return buyer.outcome()


OUTCOMES = {
    recovered: "paid",
    processing: "processing",
    checking: "checking",
    action_required: "needs-authentication",
    failed: "card-declined",
    not_charged: "needs-checkout",
}


@pytest.mark.parametrize("reach", OUTCOMES, ids=lambda reach: str(reach.__name__))
def test_each_state_says_its_outcome_in_both_languages(stage: Stage, reach: Callable[[Holder], str]) -> None:
    """P18 R15d"""
    buyer = Holder(stage)
    path = reach(buyer)

    for language in ("en", "vi"):
        page = read(buyer.browser.get(f"{path}?lang={language}").get_data(as_text=True))
        assert (state_of(page), outcomes(page)) == (reach.__name__, [OUTCOMES[reach]])
        assert page.one("html").attributes["lang"] == language
        fragment = buyer.browser.get(path, is_htmx=True)
        assert f'id="dues-{reach.__name__}"' in fragment.get_data(as_text=True)
    assert page.all(data_testid="pay-dues") == []
    assert len(buyer.posts()) == 1
    # While it is not known, and once it is paid, there is no second way to pay it.
    is_over = reach in (failed, not_charged)
    assert buyer.plan().has_test_id("pay-dues") == is_over
    if not is_over and reach is not recovered:
        assert any(path in str(a.attributes["href"]) for a in buyer.plan().all("a"))


def test_a_new_card_is_given_on_the_providers_page_and_leads_back(stage: Stage) -> None:
    """R26a"""
    buyer = Holder(stage)

    gone = buyer.browser.send(buyer.plan(), "pay-new-card")
    assert gone.location.startswith(stage.sandbox.url)
    given = {"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}
    back = stage.sandbox.call("POST", urlsplit(gone.location).path, data=given).headers["location"]
    here = str(urlsplit(back).path)
    returned = buyer.browser.get(f"{here}?status=succeeded")

    assert (returned.status_code, returned.location) == (303, here)
    assert state_of(buyer.browser.page(here)) == "recovered"


def test_a_payment_that_waits_for_the_bank_elsewhere_is_led_to_and_none_is_taken_beside_it(stage: Stage) -> None:
    """R15d"""
    buyer = Holder(stage)
    before = buyer.plan()
    stage.sandbox.next_payment("requires_customer_action")
    path = f"/subscriptions/{buyer.provider_id}"
    method_id = stage.sandbox.get(path)["payment_method_id"]
    stage.sandbox.post(f"{path}/update-payment-method", {"type": "existing", "payment_method_id": method_id})
    poll.poll(stage.shop)

    pages = [buyer.browser.page(f"{buyer.path}?lang={language}") for language in ("vi", "en")]
    refused = buyer.pay(before)

    for page in pages:
        assert page.has_test_id("go-to-bank")
        assert (page.has_test_id("pay-dues"), page.has_test_id("pay-new-card")) == (False, False)
    assert refused.status_code == 409
    assert "waits for your bank" in refused.get_data(as_text=True)
    assert buyer.browser.send(buyer.plan(), "go-to-bank").location.startswith(f"{stage.sandbox.url}/")
    assert len(buyer.posts()) == 1


def test_the_page_says_that_the_same_was_paid_a_second_time(stage: Stage) -> None:
    """Dodo takes the failed payment up again, beside the other card that has paid meanwhile."""
    buyer = Holder(stage)
    listed = stage.sandbox.get("/payments", subscription_id=buyer.provider_id)["items"]
    failed = next(payment["payment_id"] for payment in listed if payment["status"] == "failed")
    path = buyer.outcome()
    assert not buyer.browser.page(path).has_test_id("paid-again")

    stage.sandbox.control("settle", {"payment_id": failed, "status": "succeeded"})
    poll.poll(stage.shop)
    buyer.plan()

    for language, amount in (("vi", "30,00"), ("en", "$30.00")):
        assert amount in buyer.browser.page(f"{path}?lang={language}").test_id("paid-again").text


def test_the_page_says_what_goes_back_of_more_than_was_shown(stage: Stage) -> None:
    buyer = Holder(stage)
    seen = kinds.seen
    with patch.object(kinds, "seen", lambda item: replace(seen(item), amount=Money(2000, "USD"))):
        path = buyer.outcome()

    for language, amount in (("vi", "10,00"), ("en", "$10.00")):
        assert amount in buyer.browser.page(f"{path}?lang={language}").test_id("given-back").text


def test_a_plan_in_its_days_of_grace_is_paid_from_its_page(stage: Stage) -> None:
    stage.sandbox.switch(grace_period_days=3)
    buyer = Holder(stage)
    stage.sandbox.switch(grace_period_days=0)

    for language in ("vi", "en"):
        page = buyer.browser.page(f"{buyer.path}?lang={language}")
        assert state_of(page) == "past_due"
        assert (page.has_test_id("pay-dues"), page.has_test_id("choose-method")) == (True, False)
    assert "Your plan runs on for now, and stops unless what is owed is paid." in page.text
    assert "Your last payment failed. $30.00 is due." in page.text
    declined = failed(buyer)
    assert buyer.browser.page(declined).has_test_id("pay-again")
    assert "on hold" not in buyer.browser.page(declined).text

    assert state_of(buyer.browser.page(buyer.outcome())) == "recovered"
    assert state_of(buyer.plan()) == "active"


def test_who_leaves_the_providers_page_can_pay_another_way(stage: Stage) -> None:
    buyer = Holder(stage)
    buyer.browser.send(buyer.plan(), "pay-new-card")
    (link,) = [a for a in buyer.plan().all("a") if "/dues/" in str(a.attributes["href"])]
    waiting = buyer.browser.page(str(link.attributes["href"]))
    assert waiting.has_test_id("go-to-bank")

    left = buyer.browser.send(waiting, "leave-dues")

    assert left.location == buyer.path
    assert state_of(buyer.browser.page(buyer.outcome())) == "recovered"


def test_the_page_of_an_old_try_does_not_say_that_the_plan_is_still_on_hold(stage: Stage) -> None:
    buyer = Holder(stage)
    path = failed(buyer)
    assert buyer.browser.page(path).has_test_id("pay-again")

    buyer.pay()

    page = buyer.browser.page(path)
    assert (state_of(page), "You were not charged." in page.text) == ("failed", True)
    assert ("still on hold" in page.text, page.has_test_id("pay-again")) == (False, False)


# ---- Bad input and strangers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{"method": "nobodys"}, {"method": ""}, {}])
def test_a_method_that_is_not_theirs_sends_nothing(stage: Stage, form: dict[str, str]) -> None:
    buyer = Holder(stage)
    shown = form_fields(buyer.plan().test_id("pay-dues"))["shown"]

    for is_htmx in (False, True):
        answer = buyer.browser.post(f"{buyer.path}/dues", {"shown": shown, **form}, is_htmx=is_htmx)
        assert answer.status_code == 422
        assert "This payment method cannot be used." in answer.get_data(as_text=True)
    assert buyer.posts() == []


def test_what_is_not_on_hold_any_more_or_was_never_shown_sends_nothing(stage: Stage) -> None:
    buyer = Holder(stage)
    name = name_of(buyer.plan().test_id("pay-dues"))

    moved = buyer.browser.post(f"{buyer.path}/dues", {"method": name, "shown": "0" * 64})
    assert (moved.status_code, buyer.posts()) == (409, [])
    assert "What is owed has changed" in moved.get_data(as_text=True)
    buyer.pay()
    late = buyer.browser.post(f"{buyer.path}/dues", {"method": name, "shown": "0" * 64})

    assert late.status_code == 409
    assert "Nothing is owed for this subscription any more" in late.get_data(as_text=True)
    assert len(buyer.posts()) == 1


def test_what_was_shown_is_no_card_number_whatever_digits_its_hash_has(stage: Stage) -> None:
    buyer = Holder(stage)
    fields = {"method": name_of(buyer.plan().test_id("pay-dues")), "shown": "a4242424242424242".ljust(64, "b")}

    assert buyer.browser.post(f"{buyer.path}/dues", fields).status_code == 409


def test_a_form_that_names_what_the_rows_decide_is_refused(stage: Stage) -> None:
    buyer = Holder(stage)
    shown = form_fields(buyer.plan().test_id("pay-dues"))["shown"]

    for more in ({"amount": "1"}, {"return_url": "https://example.com"}, {"type": "new"}):
        assert buyer.browser.post(f"{buyer.path}/dues", {"shown": shown, "method": "x", **more}).status_code == 400
    assert buyer.browser.post(f"{buyer.path}/dues", {"csrf_token": "none", "method": "x"}).status_code == 400
    assert buyer.posts() == []


def test_dues_are_for_their_own_account_and_a_fresh_sign_in(stage: Stage) -> None:
    buyer, stranger = Holder(stage), Holder(stage, on_hold=False)
    path = failed(buyer)
    with stage.unchanged(but=("sign_ins", "subscriptions", "ledger", "rate_budget")):
        for place in (path, f"{path}/status", "/dues/due_none", f"{buyer.path}/cards"):
            assert stranger.browser.get(place).status_code == 404
        own = [f"{buyer.path}/dues{act}" for act in ("", "/new", "/bank")]
        for place in (f"{path}/bank", f"{path}/leave", *own):
            assert stranger.browser.post(place).status_code == 404
        # Its own browser cannot charge it through the pages of offers.
        offer = path.replace("/dues/", "/o/")
        assert buyer.browser.get(offer).status_code == 404
    page = buyer.plan()
    with stage.later(31 * 60):
        assert "/account/sign-in" in buyer.pay(page).location
    assert len(buyer.posts()) == 1


def test_the_card_that_failed_may_be_removed_and_the_other_pays(stage: Stage) -> None:
    """P28"""
    buyer = Holder(stage)
    assert state_of(buyer.plan()) == "on_hold"
    methods = buyer.browser.page("/account/methods")
    old = next(row for row in methods.all(data_testid="method") if "4242" in row.text)

    removed = buyer.browser.post("/account/methods/remove", form_fields(old.test_id("remove-method")))
    assert removed.status_code in (200, 303)
    options = buyer.plan().test_id("dues").all(data_testid="method")

    assert [option.one("input").attributes.get("checked") is not None for option in options] == [True]
    assert state_of(buyer.browser.page(buyer.outcome())) == "recovered"
    (in_use,) = buyer.browser.page("/account/methods").all(data_testid="method")
    assert "This card pays for Basic plan, so it cannot be removed." in in_use.text


# ---- Another saved card of a running plan ----------------------------------------------------------------------


def test_another_saved_card_pays_for_a_running_plan_and_nothing_is_charged(stage: Stage) -> None:
    """R26a R15d"""
    buyer = Holder(stage, on_hold=False)
    page = buyer.browser.page(str(buyer.plan().test_id("choose-method").attributes["href"]))

    for _ in range(2):
        done = buyer.browser.post(f"{buyer.path}/cards", {"method": name_of(page)})
        assert (done.status_code, done.location) == (303, buyer.path)

    assert "4444" in buyer.plan().test_id("method").text
    assert [post["body"]["type"] for post in buyer.posts()] == ["existing", "existing"]
    paid = stage.sandbox.get("/payments", subscription_id=buyer.provider_id)["items"]
    assert [payment["total_amount"] for payment in paid] == [3000]
    assert buyer.browser.post(f"{buyer.path}/cards", {"method": "nobodys"}).status_code == 422
    assert len(buyer.posts()) == 2


def test_a_card_is_not_changed_where_that_would_charge_what_is_owed(stage: Stage) -> None:
    """The page was shown while the plan ran; it is on hold by the time the button is pressed."""
    buyer = Holder(stage, on_hold=False)
    page = buyer.browser.page(f"{buyer.path}/cards")
    name = name_of(page)
    buyer.fail_renewal()

    answer = buyer.browser.post(f"{buyer.path}/cards", {"method": name})

    assert answer.status_code == 409
    assert buyer.posts() == []


def test_what_a_change_of_card_has_charged_stands_on_the_page_of_the_plan(stage: Stage) -> None:
    """The plan goes on hold after Encore has looked: the request then pays what is owed."""
    buyer = Holder(stage, on_hold=False)
    page = buyer.browser.page(f"{buyer.path}/cards")
    assert "unless a payment of the plan has just failed" in page.text
    begin = card_charges.begin

    def begin_too_late(*args: Any) -> str | None:
        noted = begin(*args)
        buyer.fail_renewal()
        return noted

    with patch.object(card_charges, "begin", begin_too_late):
        done = buyer.browser.post(f"{buyer.path}/cards", {"method": name_of(page)})

    assert (done.status_code, done.location) == (303, buyer.path)
    for language, amount in (("vi", "30,00"), ("en", "$30.00")):
        assert amount in buyer.browser.page(f"{buyer.path}?lang={language}").test_id("card-charge").text


@pytest.fixture(scope="module", autouse=True)
def books_are_clean(stage: Stage) -> Iterator[None]:
    """Whatever these tests did, the audit finds nothing but what a clock that was moved explains."""
    yield
    assert set(stage.breaches()) <= {"I4", "I5"}
