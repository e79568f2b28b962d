"""Handlers of one offer instance. Who pays what is in its row; a form brings only tokens and the hash it showed."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

from flask import Blueprint, Response, abort, request

from encore.services import card_choice, charging, fallback, offers, plan_offers, quantity_choice, return_page
from encore.services.charging import AcceptResult
from encore.services.pages import OfferPage, OfferState
from encore.services.plan_offer_pages import PlanOfferPage
from encore.store import offer_instances
from encore.store.offer_instances import OfferInstance

from ..consent import Words, read_consent
from ..errors import answer
from ..security import limits
from ..web import (
    answer_unseen,
    buyer_key,
    clean_address,
    current_account,
    current_shop,
    go,
    has_offer_token,
    language,
    page_or_partial,
    wants_partial,
)

# What a handler gets: the page of the offer, and the key of the browser it was made to.
Act = Callable[[OfferPage, str], Response]

bp = Blueprint("offers", __name__, url_prefix="/o/<instance_id>")
bp.before_request(answer_unseen)

# The states of an instance nobody has answered yet; every other one is the result of an answer, and is shown.
UNANSWERED: frozenset[OfferState] = frozenset({"offer", "quote_changed", "no_method", "owned", "limited"})
# What an answer to htmx says beside its words; a plain post is sent to the page instead.
STATUS: dict[str, int] = {
    "failed": 402,
    "quote_changed": 409,
    "owned": 409,
    "expired": 410,
    "withdrawn": 410,
    "answered": 410,
    "limited": 429,
}
_WORDS = Words(
    text="offers/consent.txt",
    page="offers/_offer.html",
    parts=("offers/_offer.html", "offers/consent.txt", "components/price.html"),
)
_PLAN_WORDS = Words(
    text="offers/plan_consent.txt",
    page="offers/_plan_offer.html",
    parts=(
        "offers/_plan_offer.html",
        "offers/plan_consent.txt",
        "components/plan.html",
        "components/plan_offer.html",
        "components/price.html",
    ),
)
# Everything else an accept could name is decided by the row: a form that names it is refused, not ignored.
_ACCEPT_FIELDS = frozenset({"csrf_token", "offer_token", "quote_hash", "buy_again"})


def _on_own_page(act: str) -> Callable[[Act], Callable[[str], Response]]:
    """Let a handler act on an offer's page as it is now: for the browser it was made to, with the token of this act."""

    def guard(handler: Act) -> Callable[[str], Response]:
        @wraps(handler)
        def guarded(instance_id: str) -> Response:
            found, key = _page(instance_id), buyer_key()
            if found is None or key is None:
                return _elsewhere(instance_id)
            _demand_token(instance_id, act)
            return handler(found, key)

        return guarded

    return guard


@bp.get("")
def show(instance_id: str) -> Response:
    if set(request.args) - {"lang"}:
        return go(clean_address())
    found = _page(instance_id)
    return _neutral() if found is None else _render(found)


@bp.get("/status")
def status(instance_id: str) -> Response:
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    found = _page(instance_id)
    return _neutral() if found is None else _render(found)


@bp.post("/accept")
def accept(instance_id: str) -> Response:
    if request.args or set(request.form) - _ACCEPT_FIELDS:
        abort(400)
    # The page that was answered and the charge begin with the same rows: each is read once.
    with current_shop().store.look():
        return _take_yes(instance_id)


def _take_yes(instance_id: str) -> Response:
    found, key = _page(instance_id), buyer_key()
    if found is None or key is None:
        return _elsewhere(instance_id)
    # Before the token and before any limit: a second click is told what the first one came to.
    if found.state not in UNANSWERED:
        return _result(found)
    _demand_token(instance_id, "accept")
    retry_at = limits().count("accept", browser=key)
    if retry_at is not None:
        # Of fifty clicks at once the first may have been taken meanwhile: then that is what the others are told.
        current_shop().store.forget()
        after = _page(instance_id)
        if after is not None and after.state not in UNANSWERED:
            return _result(after)
        return _render(replace(found, state="limited", retry_at=retry_at), status=429)
    outcome = _accept(found, key)
    if outcome in ("limited", "unavailable"):
        return _render(replace(found, state="limited"), status=429 if outcome == "limited" else 503)
    # Whatever was said to the click, its page is what the rows are by now.
    current_shop().store.forget()
    # Without htmx the next request draws the page; drawn here too, it might ask the provider twice.
    return _result(_page(instance_id)) if wants_partial() else go(f"/o/{instance_id}")


