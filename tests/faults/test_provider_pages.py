"""What a buyer reads when the provider fails in the middle of their click: real processes, real answers lost.

The grid says the same of every fault there is; here a dozen of them are seen as a browser sees them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.installation import Buyer, Installation, outcome_of, running_installation
from tests.sandbox_process import wait_for

CHECKING = "We are still confirming this with your bank."
NOT_CHARGED = "The payment did not go through. You were not charged."
NOT_NOW = "One-click payment is not possible right now. Nothing was charged."
PAYABLE = ("offer-accept", "go-to-checkout", "continue-without")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running_installation(tmp_path_factory.mktemp("pages"), ENCORE_POLL_EVERY_S="0.5") as shop:
        shop.start_worker()
        shop.start_web()
        yield shop


@dataclass(frozen=True)
class Click:
    """A click whose answer went wrong: the buyer, the page they then saw, and the order it belongs to."""

    buyer: Buyer
    page: str
    location: str
    order_id: str


@contextmanager
def _nobody_can_tell(shop: Installation) -> Iterator[None]:
    """Let neither lists nor webhooks tell what became of a charge."""
    shop.sandbox.control("lists", {"outage": True})
    shop.sandbox.webhooks(hold=True)
    try:
        yield
    finally:
        shop.sandbox.control("lists", {"outage": False})
        shop.sandbox.webhooks(hold=False)


def _click(shop: Installation, fault: str, *, effect: str, retry_after: str | None = None) -> Click:
    """Buy, press the button, and let the fault meet the one POST."""
    # An address is a customer, and a customer buys a product once.
    name = f"{fault}-{effect}-{retry_after}".encode().hex()[-40:]
    buyer = Buyer(shop, f"{name}@example.com")
    html = buyer.buy()
    order = shop.store.row(
        "SELECT o.id, o.customer_id FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref",
        ref=buyer.ref,
    )
    assert order is not None
    shop.sandbox.fault(
        "POST /checkouts", fault, effect=effect, retry_after=retry_after, match={"customer_id": order["customer_id"]}
    )
    answer = buyer.post_form(html, "offer-accept")
    assert answer.status_code == 303, answer.text[:500]
    location = answer.headers["location"]
    return Click(buyer, buyer.get(location), location, order["id"])


def _settled(shop: Installation, click: Click, *states: str) -> str:
    """Wait until the attempt has ended and return the page its buyer then sees."""
    shop.wait_row(
        "SELECT a.id FROM attempts a JOIN acceptances c ON c.id = a.acceptance_id"
        " JOIN offer_instances i ON i.id = c.offer_instance_id"
        f" WHERE i.source_ref = :order_id AND a.state IN ({', '.join(repr(state) for state in states)})",
        order_id=click.order_id,
        limit_s=15,
    )
    return click.buyer.get(click.location)


def _posts(shop: Installation, click: Click) -> int:
    return len(shop.sandbox.charges(first_order=click.order_id))


def _standing(shop: Installation, click: Click) -> int:
    """Count the payments for the offer that stand at the provider."""
    refunded = {item["payment_id"] for item in shop.sandbox.control("objects/refunds")["items"]}
    return sum(
        payment["status"] == "succeeded" and payment["id"] not in refunded
        for payment in shop.sandbox.payments()
        if payment["metadata"].get("first_order") == click.order_id
    )


def _has_a_way_to_pay(html: str) -> bool:
    return any(f'data-testid="{hook}"' in html for hook in PAYABLE)


@pytest.mark.criterion("N2")
@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ("reset", "before"),
        ("status:500", "before"),
        ("timeout", "before"),
        ("html", "before"),
        ("reset", "late:0.3"),
        ("reset", "twice"),
    ],
    ids=["answer lost", "500 after the charge", "longer than the budget", "a page for an answer", "late", "twice"],
)
def test_charge_whose_answer_was_lost_is_checked_and_then_told(shop: Installation, fault: str, effect: str) -> None:
    with _nobody_can_tell(shop):
        click = _click(shop, fault, effect=effect)

        assert outcome_of(click.page) == "checking"
        assert CHECKING in click.page
        assert not _has_a_way_to_pay(click.page)

    page = _settled(shop, click, "paid")
    assert outcome_of(page) == "paid", page[:1500]
    assert _posts(shop, click) == 1
    wait_for(lambda: _standing(shop, click) == 1, what="one standing payment")


@pytest.mark.parametrize("fault", ["reset", "timeout", "status:503", "redirect:307"])
def test_lost_request_is_checked_and_then_told_as_not_charged(shop: Installation, fault: str) -> None:
    with _nobody_can_tell(shop):
        click = _click(shop, fault, effect="none")

        assert outcome_of(click.page) == "checking"
        assert not _has_a_way_to_pay(click.page)

    page = _settled(shop, click, "absent")
    assert outcome_of(page) == "needs-checkout"
    assert NOT_CHARGED in page
    assert _has_a_way_to_pay(page)
    assert (_posts(shop, click), _standing(shop, click)) == (1, 0)


@pytest.mark.parametrize("retry_after", [None, "1", "86400", "-1", "Wed, 21 Oct 2099 07:28:00 GMT", "soon"])
def test_too_many_requests_is_told_at_once_and_never_sent_again(shop: Installation, retry_after: str | None) -> None:
    click = _click(shop, "status:429", effect="none", retry_after=retry_after)

    assert outcome_of(click.page) == "needs-checkout"
    assert NOT_CHARGED in click.page
    # The worker has had its turns with everything that is due.
    polled = shop.store.row("SELECT value FROM meta WHERE name = 'polled_at'")
    wait_for(lambda: shop.store.row("SELECT value FROM meta WHERE name = 'polled_at'") != polled, what="a poll")
    assert (_posts(shop, click), _standing(shop, click)) == (1, 0)


def test_refused_connection_takes_nothing_and_the_offer_stays(shop: Installation) -> None:
    buyer = Buyer(shop, "refused@example.com")
    html = buyer.buy()
    shop.sandbox.control("listen", {"accept": False, "for_s": 30})
    try:
        answer = buyer.post_form(html, "offer-accept")
    finally:
        shop.sandbox.control("listen", {"accept": True})

    assert answer.status_code == 503
    assert NOT_NOW in answer.text
    again = buyer.post_form(buyer.get(f"/r/{buyer.ref}"), "offer-accept")
    assert outcome_of(buyer.get(again.headers["location"])) == "paid"
    assert len(shop.sandbox.charges(first_order=_order_of(shop, buyer))) == 1


def test_pages_are_served_while_the_provider_is_away(shop: Installation) -> None:
    buyer = Buyer(shop, "away@example.com")
    buyer.buy()
    shop.sandbox.control("listen", {"accept": False, "for_s": 30})
    try:
        pages = {
            path: buyer.session.get(shop.url + path, timeout=20).status_code
            for path in ("/", "/p/starter-course", f"/r/{buyer.ref}", f"/orders/{buyer.ref}", "/healthz")
        }
        down = buyer.post_form(buyer.get("/p/design-templates"), "buy")
    finally:
        shop.sandbox.control("listen", {"accept": True})

    assert set(pages.values()) == {200}
    assert down.status_code == 503


def _order_of(shop: Installation, buyer: Buyer) -> str:
    row = shop.store.row(
        "SELECT o.id FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref", ref=buyer.ref
    )
    assert row is not None
    return str(row["id"])


def test_audit_is_clean_after_all_of_it(shop: Installation) -> None:
    wait_for(
        lambda: not shop.store.rows("SELECT id FROM refunds WHERE state NOT IN ('done', 'manual')"), what="the refund"
    )

    report = shop.audit()

    assert {i["invariant"]: i["breaches"] for i in report["invariants"] if i["breaches"]} == {}
    assert report["exit"] == 0, report["errors"]
