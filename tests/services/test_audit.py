"""The audit: it passes on a sound world, and each planted breach makes it name exactly what is broken."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from encore.services import audit
from encore.services.audit import Witness, WitnessUnreadable, read_witness
from encore.store import acceptances
from encore.store.guards import GUARDS
from tests import factories
from tests.dodo.fixed_clock import FixedClock
from tests.sandbox_process import BUNDLE
from tests.services.books import DELIVERY, EVENT, MINH, Books, make_books

DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The books on disk; every test gets a copy of its own."""
    clock = FixedClock()
    shop = factories.make_shop(tmp_path_factory.mktemp("books"), clock=clock)
    books = make_books(shop, clock)
    shop.close()
    return books


@pytest.fixture
def books(written: Books, tmp_path: Path) -> Iterator[Books]:
    data, clock = tmp_path / "data", FixedClock(written.clock.now_ms)
    shutil.copytree(written.shop.settings.data_dir, data)
    shop = factories.make_shop(data, clock=clock)
    yield replace(written, shop=shop, clock=clock)
    shop.close()


# ---- Rows ------------------------------------------------------------------------------------------------------


def test_sound_world_has_no_breach(books: Books) -> None:
    report = books.audit()

    assert report.names("breach") == ()
    assert report.names("unchecked") == ("I1", "I2")
    assert report.exit_status == 0


Plant = Callable[[Books], None]


def sql(*statements: str) -> Plant:
    """Plant by SQL, which may name the charged yes and its rows, the returned payment and the failed attempt."""

    def plant(books: Books) -> None:
        books.plant(
            *statements,
            yes=books.charged.acceptance.id,
            attempt=books.charged.attempt.id,
            payment=books.payment_id,
            returned=books.returned_id,
            failed=books.failed.attempt.id,
            first=books.order.id,
            now=books.shop.now(),
        )

    return plant


def stand_twice(books: Books) -> None:
    books.plant(
        "INSERT INTO payments (id, attempt_id, acceptance_id, customer_id, status, amount, currency, created_at,"
        " observed_at, disposition) SELECT 'pay_again', attempt_id, acceptance_id, customer_id, status, amount,"
        " currency, created_at, observed_at, 'manual' FROM payments WHERE id = :payment",
        payment=books.payment_id,
    )


def offer_again(books: Books) -> None:
    factories.add_instance(books.shop, factories.add_order(books.shop, customer=MINH))


def offer_two_downsells(books: Books) -> None:
    for offer_id, total in (("first-downsell", 500), ("second-downsell", 400)):
        with books.shop.store.write():
            books.shop.store.run("INSERT INTO offers VALUES (:id, 1, 'live', 0)", id=offer_id)
        quote = factories.make_quote(books.shop, BUNDLE, total=total)
        factories.add_instance(books.shop, books.later, offer_id=offer_id, quote=quote)


def accept_declined(books: Books) -> None:
    closed = replace(
        books.failed.acceptance,
        id="acc_declined",
        offer_instance_id=books.declined.id,
        customer_id="cus_minh",
        outcome="closed",
    )
    with books.shop.store.write():
        assert acceptances.insert_acceptance(books.shop.store, closed)


