"""Handlers of the shop: `/`, `/p/<slug>`, `POST /checkout` and the footer's pages."""

from typing import assert_never

from flask import Blueprint, Response, abort, request

from encore.services import catalogue, checkout
from encore.services.pages import ProductCard

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
    return page("storefront/product.html", state=_state_of(found), product=found)


@bp.post("/checkout")
def start() -> Response:
    shop = current_shop()
    found = catalogue.get_product(shop, request.form.get("product", ""))
    if found is None:
        abort(404)
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    cookie = make_buyer_cookie()
    result = checkout.start(shop, slug=found.slug, quantity=1, buyer_key=hash_cookie(cookie), language=language())
    match result:
        case checkout.Started():
            return set_buyer_cookie(go(result.url), cookie)
        case checkout.CheckoutDown():
            return page("storefront/product.html", state="checkout_down", status=503, product=found)
        case checkout.NotSold():
            return page("storefront/product.html", state="archived", status=410, product=found)
        case _:
            assert_never(result)


@bp.get("/help")
@bp.get("/terms")
@bp.get("/refunds")
@bp.get("/privacy")
def about() -> Response:
    return page(f"storefront{request.path}.html", state="ready")


def _state_of(found: ProductCard) -> str:
    shop = current_shop()
    if found.is_archived:
        return "archived"
    account = current_account()
    customer_ids = account.customer_ids if account else ()
    is_owned = catalogue.is_owned(shop, found.id, buyer_key=buyer_key(), customer_ids=customer_ids)
    return "owned" if is_owned else "ready"
