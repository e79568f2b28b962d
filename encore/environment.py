"""Typed reading of environment variables that notes every fault instead of stopping at the first."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True)
class Fault:
    """One wrong setting: the variable's name, what is wrong with it, and what to do."""

    name: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.name} {self.problem} {self.fix}"


class SettingsError(Exception):
    """The environment cannot be used; `faults` holds every reason, and the message lists them all."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        count = "one setting needs" if len(faults) == 1 else f"{len(faults)} settings need"
        super().__init__(f"Encore cannot start: {count} attention.\n" + "\n".join(f"  {f}" for f in faults))


class Environment:
    """Reads variables by name; a wrong one is noted in `faults` and answered with a usable value.

    An empty variable counts as not set, but for secrets: an emptied secret is a mistake, never a wish.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.faults: list[Fault] = []

    def refuse(self, name: str, problem: str, fix: str) -> None:
        """Note a fault; `problem` is a sentence that continues after the name."""
        self.faults.append(Fault(name, problem, fix))

    def text(self, name: str) -> str | None:
        """Return the trimmed value, or None if it is not set or empty."""
        return self._env.get(name, "").strip() or None

    def is_set(self, name: str) -> bool:
        """Tell whether the variable exists, even if empty."""
        return name in self._env

    def words(self, name: str) -> list[str]:
        """Return the values of a list separated by commas or spaces."""
        return self._env.get(name, "").replace(",", " ").split()

    def is_on(self, name: str) -> bool:
        """Read a switch that is 1 or 0; not set is 0."""
        return self.choice(name, "0", allowed=("0", "1")) == "1"

    def choice(self, name: str, default: Word, *, allowed: tuple[Word, ...]) -> Word:
        """Read one word of a closed list."""
        value = self.text(name)
        if value is None:
            return default
        for word in allowed:
            if word == value:
                return word
        self.refuse(name, f"is {value!r}.", f"Write one of: {', '.join(allowed)}.")
        return default

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """Read a whole number from `low` to `high`."""
        value = self.text(name)
        if value is None:
            return default
        # isascii too: "٣".isdigit() is true.
        if value.isascii() and value.isdigit() and low <= int(value[:12]) <= high:
            return int(value)
        self.refuse(name, f"is {value!r}.", f"Write a whole number from {low} to {high}.")
        return default

    def seconds(self, name: str, default: float) -> float:
        """Read a duration in seconds, more than 0 and at most a day."""
        return self._seconds(name, self.text(name)) or default

    def many_seconds(self, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Read a list of durations in seconds."""
        found = tuple(self._seconds(name, word) for word in self.words(name))
        return tuple(value for value in found if value is not None) or default

    def _seconds(self, name: str, value: str | None) -> float | None:
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if 0 < number <= 86_400:  # false for "nan" as well
            return number
        self.refuse(name, f"has {value!r}.", "Write seconds, more than 0 and at most 86400.")
        return None

    def secret(self, name: str) -> str | None:
        """Read a secret from NAME, or from the file NAME_FILE; the value never enters a message."""
        path = self.text(f"{name}_FILE")
        if path is None:
            return self._filled(name, self._env.get(name))
        if name in self._env:
            self.refuse(name, f"is set together with {name}_FILE.", "Keep one of the two.")
        return self._filled(f"{name}_FILE", self._read_file(f"{name}_FILE", Path(path)))

    def secrets(self, name: str) -> tuple[str, ...]:
        """Read a list of secrets, separated by commas or spaces, in the same two ways."""
        return tuple((self.secret(name) or "").replace(",", " ").split())

    def _filled(self, name: str, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.strip():
            self.refuse(name, "is empty.", "Give the secret, or unset the variable.")
        return value.strip() or None

    def _read_file(self, name: str, path: Path) -> str | None:
        try:
            mode = path.stat().st_mode
            value = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            self.refuse(name, f"names {path}, which cannot be read.", "Name a readable text file.")
            return None
        # Windows has no such bits; there the folder's own access list is the guard.
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            self.refuse(name, f"names {path}, which others can read.", f"Run: chmod 600 {path}")
        return value

    def origin(self, name: str, value: str) -> str | None:
        """Read "scheme://host[:port]" and nothing behind it; returned without a trailing slash."""
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        is_origin = (
            parts.scheme in ("http", "https")
            and parts.hostname is not None
            and parts.path in ("", "/")
            and not (parts.query or parts.fragment or "@" in parts.netloc or "*" in parts.netloc)
            and value.isprintable()
            and not set(value) & set(" ;,'\"\\")  # these would end a directive of the content policy
        )
        if not is_origin:
            self.refuse(name, f"has {value!r}.", "Write it as https://host or https://host:port, nothing behind it.")
            return None
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
