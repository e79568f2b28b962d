"""Requests reach the provider and the object they name, with our key: no redirect, cookie or id leads elsewhere."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from encore.dodo import Budget, Dodo
from encore.dodo import client as client_module
from encore.dodo.client import path_of
from encore.dodo.connection import Wire
from encore.errors import NotExecuted, Unavailable
from tests.dodo.examples import NOT_FOUND, PAYMENT, MakeDodo, as_json
from tests.dodo.raw_server import RawServer, answering, http


def check_redirect(make_dodo: MakeDodo, status: int) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as other:
        moved = http(status, b"", f"Location: {other.url}/payments/pay_1")
        with RawServer(answering(moved)) as server:
            dodo = make_dodo(server.url)
            with pytest.raises(Unavailable):
                dodo.payments.get("pay_1", budget=dodo.budget())
            dodo.checkouts.confirm({"confirm": True}, before_first_byte=lambda: True)
            assert len(server.requests) == 2

    assert other.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_reaches_no_other_host(make_dodo: MakeDodo, status: int) -> None:
    check_redirect(make_dodo, status)


class WithCookies(requests.PreparedRequest):
    """As requests prepares one itself; without cookies it would fail over a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.prepare_cookies({})


def look_at_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = requests.Session.get_redirect_target
    monkeypatch.setattr(client_module._Session, "get_redirect_target", plain)
    monkeypatch.setattr(requests, "PreparedRequest", WithCookies)


def follow_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = requests.Session.send

    def following(self: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
        return plain(self, *args, **{**kwargs, "allow_redirects": True})

    monkeypatch.setattr(client_module._Session, "send", following)


@pytest.mark.parametrize("build", [look_at_redirects, follow_redirects])
def test_one_of_two_guards_keeps_redirects_unfollowed(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch, build: Callable[[pytest.MonkeyPatch], None]
) -> None:
    build(monkeypatch)

    check_redirect(make_dodo, 307)


def test_guards_off_a_followed_redirect_is_caught(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at_redirects(monkeypatch)
    follow_redirects(monkeypatch)
    monkeypatch.setattr(Wire, "begin", lambda self: None)  # the third guard: one request a wire

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_redirect(make_dodo, 307)


def test_cookies_of_the_provider_are_not_sent_back(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT), "Set-Cookie: a=b; Path=/"))) as server:
        dodo = make_dodo(server.url)
        for _ in range(2):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert "cookie" not in server.requests[1].headers


def test_the_environment_cannot_replace_our_key(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login thief password thief")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        dodo.payments.get("pay_1", budget=dodo.budget())

    assert server.requests[0].headers["authorization"] == "Bearer key"


@pytest.mark.parametrize("object_id", ["", ".", "..", "../customers", "a/b", "a?b", "a#b", "a%2fb", "a b", "é"])
def test_an_id_that_would_change_the_path_is_not_found(object_id: str) -> None:
    with pytest.raises(NotExecuted) as raised:
        path_of("/payments/{}", object_id)

    assert raised.value.status == 404


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda d, b: d.checkouts.get("cks_1", budget=b), "/checkouts/cks_1"),
        (lambda d, b: d.payments.get("pay_1", budget=b), "/payments/pay_1"),
        (lambda d, b: d.customers.get("cus_1", budget=b), "/customers/cus_1"),
        (lambda d, b: d.customers.payment_methods("cus_1", budget=b), "/customers/cus_1/payment-methods"),
        (lambda d, b: d.addons.list_all(budget=b), "/addons?page_number=0&page_size=100"),
        (lambda d, b: d.products.get("pdt_1", budget=b), "/products/pdt_1"),
        (lambda d, b: d.products.list_all(budget=b), "/products?page_number=0&page_size=100"),
        (lambda d, b: d.refunds.get("ref_1", budget=b), "/refunds/ref_1"),
        (lambda d, b: d.subscriptions.get("sub_1", budget=b), "/subscriptions/sub_1"),
    ],
)
def test_a_missing_object_is_a_404_for_every_resource(
    make_dodo: MakeDodo, call: Callable[[Dodo, Budget], object], path: str
) -> None:
    with RawServer(answering(NOT_FOUND)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(NotExecuted) as raised:
            call(dodo, dodo.budget())

    assert (raised.value.status, raised.value.code) == (404, "NOT_FOUND")
    assert [request.path for request in server.requests] == [path]
