"""Contract mode: what the official SDKs' own test suites are run against.

Those suites send placeholders (`product_id: "product_id"`, `quantity: 0`, ids of no object) that the truthful twin
has to refuse, and check nothing but the shape of the answer. So here the ids they name are there, each request is
tried truthfully and everything it did is taken back; one that is refused is answered as its sensible sister in
`INSTEAD` would be. Both go the way of every request: there is no second set of handlers to keep like the first.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from .control.demo import BASIC, PRO
from .core.ids import Ids
from .core.twin import Twin
from .http.call import Call
from .http.gateway import normal_endpoint
from .http.router import Router
from .http.server import Connection, Request, Response

# The ids that the suite of the Python SDK 1.123.0 puts into paths, by prefix.
SUITE_IDS = {
    "cus_": "cus_TV52uJWWXt2yIoBBxpjaa",
    "pdt_": "pdt_R8AWMPiV8RyJElcCKvAID",
    "adn_": "adn_NX1zdqW4Hbivsqz8vI9dc",
    "cks_": "cks_n010SZaY4NXc7F1ck3Tq1",
    "pm_": "payment_method_id",
    "pay_": "pay_gr4RizvMOXFJ6xca3y2tU",
    "sub_": "sub_Iuaq622bbmmfOGrVTqdXv",
    "ref_": "ref_F0gZetLvTxxBrMU2CZcmy",
    "dp_": "dispute_id",
    "dsc_": "dsc_qxxEmg5PuM1uNTE0LgkP9",
    "whk_": "whk_YdWqVEGKmSYKbsIyDxEab",
    "lic_": "lic_7namTC0VcgrnzrF3GTSwB",
    "lki_": "lki_EeWORStkMc7z0KycI31VS",
}
CUSTOMER, PRODUCT, SESSION, PAYMENT, SUBSCRIPTION = (
    SUITE_IDS[prefix] for prefix in ("cus_", "pdt_", "cks_", "pay_", "sub_")
)
# What else the seeds make and name: the link of the payment, and subscriptions in other states than active.
LINK, SCHEDULED_SESSION, STOPPED_SESSION, ON_DEMAND_SESSION = (
    "lnk_ContractPayment000001",
    "cks_ContractScheduled0001",
    "cks_ContractStopped000001",
    "cks_ContractOnDemand00001",
)
SCHEDULED, STOPPED, ON_DEMAND = "sub_ContractScheduled0001", "sub_ContractStopped000001", "sub_ContractOnDemand00001"
FURTHER_IDS = {
    "lnk_": (LINK,),
    "cks_": (SCHEDULED_SESSION, STOPPED_SESSION, ON_DEMAND_SESSION),
    "sub_": (SCHEDULED, STOPPED, ON_DEMAND),
}
EMAIL = "lan@example.com"
# Nobody listens there: the suite looks at endpoints, not at deliveries.
HOOK = "http://127.0.0.1:9/"
ADDRESS = {"country": "US", "zipcode": "10001", "city": "New York", "state": "NY", "street": "1 Main Street"}
NEW_PRODUCT = {
    "name": "Poster",
    "tax_category": "digital_products",
    "price": {"type": "one_time_price", "currency": "USD", "price": 1200},
}
NEW_ADDON = {"name": "Seat", "tax_category": "saas", "price": 500, "currency": "USD"}
CART = {"product_cart": [{"product_id": PRODUCT, "quantity": 1}]}
FORM = {"email": EMAIL, "name": "Lan", "country": "US", "zipcode": "10001", "cvc": "123"}

PLAN_CART = {"product_cart": [{"product_id": BASIC, "quantity": 1}]}
CARD = {"card_number": "4242424242424242", "expiry": "06/32"}
CHANGE = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately"}
NEW_KEY = {"key": "license_key", "customer_id": CUSTOMER, "product_id": PRODUCT}

# What makes the objects behind the ids, in order: method, path, body.
SEEDS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/customers", {"email": EMAIL, "name": "Lan"}),
    ("POST", "/products", NEW_PRODUCT),
    ("POST", "/addons", NEW_ADDON),
    ("POST", "/discounts", {"type": "percentage", "amount": 1000, "code": "code"}),
    ("POST", "/payments", CART | {"customer": {"email": EMAIL}, "billing": ADDRESS, "payment_link": True}),
    # The card that this saves is used by no subscription, so it can be deleted.
    ("POST", f"/session/{LINK}", urlencode(FORM | {"card_number": "5555555555554444", "expiry": "06/32"})),
    ("POST", "/checkouts", PLAN_CART),
    ("POST", f"/session/{SESSION}", urlencode(FORM | CARD)),
    ("POST", "/checkouts", PLAN_CART),
    ("POST", f"/session/{SCHEDULED_SESSION}", urlencode(FORM | CARD)),
    ("POST", f"/subscriptions/{SCHEDULED}/change-plan", CHANGE | {"effective_at": "next_billing_date"}),
    ("POST", "/checkouts", PLAN_CART),
    ("POST", f"/session/{STOPPED_SESSION}", urlencode(FORM | CARD)),
    ("POST", "/_sandbox/payments", {"outcome": "failed"}),
    ("POST", "/_sandbox/renewals", {"subscription_id": STOPPED}),
    ("POST", "/checkouts", PLAN_CART | {"subscription_data": {"on_demand": {"mandate_only": True}}}),
    ("POST", f"/session/{ON_DEMAND_SESSION}", urlencode(FORM | CARD)),
    ("POST", "/_sandbox/disputes", {"payment_id": PAYMENT, "amount": 100}),
    ("POST", "/webhooks", {"url": HOOK}),
    ("POST", "/license_keys", NEW_KEY),
    ("POST", "/licenses/activate", {"license_key": "license_key", "name": "Laptop"}),
    ("POST", "/refunds", {"payment_id": PAYMENT, "items": [{"item_id": PRODUCT, "amount": 100}]}),
)


def owed_payment(twin: Twin) -> str:
    """Return the id of the payment that stopped a subscription."""
    stopped = twin.store.get("subscriptions", STOPPED)
    assert stopped is not None
    return str(stopped["owed_payment_id"])


# What is sent instead of a refused request: path, or None to keep it, and body.
INSTEAD: dict[str, tuple[str | Callable[[Twin], str] | None, Any]] = {
    "POST /checkouts": (None, CART),
    "POST /checkouts/preview": (None, CART | {"billing_address": ADDRESS}),
    "POST /payments": (None, CART | {"customer": {"email": EMAIL}, "billing": ADDRESS}),
    "GET /payments/{}/retry": (lambda twin: f"/payments/{owed_payment(twin)}/retry", None),
    "POST /payments/{}/retry": (lambda twin: f"/payments/{owed_payment(twin)}/retry", None),
    "POST /subscriptions": (
        None,
        {"customer": {"email": EMAIL}, "billing": ADDRESS, "product_id": BASIC, "quantity": 1},
    ),
    "PATCH /subscriptions/{}": (None, {"metadata": {}}),
    "POST /subscriptions/{}/charge": (f"/subscriptions/{ON_DEMAND}/charge", {"product_price": 500}),
    "POST /subscriptions/{}/update-payment-method": (None, {"type": "new"}),
    "POST /subscriptions/{}/change-plan": (None, CHANGE),
    "POST /subscriptions/{}/change-plan/preview": (None, CHANGE),
    "DELETE /subscriptions/{}/change-plan/scheduled": (f"/subscriptions/{SCHEDULED}/change-plan/scheduled", None),
    "POST /customers": (None, {"email": EMAIL, "name": "Lan"}),
    "PATCH /customers/{}": (None, {}),
    "POST /customers/{}/wallets/ledger-entries": (None, {"amount": 100, "currency": "USD", "entry_type": "credit"}),
    "POST /products": (None, NEW_PRODUCT),
    "PATCH /products/{}": (None, {}),
    "PUT /products/{}/files": (None, {"file_name": "poster.pdf"}),
    "POST /addons": (None, NEW_ADDON),
    "PATCH /addons/{}": (None, {}),
    "POST /discounts": (None, {"type": "percentage", "amount": 1000}),
    "PATCH /discounts/{}": (None, {}),
    "POST /webhooks": (None, {"url": HOOK}),
    "PATCH /webhooks/{}": (None, {}),
    "POST /license_keys": (None, NEW_KEY | {"key": "another key"}),
    "POST /licenses/deactivate": (
        None,
        {"license_key": "license_key", "license_key_instance_id": SUITE_IDS["lki_"]},
    ),
    "PATCH /license_keys/{}": (None, {}),
    "POST /refunds": (None, {"payment_id": PAYMENT}),
}


class SuiteIds(Ids):
    """Gives the first object of each kind the id that the suite asks for, and the next those of FURTHER_IDS."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self._left = {prefix: [suite_id] for prefix, suite_id in SUITE_IDS.items()}
        for prefix, further in FURTHER_IDS.items():
            self._left.setdefault(prefix, []).extend(further)

    def new(self, prefix: str) -> str:
        """Return the next id that is laid down for this kind, then ids as usual."""
        left = self._left.get(prefix)
        return left.pop(0) if left else super().new(prefix)


