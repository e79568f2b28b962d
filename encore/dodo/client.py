"""The one way out to the provider: a time budget, no redirects, and never a second POST."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import sleep
from typing import Any, TypeVar
from urllib.parse import urlencode

import requests
from requests.structures import CaseInsensitiveDict

from encore.clock import Clock
from encore.dodo.answers import Exchange, Reply, read_refusal, read_reset_at
from encore.dodo.bodies import BadBody, read_model
from encore.dodo.connection import Wire, WireAdapter, Withheld
from encore.dodo.watchdog import watchdog
from encore.errors import NotExecuted, ProviderError, RateLimited, Unavailable

T = TypeVar("T")
Query = Mapping[str, str | int | None]

# Three more tries of a GET, as the rate limits and gateways of the provider recover within a second.
_GET_RETRIES = 3
_FIRST_RETRY_DELAY_S = 0.2
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})

# How much later than the watchdog a charge's socket gives up by itself, should the watchdog ever fail.
_SECOND_LIMIT_S = 1.0

_JSON = "application/json"
_SAFE_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,254}")


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds. `charge_s` bounds one charging POST, `total_s` all calls of one request of ours.

    Source: charging.md, section 1: 4 s of reads before, 13 s for the POST, 2 s for the status read after it.
    """

    connect_s: float = 3.0
    read_s: float = 4.0
    charge_s: float = 13.0
    total_s: float = 19.0


class Budget:
    """The time one request of ours may spend on the provider, shared by all its calls."""

    def __init__(self, clock: Clock, total_s: float) -> None:
        self._clock = clock
        self._ends = clock.monotonic() + total_s

    def remaining(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self._ends - self._clock.monotonic())

    def cap(self, seconds: float) -> float:
        """Return `seconds`, or what is left if that is less."""
        return min(seconds, self.remaining())


class CallTimer:
    """Adds up the time with at least one provider call open; calls of several threads count once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open_calls = 0
        self._opened = 0.0
        self._closed_s = 0.0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count the time inside as provider time."""
        with self._lock:
            if self._open_calls == 0:
                self._opened = self._clock.monotonic()
            self._open_calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._open_calls -= 1
                if self._open_calls == 0:
                    self._closed_s += self._clock.monotonic() - self._opened

    @property
    def open_ms(self) -> float:
        """Milliseconds so far, whole calls only."""
        with self._lock:
            return self._closed_s * 1000


_timer: ContextVar[CallTimer | None] = ContextVar("encore_dodo_call_timer", default=None)


@contextmanager
def time_calls(clock: Clock) -> Iterator[CallTimer]:
    """Time every provider call made inside, for "own time" = wall time - `open_ms`.

    Threads started inside take part if they run under `contextvars.copy_context()`.
    """
    timer = CallTimer(clock)
    token = _timer.set(timer)
    try:
        yield timer
    finally:
        _timer.reset(token)


@contextmanager
def _timed() -> Iterator[None]:
    timer = _timer.get()
    if timer is None:
        yield
    else:
        with timer.call():
            yield


