"""What an audit found: per invariant `ok`, `breach` or `unchecked`, and the lines people read."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from encore.store.alarms import Alarm

Verdict = Literal["ok", "breach", "unchecked"]

# An invariant that is broken everywhere is told by its first rows; the rest is in the JSON.
_MOST_LINES = 20

TITLES = {
    "I1": "every success at the provider is one payment here, and agrees with it",
    "I2": "one payment stands for each charged yes, none for any other",
    "I3": "charges, orders and entitlements are the same set",
    "I4": "each attempt made at most one charging request, in time",
    "I5": "nothing is overdue",
    "I6": "outcomes follow from the attempts, and nothing is kept after a no",
    "I7": "one open yes a customer and product; a declined product stays declined",
    "I8": "no request was made for a declined offer",
    "I9": "every webhook answered 2xx is in the inbox",
    "I11": "refunds are at most the payment, and every returned payment has its one",
    "I12": "every charge is what was consented to",
    "I13": "the ledger is whole and adds up to the orders less the refunds",
    "I14": "every message due was written, and sent once",
    "I15": "the file and its references are sound",
    "I20": "every guard against a second charge is in place",
}


@dataclass(frozen=True)
class Breach:
    """What is wrong, as one sentence, and the ids of the objects it is wrong with."""

    objects: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Finding:
    """What was found about one invariant; `unchecked` says why it, or a part of it, could not be checked."""

    invariant: str
    breaches: tuple[Breach, ...] = ()
    unchecked: str | None = None

    @property
    def title(self) -> str:
        """What the invariant promises."""
        return TITLES[self.invariant]

    @property
    def verdict(self) -> Verdict:
        """A breach that was seen is one, even where not everything could be looked at."""
        if self.breaches:
            return "breach"
        return "unchecked" if self.unchecked else "ok"


@dataclass(frozen=True)
class Report:
    """The findings in the order of the invariants, and the alarms that stand; `at` is in epoch milliseconds."""

    at: int
    findings: tuple[Finding, ...]
    alarms: tuple[Alarm, ...] = ()

    @property
    def exit_status(self) -> int:
        """1 if any invariant is broken, else 0: what could not be checked is a note, no breach."""
        return int(bool(self.names("breach")))

    def names(self, verdict: Verdict) -> tuple[str, ...]:
        """Return the invariants with this verdict."""
        return tuple(finding.invariant for finding in self.findings if finding.verdict == verdict)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for `--json`: every breach, with its ids."""
        return {
            "at": self.at,
            "exit_status": self.exit_status,
            "invariants": [_as_dict(finding) for finding in self.findings],
            "alarms": [asdict(alarm) for alarm in self.alarms],
        }


def breaches_of(found: Iterable[tuple[str, ...]], sentence: str) -> list[Breach]:
    """Make one breach of each tuple of ids; the first id is the subject of the sentence."""
    return [Breach(tuple(objects), f"{objects[0]} {sentence}") for objects in found]


def render(report: Report) -> list[str]:
    """Return the report as lines of text: a line an invariant, breach and alarm, and a last one that adds up."""
    lines: list[str] = []
    for finding in report.findings:
        verdict = finding.verdict
        lines.append(
            f"{finding.invariant:<4} {verdict.upper() if verdict == 'breach' else verdict:<10} {finding.title}"
        )
        lines += [f"       {_told(breach)}" for breach in finding.breaches[:_MOST_LINES]]
        if len(finding.breaches) > _MOST_LINES:
            lines.append(f"       and {len(finding.breaches) - _MOST_LINES} more")
        if finding.unchecked:
            lines.append(f"       not checked: {finding.unchecked}")
    lines += [f"alarm {alarm.kind} {alarm.object}: {alarm.detail}" for alarm in report.alarms]
    return [*lines, _summary(report)]


def _told(breach: Breach) -> str:
    others = ", ".join(name for name in breach.objects if name not in breach.sentence)
    return f"{breach.sentence} ({others})" if others else breach.sentence


def _summary(report: Report) -> str:
    parts = [f"{len(report.names('ok'))} ok"]
    for verdict, names in (("broken", report.names("breach")), ("unchecked", report.names("unchecked"))):
        if names:
            parts.append(f"{len(names)} {verdict}: {', '.join(names)}")
    return "; ".join(parts)


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "invariant": finding.invariant,
        "title": finding.title,
        "verdict": finding.verdict,
        "unchecked": finding.unchecked,
        "breaches": [{"objects": list(breach.objects), "sentence": breach.sentence} for breach in finding.breaches],
    }
