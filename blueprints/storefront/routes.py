"""Handlers of the shop: `/`, `/p/<slug>`, `POST /checkout` and the footer's pages."""

from typing import assert_never

from flask import Blueprint, Response, abort, request

from encore.services import catalogue, checkout, held_plans
from encore.services.pages import ProductCard
from encore.store.subscriptions import Subscription

from ..errors import answer
from ..security import limits
from ..web import (
    buyer_key,
    current_account,
    current_shop,
    go,
    hash_cookie,
    language,
    make_buyer_cookie,
    page,
    set_buyer_cookie,
)

bp = Blueprint("storefront", __name__)


@bp.get("/")
def index() -> Response:
    shop = current_shop()
    products = catalogue.list_products(shop)
    is_stale = catalogue.is_stale(shop)
    state = "empty" if not products else ("stale" if is_stale else "ready")
    return page("storefront/index.html", state=state, products=products)


@bp.get("/p/<slug>")
def product(slug: str) -> Response:
    found = catalogue.get_product(current_shop(), slug)
    if found is None:
        abort(404)
    state, held = _state_of(found)
    return _product_page(found, state=state, held=held)


@bp.post("/checkout")
def start() -> Response:
    shop = current_shop()
    found = catalogue.get_product(shop, request.form.get("product", ""))
    if found is None:
        abort(404)
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    if _state_of(found)[0] == "subscribed":
        # A form from a page that was open before: the plan is changed, never sold a second time.
        return go(f"/p/{found.slug}")
    cookie = make_buyer_cookie()
    result = checkout.start(shop, slug=found.slug, quantity=1, buyer_key=hash_cookie(cookie), language=language())
    match result:
        case checkout.Started():
            return set_buyer_cookie(go(result.url), cookie)
        case checkout.CheckoutDown():
            return _product_page(found, state="checkout_down", status=503)
        case checkout.NotSold():
            return _product_page(found, state="archived", status=410)
        case _:
            assert_never(result)


@bp.get("/help")
@bp.get("/terms")
@bp.get("/refunds")
@bp.get("/privacy")
def about() -> Response:
    return page(f"storefront{request.path}.html", state="ready")


def _product_page(found: ProductCard, *, state: str, status: int = 200, held: Subscription | None = None) -> Response:
    # Whoever buys is taken for the account of this browser, also if somebody else has left it open.
    account = current_account()
    plan = f"/account/subscriptions/{held.id}" if held else "/account"
    if account and held and held.customer_id not in account.customer_ids:
        # Bought in this browser with another account: the sign-in says so.
        plan = f"/account/sign-in?to={plan}"
    return page(
        "storefront/product.html", state=state, status=status, product=found, held=held, account=account, plan=plan
    )


def _state_of(found: ProductCard) -> tuple[str, Subscription | None]:
    """Return the state of a product's page, and the subscription that is to be changed instead of buying it."""
    shop, key = current_shop(), buyer_key()
    if found.is_archived:
        return "archived", None
    account = current_account()
    customer_ids = account.customer_ids if account else ()
    held = held_plans.find(shop, found.id, buyer_key=key, customer_ids=customer_ids) if found.is_recurring else None
    if held is not None:
        return "subscribed", held
    if not catalogue.is_owned(shop, found.id, buyer_key=key, customer_ids=customer_ids):
        return "ready", None
    # Just bought: the worker has not read its subscription yet.
    return "subscribed" if found.is_recurring else "owned", None
