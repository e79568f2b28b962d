"""A small world in rows: a shop on its own files, a paid first order, an offer, a yes and its charge.

Plain functions, each of which returns what it made; a test changes only what it is about. Rows are written through the
store, and whatever a payment changes through `observe.settle_payment`, the only way it ever does.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from encore import tokens
from encore.clock import Clock
from encore.dodo.models import Payment
from encore.dodo.payments import rfc3339
from encore.ids import new_id, random_ref
from encore.rules.money import Money
from encore.rules.quotes import Quote, QuotedMethod, QuoteLine, freeze, quote_hash
from encore.services import bookkeeping, demo, observe
from encore.services.consent import Consent
from encore.services.shop import Shop, open_shop
from encore.settings import Settings, load_settings
from encore.store import Store, acceptances, attempts, catalogue, checkouts, offer_instances, orders, schema
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.catalogue import Product
from encore.store.checkouts import Checkout
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order
from tests.sandbox_process import BUNDLE, COURSE, TEMPLATES

# Nothing listens there: a shop that must not call the provider is refused at once if it does.
NOBODY = "http://127.0.0.1:9"
CUSTOMER = "cus_lan"
BUYER = "buyer-key-of-lan"
LANGUAGE = "en"
# Name, slug and price in cents of the demo's products, which `add_catalogue` copies as a sync would.
PRODUCTS = {
    COURSE: ("Starter course", "starter-course", 4_900),
    BUNDLE: ("Complete bundle", "complete-bundle", 9_900),
    TEMPLATES: ("Design templates", "design-templates", 2_000),
}
UPSELL = "complete-bundle"
DOWNSELL = "design-templates"
VISA = QuotedMethod(
    payment_method_id="pm_visa", kind="card", network="visa", last4="4242", expiry_month=6, expiry_year=2032
)


@dataclass(frozen=True)
class Yes:
    """A yes with the offer it answers and the attempt to charge it."""

    instance: OfferInstance
    acceptance: Acceptance
    attempt: Attempt


# ---- The shop --------------------------------------------------------------------------------------------------


def make_settings(data_dir: Path, *, provider_url: str = NOBODY, **changed: Any) -> Settings:
    """Settings of a shop under test: no limits, data in `data_dir`; `changed` are fields of Settings."""
    settings = load_settings(
        {
            "ENCORE_DATA": str(data_dir),
            "ENCORE_TESTING": "1",
            "ENCORE_LIMITS": "off",
            "ENCORE_DODO_TIER": "off",
            "DODO_PAYMENTS_BASE_URL": provider_url,
        }
    )
    return replace(settings, **changed)


def make_shop(data_dir: Path, *, clock: Clock | None = None, provider_url: str = NOBODY, **changed: Any) -> Shop:
    """Open a shop with the schema applied and nothing in it; close it after use."""
    shop = open_shop(make_settings(data_dir, provider_url=provider_url, **changed), clock=clock)
    schema.upgrade(shop.store, now=shop.now())
    return shop


def add_catalogue(shop: Shop) -> None:
    """Add the three products of `PRODUCTS`, and the demo's funnel: the bundle, then the templates."""
    with shop.store.write():
        for position, (product_id, (name, slug, price)) in enumerate(PRODUCTS.items()):
            catalogue.upsert_product(
                shop.store, _product(shop, product_id, position, name=name, slug=slug, price=price)
            )
    assert demo.seed(shop) == "seeded"


def _product(shop: Shop, product_id: str, position: int, *, name: str, slug: str, price: int) -> Product:
    return Product(
        id=product_id,
        slug=slug,
        position=position,
        name=name,
        description="",
        image_url=None,
        price_minor=price,
        currency="USD",
        tax_inclusive=0,
        is_recurring=0,
        interval_count=None,
        interval_unit=None,
        trial_days=0,
        trial_minor=0,
        pay_what_you_want=0,
        archived_at=None,
        synced_at=shop.now(),
    )


# ---- Payments as the provider tells them -----------------------------------------------------------------------


def payment_doc(shop: Shop, product_id: str, **changed: Any) -> dict[str, Any]:
    """Return a succeeded payment for one product, as `GET /payments/{id}` shows it."""
    doc: dict[str, Any] = {
        "payment_id": new_id("pay"),
        "business_id": "bus_demo",
        "status": "succeeded",
        "total_amount": PRODUCTS[product_id][2],
        "currency": "USD",
        "tax": 0,
        "customer": {"customer_id": CUSTOMER, "email": "lan@example.com", "name": "Lan Nguyen"},
        "billing": {"country": "US", "zipcode": "10001"},
        "created_at": rfc3339(shop.now()),
        "metadata": {},
        "charge_type": None,
        "checkout_session_id": None,
        "product_cart": [{"product_id": product_id, "quantity": 1}],
        "payment_method": "card",
        "payment_method_type": "credit",
        "card_last_four": "4242",
        "card_network": "visa",
        "card_exp_month": "6",
        "card_exp_year": "2032",
        "refunds": [],
        "disputes": [],
        "refund_status": None,
    }
    return {**doc, **changed}


