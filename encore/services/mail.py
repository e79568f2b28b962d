"""Mail: what the outbox holds is rendered, handed over, and marked; with the sandbox it is read on a page instead.

At least once: a worker that dies between handing over and marking sends again, under the same Message-ID.
"""

import hashlib
import json
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from typing import Any
from urllib.parse import urlsplit

import structlog

from encore.crash_point import crash_point
from encore.ids import random_ref
from encore.mail_templates import render_mail
from encore.rules.money import Money
from encore.rules.quotes import QuotedMethod
from encore.services import bookkeeping, sign_ins
from encore.services.shop import Shop
from encore.settings import Smtp
from encore.store import meta, outbox
from encore.store.outbox import Message as Row

log = structlog.get_logger("encore.mail")

# A mail server may think for a while, but must not hold up a lane of the worker.
_SMTP_S = 10.0
_LEASE_MS = 60_000
_RETRY_MS = (10_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 43_200_000)
_ALARM = ("mail_failing", "smtp")
_LINK = "mail.link."
# The link stands in the printed welcome of `make run`, and whoever started that may come to it hours later.
_LINK_LIFE_MS = 12 * 3_600_000
_MOST_LISTED = 500


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message as the test mail page shows it; `source` is the whole of it as handed over, headers first."""

    id: str
    kind: str
    recipient: str
    language: str
    subject: str
    html: str
    text: str
    source: str
    state: str
    created_at: int


class _Undeliverable(Exception):
    """This message can never be sent; the text says why."""


def send_next(shop: Shop) -> bool:
    """Send the next message of the outbox, if one is due; False when none is."""
    now = shop.now()
    # Looked at first without the write lock, which buyers need: most of the time nothing is due.
    if not outbox.has_due(shop.store, now=now):
        return False
    with shop.store.write():
        row = outbox.claim_message(shop.store, now=now, lease_until=now + _LEASE_MS)
    if row is None:
        return False
    crash_point("outbox.leased")
    try:
        _hand_over(shop, row)
    except _Undeliverable as error:
        _give_up(shop, row, reason=str(error))
    except (OSError, smtplib.SMTPException) as error:
        _try_later(shop, row, error)
    except Exception as error:
        # A message our own templates cannot write would otherwise be tried for ever, ahead of all others.
        log.exception("mail.failed", message_id=row.id, kind=row.kind)
        _give_up(shop, row, reason=f"our fault: {type(error).__name__}")
    else:
        crash_point("outbox.sent")
        with shop.store.write():
            outbox.mark_sent(shop.store, row.id, now=shop.now())
            kind, object_id = _ALARM
            bookkeeping.clear_alarm(shop, kind, object_id=object_id)
        crash_point("outbox.marked")
    return True


def list_messages(shop: Shop) -> list[Message]:
    """Return the newest messages, rendered as they were sent."""
    return [_readable(shop, row) for row in outbox.list_messages(shop.store, limit=_MOST_LISTED)]


def mail_link(shop: Shop) -> str:
    """Return a new link that opens the test mail page once, within twelve hours; only its hash is stored."""
    token = random_ref()
    now = shop.now()
    with shop.store.write():
        for name, until in meta.list_values(shop.store, prefix=_LINK).items():
            if int(until) <= now:
                meta.claim_value(shop.store, name, value=until)
        meta.mark_value(shop.store, _link_name(token), value=now + _LINK_LIFE_MS)
    return f"{shop.settings.public_url}/merchant/mail/open/{token}"


def claim_mail_link(shop: Shop, token: str) -> bool:
    """Use a link up; True once, and only in its time."""
    name = _link_name(token)
    with shop.store.write():
        until = meta.get_value(shop.store, name)
        return until is not None and meta.claim_value(shop.store, name, value=until) and shop.now() < int(until)


def check_server(smtp: Smtp) -> str | None:
    """Connect, sign in and leave; returns what went wrong, None if nothing did."""
    try:
        with _connect(smtp) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        return type(error).__name__
    return None


def _link_name(token: str) -> str:
    return _LINK + hashlib.sha256(token.encode()).hexdigest()


# ---- Writing ---------------------------------------------------------------------------------------------------


def _render(shop: Shop, row: Row) -> tuple[str, str, str]:
    """Return subject, HTML and text of a message from the facts stored with it."""
    stored: dict[str, Any] = json.loads(row.payload_json)
    facts: dict[str, Any] = {"shop_name": shop.settings.shop_name, **stored}
    if "amount" in stored:
        currency = facts.pop("currency")
        # A trial names a second sum, what each period costs later; an offer what it and its order add up to.
        sums = [name for name in ("amount", "price_after", "sum_today") if stored.get(name) is not None]
        facts |= {name: Money(stored[name], currency) for name in sums}
    if row.kind == "sign_in":
        # Made here, so that no row ever holds what opens an account.
        facts = {"shop_name": shop.settings.shop_name, "url": sign_ins.link_url(shop, stored["link_id"])}
    if "card" in stored:
        facts["card"] = QuotedMethod(**stored["card"]) if stored["card"] else None
    return render_mail(row.kind, row.language, zone=shop.settings.timezone, **facts)


def _compose(shop: Shop, row: Row, *, subject: str, html: str, text: str) -> EmailMessage:
    """Write the message with headers that are the same at every try. Raises ValueError for a hostile address."""
    host = urlsplit(shop.settings.public_url).hostname or "localhost"
    sender = shop.settings.smtp.sender if shop.settings.smtp else f"shop@{host}"
    message = EmailMessage(policy=SMTP)
    message["From"] = formataddr((shop.settings.shop_name, sender))
    message["To"] = row.recipient
    message["Subject"] = subject
    message["Date"] = formatdate(row.created_at / 1000)
    message["Message-ID"] = f"<{row.id}@{host}>"
    message["Content-Language"] = row.language
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    # The library draws a random boundary for each; ours makes every try the same bytes.
    message.set_boundary(f"=_{row.id}")
    return message


def _readable(shop: Shop, row: Row) -> Message:
    subject, html, text = _render(shop, row)
    return Message(
        id=row.id,
        kind=row.kind,
        recipient=row.recipient,
        language=row.language,
        subject=subject,
        html=html,
        text=text,
        source=_source(shop, row, subject=subject, html=html, text=text),
        state=row.state,
        created_at=row.created_at,
    )


def _source(shop: Shop, row: Row, *, subject: str, html: str, text: str) -> str:
    try:
        return _compose(shop, row, subject=subject, html=html, text=text).as_string()
    except (ValueError, MessageError) as error:
        return f"This message cannot be written: {error}"


# ---- Handing over ----------------------------------------------------------------------------------------------


def _hand_over(shop: Shop, row: Row) -> None:
    if row.kind == "sign_in" and shop.now() >= json.loads(row.payload_json)["until"]:
        raise _Undeliverable("its link has run out")
    subject, html, text = _render(shop, row)
    try:
        message = _compose(shop, row, subject=subject, html=html, text=text)
    except (ValueError, MessageError) as error:
        raise _Undeliverable(f"not an address: {type(error).__name__}") from error
    if shop.settings.smtp is None:
        if not shop.settings.is_sandbox:
            raise _Undeliverable("no mail server is set")
        return  # the mail page shows it
    if row.recipient == bookkeeping.OWNER:
        raise _Undeliverable("ENCORE_OWNER_EMAIL is not set")
    try:
        _send(shop.settings.smtp, message)
    except smtplib.SMTPRecipientsRefused as error:
        if all(code >= 500 for code, _ in error.recipients.values()):
            raise _Undeliverable("the mail server refuses the address") from error
        raise
    except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
        if error.smtp_code >= 500:
            raise _Undeliverable(f"the mail server refuses the message: {error.smtp_code}") from error
        raise


def _send(smtp: Smtp, message: EmailMessage) -> None:
    with _connect(smtp) as server:
        server.send_message(message)


@contextmanager
def _connect(smtp: Smtp) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    is_tls = smtp.security == "tls"
    opened = (
        smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=_SMTP_S, context=context)
        if is_tls
        else smtplib.SMTP(smtp.host, smtp.port, timeout=_SMTP_S)
    )
    with opened as server:
        if smtp.security == "starttls":
            server.starttls(context=context)
        if smtp.user is not None and smtp.password is not None:
            server.login(smtp.user, smtp.password)
        yield server


def _try_later(shop: Shop, row: Row, error: Exception) -> None:
    log.warning("mail.failed", message_id=row.id, kind=row.kind, tries=row.tries, error=type(error).__name__)
    if row.tries > len(_RETRY_MS):
        _give_up(shop, row, reason=f"the mail server fails: {type(error).__name__}")
        return
    with shop.store.write():
        outbox.mark_retry(shop.store, row.id, next_try_at=shop.now() + _RETRY_MS[row.tries - 1])


def _give_up(shop: Shop, row: Row, *, reason: str) -> None:
    """Leave a message unsent and tell the owner: one alarm, however many messages, since its mail fails too."""
    log.error("mail.dead", message_id=row.id, kind=row.kind, reason=reason)
    with shop.store.write():
        outbox.mark_retry(shop.store, row.id, next_try_at=None)
        if row.kind != "alarm":
            kind, object_id = _ALARM
            bookkeeping.raise_alarm(shop, kind, object_id=object_id, detail=f"{row.kind} {row.id}: {reason}")
