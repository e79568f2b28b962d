"""An offered plan change over real parts, by plain forms and by htmx: each state's words, and answers to bad input."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from encore.services import offer_files
from tests.attacks.stage import MASTERCARD, Browser, Stage, open_stage, state_of
from tests.html import Element, form_fields, read
from tests.sandbox_process import BASIC, PRO
from tests.services.plan_offers import OFFER
from tests.services.plans import CHANGE_PLAN

OUTCOMES = {
    "quote_changed": "moved",
    "limited": "needs-checkout",
    "no_method": "needs-checkout",
    "processing": "processing",
    "checking": "checking",
    "action_required": "needs-authentication",
    "changed": "paid",
    "failed": "card-declined",
    "not_charged": "needs-checkout",
    "answered": "answered",
    "withdrawn": "expired",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("plan-offers")) as opened:
        assert publish(opened, OFFER.format(fields='text = { en = "Ten projects.", vi = "Mười dự án." }'))
        yield opened


def publish(stage: Stage, text: str) -> bool:
    return isinstance(offer_files.import_text(stage.shop, text), offer_files.Imported)


@pytest.fixture
def buyer(stage: Stage) -> Browser:
    made = stage.browser()
    # New York takes 8 % on a plan.
    made.buy(slug="basic-plan")
    return made


def changes(buyer: Browser) -> int:
    """How many changes were asked of the provider for this buyer's order."""
    order = buyer.row()["source_ref"]
    found = [r for r in buyer.stage.sandbox.requests("POST") if r["path"].endswith("/change-plan")]
    return len([r for r in found if r["body"].get("metadata", {}).get("first_order") == order])


def outcomes(page: Element) -> list[str]:
    return [str(element.attributes["data-state"]) for element in page.all(data_testid="outcome")]


def test_the_page_says_both_plans_what_is_gained_and_what_both_payments_add_up_to(buyer: Browser) -> None:
    """R14b R32 R33 N15"""
    page = buyer.page(f"/r/{buyer.ref}")

    assert state_of(page) == "offer"
    due = page.test_id("amount-due")
    assert (due.attributes["data-minor"], due.attributes["data-currency"]) == ("5400", "USD")
    assert page.test_id("offer").attributes["data-amount"] == "5400"
    for words in ("Basic plan", "Pro plan", "10 projects (now: 2 projects)", "−$30.00", "$80.00 a month, plus tax"):
        assert words in page.text
    assert "A second payment today; with your order: $86.40." in page.text
    assert page.test_id("offer-accept").text.strip() == "Pay $54.00 now"
    for hook in ("next-billing", "effective", "preview", "offer-decline", "order-summary"):
        assert page.has_test_id(hook), hook


def test_each_line_says_how_many_it_counts_for_and_what_is_agreed_to_is_what_was_shown(buyer: Browser) -> None:
    """I12: the evidence of a yes are the words of its page."""
    row = buyer.stage.one("SELECT * FROM subscriptions WHERE customer_id = :id", id=buyer.row()["customer_id"])
    seats = {"product_id": BASIC, "quantity": 2, "addons": [], "proration_billing_mode": "do_not_bill"}
    buyer.stage.sandbox.post(f"/subscriptions/{row['provider_subscription_id']}/change-plan", seats)
    buyer.stage.clock.wall_s = 601

    page = buyer.page(f"/o/{buyer.instance}")
    assert state_of(page) == "quote_changed"
    assert "Basic plan −2 × $30.00 Pro plan 2 × $80.00" in page.text
    buyer.send(page, "offer-accept")
    buyer.stage.clock.wall_s = 0

    kept = buyer.stage.one("SELECT consent_json FROM acceptances WHERE offer_instance_id = :id", id=buyer.instance)
    consent = json.loads(kept["consent_json"])
    # Its heading and line are the offer's, which a page of figures that have moved does not repeat.
    said = [*consent["text"].splitlines()[2:], consent["button"]]
    assert len(said) == 4
    shown = "".join(page.text.split())
    assert ["".join(line.split()) for line in said if "".join(line.split()) not in shown] == []


@pytest.mark.criterion("N15")
@pytest.mark.parametrize("is_htmx", [False, True])
def test_a_yes_by_form_and_by_htmx(buyer: Browser, is_htmx: bool) -> None:
    form = buyer.page(f"/r/{buyer.ref}").test_id("offer-accept")

    done = buyer.open("POST", form.attributes["action"], data=form_fields(form), is_htmx=is_htmx)

    assert done.status_code == (200 if is_htmx else 303)
    after = read(done.get_data(as_text=True)) if is_htmx else buyer.page(done.location)
    assert outcomes(after) == ["paid"]
    assert "Your plan is now Pro plan." in after.text
    thanks = buyer.page(f"/r/{buyer.ref}")
    assert state_of(thanks) == "thanks"
    assert "$86.40" in thanks.text
    assert changes(buyer) == 1


