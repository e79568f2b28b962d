"""Signing in by a link: how many are asked for, whom a message goes to, and what is forgotten."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from encore.services import mail, sign_ins
from encore.services.shop import Shop
from encore.store import alarms, customers, outbox
from encore.store.customers import Customer
from tests.factories import make_shop
from tests.services.world import MovableClock

LAN = Customer(id="cus_lan", email="Lan@Example.com", name="Lan", language="vi", first_seen_at=1)
HOUR_S = 3600
NETWORK = "203.0.113.7"


@pytest.fixture
def shop(tmp_path: Path, clock: MovableClock) -> Iterator[Shop]:
    """A shop with limits and one customer."""
    made = make_shop(tmp_path / "sign-ins", clock=clock, limits_storage="memory://")
    add(made, LAN)
    yield made
    made.close()


def add(shop: Shop, customer: Customer) -> None:
    with shop.store.write():
        customers.upsert_customer(shop.store, customer)


def ask(shop: Shop, address: str = "lan@example.com", *, network: str = NETWORK) -> int | None:
    return sign_ins.ask(shop, address=address, network=network, language="en", leads_to="/account")


def drain(shop: Shop) -> list[outbox.Message]:
    """Do the worker's part; returns the messages there are, newest first."""
    while sign_ins.write_next(shop):
        pass
    return outbox.list_messages(shop.store, limit=100)


def open_account(shop: Shop, key: str = "k" * 64) -> None:
    """Sign a browser in by the newest link."""
    link = shop.store.row("SELECT id FROM sign_in_links WHERE used_at IS NULL ORDER BY asked_at DESC, id DESC LIMIT 1")
    assert link is not None
    assert sign_ins.sign_in(shop, link["id"], old_key=None, new_key=key) == "/account"


# ---- How many ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["lan@example.com", "nobody@example.com"], ids=["known", "unknown"])
def test_three_links_an_hour_for_an_address(shop: Shop, clock: MovableClock, address: str) -> None:
    """The fourth is refused with the time, of known and unknown addresses alike; the hour slides."""
    first_at = shop.now()
    assert ask(shop, address) is None
    clock.wall_s += 600
    assert [ask(shop, address, network=f"203.0.113.{n}") for n in (1, 2)] == [None, None]

    retry_at = ask(shop, address)

    assert retry_at is not None
    assert 0 <= retry_at - first_at - 1000 * HOUR_S < 5_000
    clock.wall_s += HOUR_S - 590
    assert ask(shop, address) is None
    assert ask(shop, address) is not None


def test_twenty_links_an_hour_for_a_network(shop: Shop, clock: MovableClock) -> None:
    answers = [ask(shop, f"person{number}@example.com") for number in range(21)]

    assert answers[:20] == [None] * 20
    assert answers[20] is not None
    assert ask(shop, "person21@example.com", network="203.0.113.8") is None


def test_refused_requests_are_not_counted_and_leave_nothing(shop: Shop, clock: MovableClock) -> None:
    for _ in range(10):
        ask(shop)

    assert len(shop.store.rows("SELECT id FROM sign_in_links")) == 3


