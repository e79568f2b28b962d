"""What every answer of every route carries, over HTTP and HTTPS, errors and files included."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app import create_app
from encore.services import mail
from tests.attacks.stage import Browser, Stage
from tests.attacks.test_identities import TABLE, form_of, path_of

FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Whatever one of these says of our software is of use to nobody but an attacker.
TELLTALE = ("X-Powered-By", "Via", "X-AspNet-Version", "X-Runtime", "X-Debug", "Access-Control-Allow-Origin")


def policy_of(stage: Stage) -> str:
    """security.md, section 8, but for `report-to`: nothing collects reports yet."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' data: {stage.sandbox.url}; font-src 'self'; connect-src 'self'; "
        f"form-action 'self' {stage.sandbox.url}; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    )


@pytest.fixture(scope="module")
def buyer(stage: Stage) -> Browser:
    return stage.buyer()


@pytest.mark.parametrize(("method", "rule"), [pytest.param(*key, id=" ".join(key)) for key in TABLE])
@pytest.mark.parametrize("who", ["buyer", "stranger"])
def test_every_answer_of_every_route_is_walled(stage: Stage, buyer: Browser, who: str, method: str, rule: str) -> None:
    browser = with_own_cookies(stage, buyer) if who == "buyer" else stage.browser()
    if method == "POST" and who == "buyer" and "/o/" in rule:
        # Its token is left out: the answer is a refusal, and the offer is there for the next case.
        answer = browser.post(path_of(rule, buyer))
    elif method == "POST":
        answer = browser.post(path_of(rule, buyer), form_of(stage, rule, buyer))
    else:
        answer = browser.get(path_of(rule, buyer))

    assert answer.headers["Content-Security-Policy"] == policy_of(stage)
    assert {name: answer.headers[name] for name in FIXED} == FIXED
    assert all(part.endswith("=()") for part in answer.headers["Permissions-Policy"].split(", "))
    assert not [name for name in TELLTALE if name in answer.headers]
    assert answer.headers["X-Request-Id"].startswith("req_")
    if not rule.startswith("/static"):
        assert answer.headers["Cache-Control"] == "no-store"
    for cookie in answer.headers.getlist("Set-Cookie"):
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


def with_own_cookies(stage: Stage, buyer: Browser) -> Browser:
    """The same browser, in a jar of its own: signing out must not end the one that others use."""
    browser = stage.browser()
    for name, value in buyer.cookies().items():
        browser.client.set_cookie(name, value, domain="127.0.0.1")
    return browser


@pytest.mark.parametrize("path", ["/nothing", "/o/x/accept", "/static/none.css", "/r/x?y=1", "/%00", "/p/none"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_every_error_is_walled_too(stage: Stage, path: str, method: str) -> None:
    answer = stage.browser().open(method, path)

    assert answer.status_code >= 300
    assert answer.headers["Content-Security-Policy"] == policy_of(stage)
    assert {name: answer.headers[name] for name in FIXED} == FIXED
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture(scope="module")
def https(stage: Stage) -> Iterator[Stage]:
    app = create_app(replace(stage.settings, public_url="https://shop.example"))
    yield Stage(app, stage.sandbox, stage.clock)
    app.extensions["encore"].close()


def test_over_https_cookies_belong_to_this_host_alone(https: Stage) -> None:
    visitor = https.browser()

    started = visitor.open(
        "POST",
        "/checkout",
        data={"csrf_token": visitor.csrf(), "product": "starter-course"},
        headers={"Referer": "https://shop.example/p/starter-course"},
    )

    assert started.status_code == 303
    for cookie in started.headers.getlist("Set-Cookie"):
        assert cookie.startswith(("__Host-encore_buyer=", "__Host-encore_session="))
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "domain" not in cookie.lower()
    assert started.headers["Strict-Transport-Security"].startswith("max-age=")


def test_mail_shown_in_a_page_can_run_nothing(stage: Stage, buyer: Browser) -> None:
    """The one other policy there is, and it is narrower."""
    while mail.send_next(stage.shop):
        pass
    owner = stage.browser()
    link = mail.mail_link(stage.shop).removeprefix(stage.settings.public_url)
    assert owner.post(link).status_code == 303
    message = mail.list_messages(stage.shop)[0]

    answer = owner.client.get(f"/merchant/mail/{message.id}/html", base_url=stage.settings.public_url)

    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