PLANTS: dict[str, tuple[str, Plant]] = {
    "kept payment without an attempt": ("I1", sql("UPDATE payments SET attempt_id = NULL WHERE id = :payment")),
    "charged another customer": ("I1", sql("UPDATE payments SET customer_id = 'cus_x' WHERE id = :payment")),
    "two payments stand": ("I2", stand_twice),
    "charged, but the payment failed": ("I2", sql("UPDATE payments SET status = 'failed' WHERE id = :payment")),
    "no entitlement": (
        "I3",
        sql("DELETE FROM entitlements WHERE order_id = (SELECT id FROM orders WHERE acceptance_id = :yes)"),
    ),
    "entitlement for another product": (
        "I3",
        sql("INSERT INTO entitlements VALUES (:first, 'pdt_x', 'cus_lan', :now, NULL)"),
    ),
    "order reversed without a refund": (
        "I3",
        sql("UPDATE orders SET state = 'reversed' WHERE acceptance_id = :yes"),
    ),
    "order on another attempt": ("I3", sql("UPDATE orders SET attempt_id = :failed WHERE acceptance_id = :yes")),
    "checkout of an order not paid": (
        "I3",
        sql("UPDATE checkouts SET state = 'closed' WHERE id = (SELECT checkout_id FROM orders WHERE id = :first)"),
    ),
    "needs the checkout while live": ("I6", sql("UPDATE attempts SET state = 'pending' WHERE id = :failed")),
    "open without an attempt": (
        "I6",
        sql(
            "UPDATE acceptances SET outcome = 'open' WHERE id = (SELECT acceptance_id FROM attempts WHERE id = :failed)"
        ),
    ),
    "kept after a no": ("I6", sql("UPDATE acceptances SET closed_at = :now WHERE id = :yes")),
    "declined product offered again": ("I7", offer_again),
    "two downsells of a declined product": ("I7", offer_two_downsells),
    "declined with a yes": ("I8", accept_declined),
    "refunded more than paid": (
        "I11",
        sql("UPDATE refunds SET amount = amount * 2, state = 'pending', provider_refund_id = 'rf_1'"),
    ),
    "refund done and not stated": ("I11", sql("UPDATE refunds SET state = 'done', provider_refund_id = 'rf_1'")),
    "renewal taken for a duplicate": (
        "I11",
        sql("UPDATE payments SET charge_type = 'renewal' WHERE id = :returned"),
    ),
    "no consent": ("I12", sql("UPDATE acceptances SET consent_json = '{}' WHERE id = :yes")),
    "agreed to less than charged": ("I12", sql("UPDATE acceptances SET amount = amount - 1 WHERE id = :yes")),
    "charged less, and not noted": ("I12", sql("UPDATE payments SET amount = amount - 1 WHERE id = :payment")),
    "ledger entry changed": (
        "I13",
        sql("UPDATE ledger SET entry_json = replace(entry_json, 'taken', 'given') || ' ' WHERE seq = 2"),
    ),
    "order amount changed": ("I13", sql("UPDATE orders SET amount = amount + 1 WHERE id = :first")),
    "no receipt": ("I14", sql("DELETE FROM outbox WHERE dedup_key = 'receipt:' || :first")),
    "message sent twice": ("I14", sql("UPDATE outbox SET sends = 2 WHERE dedup_key = 'receipt:' || :first")),
    "message never to be sent": (
        "I14",
        sql("UPDATE outbox SET state = 'ready', next_try_at = NULL WHERE dedup_key = 'receipt:' || :first"),
    ),
    "customer not told of a return": (
        "I14",
        sql("DELETE FROM outbox WHERE dedup_key = 'outcome_returned:' || :returned"),
    ),
    "owner not told of an alarm": ("I14", sql("DELETE FROM outbox WHERE kind = 'alarm'")),
    "reference to nothing": ("I15", sql("INSERT INTO offer_versions VALUES ('nothing', 1, '{}', 'pdt_x', 0)")),
    "value of the wrong sort": ("I15", sql("UPDATE offers SET state = 'lost' WHERE id = 'complete-bundle'")),
}


@pytest.mark.parametrize("name", PLANTS)
def test_planted_breach_is_named_alone(books: Books, name: str) -> None:
    invariant, plant = PLANTS[name]

    plant(books)

    report = books.audit()
    assert report.names("breach") == (invariant,), audit.render(report)
    assert report.exit_status == 1


@pytest.mark.parametrize("guard", GUARDS)
def test_dropped_index_is_named(books: Books, guard: str) -> None:
    books.plant(f"DROP INDEX {guard}")

    assert books.broken() == ("I20",)


@pytest.mark.parametrize("guard", GUARDS)
def test_index_that_guards_less_is_named(books: Books, guard: str) -> None:
    weaker = GUARDS[guard].replace("CREATE UNIQUE", "CREATE").replace(" WHERE ", " WHERE 1 = 1 AND ")

    books.plant(f"DROP INDEX {guard}", weaker)

    assert books.broken() == ("I20",)