def test_requests_at_one_instant_are_counted_one_by_one(shop: Shop) -> None:
    start, answers = Barrier(8), []

    def press() -> None:
        start.wait()
        answers.append(ask(shop))

    threads = [Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([answer for answer in answers if answer is None]) == 3


def test_network_is_not_stored_in_clear(shop: Shop) -> None:
    ask(shop)

    assert NETWORK not in str(shop.store.rows("SELECT * FROM sign_in_links"))


# ---- The message ---------------------------------------------------------------------------------------------------


@pytest.mark.criterion("P28")
def test_message_goes_to_the_known_address_in_its_language_once(shop: Shop) -> None:
    """To the spelling the provider holds, in the language of the first order, whatever was typed in which language."""
    ask(shop, "lan@example.com")

    sent = drain(shop)

    assert [(m.kind, m.recipient, m.language) for m in sent] == [("sign_in", "Lan@Example.com", "vi")]
    assert len(drain(shop)) == 1
    assert mail.send_next(shop)
    assert not mail.send_next(shop)


def test_unknown_address_gets_no_message_and_no_link(shop: Shop) -> None:
    ask(shop, "nobody@example.com")

    assert drain(shop) == []
    assert shop.store.rows("SELECT id FROM sign_in_links WHERE expires_at IS NOT NULL") == []


def test_two_workers_write_one_message(shop: Shop) -> None:
    ask(shop)
    start = Barrier(4)

    def work() -> None:
        start.wait()
        sign_ins.write_next(shop)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(drain(shop)) == 1


def test_customer_without_a_language_is_written_to_in_the_visitors(shop: Shop) -> None:
    add(shop, replace(LAN, id="cus_minh", email="minh@example.com", language=None))

    ask(shop, "minh@example.com")

    assert drain(shop)[0].language == "en"


@pytest.mark.parametrize("language", ["en", "vi"])
def test_message_holds_the_link_and_no_address(shop: Shop, language: str) -> None:
    add(shop, replace(LAN, id="cus_minh", email="minh@example.com", language=language))
    ask(shop, "minh@example.com")
    drain(shop)

    message = mail.list_messages(shop)[0]

    for text in (message.html, message.text):
        assert "http://127.0.0.1:5000/account/sign-in/link/link_" in text
        assert "minh" not in text
        assert "15" in text


def test_link_that_ran_out_unsent_is_given_up(shop: Shop, clock: MovableClock) -> None:
    """A mail server that was away for a quarter of an hour has nothing to deliver that still opens anything."""
    ask(shop)
    drain(shop)
    clock.wall_s += 15 * 60

    mail.send_next(shop)

    assert [m.state for m in outbox.list_messages(shop.store, limit=9) if m.kind == "sign_in"] == ["dead"]
    assert [alarm.kind for alarm in alarms.list_standing(shop.store)] == ["mail_failing"]


def test_link_pressed_in_eight_browsers_at_once_signs_one_in(shop: Shop) -> None:
    ask(shop)
    drain(shop)
    link = shop.store.row("SELECT id FROM sign_in_links")
    assert link is not None
    start, places = Barrier(8), []

    def press(number: int) -> None:
        start.wait()
        places.append(sign_ins.sign_in(shop, link["id"], old_key=None, new_key=str(number) * 64))

    threads = [Thread(target=press, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(place or "" for place in places) == [*[""] * 7, "/account"]
    assert len(shop.store.rows("SELECT buyer_key FROM sign_ins")) == 1


# ---- Addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("lan@example.com", "lan@example.com"),
        ("  LAN@Example.COM ", "lan@example.com"),
        ("lan.nguyen+shop@mail.example.com", "lan.nguyen+shop@mail.example.com"),
        # The Kelvin sign is no k: made small it would be taken for one, and somebody else's mail would open.
        ("\u212aim@example.com", "\u212aim@example.com"),
        ("İ@example.com", "İ@example.com"),
        ("", None),
        ("lan", None),
        ("lan@example", None),
        ("@example.com", None),
        ("lan@@example.com", None),
        ("lan@example.com\nBcc: x@example.com", None),
        ("lan@example.com,x@example.com", None),
        ("Lan <lan@example.com>", None),
        ("a" * 65 + "@example.com", None),
        ("a@" + "b" * 250 + ".com", None),
    ],
)
def test_address_is_read_or_refused(typed: str, read: str | None) -> None:
    assert sign_ins.read_address(typed) == read


def test_account_is_of_every_customer_with_the_address(shop: Shop) -> None:
    add(shop, replace(LAN, id="cus_lan2", email="lan@example.com", first_seen_at=2))
    add(shop, replace(LAN, id="cus_other", email="lan@example.org"))
    add(shop, replace(LAN, id="cus_longer", email="xlan@example.com"))
    add(shop, replace(LAN, id="cus_erased", email=None))
    ask(shop)
    drain(shop)

    open_account(shop)

    account = sign_ins.current_account(shop, "k" * 64)
    assert account is not None
    assert account.customer_ids == ("cus_lan2", "cus_lan")
    assert account.is_recent


def test_kelvin_sign_finds_no_customer_with_a_k(shop: Shop) -> None:
    add(shop, replace(LAN, id="cus_kim", email="kim@example.com"))

    ask(shop, "\u212aim@example.com")

    assert drain(shop) == []


# ---- Time ----------------------------------------------------------------------------------------------------------


def test_link_is_recent_for_half_an_hour(shop: Shop, clock: MovableClock) -> None:
    ask(shop)
    drain(shop)
    open_account(shop)

    found = []
    for minutes in (0, 29, 2):
        clock.wall_s += 60 * minutes
        found.append(sign_ins.current_account(shop, "k" * 64))

    assert [account and account.is_recent for account in found] == [True, True, False]


def test_clock_set_back_ends_the_account(shop: Shop, clock: MovableClock) -> None:
    ask(shop)
    drain(shop)
    open_account(shop)

    clock.wall_s -= 60

    assert sign_ins.current_account(shop, "k" * 64) is None


def test_looking_at_pages_writes_once_a_minute(shop: Shop, clock: MovableClock) -> None:
    ask(shop)
    drain(shop)
    open_account(shop)

    seen = []
    for seconds in (1, 58, 2, 1, 59):
        clock.wall_s += seconds
        sign_ins.current_account(shop, "k" * 64)
        seen.append(shop.store.row("SELECT seen_at FROM sign_ins"))

    assert len({str(row) for row in seen}) == 3


def test_old_requests_and_sign_ins_are_forgotten(shop: Shop, clock: MovableClock) -> None:
    ask(shop)
    drain(shop)
    open_account(shop)
    ask(shop, "nobody@example.com")
    clock.wall_s += 24 * HOUR_S + 1
    ask(shop, "new@example.com")

    sign_ins.sweep(shop)

    assert [row["address"] for row in shop.store.rows("SELECT address FROM sign_in_links")] == ["new@example.com"]
    assert shop.store.rows("SELECT address FROM sign_ins") == []
