"""The gallery's buyers, who walk by plain HTTP into every state there is."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from encore.clock import Clock
from encore.store import card_changes
from tests.browser.exhibits import STATES, Exhibit
from tests.browser.gallery_stock import OLD_NAME, put_a_plan_between, run
from tests.browser.shopper import (
    AUTHENTICATES_LATER,
    CARD,
    DECLINED_CARD,
    FAILS_LATER,
    OTHER_CARD,
    STAYS_PROCESSING,
    age_quote,
    let_ten_seconds_pass,
    new_email,
)
from tests.installation import Buyer, Installation
from tests.sandbox_process import BRAND_KIT, EXTRA_PROJECT, PRO
from tests.sandbox_process import BUNDLE as BUNDLE_ID


@dataclass
class Walker(Buyer):
    """A buyer who keeps the page they are on."""

    page: str = ""

    def buy(self, slug: str = "starter-course") -> str:
        self.page = super().buy(slug)
        return self.page

    @property
    def instance(self) -> str:
        """The offer on the page."""
        found = re.search(r'data-instance="([^"]+)"', self.page)
        assert found is not None, self.page[:400]
        return found[1]

    def press(self, hook: str) -> None:
        """Post a form of the page and go where it leads."""
        answer = self.post_form(self.page, hook)
        assert answer.status_code == 303, answer.text[:300]
        if answer.headers["location"].startswith("/"):
            self.page = self.get(answer.headers["location"])


class Maker:
    """Walks one buyer after another into the states of `STATES`."""

    def __init__(self, shop: Installation) -> None:
        self._shop = shop
        self._made: list[Exhibit] = []

    def make_all(self) -> list[Exhibit]:
        """Return every exhibit."""
        self._make_shop_pages()
        self._make_payments()
        self._make_offers()
        self._make_answers()
        self._make_charges()
        self._make_fallbacks()
        self._make_accounts()
        self._make_plans()
        self._make_recommendations()
        self._make_dues()
        self._make_plan_offers()
        self._withdraw()
        return self._made

    def _add(self, name: str, path: str, buyer: Buyer | None = None) -> None:
        cookies = tuple((c.name, c.value or "") for c in buyer.session.cookies) if buyer else ()
        self._made.append(Exhibit(name=name, path=path, state=STATES[name], cookies=cookies))

    def _make_shop_pages(self) -> None:
        self._add("shop", "/")
        self._add("product", "/p/starter-course")
        self._add("product-recurring", "/p/pro-plan")
        self._add("product-trial", "/p/font-club")
        self._add("help", "/help")
        self._add("missing", "/p/nothing-of-that-name")
        self._add("neutral", f"/r/{'A' * 43}")

    def _make_payments(self) -> None:
        left = self._start()
        self._add("cancelled", f"/r/{left.ref}", left)
        slow = self._start(pays_with=STAYS_PROCESSING)
        self._add("waiting", f"/r/{slow.ref}", slow)
        self._add("still-processing", f"/r/{slow.ref}/wait/5", slow)
        declined = self._start(pays_with=DECLINED_CARD)
        self._add("payment-failed", f"/r/{declined.ref}", declined)

    def _start(self, *, pays_with: str | None = None) -> Walker:
        """Begin a checkout and perhaps pay, without looking at the return page yet."""
        buyer = Walker(self._shop, new_email())
        started = buyer.post_form(buyer.get("/p/starter-course"), "buy")
        session_id = started.headers["location"].rsplit("/", 1)[1]
        row = self._shop.wait_row("SELECT ref FROM checkouts WHERE provider_session_id = :id", id=session_id)
        buyer.ref = row["ref"]
        if pays_with is not None:
            self._shop.sandbox.pay(session_id, card=pays_with, email=buyer.email)
        return buyer

    def _offered(self, slug: str = "starter-course", *, card: str = CARD, email: str | None = None) -> Walker:
        """Buy and see an offer."""
        buyer = Walker(self._shop, email or new_email(), card)
        buyer.buy(slug)
        return buyer

    def _make_offers(self) -> None:
        for name, slug in (("offer", "starter-course"), ("offer-long", "type-atlas"), ("offer-dong", "sach-bao-bi")):
            buyer = self._offered(slug)
            self._add(name, f"/r/{buyer.ref}", buyer)
        self._shop.sandbox.switch(saves_cards=False)
        bare = self._offered()
        let_ten_seconds_pass(self._shop)
        bare.get(f"/r/{bare.ref}")
        self._shop.sandbox.switch(saves_cards=True)
        self._add("no-method", f"/r/{bare.ref}", bare)

    def _make_answers(self) -> None:
        twice = self._offered()
        first = twice.instance
        twice.press("offer-decline")
        twice.press("offer-decline")
        self._add("answered", f"/o/{first}", twice)
        self._add("thanks", f"/r/{twice.ref}", twice)
        once = self._offered()
        once.press("offer-decline")
        self._add("downsell", f"/r/{once.ref}", once)
        late = self._offered()
        with self._shop.store.write():
            self._shop.store.run("UPDATE offer_instances SET expires_at = created_at WHERE id = :id", id=late.instance)
        self._add("expired", f"/o/{late.instance}", late)
        self._make_moved()

    def _make_moved(self) -> None:
        buyer = self._offered()
        age_quote(self._shop, buyer.instance)
        path = f"/products/{BUNDLE_ID}"
        price = self._shop.sandbox.get(path)["price"]
        self._shop.sandbox.call("PATCH", path, {"price": {**price, "price": 8_900}})
        self._add("moved", f"/o/{buyer.instance}", buyer)
        buyer.press("offer-accept")
        self._shop.sandbox.call("PATCH", path, {"price": price})

    def _make_charges(self) -> None:
        paid = self._offered()
        twin = self._offered(email=paid.email)
        self._accept("receipt", paid)
        self._add("thanks-paid", f"/r/{paid.ref}", paid)
        self._add("order", f"/orders/{paid.ref}", paid)
        self._add("product-owned", "/p/complete-bundle", paid)
        self._add("owned", f"/o/{twin.instance}", twin)
        self._accept("action-required", self._offered(card=AUTHENTICATES_LATER))
        slow = self._offered()
        self._shop.sandbox.next_payment("processing")
        self._accept("processing", slow)
        lost = self._offered()
        self._shop.sandbox.fault("POST /checkouts", "reset")
        self._accept("checking", lost)
        self._make_returned()

    def _make_returned(self) -> None:
        buyer = self._offered()
        instance = buyer.instance
        self._accept("returned", buyer)
        payment = self._shop.sandbox.payments()[-1]
        self._shop.sandbox.control("refunds", {"payment_id": payment["id"], "reason": "asked for"})
        outcome = "SELECT id FROM acceptances WHERE offer_instance_id = :id AND outcome = 'refunded'"
        self._shop.wait_row(outcome, id=instance)

    def _make_fallbacks(self) -> None:
        self._accept("failed", self._offered(card=FAILS_LATER))
        refused = self._offered()
        self._shop.sandbox.fault("POST /checkouts", "status:422:INVALID_REQUEST_BODY")
        self._accept("not-charged", refused)
        buyer = self._offered(card=FAILS_LATER)
        self._accept("checkout-open", buyer)
        buyer.press("go-to-checkout")

    def _make_accounts(self) -> None:
        self._add("sign-in", "/account/sign-in")
        member = self._offered("basic-plan", card=OTHER_CARD)
        # A second card, which is good for this month only, paid for the course and for the bundle after it.
        buyer = Walker(self._shop, member.email, expiry=datetime.now(UTC).strftime("%m/%y"))
        buyer.buy()
        buyer.press("offer-accept")
        # One order more than the first page of an account shows; the last is made below.
        for slug in ("design-templates", "type-atlas"):
            buyer.buy(slug)
        # What Dodo could not deliver stands in the account, too.
        failed = {"grant.payment_id": self._shop.sandbox.payments()[-1]["id"]}
        self._shop.sandbox.control("triggers", {"type": "entitlement_grant.failed", "set": failed})
        buyer.sign_in()
        choosing = Walker(self._shop, member.email, expiry=buyer.expiry)
        choosing.buy("sach-bao-bi")
        choosing.sign_in()
        self._add("choose-card", f"/o/{choosing.instance}/cards", choosing)
        self._add("account", "/account", buyer)
        self._add("account-methods", "/account/methods", buyer)
        # A checkout that knows its buyer does not tell that they have left a free trial.
        begun = choosing.post_form(choosing.get("/p/font-club"), "buy")
        session_id = begun.headers["location"].rsplit("/", 1)[1]
        left = self._shop.wait_row("SELECT ref FROM checkouts WHERE provider_session_id = :id", id=session_id)
        self._add("trial-unseen", f"/r/{left['ref']}/wait/5", choosing)

    def _make_plans(self) -> None:
        for slug, plan, chosen in (("basic-plan", "plan", "plan-upgrade"), ("pro-plan", None, "plan-downgrade")):
            buyer, path = self._subscribed(slug)
            if plan:
                self._add(plan, path, buyer)
                self._add("product-subscribed", "/p/pro-plan", buyer)
                self._add("plan-cards", f"{path}/cards", buyer)
            answer = buyer.post_form(buyer.get(path), "choose-plan")
            self._add(chosen, answer.headers["location"], buyer)
        buyer, path = self._subscribed("pro-plan")
        for addon in (EXTRA_PROJECT, BRAND_KIT):
            answer = buyer.post_form(buyer.get(path), "change-seats", addon=addon, addon_quantity="2")
            buyer.post_form(buyer.get(answer.headers["location"]), "confirm-change")
        self._add("plan-add-ons", path, buyer)
        # Basic takes no brand kit.
        answer = buyer.post_form(buyer.get(path), "choose-plan")
        self._add("plan-add-ons-removed", answer.headers["location"], buyer)
        buyer, path = self._subscribed("font-club")
        self._add("thanks-trial", f"/r/{buyer.ref}", buyer)
        self._add("plan-trial", path, buyer)
        buyer, path = self._subscribed("pro-plan")
        answer = buyer.post_form(buyer.get(path), "choose-plan")
        buyer.post_form(buyer.get(answer.headers["location"]), "confirm-change")
        self._add("plan-scheduled", path, buyer)
        put_a_plan_between(self._shop)
        buyer, path = self._subscribed("pro-plan")
        answer = buyer.post_form(buyer.get(path), "choose-plan")
        self._add("plan-lower-option", answer.headers["location"], buyer)

    def _make_recommendations(self) -> None:
        buyer, _ = self._subscribed("basic-plan")
        account = buyer.get("/account")
        card = account[account.index('data-offer="account-templates"') :]
        path = buyer.post_form(card, "open-recommendation").headers["location"]
        buyer.post_form(buyer.get(f"{path}/quantity"), "quantity-choice", quantity="3")
        self._add("recommendation", path, buyer)
        self._add("choose-quantity", f"{path}/quantity", buyer)

    def _make_dues(self) -> None:
        buyer, path = self._on_hold()
        self._add("plan-on-hold", path, buyer)
        self._add("plan-end", f"{path}/cancel", buyer)
        buyer, path = self._on_hold()
        self._shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
        answer = buyer.post_form(buyer.get(path), "pay-dues")
        self._add("dues-failed", answer.headers["location"], buyer)
        self._shop.sandbox.switch(grace_period_days=3)
        buyer, path = self._on_hold()
        self._shop.sandbox.switch(grace_period_days=0)
        self._add("plan-past-due", path, buyer)
        self._make_dues_of_dodo()

    def _make_dues_of_dodo(self) -> None:
        """What the provider does by itself with what a plan owes: it asks the bank, or takes the payment up again."""
        sandbox = self._shop.sandbox
        buyer, path = self._on_hold()
        name = f"/subscriptions/{self._provider_id(path)}"
        sandbox.next_payment("requires_customer_action")
        method = {"type": "existing", "payment_method_id": sandbox.get(name)["payment_method_id"]}
        sandbox.post(f"{name}/update-payment-method", method)
        self._add("plan-waits-for-bank", path, buyer)
        buyer, path = self._on_hold()
        listed = sandbox.get("/payments", subscription_id=self._provider_id(path))["items"]
        failed = next(payment["payment_id"] for payment in listed if payment["status"] == "failed")
        answer = buyer.post_form(buyer.get(path), "pay-dues")
        sandbox.control("settle", {"payment_id": failed, "status": "succeeded"})
        self._shop.wait_row("SELECT * FROM alarms WHERE kind = 'dues_paid_twice'")
        self._add("dues-paid-again", answer.headers["location"], buyer)
        # As if more had been charged than was shown: the same line tells what of it goes back.
        buyer, path = self._on_hold()
        answer = buyer.post_form(buyer.get(path), "pay-dues")
        listed = sandbox.get("/payments", subscription_id=self._provider_id(path), status="succeeded")["items"]
        paid = max(listed, key=lambda payment: str(payment["created_at"]))["payment_id"]
        sandbox.control("refunds", {"payment_id": paid, "amount": 1000})
        self._shop.wait_row("SELECT * FROM payments WHERE id = :id AND refunded = 1000", id=paid)
        self._add("dues-given-back", answer.headers["location"], buyer)
        # As if the plan had gone on hold between the look and the request.
        buyer, path = self._on_hold()
        name = self._provider_id(path)
        with self._shop.store.write():
            change = card_changes.CardChange(id="cch_1", subscription_id=name, asked_at=Clock().now())
            card_changes.insert_change(self._shop.store, change)
        sandbox.post(f"/subscriptions/{name}/update-payment-method", method | {"payment_method_id": self._card(name)})
        self._shop.wait_row("SELECT * FROM alarms WHERE kind = 'charged_by_card_change'")
        self._add("plan-card-charged", path, buyer)

    def _card(self, subscription_id: str) -> str:
        customer_id = self._shop.sandbox.get(f"/subscriptions/{subscription_id}")["customer"]["customer_id"]
        return str(self._shop.sandbox.methods(customer_id)[0]["payment_method_id"])

    def _provider_id(self, path: str) -> str:
        row = self._shop.wait_row("SELECT * FROM subscriptions WHERE id = :id", id=path.rpartition("/")[2])
        return str(row["provider_subscription_id"])

    def _on_hold(self) -> tuple[Walker, str]:
        """Return a subscriber with two cards whose renewal was declined, and the path of their plan's page."""
        buyer, path = self._subscribed("basic-plan")
        Walker(self._shop, buyer.email, OTHER_CARD).buy("design-templates")
        self._shop.sandbox.fail_renewal(self._provider_id(path))
        return buyer, path

    def _make_plan_offers(self) -> None:
        buyer = self._offered("basic-plan")
        self._add("plan-offer", f"/r/{buyer.ref}", buyer)
        failed = self._offered("basic-plan")
        self._shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
        self._accept("plan-offer-failed", failed)
        moved = self._offered("basic-plan")
        path = f"/products/{PRO}"
        price = self._shop.sandbox.get(path)["price"]
        self._shop.sandbox.call("PATCH", path, {"price": {**price, "price": 9_000}})
        self._accept("plan-offer-moved", moved)
        self._shop.sandbox.call("PATCH", path, {"price": price})
        self._take_to_another_card()

    def _take_to_another_card(self) -> None:
        """Let the account of somebody who is offered a plan pay for the one they have with another card."""
        buyer = self._offered("basic-plan")
        self._offered(card="5555555555554444", email=buyer.email)
        sold = self._shop.wait_row(
            "SELECT subscriptions.* FROM subscriptions JOIN checkouts"
            " ON checkouts.subscription_id = subscriptions.provider_subscription_id WHERE checkouts.ref = :ref",
            ref=buyer.ref,
        )
        saved = self._shop.sandbox.methods(sold["customer_id"])
        name = next(one["payment_method_id"] for one in saved if one["card"]["last4_digits"] == "4444")
        body = {"type": "existing", "payment_method_id": name}
        self._shop.sandbox.post(f"/subscriptions/{sold['provider_subscription_id']}/update-payment-method", body)
        self._accept("plan-offer-no-method", buyer)

    def _subscribed(self, slug: str) -> tuple[Walker, str]:
        """Return a signed-in subscriber and the path of their plan's page."""
        buyer = Walker(self._shop, new_email())
        buyer.buy(slug)
        found = re.search(r'href="(/account/subscriptions/\w+)"', buyer.sign_in())
        assert found is not None
        return buyer, found[1]

    def _withdraw(self) -> None:
        buyer = self._offered("pro-plan")
        self._add("withdrawn", f"/o/{buyer.instance}", buyer)
        run(self._shop, "offers", "pause", "members")
        products = self._shop.store.rows("SELECT id, name, slug FROM products")
        old = next(row for row in products if row["name"] == OLD_NAME)
        self._shop.sandbox.call("DELETE", f"/products/{old['id']}")
        run(self._shop, "dodo", "sync")
        self._add("product-archived", f"/p/{old['slug']}")

    def _accept(self, name: str, buyer: Walker) -> None:
        """Let a buyer accept the offer on the page, which leads to the exhibit `name`."""
        self._add(name, f"/o/{buyer.instance}", buyer)
        buyer.press("offer-accept")
