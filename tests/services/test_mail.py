"""Messages leave once they are true, under one Message-ID, and say in words what they cannot deliver."""

import email
import email.policy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encore.services import bookkeeping, mail
from encore.services.shop import Shop
from encore.settings import Smtp
from encore.store import alarms, outbox
from tests.factories import make_shop
from tests.services.smtp_server import Mailbox, mail_server
from tests.services.world import MovableClock, World

FACTS: dict[str, Any] = {
    "product_name": "Complete bundle",
    "amount": 10_780,
    "currency": "USD",
    "card": {
        "payment_method_id": "pm_1",
        "kind": "card",
        "network": "visa",
        "last4": "4242",
        "expiry_month": 6,
        "expiry_year": 2032,
    },
    "order_number": 1001,
    "order_url": "http://127.0.0.1:5000/orders/abc",
    "at": 1_767_225_600_000,
}
KINDS = (
    *("receipt", "outcome_paid", "outcome_not_charged", "outcome_returned", "refund_done"),
    *("plan_changed", "plan_scheduled", "plan_not_changed", "plan_now", "dues_paid", "dues_not_paid"),
)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as found:
        yield found


@pytest.fixture
def posting(mailbox: Mailbox, tmp_path: Path, clock: MovableClock) -> Iterator[Shop]:
    """A shop that hands its messages to a mail server."""
    shop = make_shop(
        tmp_path / "posting",
        clock=clock,
        smtp=Smtp(host="127.0.0.1", port=mailbox.port, sender="shop@example.com", security="none"),
        owner_email="owner@example.com",
    )
    yield shop
    shop.close()


def queue(
    shop: Shop, kind: str = "receipt", *, to: str = "lan@example.com", language: str = "en", key: str = "1"
) -> None:
    with shop.store.write():
        outbox.insert_message(
            shop.store,
            kind=kind,
            dedup_key=f"{kind}:{key}:{language}",
            recipient=to,
            language=language,
            payload=FACTS,
            now=shop.now(),
        )


def drain(shop: Shop) -> int:
    done = 0
    while mail.send_next(shop):
        done += 1
    return done


def states(shop: Shop) -> list[str]:
    return [row.state for row in outbox.list_messages(shop.store, limit=100)]


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_message_is_written_in_both_languages(shop: Shop, kind: str, language: str) -> None:
    queue(shop, kind, language=language)

    (message,) = mail.list_messages(shop)

    assert message.subject
    for body in (message.text, message.html):
        assert "Complete bundle" in body
        assert "4242" in body
        assert "107" in body


def test_a_message_reaches_the_mail_server(posting: Shop, mailbox: Mailbox) -> None:
    queue(posting)

    assert drain(posting) == 1

    received = email.message_from_string(mailbox.sources[0], policy=email.policy.default)
    assert received["To"] == "lan@example.com"
    assert received["From"] == "Encore <shop@example.com>"
    assert [part.get_content_type() for part in received.iter_parts()] == ["text/plain", "text/html"]
    assert states(posting) == ["sent"]


def test_a_message_queued_twice_is_sent_once(posting: Shop, mailbox: Mailbox) -> None:
    queue(posting)
    queue(posting)

    drain(posting)

    assert len(mailbox.sources) == 1


def test_a_worker_that_died_before_marking_sends_the_same_bytes_again(
    posting: Shop, mailbox: Mailbox, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(name: str) -> None:
        if name == "outbox.sent":
            raise SystemExit

    queue(posting)
    monkeypatch.setattr(mail, "crash_point", die)
    with pytest.raises(SystemExit):
        mail.send_next(posting)
    monkeypatch.undo()
    assert drain(posting) == 0

    clock.wall_s += 61
    assert drain(posting) == 1

    first, second = mailbox.sources
    assert first == second
    (row,) = outbox.list_messages(posting.store, limit=1)
    assert (row.state, row.interrupted) == ("sent", 1)


def test_a_mail_server_that_is_away_is_tried_again(posting: Shop, mailbox: Mailbox, clock: MovableClock) -> None:
    mailbox.refusals["RCPT"] = "450 later"
    queue(posting)
    drain(posting)
    assert states(posting) == ["ready"]

    mailbox.refusals.clear()
    clock.wall_s += 11
    drain(posting)

    assert states(posting) == ["sent"]


def test_an_address_the_server_refuses_is_given_up_and_told(posting: Shop, mailbox: Mailbox) -> None:
    mailbox.refusals["RCPT"] = "550 nobody here"
    queue(posting)

    drain(posting)

    assert "dead" in states(posting)
    assert [alarm.kind for alarm in alarms.list_standing(posting.store)] == ["mail_failing"]


def test_a_failing_alarm_mail_raises_no_further_alarm(posting: Shop, mailbox: Mailbox) -> None:
    mailbox.refusals["RCPT"] = "550 nobody here"
    queue(posting, key="1")
    queue(posting, key="2")

    assert drain(posting) == 3

    assert states(posting) == ["dead"] * 3
    assert len(alarms.list_standing(posting.store)) == 1


@pytest.mark.parametrize("address", ["lan@example.com\nBcc: all@example.com", "lan@example.com\r\n\r\nBuy", ""])
def test_an_address_cannot_smuggle_a_header(posting: Shop, mailbox: Mailbox, address: str) -> None:
    queue(posting, to=address)

    mail.send_next(posting)

    assert mailbox.sources == []
    assert "dead" in states(posting)


def test_an_alarm_is_mailed_to_the_owner_once(posting: Shop, mailbox: Mailbox) -> None:
    for _ in range(3):
        with posting.store.write():
            bookkeeping.raise_alarm(posting, "webhook_dead", object_id="msg_1", detail="a detail")

    drain(posting)

    (source,) = mailbox.sources
    assert "To: owner@example.com" in source
    assert "webhook_dead" in source


def test_with_the_sandbox_a_message_is_read_on_the_page(world: World) -> None:
    ref = world.buy()
    world.come_back(ref)

    drain(world.shop)

    (receipt,) = mail.list_messages(world.shop)
    assert (receipt.kind, receipt.recipient, receipt.state) == ("receipt", "lan@example.com", "sent")
    assert "Message-ID: <" in receipt.source
    assert "Starter course" in receipt.text


def test_a_mail_link_opens_once(shop: Shop) -> None:
    token = mail.mail_link(shop).rsplit("/", 1)[1]

    assert mail.claim_mail_link(shop, token)
    assert not mail.claim_mail_link(shop, token)


def test_a_mail_link_ends_after_half_a_day(shop: Shop, clock: MovableClock) -> None:
    token = mail.mail_link(shop).rsplit("/", 1)[1]

    clock.wall_s += 12 * 3600

    assert not mail.claim_mail_link(shop, token)


def test_a_guessed_mail_link_opens_nothing(shop: Shop) -> None:
    mail.mail_link(shop)

    assert not mail.claim_mail_link(shop, "A" * 43)


def test_the_link_itself_is_not_in_the_store(shop: Shop) -> None:
    token = mail.mail_link(shop).rsplit("/", 1)[1]

    assert all(token not in row["name"] + row["value"] for row in shop.store.rows("SELECT name, value FROM meta"))