def test_a_no_leads_to_the_next_step_in_one_request(buyer: Browser) -> None:
    """R12a"""
    after = buyer.send(buyer.page(f"/r/{buyer.ref}"), "offer-decline")

    page = buyer.page(after.location)
    assert page.test_id("offer").attributes["data-offer"] == "templates-instead"
    assert state_of(buyer.offer()) == "answered"
    assert changes(buyer) == 0


# ---- Bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["product", "price", "quantity", "customer", "method", "mode", "subscription_id"])
def test_an_accept_that_names_more_than_its_quote_is_refused(buyer: Browser, field: str) -> None:
    """R10b"""
    with buyer.stage.unchanged():
        assert buyer.act("accept", **{field: "1"}).status_code == 400


def test_a_hash_that_was_not_shown_changes_nothing(buyer: Browser) -> None:
    assert state_of(buyer.page(buyer.act("accept", quote_hash="0" * 64).location)) == "offer"
    assert changes(buyer) == 0


@pytest.mark.parametrize("act", ["accept", "decline", "continue", "card", "checkout", "cancel"])
def test_another_browser_is_told_nothing_and_does_nothing(buyer: Browser, act: str) -> None:
    """R10d"""
    stranger = buyer.stage.browser()
    stranger.instance = buyer.instance

    assert stranger.get(f"/o/{buyer.instance}").status_code == 404
    assert stranger.get(f"/o/{buyer.instance}/again").status_code == 404
    assert stranger.act(act).location == "/p/pro-plan"
    assert buyer.row()["state"] == "shown"


def test_a_token_of_one_act_is_none_of_another(buyer: Browser) -> None:
    token = buyer.stage.token(buyer.instance, "decline")

    assert buyer.act("accept", offer_token=token).status_code == 404
    assert changes(buyer) == 0


def test_there_is_no_checkout_and_no_second_try_of_what_was_not_answered(buyer: Browser) -> None:
    """charging.md section 6: the fallback is never a new subscription."""
    sold = len(buyer.stage.sandbox.requests("POST", "/checkouts"))

    assert buyer.act("checkout").location == f"/o/{buyer.instance}"
    assert buyer.act("card").location == f"/o/{buyer.instance}"
    assert buyer.get(f"/o/{buyer.instance}/again").location == f"/o/{buyer.instance}"
    assert len(buyer.stage.sandbox.requests("POST", "/checkouts")) == sold
    assert buyer.row()["state"] == "shown"


# ---- Every state -----------------------------------------------------------------------------------------------


def reprice(stage: Stage, price: int) -> None:
    current = stage.sandbox.get(f"/products/{PRO}")["price"]
    stage.sandbox.call("PATCH", f"/products/{PRO}", {"price": {**current, "price": price}})


def quote_changed(buyer: Browser) -> None:
    reprice(buyer.stage, 9000)
    buyer.act("accept")
    reprice(buyer.stage, 8000)


def limited(buyer: Browser) -> None:
    buyer.stage.sandbox.fault(CHANGE_PLAN + "/preview", "status:500", times=99)
    buyer.stage.clock.wall_s += 601


def no_method(buyer: Browser) -> None:
    """The account chooses another of its cards for the plan, on another device."""
    other = buyer.stage.browser()
    other.email = buyer.email
    other.buy(MASTERCARD)
    customer = buyer.row()["customer_id"]
    row = buyer.stage.one("SELECT * FROM subscriptions WHERE customer_id = :id", id=customer)
    saved = buyer.stage.sandbox.methods(customer)
    (name,) = [one["payment_method_id"] for one in saved if one["card"]["last4_digits"] == "4444"]
    body = {"type": "existing", "payment_method_id": name}
    buyer.stage.sandbox.post(f"/subscriptions/{row['provider_subscription_id']}/update-payment-method", body)
    buyer.act("accept")


def processing(buyer: Browser) -> None:
    buyer.stage.sandbox.next_payment("processing")
    buyer.act("accept")


def checking(buyer: Browser) -> None:
    buyer.stage.sandbox.fault(CHANGE_PLAN, "reset", effect="none")
    buyer.act("accept")


def action_required(buyer: Browser) -> None:
    buyer.stage.sandbox.next_payment("requires_customer_action")
    buyer.act("accept")


def failed(buyer: Browser) -> None:
    buyer.stage.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    buyer.act("accept")


def not_charged(buyer: Browser) -> None:
    buyer.stage.sandbox.fault(CHANGE_PLAN, "status:422")
    buyer.act("accept")


def changed(buyer: Browser) -> None:
    buyer.act("accept")