def read_payment(doc: dict[str, Any]) -> Payment:
    """Read a payment document as the provider's client does."""
    return msgspec.convert(doc, Payment)


def attempt_marks(shop: Shop, attempt_id: str, *, customer_id: str = CUSTOMER) -> dict[str, str]:
    """Return the signed mark of an attempt, as a charge's metadata carries it."""
    signature = tokens.sign_mark(shop.settings.attempt_sig_keys, attempt_id, customer_id)
    return {"attempt_id": attempt_id, "attempt_sig": signature}


def checkout_marks(shop: Shop, checkout_id: str) -> dict[str, str]:
    """Return the signed mark of a shop checkout."""
    signature = tokens.sign_mark(shop.settings.attempt_sig_keys, "checkout", checkout_id)
    return {"checkout_id": checkout_id, "checkout_sig": signature}


# ---- A first order ---------------------------------------------------------------------------------------------


def add_checkout(shop: Shop, **changed: Any) -> Checkout:
    """Add an open checkout of the course, with its session at the provider."""
    now = shop.now()
    checkout = Checkout(
        id=new_id("co"),
        ref=random_ref(),
        buyer_key=BUYER,
        product_id=COURSE,
        quantity=1,
        language=LANGUAGE,
        state="open",
        provider_session_id=new_id("cks"),
        checkout_url=f"{shop.settings.provider_url}/session/1",
        created_at=now,
        authority_until=now + 24 * 3_600_000,
    )
    checkout = replace(checkout, **changed)
    with shop.store.write():
        checkouts.insert_checkout(shop.store, checkout)
    return checkout


def checkout_payment(shop: Shop, checkout: Checkout, **changed: Any) -> dict[str, Any]:
    """Return the succeeded payment of a checkout."""
    facts = {"metadata": checkout_marks(shop, checkout.id), "checkout_session_id": checkout.provider_session_id}
    return payment_doc(shop, checkout.product_id, **{**facts, **changed})


def add_order(shop: Shop, **changed: Any) -> Order:
    """Add a checkout and its payment; returns the first order. `changed` are keys of the payment."""
    checkout = add_checkout(shop)
    settle(shop, checkout_payment(shop, checkout, **changed))
    order = orders.get_of_checkout(shop.store, checkout.id)
    assert order is not None
    return order


def order_again(store: Store, ref: str, *, times: int, customer_id: str | None = None) -> None:
    """Let the buyer of an order have ordered the same again, so many times, in a checkout of its own each."""
    checkout = checkouts.get_by_ref(store, ref)
    order = orders.get_of_checkout(store, checkout.id) if checkout else None
    assert checkout is not None
    assert order is not None
    with store.write():
        for _ in range(times):
            bare = {"provider_session_id": None, "subscription_id": None, "payment_id": None}
            copy = replace(checkout, id=new_id("co"), ref=random_ref(), **bare)
            checkouts.insert_checkout(store, copy)
            orders.insert_order(
                store,
                replace(
                    order,
                    id=new_id("ord"),
                    number=orders.next_number(store),
                    checkout_id=copy.id,
                    payment_id=None,
                    customer_id=customer_id or order.customer_id,
                ),
            )


# ---- An offer and its answer -----------------------------------------------------------------------------------


def make_quote(shop: Shop, product_id: str, *, total: int | None = None, method: QuotedMethod | None = VISA) -> Quote:
    """Return a fresh quote for one of a product, without tax."""
    price = Money(PRODUCTS[product_id][2] if total is None else total, "USD")
    return Quote(
        product_id=product_id,
        quantity=1,
        discount_code=None,
        lines=(QuoteLine(product_id, PRODUCTS[product_id][0], 1, price),),
        subtotal=price,
        discount=Money(0, "USD"),
        tax=Money(0, "USD"),
        total=price,
        tax_inclusive=False,
        country="US",
        method=method,
        previewed_at=shop.now(),
    )