def test_lost_unique_column_is_named(books: Books) -> None:
    books.plant(
        "PRAGMA legacy_alter_table = ON",
        "ALTER TABLE outbox RENAME TO old_outbox",
        "CREATE TABLE outbox AS SELECT * FROM old_outbox",
        "DROP TABLE old_outbox",
    )

    (finding,) = [finding for finding in books.audit().findings if finding.invariant == "I20"]
    assert [breach.objects for breach in finding.breaches] == [("outbox(dedup_key)",)]


def test_damaged_page_is_named_and_nothing_else_is_claimed(books: Books) -> None:
    (root,) = books.shop.store.rows("SELECT rootpage FROM sqlite_master WHERE name = 'payments'")
    (size,) = books.shop.store.rows("SELECT page_size FROM pragma_page_size")
    books.shop.store.close()
    with books.shop.store.path.open("r+b") as file:
        file.seek((root["rootpage"] - 1) * size["page_size"])
        file.write(b"\xff" * size["page_size"])

    report = books.audit()

    assert report.names("breach") == ("I15",)
    assert "I2" in report.names("unchecked")


# With its index in place none of these can happen; without it both the index and the rows are named.
UNGUARDED: dict[str, tuple[tuple[str, ...], Plant]] = {
    "two live attempts": (
        ("I6", "I20"),
        sql(
            "DROP INDEX one_live_attempt",
            "INSERT INTO attempts (id, acceptance_id, kind, state, created_at, changed_at) SELECT 'att_' || kinds.n,"
            " acceptance_id, 'hosted', 'hosted_open', :now, :now FROM attempts,"
            " (SELECT 2 AS n UNION SELECT 3) AS kinds WHERE id = :failed",
        ),
    ),
    "two open yeses": (
        ("I7", "I20"),
        sql(
            "DROP INDEX one_open_yes",
            "INSERT INTO acceptances (id, consent_json, offer_instance_id, customer_id, product_id, quantity,"
            " created_at, outcome) SELECT 'acc_2', acceptances.consent_json, (SELECT id FROM offer_instances"
            " WHERE state = 'declined'), customer_id, product_id, 1, :now, outcome FROM acceptances"
            " WHERE id = (SELECT acceptance_id FROM attempts WHERE id = :failed)",
            "UPDATE offer_instances SET state = 'accepted' WHERE state = 'declined'",
        ),
    ),
    "two full refunds": (
        ("I11", "I20"),
        sql(
            "DROP INDEX one_full_refund",
            "DROP INDEX one_live_refund",
            "INSERT INTO refunds (id, payment_id, is_full, amount, reason, state, next_try_at, created_at, changed_at)"
            " SELECT 'rfd_2', payment_id, 1, amount, reason, state, :now, :now, :now FROM refunds",
        ),
    ),
}


@pytest.mark.parametrize("name", UNGUARDED)
def test_breach_behind_a_dropped_index_is_named_with_it(books: Books, name: str) -> None:
    invariants, plant = UNGUARDED[name]

    plant(books)

    assert books.broken() == invariants


def test_returned_payment_without_refund_stands_and_is_named(books: Books) -> None:
    books.plant("DELETE FROM refunds WHERE payment_id = :id", id=books.returned_id)

    assert books.broken() == ("I2", "I11")


def test_own_cheaper_downsell_is_no_breach(books: Books) -> None:
    with books.shop.store.write():
        books.shop.store.run("INSERT INTO offers VALUES ('discounted', 1, 'live', 0)")
    quote = factories.make_quote(books.shop, BUNDLE, total=500)

    factories.add_instance(books.shop, books.later, offer_id="discounted", quote=quote)

    assert books.broken() == ()


def test_less_than_agreed_is_no_breach_once_noted(tmp_path: Path) -> None:
    shop = factories.make_shop(tmp_path, clock=FixedClock())
    factories.add_catalogue(shop)
    yes = factories.add_yes(shop, factories.add_instance(shop, factories.add_order(shop)))

    factories.settle(shop, factories.yes_payment(shop, yes, total_amount=9_000))

    assert audit.run(shop, provider=False).names("breach") == ()
    shop.close()


