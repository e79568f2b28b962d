"""The shop's own checkout: started here, paid at the provider, and told on the return page.

What the return page says comes from the provider for the session stored behind its reference, never from the address
the buyer arrived with.
"""

from dataclasses import dataclass

import structlog

from encore import tokens
from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.models import CheckoutSession
from encore.dodo.urls import is_checkout_url
from encore.errors import NotExecuted, ProviderError
from encore.ids import new_id, random_ref
from encore.rules.attempts import sight
from encore.services import budgets, customer_sessions, observe, sign_ins, subscriptions, trials
from encore.services.kinds import one_time
from encore.services.shop import Shop
from encore.store import catalogue, checkouts
from encore.store.checkouts import Checkout

log = structlog.get_logger("encore.checkout")

# A hosted session lives this long at the provider; so does what the browser that began it may do. Source: dodo-api.md.
SESSION_LIFE_MS = 24 * 3_600_000
# An open session is offered again for most of that life: the buyer needs time left to pay it.
_REUSE_MS = 20 * 3_600_000
_FIRST_LOOK_MS = 60_000
# A mandate for a trial may wait for its bank for two days; the provider has no word for one that was given up.
_LONGEST_MANDATE_MS = 7 * SESSION_LIFE_MS
_STATUS_BUDGET_S = 6.0


@dataclass(frozen=True)
class Started:
    """Send the browser to `url`: the provider's hosted checkout, or what has to come before it."""

    url: str


@dataclass(frozen=True)
class CheckoutDown:
    """The provider made no session: nothing was charged, and the buyer may try again."""


@dataclass(frozen=True)
class NotSold:
    """There is no such product on sale."""


StartResult = Started | CheckoutDown | NotSold


def start(shop: Shop, *, slug: str, quantity: int, buyer_key: str, language: str) -> StartResult:
    """Begin a checkout of one product for this browser; one that is still payable is used again."""
    product = catalogue.get_by_slug(shop.store, slug)
    if product is None or product.archived_at is not None:
        return NotSold()
    payable = checkouts.get_payable(
        shop.store,
        buyer_key=buyer_key,
        product_id=product.id,
        quantity=quantity,
        language=language,
        since=shop.now() - _REUSE_MS,
        is_plan=bool(product.is_recurring),
    )
    if payable is not None and product.is_recurring:
        # Another session would sell a second subscription beside the one that this one begins, or has just begun.
        return _go_on(shop, payable)
    if payable is not None and payable.checkout_url and _may_open(shop, payable) and _is_untouched(shop, payable):
        return Started(payable.checkout_url)
    return _open(shop, product_id=product.id, quantity=quantity, buyer_key=buyer_key, language=language)


def _may_open(shop: Shop, checkout: Checkout) -> bool:
    return customer_sessions.may_open(shop, checkout.provider_session_id, buyer_key=checkout.buyer_key)


def _is_untouched(shop: Shop, checkout: Checkout) -> bool:
    """Ask whether a session still waits for its buyer; one with a payment under way is not offered twice."""
    try:
        session = shop.dodo.checkouts.get(checkout.provider_session_id or "", budget=shop.dodo.budget(2.0))
    except ProviderError:
        return False
    return session.payment_id is None


