"""Scenarios: a sandbox in a known situation, loaded by name.

Loading starts over and then does what customers would have done, on the days they would have done it. Customers,
saved cards, subscriptions and products of a scenario have fixed ids (`cus_Scenario0000000000001` and so on), so that
a script can name them.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..billing.timers import run_timers
from ..core.clock import DAY_MS, utc
from ..core.ids import TAIL_LENGTH, Ids
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, answer, read_body, refuse_body, text
from ..http.server import Response
from ..resources.customers import insert_customer, listed_methods
from .bodies import refuse_unknown
from .demo import BASIC, COURSE, start_over
from .insider import EMAIL, NAME, buy, patch, post

routes = Routes(prefix="/_sandbox")

LATER_CHARGES_FAIL = "4000000000000341"
NUMBERED = ("cus_", "pm_", "sub_", "pdt_")
MANY = 10_000
# So that the many customers of two loads are the same people.
SEED = 1
FIRST_NAMES = ("Lan", "Minh", "Anna", "Jonas", "Aisha", "Mateo", "Yuki", "Chloé", "Omar", "Nina")
LAST_NAMES = ("Nguyễn", "Trần", "Novák", "Berg", "Khan", "García", "Tanaka", "Martin", "Haddad", "Rossi")


class ScenarioIds(Ids):
    """Numbers the objects of a scenario; every other id is as usual."""

    def __init__(self, usual: Ids) -> None:
        super().__init__()
        self._usual = usual
        self._made: dict[str, int] = {}

    def new(self, prefix: str) -> str:
        """Return the next id of its kind: `cus_Scenario0000000000001`, then `...2`."""
        if prefix not in NUMBERED:
            return self._usual.new(prefix)
        self._made[prefix] = self._made.get(prefix, 0) + 1
        return f"{prefix}Scenario{self._made[prefix]:0{TAIL_LENGTH - len('Scenario')}}"


@dataclass(frozen=True)
class Scenario:
    """What a scenario is, in a sentence, and who makes it; the maker returns what a script wants to know."""

    sentence: str
    make: Callable[[Twin], Doc]


@routes.get("/scenarios")
def list_scenarios(call: Call) -> Response:
    return answer({"items": [{"name": name, "sentence": one.sentence} for name, one in SCENARIOS.items()]})


@routes.post("/scenarios")
def load_scenario(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "name")
    name = text(body, "name")
    if name not in SCENARIOS:
        raise refuse_body("name", f"must be one of {', '.join(SCENARIOS)}")
    return answer(load(call.twin, name))


def load(twin: Twin, name: str) -> Doc:
    """Start over with one of SCENARIOS and return `{name, ...}` with the ids of what was made.

    It stands on the demo catalogue, also where the sandbox was started without.
    """
    start_over(twin, demo=True)
    with twin.store.write(), _numbered(twin):
        made = SCENARIOS[name].make(twin)
        run_timers(twin)
    twin.wake.set()
    return {"name": name, **made}


@contextmanager
def _numbered(twin: Twin) -> Iterator[None]:
    usual, twin.ids = twin.ids, ScenarioIds(twin.ids)
    try:
        yield
    finally:
        twin.ids = usual


@contextmanager
def _days_ago(twin: Twin, days: int) -> Iterator[None]:
    with twin.clock.at(twin.clock.now() - days * DAY_MS):
        yield


def _new_buyer(twin: Twin) -> Doc:
    customer = insert_customer(twin, email=EMAIL, name=NAME)
    order = {"product_cart": [{"product_id": COURSE, "quantity": 1}], "customer": {"customer_id": customer["id"]}}
    session = post(twin, "/checkouts", order)
    return {"customer_id": customer["id"], "session_id": session["session_id"], "checkout_url": session["checkout_url"]}


def _three_saved_cards(twin: Twin) -> Doc:
    with _days_ago(twin, 400):
        # Good to the end of the month it was used in, so long expired.
        expiry = utc(twin.clock.now()).strftime("%m/%y")
        buy(twin, COURSE, card="4576238912771450", expiry=expiry)
    with _days_ago(twin, 40):
        buy(twin, COURSE, card="5555555555554444")
    with _days_ago(twin, 10):
        return _of_customer(twin, buy(twin, COURSE))


def _subscriber_mid_cycle(twin: Twin) -> Doc:
    with _days_ago(twin, 15):
        return _of_customer(twin, buy(twin, BASIC))


def _subscriber_on_hold(twin: Twin) -> Doc:
    with _days_ago(twin, 35):
        return _of_customer(twin, buy(twin, BASIC, card=LATER_CHARGES_FAIL))


def _trial(twin: Twin) -> Doc:
    product_id = post(twin, "/products", _plan("Trial plan", "USD", trial_days=14))["product_id"]
    with _days_ago(twin, 4):
        return _of_customer(twin, buy(twin, product_id))


def _legacy_currency(twin: Twin) -> Doc:
    product_id = post(twin, "/products", _plan("Studio plan", "EUR"))["product_id"]
    with _days_ago(twin, 45):
        made = _of_customer(twin, buy(twin, product_id, country="DE"))
    patch(twin, f"/products/{product_id}", {"price": _plan("", "USD")["price"]})
    return made


def _many_customers(twin: Twin) -> Doc:
    with _days_ago(twin, 1):
        first = buy(twin, COURSE)
    pick, now = random.Random(SEED), twin.clock.now()
    for number in range(2, MANY + 1):
        name = f"{pick.choice(FIRST_NAMES)} {pick.choice(LAST_NAMES)}"
        with twin.clock.at(now - pick.randrange(2 * DAY_MS, 365 * DAY_MS)):
            customer = insert_customer(twin, email=f"customer{number}@example.com", name=name)
            twin.store.put("payments", _copy(twin, first, customer))
    return {"customer_id": first["customer_id"], "customers": MANY}


def _copy(twin: Twin, payment: Doc, customer: Doc) -> Doc:
    """Return a payment like `payment` of another customer, without the way through a checkout that makes one."""
    now = twin.clock.now()
    own = {"id": twin.ids.new("pay_"), "customer_id": customer["id"], "created_at": now, "updated_at": now}
    return {**payment, **own, "invoice_id": twin.ids.new("inv_"), "session_id": None, "method_id": None}


def _plan(name: str, currency: str, *, trial_days: int = 0) -> Doc:
    price = {
        "type": "recurring_price",
        "currency": currency,
        "price": 3000,
        "discount": 0,
        "purchasing_power_parity": False,
        "payment_frequency_count": 1,
        "payment_frequency_interval": "Month",
        "subscription_period_count": 5,
        "subscription_period_interval": "Year",
        "trial_period_days": trial_days,
    }
    return {"name": name, "tax_category": "saas", "price": price}


def _of_customer(twin: Twin, payment: Doc) -> Doc:
    made: Doc = {
        "customer_id": payment["customer_id"],
        "payment_id": payment["id"],
        "payment_method_ids": [method["id"] for method in listed_methods(twin, payment["customer_id"])],
    }
    return {**made, "subscription_id": payment["subscription_ids"][0]} if payment["subscription_ids"] else made


SCENARIOS = {
    "new-buyer": Scenario("A customer who has never paid, before an open checkout of the course.", _new_buyer),
    "three-saved-cards": Scenario(
        "A customer with a Visa, a Mastercard and an expired Visa, in this order.", _three_saved_cards
    ),
    "subscriber-mid-cycle": Scenario("A subscriber of the Basic plan, 15 days into a month.", _subscriber_mid_cycle),
    "subscriber-on-hold": Scenario(
        "A subscriber of the Basic plan whose renewal was declined some days ago.", _subscriber_on_hold
    ),
    "trial": Scenario("A subscriber on the fifth of 14 days of trial.", _trial),
    "legacy-currency": Scenario(
        "A subscriber who pays in EUR for a plan that is sold in USD by now.", _legacy_currency
    ),
    "10000-customers": Scenario("10,000 customers over the last year, with a payment each.", _many_customers),
}