class _Session(requests.Session):
    """A session that follows nothing and reads no environment; its adapter takes no cookies."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # a .netrc entry would replace our Authorization header
        self.adapter = WireAdapter()
        self.mount("https://", self.adapter)
        self.mount("http://", self.adapter)

    def ask(
        self, method: str, url: str, content: bytes | None, *, headers: dict[str, str], limits: tuple[float, float]
    ) -> requests.Response:
        """Send one request with these headers only; `limits` are the seconds to connect and between bytes."""
        # Filled in by hand: requests would merge settings, cookies and hooks that a call of ours does not have.
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, content
        request.headers = CaseInsensitiveDict(headers)
        return self.send(request, timeout=limits, allow_redirects=False, proxies={})

    def get_redirect_target(self, resp: requests.Response) -> None:
        # Even with allow_redirects=False requests prepares the next hop.
        return None


class Client:
    """Speaks to one provider address with one key. `forbid` raises if this thread may not call out now."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        clock: Clock,
        timeouts: Timeouts,
        forbid: Callable[[], None],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Accept-Encoding": "identity",
            "User-Agent": "Encore",
        }
        self._clock = clock
        self._timeouts = timeouts
        self._forbid = forbid
        self._of_thread = threading.local()

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def timeouts(self) -> Timeouts:
        return self._timeouts

    def get(self, path: str, model: type[T], *, budget: Budget, query: Query | None = None) -> T:
        """Read an object, trying again within the budget where that can help.

        Raises NotExecuted (RateLimited for 429) or Unavailable.
        """
        delay_s = _FIRST_RETRY_DELAY_S
        for tries_left in range(_GET_RETRIES, -1, -1):
            reply, fault = self._ordinary("GET", path, budget=budget, query=query)
            if reply is not None and reply.status not in _RETRIED_STATUSES:
                break
            wait_s = _asked_delay(reply, default_s=delay_s)
            if tries_left == 0 or wait_s >= budget.remaining():
                break
            sleep(wait_s)
            delay_s *= 2
        return self._read(reply, fault, model)

    def get_file(self, path: str, *, media_type: str, budget: Budget) -> bytes:
        """Read a file of this media type, once; like any answer it is at most a mebibyte.

        Raises NotExecuted (RateLimited for 429) or Unavailable.
        """
        reply, fault = self._ordinary("GET", path, budget=budget, accept=media_type)
        if reply is not None and reply.status == 200:
            if reply.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
                raise Unavailable("media_type")
            return reply.body
        raise self._refused(reply, fault)

    def read_headers(self, path: str, *, budget: Budget) -> Mapping[str, str]:
        """Ask once and return the answer's headers, names in lower case, whatever its status. Raises Unavailable."""
        reply, fault = self._ordinary("GET", path, budget=budget)
        if reply is None:
            raise Unavailable(fault)
        return reply.headers

    def post(self, path: str, body: Mapping[str, Any], model: type[T], *, budget: Budget) -> T:
        """Send a POST that moves no money, once. Raises NotExecuted (RateLimited for 429) or Unavailable."""
        reply, fault = self._ordinary("POST", path, budget=budget, body=body)
        return self._read(reply, fault, model)

    def patch(self, path: str, body: Mapping[str, Any], model: type[T], *, budget: Budget) -> T:
        """Change an object without moving money, once. Raises NotExecuted (RateLimited for 429) or Unavailable."""
        reply, fault = self._ordinary("PATCH", path, budget=budget, body=body)
        return self._read(reply, fault, model)

    def delete(self, path: str, *, budget: Budget) -> Reply:
        """Send a DELETE, once, and return the answer whatever its status. Raises Unavailable if there is none."""
        reply, fault = self._ordinary("DELETE", path, budget=budget)
        if reply is None:
            raise Unavailable(fault)
        return reply

    def send_once(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        before_first_byte: Callable[[], bool] | None = None,
        is_charge: bool = False,
    ) -> Exchange:
        """Send a POST that moves money, on a connection of its own, and report what happened to it.

        One POST and no retry: the provider takes no idempotency key, so a second send could charge twice.
        `before_first_byte` is asked when the connection stands; False sends nothing. The socket is shut after
        `charge_s` in all, whatever state it is in, and is closed on return.
        """
        self._forbid()
        wire = Wire(gate=before_first_byte, is_charge=is_charge)
        reply, fault = None, ""
        with _timed(), _Session() as session:
            # The watchdog comes first: its word is the one that the fault is known by.
            limits = (self._timeouts.connect_s, self._timeouts.charge_s + _SECOND_LIMIT_S)
            try:
                reply, fault = self._exchange(
                    session, wire, "POST", path, body=body, limits=limits, total_s=self._timeouts.charge_s
                )
            finally:
                is_closed = wire.close(drop_unsent=reply is None)
        return Exchange(byte_handed=wire.byte_handed, reply=reply, fault=fault, socket_closed=is_closed)

    def _ordinary(
        self,
        method: str,
        path: str,
        *,
        budget: Budget,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = _JSON,
    ) -> tuple[Reply | None, str]:
        self._forbid()
        connect_s, read_s = budget.cap(self._timeouts.connect_s), budget.cap(self._timeouts.read_s)
        if read_s <= 0:
            return None, "no_time_left"
        wire = Wire()
        try:
            with _timed():
                return self._exchange(
                    self._session(),
                    wire,
                    method,
                    path,
                    query=query,
                    body=body,
                    limits=(connect_s, read_s),
                    total_s=budget.cap(connect_s + read_s),
                    accept=accept,
                )
        finally:
            wire.release()

    def _exchange(
        self,
        session: _Session,
        wire: Wire,
        method: str,
        path: str,
        *,
        limits: tuple[float, float],
        total_s: float,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = _JSON,
    ) -> tuple[Reply | None, str]:
        """Make one request and read its whole answer; (None, fault) if there is no whole answer."""
        content, headers = None, {**self._headers, "Accept": accept}
        if body is not None:
            content, headers["Content-Type"] = json.dumps(body, allow_nan=False).encode(), _JSON
        session.adapter.wire = wire
        # A read time-out restarts with every byte, so it bounds nothing; the watchdog bounds all of it.
        limit = watchdog.limit(total_s, wire.cut)
        try:
            response = session.ask(
                method, self._base_url + path + _suffix(query), content, headers=headers, limits=limits
            )
            # A cut connection ends a body without a length just as its true end does.
            if wire.is_cut:
                return None, "deadline"
            wire.answered()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, headers, response.content), ""
        except (Withheld, BadBody) as error:
            return None, str(error)
        # Every exception of every library below ends here, because none of them may decide about money:
        # the flag on the wire does.
        except Exception as error:
            return None, "deadline" if wire.is_cut else f"connection:{type(error).__name__}"
        finally:
            limit.cancel()

    def _read(self, reply: Reply | None, fault: str, model: type[T]) -> T:
        if reply is not None and reply.status == 200:
            try:
                return read_model(reply.body, model)
            except BadBody as error:
                raise Unavailable(f"body: {error}") from error
        raise self._refused(reply, fault)

    def _refused(self, reply: Reply | None, fault: str) -> ProviderError:
        """Return what an answer that is not a 200, or none at all, is raised as."""
        if reply is None:
            return Unavailable(fault)
        refusal = read_refusal(reply)
        if refusal is None:
            return Unavailable(f"status_{reply.status}")
        code, message = refusal
        if reply.status == 429:
            return RateLimited(code, message, reset_at=read_reset_at(reply.headers, now=self._clock.now()))
        return NotExecuted(code, reply.status, message)

    def _session(self) -> _Session:
        """Return this thread's session; a fork starts afresh, as two processes must not share a socket."""
        kept: tuple[int, _Session] | None = getattr(self._of_thread, "kept", None)
        if kept is None or kept[0] != os.getpid():
            kept = (os.getpid(), _Session())
            self._of_thread.kept = kept
        return kept[1]


def path_of(template: str, object_id: str) -> str:
    """Put an id into a path, such as "/payments/{}".

    Ids reach us from webhooks and addresses, so one that could change the path is answered as not found,
    without a call. Raises NotExecuted.
    """
    if _SAFE_ID.fullmatch(object_id) is None:
        raise NotExecuted("NOT_FOUND", 404, "not an id")
    return template.format(object_id)


def _suffix(query: Query | None) -> str:
    present = {name: value for name, value in (query or {}).items() if value is not None}
    return f"?{urlencode(present)}" if present else ""


def _asked_delay(reply: Reply | None, *, default_s: float) -> float:
    """Return the seconds to wait before the next try; a Retry-After we cannot read is ignored."""
    text = reply.headers.get("retry-after", "").strip() if reply is not None else ""
    is_number = text.isascii() and text.isdigit() and len(text) <= 9
    return max(default_s, float(text)) if is_number else default_s
