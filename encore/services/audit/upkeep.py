"""What must have moved on, been told, or still stand guard: delays, messages, the file (I5, I14, I15, I20)."""

from encore.services.audit.report import Breach, Finding, breaches_of
from encore.store import Store, guards
from encore.store.audit import answers, upkeep
from encore.store.snapshot import Damaged


def check_delays(store: Store, *, now: int, quarantine_s: float) -> Finding:
    """I5: nothing waits longer than its recovery takes. `now` is epoch milliseconds, `quarantine_s` the setting."""
    overdue = upkeep.list_overdue(store, now=now, quarantine_ms=int(quarantine_s * 1000))
    return Finding("I5", tuple(Breach((name,), f"{name} is overdue ({what}).") for name, what in overdue))


def check_messages(store: Store) -> Finding:
    """I14: every message due was written with its fact; each is sent or will be, twice only after an interruption."""
    return Finding(
        "I14",
        (
            *breaches_of(upkeep.list_stuck_messages(store), "waits to be sent, but has no next try."),
            *breaches_of(upkeep.list_repeated_messages(store), "was sent again without a recorded interruption."),
            *breaches_of(upkeep.list_orders_without_receipt(store), "has no receipt."),
            *breaches_of(upkeep.list_returns_without_message(store), "went back, but its customer was not told."),
            *breaches_of(upkeep.list_silent_alarms(store), "is an alarm that the owner was not told of."),
        ),
    )


def check_file(store: Store) -> Finding:
    """I15: SQLite finds the file sound, and every row that another names is there."""
    try:
        faults = guards.list_faults_of_file(store)
        references = guards.list_broken_references(store)
    except Damaged as error:
        faults, references = [str(error)], []
    damaged = [Breach(("database",), f"The file is damaged: {fault}.") for fault in faults]
    broken = [
        Breach((table, parent), f"A row of {table} names one of {parent} that is not there.")
        for table, parent in references
    ]
    return Finding("I15", (*damaged, *broken))


def check_guards(store: Store) -> Finding:
    """I20: each unique index exists as designed, and no yes has two live attempts."""
    missing = [
        Breach((name,), f"The unique index {name} is missing or changed.") for name in guards.list_wrong_guards(store)
    ]
    return Finding("I20", (*missing, *breaches_of(answers.list_doubly_live(store), "has more than one live attempt.")))
