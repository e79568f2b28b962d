"""The charge protocol, searched over all interleavings (`proof.md`, section 4, group 3).

The real rules keep every invariant in every world that can be reached; each broken build of `proof.md`, section 7,
breaks the one it is said to break. A failure names the invariant and the shortest way there.
"""

from collections.abc import Callable

import pytest

from encore.rules.attempts import AttemptKind, Keep, Outcome, SuccessMeaning
from tests.rules.protocol_model import Limits
from tests.rules.protocol_rules import Protocol, real_judge
from tests.rules.protocol_search import search
from tests.scale import SCALE, proves

Note = Callable[[str, object], None]

REAL = Protocol()
CLICKS = Limits(clicks=4, kills=3, queues=2)
LOST = Limits(clicks=2, kills=1, sessions=1, pays=2)
SESSIONS = Limits(clicks=1, kills=1, sessions=2, pays=2)
NOS = Limits(clicks=1, kills=1, sessions=1, pays=2, nos=2)
FLIPS = Limits(clicks=1, sessions=1, pays=1, flips=1, nos=1)
RENEWALS = Limits(clicks=1, sessions=1, pays=1, renewals=1)

# Two guards of the claim, each sufficient alone.
READ_THEN_WRITE = Protocol(is_claim_compared=False)
NO_CONSTRAINTS = Protocol(has_constraints=False)

CLEAN: dict[str, tuple[Protocol, Limits]] = {
    "four clicks, three senders, three kills": (REAL, CLICKS),
    "constraints without compare-and-set": (READ_THEN_WRITE, CLICKS),
    "compare-and-set without constraints": (NO_CONSTRAINTS, CLICKS),
    "lost and late answers, pauses, a kill": (REAL, LOST),
    "two hosted sessions": (REAL, SESSIONS),
    "a no at every state": (REAL, NOS),
    "a request executed twice": (REAL, Limits(clicks=1, kills=1, sessions=1, pays=1, twice=1)),
    "a request executed after the quarantine": (
        REAL,
        Limits(clicks=1, sessions=1, pays=1, late_beyond_quarantine=1),
    ),
    "a failed payment that succeeds": (REAL, FLIPS),
    "an undo at every state": (REAL, Limits(clicks=1, kills=1, sessions=1, pays=1, undos=1, queues=1)),
    "renewals with inherited metadata": (REAL, RENEWALS),
}
# Many more of everything, one kind at a time; only for `make prove`.
WIDER: dict[str, tuple[Protocol, Limits]] = {
    "five clicks, four kills": (REAL, Limits(clicks=5, kills=4, queues=3)),
    "three clicks, lost answers, two payments": (REAL, Limits(clicks=3, kills=1, sessions=1, pays=2)),
}
if SCALE:
    CLEAN |= WIDER


def _keep_hosted_after_no(kind: AttemptKind, outcome: Outcome, is_after_no: bool, is_undone: bool) -> SuccessMeaning:
    if kind == "hosted" and outcome == "closed":
        return Keep()
    return real_judge(kind, outcome, is_after_no, is_undone)


def _keep_direct_after_no(kind: AttemptKind, outcome: Outcome, is_after_no: bool, is_undone: bool) -> SuccessMeaning:
    if kind == "one_click" and outcome == "closed":
        return Keep()
    return real_judge(kind, outcome, is_after_no, is_undone)


def _everything_marked_is_ours(kind: AttemptKind, is_renewal: bool) -> str:
    return "ours"


BROKEN: dict[str, tuple[Protocol, Limits, str]] = {
    "yes_after_no": (Protocol(judge=_keep_hosted_after_no), NOS, "I6"),
    "honour_after_no": (Protocol(judge=_keep_direct_after_no), NOS, "I6"),
    "left_pending": (Protocol(is_pending_closed_by_success=False), FLIPS, "I6"),
    "second_page": (Protocol(is_one_page=False), SESSIONS, "I2"),
    "absent_at_once": (Protocol(quarantine_ms=0), LOST, "I2"),
    "lease_is_death": (Protocol(is_silence_death=True), LOST, "I2"),
    "quiet_before_end": (Protocol(is_quiet_before_end_counted=True), LOST, "I2"),
    "timeout_is_failed": (Protocol(is_unclear_unknown=False), LOST, "I2"),
    "settle_overwrites": (Protocol(is_settle_conditional=False), LOST, "I5"),
    "renewal_is_duplicate": (Protocol(whose=_everything_marked_is_ours), RENEWALS, "I11"),
    "both claim guards off": (Protocol(is_claim_compared=False, has_constraints=False), CLICKS, "I2"),
}


@proves(1, "kinds of interleavings of the charge protocol searched to the end")
@pytest.mark.parametrize(("protocol", "limits"), CLEAN.values(), ids=CLEAN)
def test_no_interleaving_breaks_the_protocol(
    protocol: Protocol, limits: Limits, request: pytest.FixtureRequest, record_property: Note
) -> None:
    found = search(limits, protocol)

    record_property("searched", f"{request.node.callspec.id}: {found.states:,} states")
    assert found.breaches == {}


@pytest.mark.parametrize(("protocol", "limits", "invariant"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_found(
    protocol: Protocol,
    limits: Limits,
    invariant: str,
    request: pytest.FixtureRequest,
    record_property: Note,
) -> None:
    found = search(limits, protocol, until=invariant)

    assert invariant in found.breaches
    way = len(found.breaches[invariant])
    record_property("searched", f"{request.node.callspec.id}: {invariant} broken in {way} steps")


def test_a_search_cut_short_shows_nothing() -> None:
    with pytest.raises(RuntimeError):
        search(LOST, REAL, at_most=100)