def add_instance(
    shop: Shop, order: Order, *, offer_id: str = UPSELL, quote: Quote | None = None, **changed: Any
) -> OfferInstance:
    """Show an offer of the demo's funnel after an order; `offer_id` is `UPSELL` or `DOWNSELL`."""
    quote = quote or make_quote(shop, BUNDLE if offer_id == UPSELL else TEMPLATES)
    now = shop.now()
    instance = OfferInstance(
        id=new_id("oi"),
        offer_id=offer_id,
        offer_version=1,
        funnel_id="starter-course",
        funnel_version=1,
        step_key=offer_id,
        placement="return_page",
        source_ref=order.id,
        buyer_key=order.buyer_key,
        customer_id=order.customer_id,
        product_id=quote.product_id,
        language=order.language,
        quote_json=freeze(quote),
        quote_hash=quote_hash(quote),
        moved_from_json=None,
        no_method_reason=None,
        created_at=now,
        expires_at=now + 1_800_000,
        answered_at=None,
        state="shown",
    )
    instance = replace(instance, **changed)
    with shop.store.write():
        assert offer_instances.insert_instance(shop.store, instance)
    return instance


def decline(shop: Shop, instance: OfferInstance) -> None:
    """Answer a shown instance with no, and remember it."""
    with shop.store.write():
        assert offer_instances.mark_declined(shop.store, instance.id, now=shop.now())
        offer_instances.insert_suppression(
            shop.store,
            customer_id=instance.customer_id,
            product_id=instance.product_id,
            offer_id=instance.offer_id,
            instance_id=instance.id,
            now=shop.now(),
        )


def add_yes(shop: Shop, instance: OfferInstance, *, outcome: str = "open", **changed: Any) -> Yes:
    """Answer a shown instance with yes, its one request counted and on its way; `changed` are fields of the attempt."""
    now = shop.now()
    acceptance = _acceptance(shop, instance, outcome=outcome)
    attempt = Attempt(
        id=new_id("att"),
        acceptance_id=acceptance.id,
        kind="one_click",
        state="sending",
        post_count=1,
        sender_id="proc_gone",
        claimed_at=now,
        next_check_at=now + 1_000,
        created_at=now,
        changed_at=now,
    )
    attempt = replace(attempt, **changed)
    with shop.store.write():
        assert offer_instances.claim_instance(shop.store, instance.id, quote_hash=instance.quote_hash, now=now)
        assert acceptances.insert_acceptance(shop.store, acceptance)
        assert attempts.insert_attempt(shop.store, attempt)
        bookkeeping.record(shop, "offer.accepted", instance_id=instance.id, acceptance_id=acceptance.id)
    return Yes(instance, acceptance, attempt)


def _acceptance(shop: Shop, instance: OfferInstance, *, outcome: str) -> Acceptance:
    consent = Consent(
        text="Pay $99.00 with Visa ending 4242",
        button="Pay $99.00",
        language=LANGUAGE,
        template="offers/_offer.html",
        user_agent="Test",
        ip="127.0.0.0",
    )
    quote = json.loads(instance.quote_json)
    return Acceptance(
        id=new_id("acc"),
        consent_json=json.dumps({**asdict(consent), "at": shop.now()}, sort_keys=True),
        offer_instance_id=instance.id,
        customer_id=instance.customer_id,
        product_id=instance.product_id,
        quantity=quote["quantity"],
        amount=quote["total"],
        currency=quote["currency"],
        undo_at=None,
        created_at=shop.now(),
        closed_at=None,
        close_reason=None,
        outcome=outcome,
    )


def yes_payment(shop: Shop, yes: Yes, **changed: Any) -> dict[str, Any]:
    """Return a succeeded payment of a yes, for exactly what was agreed to."""
    marks = attempt_marks(shop, yes.attempt.id, customer_id=yes.acceptance.customer_id)
    facts = {"metadata": marks, "total_amount": yes.acceptance.amount, "currency": yes.acceptance.currency}
    return payment_doc(shop, yes.acceptance.product_id, **{**facts, **changed})


def settle(shop: Shop, doc: dict[str, Any]) -> str:
    """Let the shop observe a payment of its own, whoever told it to look; returns the payment's id."""
    payment = read_payment(doc)
    assert observe.settle_payment(shop, payment)
    return payment.payment_id


def add_charge(shop: Shop, order: Order | None = None, *, quote: Quote | None = None) -> Yes:
    """Add a yes to the upsell that was charged and granted, after a new first order if none is given."""
    yes = add_yes(shop, add_instance(shop, order or add_order(shop), quote=quote))
    settle(shop, yes_payment(shop, yes))
    return reread(shop, yes)


def reread(shop: Shop, yes: Yes) -> Yes:
    """Return a yes as its rows are now."""
    instance = offer_instances.get_instance(shop.store, yes.instance.id)
    acceptance = acceptances.get_acceptance(shop.store, yes.acceptance.id)
    attempt = attempts.get_attempt(shop.store, yes.attempt.id)
    assert instance is not None
    assert acceptance is not None
    assert attempt is not None
    return Yes(instance, acceptance, attempt)