def _accept(found: OfferPage, key: str) -> AcceptResult:
    quote_hash = request.form.get("quote_hash", "")
    if isinstance(found, PlanOfferPage):
        consent = read_consent(found, _PLAN_WORDS)
        return plan_offers.accept(
            current_shop(), found.instance_id, buyer_key=key, quote_hash=quote_hash, consent=consent
        )
    return charging.accept(
        current_shop(),
        found.instance_id,
        buyer_key=key,
        quote_hash=quote_hash,
        consent=read_consent(found, _WORDS),
        buy_again=request.form.get("buy_again") == "yes",
    )


@bp.get("/again")
def show_again(instance_id: str) -> Response:
    """Show the price of a plan change again that was not paid: from its page, or back from giving another card."""
    if set(request.args) - {"lang"}:
        return go(clean_address())
    found = _page(instance_id)
    if not isinstance(found, PlanOfferPage):
        return _neutral()
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    again = plan_offers.try_again(current_shop(), _instance(instance_id), language=language())
    if again is None and found.can_retry:
        return _render(found, status=503, notice="no_price")
    return go(f"/o/{again or instance_id}")


@bp.post("/decline")
@_on_own_page("decline")
def decline(found: OfferPage, key: str) -> Response:
    offers.decline(current_shop(), found.instance_id, buyer_key=key)
    return _next_step(found)


@bp.post("/continue")
@_on_own_page("continue")
def continue_without(found: OfferPage, key: str) -> Response:
    fallback.continue_without(current_shop(), found.instance_id, buyer_key=key)
    return _next_step(found)


@bp.post("/cancel")
@_on_own_page("cancel")
def cancel(found: OfferPage, key: str) -> Response:
    charging.cancel(current_shop(), found.instance_id, buyer_key=key)
    after = _page(found.instance_id)
    # What the buyer asked for is done, so the answer is no error, whatever state that leaves.
    return _render(after) if after is not None and wants_partial() else _result(after)


@bp.get("/cards")
def show_cards(instance_id: str) -> Response:
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    found = card_choice.page(current_shop(), instance_id, buyer_key=buyer_key(), language=language())
    if found is None:
        return _neutral()
    if found.state == "choose_card":
        return _render(found)
    is_open = found.state in UNANSWERED and not found.can_choose
    return go(f"/account/sign-in?to={found.next_url}" if is_open else f"/o/{instance_id}")


@bp.post("/card")
@_on_own_page("card")
def choose_card(found: OfferPage, key: str) -> Response:
    if isinstance(found, PlanOfferPage):
        return _change_card(found)
    if found.state not in UNANSWERED:
        return _result(found)
    if not found.can_choose:
        return go(f"/account/sign-in?to={found.next_url}")
    result = card_choice.choose(current_shop(), found.instance_id, buyer_key=key, name=request.form.get("method", ""))
    if result == "chosen":
        return _again(found.instance_id)
    cards = card_choice.page(current_shop(), found.instance_id, buyer_key=key, language=language())
    if cards is None:
        return _neutral()
    return _render(cards, status=503 if result == "provider_down" else 409, notice="card_not_usable")


@bp.get("/quantity")
def show_quantity(instance_id: str) -> Response:
    found = quantity_choice.page(current_shop(), instance_id, buyer_key=buyer_key(), language=language())
    if found is None:
        return _neutral()
    return _render(found) if found.state == "choose_quantity" else go(f"/o/{instance_id}")


