"""The test mail pages: a link that works once, and pages that exist only beside the sandbox."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from flask import Flask

from app import create_app
from encore.services import mail
from encore.settings import Settings
from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import Visit

MESSAGE = mail.Message(
    id="msg_1",
    kind="receipt",
    recipient="lan@example.com",
    language="en",
    subject="Receipt: Starter Course – Paper & Co",
    html="<!doctype html><html lang=en><title>x</title><h1>Receipt</h1></html>",
    text="Thank you <b>",
    source="Subject: Receipt\n\nThank you",
    state="sent",
    created_at=factories.NOW,
)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[mail.Message]:
    listed = [MESSAGE]
    monkeypatch.setattr(mail, "list_messages", lambda shop: listed)
    return listed


@pytest.fixture
def owner(app: Flask, visit: Visit) -> Visit:
    path = urlsplit(mail.mail_link(app.extensions["encore"])).path
    form = read(visit.get(path).get_data(as_text=True)).one("form", action=path)
    assert visit.post(path, form_fields(form)).location == "/merchant/mail"
    return visit


def test_link_works_once_and_only_when_its_button_is_pressed(app: Flask, visit: Visit, stranger: Visit) -> None:
    path = urlsplit(mail.mail_link(app.extensions["encore"])).path
    for _ in range(3):
        fields = form_fields(read(visit.get(path).get_data(as_text=True)).one("form", action=path))

    first = visit.post(path, fields)
    other = form_fields(read(stranger.get(path).get_data(as_text=True)).one("form", action=path))
    second = stranger.post(path, other)

    assert first.status_code == 303
    assert second.status_code == 404
    assert stranger.get("/merchant/mail").status_code == 403


@pytest.mark.parametrize("path", ["/merchant/mail", "/merchant/mail/msg_1", "/merchant/mail/msg_1/html"])
def test_mail_is_closed_without_the_link(visit: Visit, messages: list[mail.Message], path: str) -> None:
    answer = visit.get(path)

    assert answer.status_code == 403
    assert "lan@example.com" not in answer.get_data(as_text=True)


def test_every_message_is_listed_and_shown(owner: Visit, messages: list[mail.Message]) -> None:
    listed = read(owner.get("/merchant/mail").get_data(as_text=True))
    shown = read(owner.get("/merchant/mail/msg_1").get_data(as_text=True))

    assert listed.one("a", href="/merchant/mail/msg_1").text == MESSAGE.subject
    assert "Thank you <b>" in shown.text
    assert "Subject: Receipt" in shown.text
    assert owner.get("/merchant/mail/none").status_code == 404


def test_message_is_shown_where_nothing_of_it_can_run(owner: Visit, messages: list[mail.Message]) -> None:
    answer = owner.client.get("/merchant/mail/msg_1/html", base_url="http://127.0.0.1:5000")

    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_data(as_text=True) == MESSAGE.html


def test_empty_mail_says_what_sends_one(owner: Visit, messages: list[mail.Message]) -> None:
    messages.clear()

    page = read(owner.get("/merchant/mail").get_data(as_text=True))

    assert page.one("main").attributes["data-page-state"] == "empty"
    assert "A paid order sends the first message." in page.text


@pytest.mark.parametrize("path", ["/merchant/mail", "/merchant/mail/open/x", "/merchant/mail/msg_1"])
def test_mail_pages_do_not_exist_where_buyers_are_real(settings: Settings, path: str) -> None:
    made = create_app(replace(settings, mode="test_mode"))
    visit = Visit(made)

    assert visit.get(path).status_code == 404
    made.extensions["encore"].close()
