"""One log: JSON lines with named fields, from which secrets and personal data are removed before writing."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from encore.clock import Clock

HIDDEN = "[hidden]"

# Fields that hold nothing but a secret or a person, whatever their value looks like.
_HIDDEN_FIELDS = re.compile(
    r"authorization|cookie|csrf|password|secret|token|api_key|webhook_key|signature|email|name_on_card", re.IGNORECASE
)
_PATTERNS = (
    re.compile(r"(?i:bearer)\s+[^\s\"',;]+"),
    re.compile(r"whsec_[A-Za-z0-9+/=_-]+"),
    re.compile(r"(?i:\b(?:set-)?cookie:)[^\n]*"),
    re.compile(r"\b__Host-encore_\w+=[^\s;]+|\bencore_(?:buyer|session)=[^\s;]+"),
    re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
    # A token of itsdangerous, and any 43 characters of URL-safe base64: our references and cookies.
    re.compile(r"\b[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{20,}\b"),
    re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    # The query of an address: Dodo appends an e-mail address and even a licence key to ours.
    re.compile(r"(?<=[\w/])\?[\w.~%-]+=[^\s\"'<>]*"),
)
_CARD_NUMBER = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])")


def configure_logs(*, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send every log line of this process, other libraries' included, to `stream` (standard error) as JSON.

    `secrets` are values to remove wherever they appear, as `Settings.secret_values()` lists them.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _add_time,
        structlog.processors.format_exc_info,
        Redaction(secrets),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            # A library's message may carry arguments: they are merged before the line is searched for secrets.
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("encore").setLevel(logging.INFO)


class Redaction:
    """Removes secrets and personal data from a log event, at any depth; the last step before writing."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Shorter values would blank ordinary words.
        self._secrets = sorted((value for value in secrets if len(value) >= 8), key=len, reverse=True)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        return {key: self._field(key, value) for key, value in event.items()}

    def _field(self, key: str, value: Any) -> Any:
        if key.startswith("_"):
            return value  # structlog's own bookkeeping
        return HIDDEN if _HIDDEN_FIELDS.search(key) and isinstance(value, str) else self._clean(value)

    def _clean(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {str(key): self._field(str(key), item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._clean(item) for item in value]
            case _:
                return self._clean_text(str(value))

    def _clean_text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for pattern in _PATTERNS:
            text = pattern.sub(HIDDEN, text)
        return _CARD_NUMBER.sub(_hide_card_number, text)


def _hide_card_number(match: re.Match[str]) -> str:
    digits = [int(character) for character in match[0] if character.isdigit()]
    doubled = [value * 2 - 9 * (value > 4) for value in digits[-2::-2]]
    # Luhn's check sum, so that order numbers and times stay readable.
    return HIDDEN if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else match[0]


def _add_time(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {"at": Clock().now(), **event}
