"""Every route there is, and what each does with a method, a token or an origin that is not its own.

A new route must enter the table: the first test fails until it does.
"""

from typing import Any

import pytest
from flask import Flask

from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import Visit, World

READ = frozenset({"GET", "HEAD", "OPTIONS"})
ACT = frozenset({"POST", "OPTIONS"})
ROUTES = {
    "/": READ,
    "/p/<slug>": READ,
    "/checkout": ACT,
    "/help": READ,
    "/terms": READ,
    "/refunds": READ,
    "/privacy": READ,
    "/r/<ref>": READ,
    "/r/<ref>/wait/<int:check>": READ,
    "/r/<ref>/checkout": ACT,
    "/o/<instance_id>": READ,
    "/o/<instance_id>/status": READ,
    "/o/<instance_id>/again": READ,
    "/o/<instance_id>/accept": ACT,
    "/o/<instance_id>/decline": ACT,
    "/o/<instance_id>/continue": ACT,
    "/o/<instance_id>/cancel": ACT,
    "/o/<instance_id>/checkout": ACT,
    "/o/<instance_id>/card": ACT,
    "/o/<instance_id>/quantity": READ | ACT,
    "/o/<instance_id>/cards": READ,
    "/orders/<ref>": READ,
    "/orders/<ref>/payments/<int:number>/invoice": READ,
    "/account": READ,
    "/account/orders": READ,
    "/account/orders/before/<int:number>": READ,
    "/account/methods": READ,
    "/account/methods/remove": ACT,
    "/account/recommendations/<offer_id>": ACT,
    "/account/sign-in": READ | ACT,
    "/account/sign-in/sent": READ,
    "/account/sign-in/link/<token>": READ,
    "/account/sign-in/open": READ | ACT,
    "/account/subscriptions/<subscription_id>": READ,
    "/account/subscriptions/<subscription_id>/preview": ACT,
    "/account/subscriptions/<subscription_id>/scheduled/cancel": ACT,
    "/account/subscriptions/<subscription_id>/cancel": READ | ACT,
    "/account/subscriptions/<subscription_id>/end": ACT,
    "/account/subscriptions/<subscription_id>/resume": ACT,
    "/account/subscriptions/<subscription_id>/card": ACT,
    "/account/subscriptions/<subscription_id>/cards": READ | ACT,
    "/account/subscriptions/<subscription_id>/dues": ACT,
    "/account/subscriptions/<subscription_id>/dues/new": ACT,
    "/account/subscriptions/<subscription_id>/dues/bank": ACT,
    "/dues/<dues_id>": READ,
    "/dues/<dues_id>/status": READ,
    "/dues/<dues_id>/bank": ACT,
    "/dues/<dues_id>/leave": ACT,
    "/quotes/<quote_id>": READ,
    "/quotes/<quote_id>/status": READ,
    "/quotes/<quote_id>/confirm": ACT,
    "/quotes/<quote_id>/refresh": ACT,
    "/quotes/<quote_id>/bank": ACT,
    "/quotes/<quote_id>/leave": ACT,
    "/sign-out": ACT,
    "/merchant/mail": READ,
    "/merchant/mail/<message_id>": READ,
    "/merchant/mail/<message_id>/html": READ,
    "/merchant/mail/open/<token>": READ | ACT,
    "/webhooks/dodo": ACT,
    "/healthz": READ,
    "/readyz": READ,
    "/static/<path:filename>": READ,
}
# Servers post here; a signature stands in for the token of a form.
SIGNED = {"/webhooks/dodo"}
# What a browser says of a form that another site's page sent.
FOREIGN = [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
# The readiness probe asks the provider and waits for it; tests of its own are with the operator's commands.
READABLE = [rule for rule, methods in ROUTES.items() if "GET" in methods and rule != "/readyz"]
POSTABLE = [rule for rule, methods in ROUTES.items() if "POST" in methods]
SAMPLES = {
    "<slug>": "starter-course",
    "<ref>": factories.REF,
    "<int:check>": "1",
    "<int:number>": "1",
    "<instance_id>": factories.INSTANCE,
    "<subscription_id>": "sbs_1",
    "<quote_id>": "quo_1",
    "<offer_id>": "account-bundle",
    "<message_id>": "msg_1",
    "<token>": "t" * 43,
    "<path:filename>": "css/encore.css",
}


def path_of(rule: str) -> str:
    for name, sample in SAMPLES.items():
        rule = rule.replace(name, sample)
    return rule


def rows_of(app: Flask) -> dict[str, list[Any]]:
    store = app.extensions["encore"].store
    tables = [row["name"] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    # Refused deliveries are counted there, by reason, for `doctor`.
    return {name: store.rows(f"SELECT * FROM {name}") for name in tables if name != "meta"}


def test_table_lists_every_route(app: Flask) -> None:
    found: dict[str, frozenset[str]] = {}
    for rule in app.url_map.iter_rules():
        found[rule.rule] = found.get(rule.rule, frozenset()) | frozenset(rule.methods or ())

    assert found == ROUTES


@pytest.mark.criterion("R10e")
@pytest.mark.parametrize("rule", READABLE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("purpose", [{}, {"Sec-Purpose": "prefetch"}], ids=["visit", "prefetch"])
def test_reading_changes_nothing(
    app: Flask, visit: Visit, world: World, rule: str, method: str, purpose: dict[str, str]
) -> None:
    before = rows_of(app)

    answer = visit.open(method, path_of(rule), headers=purpose)

    assert answer.status_code < 500 or answer.status_code == 503
    assert rows_of(app) == before
    assert world.calls == []


@pytest.mark.parametrize("rule", READABLE)
def test_reading_with_an_acts_query_changes_nothing(app: Flask, visit: Visit, world: World, rule: str) -> None:
    before = rows_of(app)

    visit.get(f"{path_of(rule)}?accept=1&offer_token=x&_method=POST&status=succeeded&payment_id=pay_1")

    assert rows_of(app) == before
    assert world.calls == []


@pytest.mark.parametrize("rule", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_wrong_method_is_405(visit: Visit, world: World, rule: str, method: str) -> None:
    if method in ROUTES[rule]:
        return

    answer = visit.open(method, path_of(rule))

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == ROUTES[rule]
    assert world.calls == []


@pytest.mark.parametrize("rule", [rule for rule in POSTABLE if rule not in SIGNED])
def test_post_without_its_token_is_400(app: Flask, visit: Visit, world: World, rule: str) -> None:
    before = rows_of(app)

    answer = visit.post(path_of(rule), {"product": "starter-course"})

    assert answer.status_code == 400
    assert rows_of(app) == before
    assert world.calls == []


@pytest.mark.parametrize("rule", [rule for rule in POSTABLE if rule not in SIGNED])
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=["origin", "site"]
)
def test_post_of_another_site_is_403_even_with_a_token(
    app: Flask, visit: Visit, world: World, rule: str, headers: dict[str, str]
) -> None:
    before = rows_of(app)
    token = form_fields(read(visit.get("/").get_data(as_text=True)).test_id("sign-out"))

    answer = visit.post(path_of(rule), {**token, "product": "starter-course"}, headers=headers)

    assert answer.status_code == 403
    assert rows_of(app) == before
    assert world.calls == []


@pytest.mark.parametrize("rule", SIGNED)
def test_post_without_a_signature_is_401(app: Flask, visit: Visit, rule: str) -> None:
    before = rows_of(app)

    answer = visit.open("POST", path_of(rule), data=b"{}", content_type="application/json")

    assert answer.status_code == 401
    assert rows_of(app) == before


@pytest.mark.parametrize("rule", [rule for rule in ROUTES if rule != "/readyz"])
def test_knowing_a_customers_id_is_worth_nothing(app: Flask, stranger: Visit, world: World, rule: str) -> None:
    """A stranger sends a customer's id, in the query and the body, with a form token of their own."""
    token = form_fields(read(stranger.get("/").get_data(as_text=True)).test_id("sign-out"))
    before = rows_of(app)
    customer = {"customer_id": "cus_1", "customer": "cus_1", "payment_method_id": "pm_1"}

    read_answer = stranger.get(f"{path_of(rule)}?customer_id=cus_1") if "GET" in ROUTES[rule] else None
    acted = stranger.post(path_of(rule), {**token, **customer}) if "POST" in ROUTES[rule] else None

    for answer in (read_answer, acted):
        if answer is not None:
            assert "4242" not in answer.get_data(as_text=True)
            assert "example.com" not in answer.get_data(as_text=True)
    assert rows_of(app) == before
    assert [name for name, _ in world.calls] == []


@pytest.mark.parametrize("rule", READABLE)
def test_every_link_and_form_of_a_page_leads_to_a_route(app: Flask, visit: Visit, rule: str) -> None:
    answer = visit.get(path_of(rule))
    if answer.mimetype != "text/html" or answer.status_code >= 300:
        return

    page = read(answer.get_data(as_text=True))

    adapter = app.url_map.bind("127.0.0.1:5000")
    targets = {(a.attributes["href"], "GET") for a in page.all("a")}
    targets |= {(form.attributes["action"], "POST") for form in page.all("form")}
    targets |= {(e.attributes["hx-get"], "GET") for e in page.all() if "hx-get" in e.attributes}
    for target, method in targets:
        if target.startswith("/"):
            adapter.match(target.partition("?")[0], method=method)