class ContractRouter(Router):
    """Answers what the truthful router would, of the request or else of its sister; nothing of it lasts."""

    def respond(self, call: Call) -> Response:
        """Answer one request and take back what it did."""
        with call.twin.store.rehearsal():
            answer = super().respond(call)
        matched = self.match(call.request.method, call.request.path)
        if not 400 <= answer.status < 500 or matched is None:
            return answer
        endpoint = normal_endpoint(f"{matched.route.method} {matched.route.template}")
        path, body = INSTEAD.get(endpoint, (None, None))
        path = path(call.twin) if callable(path) else path
        sister = replace(call.request, path=path or call.request.path, query="", body=_encoded(body))
        with call.twin.store.rehearsal():
            # Counted, because a request that is wrongly refused would hide behind its sister.
            call.twin.sister_answers[endpoint] = call.twin.sister_answers.get(endpoint, 0) + 1
            return super().respond(replace(call, request=sister))


def contract_router(router: Router, twin: Twin) -> Router:
    """Return the router of contract mode, and fill an empty twin with what the suite names."""
    if not twin.store.count("customers"):
        usual, twin.ids = twin.ids, SuiteIds()
        with twin.store.write(), socket.socket() as nobody:
            for method, path, body in SEEDS:
                request = Request(method, path, "", {}, "127.0.0.1", keep_alive=False, body=_encoded(body))
                made = router.respond(Call(twin, request, Connection(nobody, request.peer)))
                assert made.status < 400, f"{method} {path}: {made.body!r}"
        twin.ids = usual
    return ContractRouter(router.routes)


def _encoded(body: Any) -> bytes:
    return (body if isinstance(body, str) else json.dumps(body)).encode()