@bp.post("/quantity")
def choose_quantity(instance_id: str) -> Response:
    key = buyer_key()
    found = quantity_choice.page(current_shop(), instance_id, buyer_key=key, language=language())
    if found is None or key is None:
        return _elsewhere(instance_id)
    _demand_token(instance_id, "quantity")
    if found.state != "choose_quantity":
        return _result(found)
    retry_at = limits().count("checkout", browser=key)
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    text = request.form.get("quantity", "").strip()
    result = quantity_choice.choose(current_shop(), instance_id, buyer_key=key, text=text, language=language())
    if result == "bad_quantity":
        return _render(found, status=422, notice=result)
    if result == "no_price":
        return _render(found, status=503, notice=result)
    return _again(instance_id)


def _change_card(found: PlanOfferPage) -> Response:
    """Lead to the provider's page, where the buyer of an unpaid change gives its subscription another card."""
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    if not found.can_retry:
        return _result(found)
    url = plan_offers.card_url(current_shop(), _instance(found.instance_id))
    return _render(found, status=503, notice="checkout_down") if url is None else go(url)


@bp.post("/checkout")
@_on_own_page("checkout")
def open_checkout(found: OfferPage, key: str) -> Response:
    if isinstance(found, PlanOfferPage) and found.state != "action_required":
        # There is no checkout for it: that would sell a second subscription.
        return _result(found)
    retry_at = limits().count("checkout", browser=key)
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    wants_another = request.form.get("buy_again") == "yes"
    url = fallback.open_checkout(current_shop(), found.instance_id, buyer_key=key, buy_again=wants_another)
    if url is not None:
        return go(url)
    after = _page(found.instance_id)
    # Another tab may have settled it meanwhile; else the checkout itself cannot be reached, and we say so. A yes that
    # was waiting for it stands as "checkout open" by then, and has no address.
    if after is None or after.state not in (found.state, "checkout_open"):
        return go(f"/o/{found.instance_id}")
    return _render(after, status=503, notice="checkout_down")


def _page(instance_id: str) -> OfferPage | None:
    found = offers.page(current_shop(), instance_id, buyer_key=buyer_key(), language=language())
    if found is not None and found.order.is_earlier:
        # A buyer who reads a recommendation is not idle: asking for the account keeps it alive.
        current_account()
    return found


def _instance(instance_id: str) -> OfferInstance:
    """Return an instance that its own browser has just been shown."""
    found = offer_instances.get_instance(current_shop().store, instance_id)
    return found or abort(404)


def _demand_token(instance_id: str, act: str) -> None:
    if not has_offer_token(instance_id, act):
        abort(404)


def _neutral() -> Response:
    return page_or_partial(
        "checkout/other_browser.html", "checkout/_other_browser.html", state="other_browser", status=404
    )


def _elsewhere(instance_id: str) -> Response:
    """Send a browser that this offer was not made to where anybody may buy its product."""
    product = offers.public_product(current_shop(), instance_id)
    return _neutral() if product is None else go(f"/p/{product.slug}")


def _result(found: OfferPage | None) -> Response:
    if found is None:
        return _neutral()
    if not wants_partial():
        return go(f"/o/{found.instance_id}")
    return _render(found, status=STATUS.get(found.state, 200))


def _again(instance_id: str) -> Response:
    """Show the page of an offer after a choice that leaves it open."""
    after = _page(instance_id)
    return _render(after) if after is not None and wants_partial() else go(f"/o/{instance_id}")


def _next_step(found: OfferPage) -> Response:
    """Show what follows a no: the funnel's next offer in place, or the page of the order or the account."""
    if wants_partial() and not found.order.is_earlier:
        after = return_page.status(current_shop(), found.order.ref, buyer_key=buyer_key(), language=language())
        if after.state == "offer" and after.offer is not None:
            return _render(after.offer)
    return go(found.next_url)


def _render(found: OfferPage, *, status: int = 200, notice: str | None = None) -> Response:
    return page_or_partial(
        "offers/show.html",
        f"offers/_{found.partial}.html",
        state=found.state,
        status=status,
        page=found,
        notice=notice,
    )