# ---- Delays ----------------------------------------------------------------------------------------------------

Begin = Callable[[Books], None]


def begin_yes(state: str, *, kind: str = "one_click", post_count: int = 1) -> Begin:
    def begin(books: Books) -> None:
        order = factories.add_order(books.shop, customer={"customer_id": "cus_new", "email": ""})
        outcome = "needs_checkout" if kind == "hosted" else "open"
        factories.add_yes(
            books.shop,
            factories.add_instance(books.shop, order),
            outcome=outcome,
            state=state,
            kind=kind,
            post_count=post_count,
        )

    return begin


def begin_needs_checkout(books: Books) -> None:
    begin_yes("failed")(books)
    books.plant("UPDATE acceptances SET outcome = 'needs_checkout' WHERE customer_id = 'cus_new'")


def begin_delivery(books: Books) -> None:
    books.plant("UPDATE webhook_events SET state = 'received', next_try_at = :now", now=books.shop.now())


def begin_message(books: Books) -> None:
    factories.add_order(books.shop, customer={"customer_id": "cus_new", "email": "new@example.com"})


def begin_refund(books: Books) -> None:
    books.plant("UPDATE refunds SET next_try_at = :now", now=books.shop.now())


def begin_restore(books: Books) -> None:
    books.plant(
        "UPDATE attempts SET restore_cancel = 1, changed_at = :now WHERE id = :id",
        now=books.shop.now(),
        id=books.failed.attempt.id,
    )


# The longest each may take, in seconds: charging.md, section 11, I5. Q is 2 s here.
LIMITS: dict[str, tuple[Begin, float]] = {
    "sending": (begin_yes("sending"), 30),
    "queued": (begin_yes("queued", post_count=0), 35),
    "unknown": (begin_yes("unknown"), 2 + 120),
    "action_required": (begin_yes("action_required"), DAY_S + 300),
    "opening": (begin_yes("opening", kind="hosted", post_count=0), DAY_S + 300),
    "hosted_open": (begin_yes("hosted_open", kind="hosted", post_count=0), DAY_S + 300),
    "needs_checkout": (begin_needs_checkout, DAY_S + 300),
    "inbox": (begin_delivery, 60),
    "refund": (begin_refund, 300),
    "outbox": (begin_message, 300),
    "restore_cancel": (begin_restore, 300),
}


@pytest.mark.parametrize("name", LIMITS)
def test_overdue_is_named_and_not_a_moment_before(books: Books, name: str) -> None:
    begin, limit_s = LIMITS[name]
    # What else the world has under way would be overdue as well after a day.
    books.plant("UPDATE refunds SET state = 'manual'" if name != "refund" else "UPDATE refunds SET tries = 0")
    books.plant("UPDATE acceptances SET created_at = created_at + :day WHERE outcome = 'needs_checkout'", day=10**9)
    begin(books)

    books.clock.advance(limit_s)
    before = [breach for finding in books.audit().findings if finding.invariant == "I5" for breach in finding.breaches]
    books.clock.advance(0.001)
    after = [breach for finding in books.audit().findings if finding.invariant == "I5" for breach in finding.breaches]

    assert before == []
    assert len(after) == (2 if name in ("opening", "hosted_open") else 1)


def test_payment_under_way_at_the_checkout_is_waited_for(books: Books) -> None:
    books.plant("UPDATE refunds SET state = 'manual'")
    books.plant("UPDATE attempts SET kind = 'hosted', state = 'pending' WHERE id = :id", id=books.failed.attempt.id)

    books.clock.advance(3 * DAY_S)

    assert "I5" not in books.broken()


# ---- The witness -----------------------------------------------------------------------------------------------


def test_without_a_witness_three_stay_unchecked(books: Books) -> None:
    report = audit.run(books.shop, provider=False)

    assert report.names("unchecked") == ("I1", "I2", "I4", "I8", "I9")
    assert report.exit_status == 0


