"""Named places where a test ends or pauses our process; without a switch, an empty function.

ENCORE_CRASH_AT=point[#n] ends the process at the n-th pass of that point, with no clean-up, as kill -9 would.
ENCORE_PAUSE_AT=point:seconds[#n] holds the passing thread there for that long, whatever it has in hand.
Both act only with ENCORE_TESTING=1; web and worker refuse to start with one set elsewhere (`armed_fault`).
"""

import ipaddress
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep

_CRASH = re.compile(r"(?P<point>[a-z0-9_.]+)(#(?P<pass>[1-9]\d*))?")
_PAUSE = re.compile(r"(?P<point>[a-z0-9_.]+):(?P<seconds>\d+(\.\d+)?)(#(?P<pass>[1-9]\d*))?")
_KILLED = 137  # the exit status a shell reports for kill -9


@dataclass
class _Trap:
    """One armed switch; `pause_s` is None for a crash."""

    point: str
    nth_pass: int
    pause_s: float | None
    passes: int = 0


def _read_trap(value: str, *, is_pause: bool) -> _Trap | None:
    match = (_PAUSE if is_pause else _CRASH).fullmatch(value)
    if match is None:
        return None
    pause_s = float(match["seconds"]) if is_pause else None
    return _Trap(point=match["point"], nth_pass=int(match["pass"] or 1), pause_s=pause_s)


def _read_traps(env: Mapping[str, str]) -> list[_Trap]:
    if env.get("ENCORE_TESTING") != "1":
        return []
    found = (
        _read_trap(env.get("ENCORE_CRASH_AT", ""), is_pause=False),
        _read_trap(env.get("ENCORE_PAUSE_AT", ""), is_pause=True),
    )
    return [trap for trap in found if trap is not None]


def _pass_by(name: str) -> None:
    """The empty function that `crash_point` is outside tests."""


def choose(env: Mapping[str, str]) -> Callable[[str], None]:
    """Return the function that `crash_point` shall be under this environment."""
    traps = _read_traps(env)
    if not traps:
        return _pass_by
    lock = threading.Lock()

    def spring(name: str) -> None:
        for trap in traps:
            if trap.point != name:
                continue
            with lock:
                trap.passes += 1
                is_due = trap.passes == trap.nth_pass
            if not is_due:
                continue
            if trap.pause_s is None:
                os._exit(_KILLED)
            sleep(trap.pause_s)

    return spring


crash_point = choose(os.environ)


def armed_fault(env: Mapping[str, str], *, provider_host: str, live: bool) -> str | None:
    """Return the sentence that must stop the start, or None if no switch is set or it is set in a test.

    `provider_host` is a bare host name or address, without scheme and port.
    """
    armed = [name for name in ("ENCORE_CRASH_AT", "ENCORE_PAUSE_AT") if env.get(name)]
    if not armed:
        return None
    names = " and ".join(armed)
    if env.get("ENCORE_TESTING") != "1" or live or not is_loopback(provider_host):
        return f"{names}: only for tests (ENCORE_TESTING=1, test mode, provider on loopback). Unset it to start."
    if len(_read_traps(env)) != len(armed):
        return f"{names}: not understood. Write ENCORE_CRASH_AT=point[#n] or ENCORE_PAUSE_AT=point:seconds[#n]."
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a bare host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
