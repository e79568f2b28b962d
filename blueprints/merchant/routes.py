"""The test mail pages: what Encore sent, for a shop whose provider is on loopback, behind a one-time link."""

from flask import Blueprint, Response, abort, make_response, request, session

from encore.services import mail

from ..web import current_shop, go, page

bp = Blueprint("merchant", __name__, url_prefix="/merchant/mail")

_MARK = "may_read_mail"


@bp.before_request
def check() -> None:
    """Hide the pages where real buyers exist; behind the link everywhere else."""
    if not current_shop().settings.is_sandbox:
        abort(404)
    if request.endpoint != "merchant.open_link" and not session.get(_MARK):
        abort(403)


@bp.route("/open/<token>", methods=["GET", "POST"])
def open_link(token: str) -> Response:
    # The link alone changes nothing: programs that look at links must not use it up.
    if request.method == "GET":
        return page("merchant/open_link.html", state="ready")
    if not mail.claim_mail_link(current_shop(), token):
        abort(404)
    session[_MARK] = True
    return go("/merchant/mail")


@bp.get("")
def index() -> Response:
    messages = mail.list_messages(current_shop())
    return page("merchant/mail.html", state="ready" if messages else "empty", messages=messages)


@bp.get("/<message_id>")
def show(message_id: str) -> Response:
    return page("merchant/message.html", state="ready", message=_get(message_id))


@bp.get("/<message_id>/html")
def as_html(message_id: str) -> Response:
    response = make_response(_get(message_id).html)
    # Shown as a mail program would: nothing of it may run, load or send.
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    return response


def _get(message_id: str) -> mail.Message:
    found = next((message for message in mail.list_messages(current_shop()) if message.id == message_id), None)
    if found is None:
        abort(404)
    return found