def answered(buyer: Browser) -> None:
    buyer.act("decline")


def withdrawn(buyer: Browser) -> None:
    store = buyer.stage.shop.store
    with store.write():
        store.run("UPDATE subscriptions SET status = 'on_hold' WHERE customer_id = :id", id=buyer.row()["customer_id"])


REACHED: tuple[Callable[[Browser], None], ...] = (
    *(quote_changed, limited, no_method, processing, checking, action_required),
    *(failed, not_charged, changed, answered, withdrawn),
)


@pytest.mark.criterion("P18")
@pytest.mark.parametrize("reach", REACHED, ids=lambda reach: reach.__name__)
def test_each_state_says_its_outcome_in_both_languages(buyer: Browser, reach: Callable[[Browser], None]) -> None:
    reach(buyer)
    path = f"/o/{buyer.instance}"

    for language in ("en", "vi"):
        page = read(buyer.get(f"{path}?lang={language}").get_data(as_text=True))
        assert state_of(page) == reach.__name__
        assert outcomes(page) == [OUTCOMES[reach.__name__]]
        assert page.one("html").attributes["lang"] == language
    assert f'{reach.__name__}"' in buyer.get(path, is_htmx=True).get_data(as_text=True)
    buyer.stage.sandbox.clear_faults()
    buyer.stage.clock.wall_s = 0


@pytest.mark.criterion("R4b")
def test_a_plan_that_another_card_pays_for_leads_through_the_sign_in_to_that_card(buyer: Browser) -> None:
    no_method(buyer)
    page = buyer.page(f"/o/{buyer.instance}")
    assert "Another card pays for your plan now. Nothing was charged, and your plan is as it was." in page.text
    assert (page.has_test_id("offer-decline"), page.has_test_id("offer-accept")) == (True, False)
    assert page.test_id("sign-in-for-cards").attributes["href"] == f"/account/sign-in?to=/r/{buyer.ref}"

    buyer.sign_in()
    after = buyer.page(f"/r/{buyer.ref}")

    assert state_of(after) == "quote_changed"
    assert "It would now be charged to Mastercard •••• 4444. Nothing was charged." in after.text
    assert after.one("title").text.startswith("The card changed")
    buyer.send(after, "offer-accept")
    assert state_of(buyer.page(f"/o/{buyer.instance}")) == "changed"
    assert changes(buyer) == 1


def test_beside_a_change_under_way_in_the_account_nothing_is_said_of_money(buyer: Browser) -> None:
    """What is not known is not called "not charged"."""
    stage = buyer.stage
    row = stage.one("SELECT * FROM subscriptions WHERE customer_id = :id", id=buyer.row()["customer_id"])
    account = stage.browser()
    account.email = buyer.email
    account.sign_in()
    chosen = account.post(f"/account/subscriptions/{row['id']}/preview", {"product": PRO})
    stage.sandbox.next_payment("processing")
    account.send(account.page(chosen.location), "confirm-change")

    page = buyer.offer()

    assert state_of(page) == "withdrawn"
    assert "Nothing was charged" not in page.text


def test_a_declined_card_leads_to_the_providers_page_and_back_to_a_new_price(buyer: Browser) -> None:
    """R25b R26c"""
    failed(buyer)
    page = buyer.offer()
    assert "Your bank declined the payment. Your plan is still Basic plan." in page.text
    assert "your order is complete" in page.text

    gone = buyer.send(page, "change-card")
    assert gone.location.startswith(buyer.stage.sandbox.url)
    card = {"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}
    given = buyer.stage.sandbox.call("POST", urlsplit(gone.location).path, data=card)
    back = urlsplit(given.headers["location"])
    assert back.path == f"/o/{buyer.instance}/again"
    assert buyer.get(f"{back.path}?{back.query}").location == back.path
    second = buyer.page(buyer.get(back.path).location)

    assert state_of(second) == "offer"
    assert "4444" in second.text
    done = buyer.send(second, "offer-accept")
    assert state_of(buyer.page(done.location)) == "changed"
    assert state_of(buyer.page(f"/r/{buyer.ref}")) == "thanks"


def test_leaving_a_declined_change_takes_the_failed_edge(buyer: Browser) -> None:
    """R12d"""
    failed(buyer)
    assert state_of(buyer.page(f"/r/{buyer.ref}")) == "failed"

    after = buyer.send(buyer.offer(), "continue-without")

    assert state_of(buyer.page(after.location)) == "thanks"
    assert state_of(buyer.offer()) == "answered"


def test_the_bank_step_leads_to_the_bank(buyer: Browser) -> None:
    action_required(buyer)

    gone = buyer.send(buyer.offer(), "go-to-checkout")

    assert gone.location.startswith(buyer.stage.sandbox.url)