def test_second_charging_request_is_named(books: Books) -> None:
    again = (*(books.witness.requests or ()), books.request_of(books.charged))

    assert books.broken(witness=replace(books.witness, requests=again)) == ("I4",)


@pytest.mark.parametrize("after_ms", [10_001, -10_001])
def test_charging_request_out_of_time_is_named(books: Books, after_ms: int) -> None:
    late = (books.request_of(books.charged, after_ms=after_ms),)

    assert books.broken(witness=replace(books.witness, requests=late)) == ("I4",)


def test_charging_request_within_its_window_is_not_named(books: Books) -> None:
    on_time = (books.request_of(books.charged, after_ms=10_000),)

    assert books.broken(witness=replace(books.witness, requests=on_time)) == ()


def test_charging_request_of_an_attempt_called_not_sent_is_named(books: Books) -> None:
    books.plant("UPDATE attempts SET state = 'not_sent' WHERE id = :id", id=books.failed.attempt.id)

    assert books.broken() == ("I4",)


def test_charging_request_without_a_row_is_named(books: Books) -> None:
    stranger = replace(books.charged, attempt=replace(books.charged.attempt, id="att_gone"))

    assert books.broken(witness=replace(books.witness, requests=(books.request_of(stranger),))) == ("I4",)


def test_charge_of_another_shop_is_nobody_s_breach(books: Books) -> None:
    other = {"method": "POST", "path": "/checkouts", "body": {"confirm": True, "metadata": {}}, "at": 0}

    assert books.broken(witness=replace(books.witness, requests=(other,))) == ()


def test_request_for_a_declined_offer_is_named(books: Books) -> None:
    yes = replace(books.charged, instance=books.declined)
    asked = books.request_of(yes, confirm=False)

    assert books.broken(witness=replace(books.witness, requests=(asked,))) == ("I8",)


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({**DELIVERY, "webhook_id": "msg_2"}, ("I9",)),
        ({**DELIVERY, "body": {**EVENT, "type": "payment.failed"}}, ("I9",)),
        ({**DELIVERY, "webhook_id": "msg_2", "status": 401}, ()),
        ({**DELIVERY, "webhook_id": "msg_2", "status": None}, ()),
        ({**DELIVERY, "body": json.dumps(EVENT)}, ()),
    ],
    ids=["unknown id", "newer body", "refused", "unanswered", "body as text"],
)
def test_acknowledged_delivery_must_be_in_the_inbox(
    books: Books, delivery: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert books.broken(witness=replace(books.witness, deliveries=(DELIVERY, delivery))) == expected


def test_witness_file_is_read() -> None:
    witness = read_witness('{"requests": [{"method": "GET"}], "deliveries": []}')

    assert witness == Witness(requests=({"method": "GET"},), deliveries=())
    assert read_witness('{"requests": []}').deliveries is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"requests": 1}', '{"deliveries": [1]}'])
def test_file_that_is_no_witness_is_refused(text: str) -> None:
    with pytest.raises(WitnessUnreadable):
        read_witness(text)


# ---- The report ------------------------------------------------------------------------------------------------


def test_report_names_breach_objects_and_standing_alarms(books: Books) -> None:
    books.plant("UPDATE orders SET amount = amount + 1 WHERE id = :id", id=books.order.id)

    report = books.audit()

    lines = audit.render(report)
    assert any(line.startswith("I13  BREACH") for line in lines)
    assert any(books.order.id in line for line in lines)
    assert any(line.startswith(f"alarm duplicate_refunded {books.returned_id}") for line in lines)
    assert lines[-1] == "12 ok; 1 broken: I13; 2 unchecked: I1, I2"
    assert json.loads(json.dumps(report.as_dict()))["exit_status"] == 1


def test_audit_changes_nothing(books: Books) -> None:
    before = books.shop.store.path.read_bytes()

    books.audit()

    assert books.shop.store.path.read_bytes() == before
    assert not books.shop.store.path.with_name("encore.sqlite3-wal").read_bytes()