def _open(shop: Shop, *, product_id: str, quantity: int, buyer_key: str, language: str) -> StartResult:
    now = shop.now()
    checkout = Checkout(
        id=new_id("co"),
        ref=random_ref(),
        buyer_key=buyer_key,
        product_id=product_id,
        quantity=quantity,
        language=language,
        state="opening",
        created_at=now,
        authority_until=now + SESSION_LIFE_MS,
    )
    if not budgets.take_soon(shop, "checkout"):
        return _down("call_budget")
    with shop.store.write():
        checkouts.insert_checkout(shop.store, checkout)
    crash_point("checkout.opening_committed")
    try:
        # An unconfirmed session charges nothing, so one that is lost on the way costs nothing either.
        created, customer_id = customer_sessions.create(
            lambda customer: shop.dodo.checkouts.create(_request(shop, checkout, customer), budget=shop.dodo.budget()),
            customer_id=sign_ins.only_customer(shop, buyer_key),
        )
    except ProviderError as error:
        budgets.heed(shop, error)
        return _down(str(error))
    crash_point("checkout.posted")
    url = created.checkout_url
    if url is None or not is_checkout_url(url, shop.settings.checkout_hosts):
        return _down("address")
    with shop.store.write():
        customer_sessions.note(shop, created.session_id, customer_id=customer_id)
        checkouts.mark_open(
            shop.store, checkout.id, session_id=created.session_id, url=url, next_check_at=shop.now() + _FIRST_LOOK_MS
        )
    crash_point("checkout.stored")
    return Started(url)


def _down(reason: str) -> CheckoutDown:
    log.warning("checkout.not_opened", reason=reason)
    return CheckoutDown()


def _request(shop: Shop, checkout: Checkout, customer_id: str | None) -> dict[str, object]:
    address = _return_url(shop, checkout)
    return {
        "product_cart": [{"product_id": checkout.product_id, "quantity": checkout.quantity}],
        **(one_time.known_customer(customer_id) if customer_id else {}),
        "minimal_address": True,
        # The address of a customer decides whose account it is, so it is not to be edited where anybody may sit.
        "feature_flags": one_time.REDIRECT_AT_ONCE | (one_time.ADDRESS_STAYS if customer_id else {}),
        "customization": {"force_language": checkout.language},
        "return_url": address,
        "cancel_url": address,
        "metadata": {
            "checkout_id": checkout.id,
            "checkout_sig": tokens.sign_mark(shop.settings.attempt_sig_keys, "checkout", checkout.id),
        },
    }


def _return_url(shop: Shop, checkout: Checkout) -> str:
    return f"{shop.settings.public_url}/r/{checkout.ref}"


def bound_checkout(shop: Shop, ref: str, *, buyer_key: str | None) -> Checkout | None:
    """Return the checkout behind a reference for the browser that began it, for a day; None for everybody else."""
    checkout = checkouts.get_by_ref(shop.store, ref)
    if checkout is None or buyer_key is None or checkout.buyer_key != buyer_key:
        return None
    return checkout if shop.now() <= checkout.authority_until else None


def pay_again(shop: Shop, ref: str, *, buyer_key: str | None) -> StartResult:
    """Lead back to the checkout after a failure or a way out: the same session while it lives, else a new one."""
    checkout = bound_checkout(shop, ref, buyer_key=buyer_key)
    if checkout is None:
        return NotSold()
    return _go_on(shop, checkout)


def _go_on(shop: Shop, checkout: Checkout) -> StartResult:
    """Lead to the return page of a checkout that is paid or being paid, else to its session while it lives."""
    look(shop, checkout)
    current = checkouts.get_checkout(shop.store, checkout.id) or checkout
    if current.state == "paid" or sight_of(current) == "processing":
        return Started(_return_url(shop, current))
    # The provider cannot cancel a session, so a living one is always the one to pay (charging.md, section 3).
    if current.state == "open" and current.checkout_url and shop.now() - current.created_at < _REUSE_MS:
        if _may_open(shop, current):
            return Started(current.checkout_url)
        if not sign_ins.is_signed_in(shop, current.buyer_key):
            # Nor is another one opened beside it: whoever signs in again goes on in this one.
            return Started(customer_sessions.sign_in_url(shop, _return_url(shop, current)))
        # The customer is not of this account any more: what it buys is its own, and what was begun before is not.
    return _open(
        shop,
        product_id=current.product_id,
        quantity=current.quantity,
        buyer_key=current.buyer_key,
        language=current.language,
    )


