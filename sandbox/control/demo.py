"""The demo catalogue, and starting over.

Ids are fixed, so that what a shop has mirrored stays true after a reset. The order is the order of creation:
the one-time course a buyer meets first, then what goes well with it, then the plans.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.endpoints import endpoints
from ..core.store import Doc
from ..core.twin import Twin
from ..resources.addons import insert_addon
from ..resources.products import insert_product

COURSE = "pdt_StarterCourse000000001"
BUNDLE = "pdt_CompleteBundle00000002"
TEMPLATES = "pdt_DesignTemplates0000003"
BASIC = "pdt_BasicPlan0000000000004"
PRO = "pdt_ProPlan000000000000005"
SACH = "pdt_SachBaoBi0000000000006"
ATLAS = "pdt_TypeAtlas0000000000007"
CLUB = "pdt_FontClub00000000000008"
# 1 January 2026: every demo product is older than anything a test creates.
CREATED_AT = 1_767_225_600_000

CATALOGUE: tuple[tuple[str, str, str, str, int, str, str], ...] = (
    (
        COURSE,
        "Starter course",
        "Twelve short lessons that take you from a blank page to your first printed booklet. Watch at your own pace.",
        "USD",
        4900,
        "edtech",
        "course",
    ),
    (
        BUNDLE,
        "Complete bundle",
        "Everything that follows the course: 30 advanced lessons, 40 page templates, the type atlas and all updates.",
        "USD",
        9900,
        "edtech",
        "bundle",
    ),
    (
        TEMPLATES,
        "Design templates",
        "40 page templates for booklets, posters and cards, ready to print. Open them in any layout program.",
        "USD",
        2000,
        "digital_products",
        "templates",
    ),
    (
        BASIC,
        "Basic plan",
        "Two projects, ten exports a month and help by e-mail. Cancel whenever you like.",
        "USD",
        3000,
        "saas",
        "basic",
    ),
    (
        PRO,
        "Pro plan",
        "Ten projects, unlimited exports and an answer within one working day. Cancel whenever you like.",
        "USD",
        8000,
        "saas",
        "pro",
    ),
    (
        SACH,
        "Sách bao bì",
        "Sách điện tử 120 trang về thiết kế bao bì giấy, kèm 15 khuôn cắt sẵn.",
        "VND",
        199_000,
        "e_book",
        "sach",
    ),
    (
        ATLAS,
        "Type atlas",
        "Sixty typefaces compared letter by letter, with advice on what to set in them. Price includes tax.",
        "EUR",
        2400,
        "e_book",
        "atlas",
    ),
    (
        CLUB,
        "Font club",
        "A new typeface every month, with a licence key for three computers. Try it for two weeks first.",
        "USD",
        1500,
        "digital_products",
        "club",
    ),
)
# Each month a plan is paid: id, name, description, price, and the plans that take it. Only Pro takes a brand kit, so a
# way down takes one away.
ADDONS: tuple[tuple[str, str, str, int, tuple[str, ...]], ...] = (
    ("adn_ExtraProject0000000001", "Extra project", "One more project beside those of the plan.", 1000, (BASIC, PRO)),
    ("adn_BrandKit0000000000002", "Brand kit", "Your colours and typefaces in every template.", 1500, (PRO,)),
)
DELIVERY_WAIT_S = 2.0
RECURRING = (BASIC, PRO, CLUB)
FREE_DAYS = {CLUB: 14}
# What else differs from a plain product.
DETAILS: dict[str, Doc] = {CLUB: {"license_key_enabled": True, "license_key_activations_limit": 3}}
TAX_INCLUSIVE = (ATLAS,)


def start_over(twin: Twin, *, demo: bool | None = None) -> None:
    """Empty the sandbox and put the demo catalogue back, unless it was started without; where webhooks go stays.

    `demo` says whether to put it back, instead of the option.
    """
    with deliveries_at_rest(twin), twin.store.write():
        kept = [endpoint for endpoint in endpoints(twin) if endpoint["kept"]]
        twin.store.clear(keep={"endpoints": kept, "starts": twin.store.setting("starts", 0)})
        if twin.options.demo if demo is None else demo:
            seed(twin)


@contextmanager
def deliveries_at_rest(twin: Twin) -> Iterator[None]:
    """Do the block between two deliveries: an event of the old world must not arrive in the new one.

    A shop that hangs cannot hold the block up for long; a delivery that ends after it is neither logged nor noted.
    """
    waited = twin.delivering.acquire(timeout=DELIVERY_WAIT_S)
    try:
        yield
    finally:
        if waited:
            twin.delivering.release()


def seed(twin: Twin) -> None:
    """Store the demo products and add-ons that are not there yet."""
    for place, (product_id, name, description, currency, minor, category, picture) in enumerate(CATALOGUE):
        if twin.store.get("products", product_id) is None:
            insert_product(
                twin,
                product_id=product_id,
                name=name,
                description=description,
                price=_price(product_id, currency, minor),
                tax_category=category,
                pairs={},
                image=f"/static/products/{picture}.svg",
                created_at=CREATED_AT + place * 1000,
                details={"addons": _addons_of(product_id), **DETAILS.get(product_id, {})},
            )
    for place, (addon_id, name, description, minor, _) in enumerate(ADDONS):
        if twin.store.get("addons", addon_id) is None:
            insert_addon(
                twin,
                addon_id=addon_id,
                name=name,
                description=description,
                price=minor,
                currency="USD",
                tax_category="saas",
                created_at=CREATED_AT + place * 1000,
            )


def _addons_of(product_id: str) -> list[str] | None:
    return [addon_id for addon_id, *_, plans in ADDONS if product_id in plans] or None


def _price(product_id: str, currency: str, minor: int) -> Doc:
    price: Doc = {
        "type": "one_time_price",
        "currency": currency,
        "price": minor,
        "discount": 0,
        "discount_bps": None,
        "purchasing_power_parity": False,
        "tax_inclusive": product_id in TAX_INCLUSIVE,
    }
    if product_id not in RECURRING:
        return {**price, "pay_what_you_want": False, "suggested_price": None}
    return {
        **price,
        "type": "recurring_price",
        "payment_frequency_count": 1,
        "payment_frequency_interval": "Month",
        "subscription_period_count": 20,
        "subscription_period_interval": "Year",
        "trial_period_days": FREE_DAYS.get(product_id, 0),
        "trial_amount": None,
        "trial_apply_discounts": None,
        "trial_payment_method_optional": False,
        "zero_amount_payment_method_optional": False,
    }