def sight_of(checkout: Checkout) -> str | None:
    """Return what the latest payment of an unpaid checkout, or its trial, means; None if there was none."""
    return sight(checkout.payment_status) if checkout.payment_status else None


def look(shop: Shop, checkout: Checkout) -> bool:
    """Ask the provider for the session of an unpaid checkout and settle by its payment.

    False if that does not tell whether anything was paid or begun: no answer, or a trial that may be on its way.
    """
    if checkout.state == "paid" or checkout.provider_session_id is None:
        return False
    budget = shop.dodo.budget(_STATUS_BUDGET_S)
    try:
        session = shop.dodo.checkouts.get(checkout.provider_session_id, budget=budget)
    except NotExecuted as refusal:
        if refusal.status == 404:
            with shop.store.write():
                checkouts.mark_closed(shop.store, checkout.id)
        return refusal.status == 404
    except ProviderError:
        return False
    crash_point("checkout.return_read")
    if session.payment_id is None:
        return _look_for_trial(shop, checkout, session, budget=budget)
    observe.try_payment(shop, session.payment_id, budget=budget)
    # A payment that proves to be another's says nothing about this checkout: "nothing was charged" is not known then.
    current = checkouts.get_checkout(shop.store, checkout.id)
    return current is not None and current.payment_id is not None


def _look_for_trial(shop: Shop, checkout: Checkout, session: CheckoutSession, *, budget: Budget) -> bool:
    """Find the trial that a checkout began without a payment and settle by it; False if there may be one unseen."""
    product = catalogue.get_product(shop.store, checkout.product_id)
    if product is None or not product.trial_days:
        return True
    listed = trials.find(shop, since=checkout.created_at, product_id=checkout.product_id, budget=budget)
    # Only its own, and each read in full: a list names no add-ons.
    own = [one.subscription_id for one in listed.items if one.mark("checkout_id") == checkout.id]
    are_read = [subscriptions.try_subscription(shop, subscription_id, budget=budget) for subscription_id in own]
    if not own and _may_have_begun(session, is_free=not product.trial_minor):
        return False
    return listed.is_clean and all(are_read)


def _may_have_begun(session: CheckoutSession, *, is_free: bool) -> bool:
    """Tell whether a session without a payment may have begun a trial that the provider's list does not show yet.

    Nothing begins before the buyer has given an address on the provider's page, and a trial that costs something leaves
    a payment, which a session names.
    """
    return is_free and session.customer_email is not None


def look_due(shop: Shop) -> int:
    """Look at open checkouts whose buyer has not come back; an old one without a payment is closed."""
    due = checkouts.list_due(shop.store, now=shop.now(), limit=10)
    for checkout in due:
        if not budgets.take(shop, "reconcile"):
            break
        look(shop, checkout)
        _plan_next_look(shop, checkout.id)
    return len(due)


def _plan_next_look(shop: Shop, checkout_id: str) -> None:
    checkout = checkouts.get_checkout(shop.store, checkout_id)
    if checkout is None or checkout.state not in ("opening", "open"):
        return
    age_ms = shop.now() - checkout.created_at
    with shop.store.write():
        if age_ms > SESSION_LIFE_MS and not _is_under_way(checkout, age_ms=age_ms):
            checkouts.mark_closed(shop.store, checkout.id)
        else:
            # Ever less often: a session nobody pays costs the shared call budget.
            next_check_at = shop.now() + max(_FIRST_LOOK_MS, min(age_ms // 2, 3_600_000))
            checkouts.mark_looked(shop.store, checkout.id, now=shop.now(), next_check_at=next_check_at)


def _is_under_way(checkout: Checkout, *, age_ms: int) -> bool:
    """Tell whether a checkout is still being paid: a bank takes its time, a trial that never begins does not."""
    has_payment = checkout.payment_id is not None
    return sight_of(checkout) == "processing" and (has_payment or age_ms < _LONGEST_MANDATE_MS)
