"""The socket under one provider call: what was handed to it, and the means to cut it from outside."""

import contextlib
import io
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from functools import cache
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from typing import Any
from urllib.parse import SplitResult, urlsplit

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import wait_for_read

from encore.crash_point import crash_point
from encore.dodo.bodies import BadBody
from encore.dodo.heads import Answer

# The largest honest answer is a page of 100 payments, some 150 KiB.
LARGEST_BODY = 1 << 20


class Withheld(Exception):
    """Raised in place of the first byte: the send window is over, or the watchdog came first."""


class Wire:
    """One send's hold on its socket, shared by the sending thread and the watchdog.

    `gate` is asked directly before the first byte; a False withholds the request. `is_charge` marks the one
    call whose crash points tests aim at.
    """

    def __init__(self, *, gate: Callable[[], bool] | None = None, is_charge: bool = False) -> None:
        self.byte_handed = False
        self.is_cut = False
        self._is_begun = False
        self._gate = gate
        self._is_charge = is_charge
        self._lock = threading.Lock()
        self._twin: socket.socket | None = None

    def hold(self, sock: socket.socket) -> None:
        """Keep a second handle on the connection, so that it can be shut even in the TLS handshake.

        The sender's own socket object is no use for that: wrapping it in TLS detaches it, and shutting an
        SSLSocket from another thread races with its reader.
        """
        twin = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
        with self._lock:
            if self._twin is not None:
                self._twin.close()
            self._twin = twin
            if self.is_cut:
                _shut(twin)

    def begin(self) -> None:
        """Note that a request starts; a wire carries one, whatever a library below thinks of retrying."""
        if self._is_begun:
            raise Withheld("second_request")
        self._is_begun = True

    def connected(self) -> None:
        """Note that the connection stands, TLS included."""
        if self._is_charge:
            crash_point("send.connected")

    def hand_over(self) -> None:
        """Permit the first byte, or raise Withheld. After this the request counts as sent."""
        if self.byte_handed:
            return
        if self._gate is not None and not self._gate():
            raise Withheld("window")
        if self._is_charge:
            crash_point("send.window_checked")
        # Under the lock the watchdog takes: either it has shut the socket and nothing can leave, or it has
        # not and from here on we no longer claim that nothing left.
        with self._lock:
            if self.is_cut:
                raise Withheld("deadline")
            self.byte_handed = True

    def written(self) -> None:
        """Note that the whole request was given to the socket."""
        if self._is_charge:
            crash_point("send.written")

    def answered(self) -> None:
        """Note that the whole answer was read."""
        if self._is_charge:
            crash_point("send.answered")

    def cut(self) -> None:
        """Shut the connection from any thread; a connection made later is shut as soon as it stands."""
        with self._lock:
            self.is_cut = True
            if self._twin is not None:
                _shut(self._twin)

    def release(self) -> None:
        """Let go without touching the connection, which may serve the next call."""
        with self._lock:
            if self._twin is not None:
                self._twin.close()
                self._twin = None

    def close(self, *, drop_unsent: bool) -> bool:
        """Shut the connection for good; True if certainly no byte can leave it any more.

        `drop_unsent` also discards what the kernel still holds for the peer: without it a stuck request could
        be delivered minutes after we called its outcome unknown.
        """
        with self._lock:
            self.is_cut = True
            if self._twin is None:
                return True
            is_shut = _shut(self._twin)
            if drop_unsent:
                with contextlib.suppress(OSError):
                    self._twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._twin.close()
            self._twin = None
            return is_shut


def _shut(sock: socket.socket) -> bool:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        # Not connected any more is what we want; a handle that is none would be a fault of ours.
        return sock.fileno() >= 0
    return True


class _Connection(HTTPConnection):
    """A connection that tells the wire of the call under way what it does."""

    response_class = Answer
    # A connection lost in mid-request must fail: http.client would open another and send the request there.
    auto_open = 0

    def __init__(self, address: SplitResult, *, trust: ssl.SSLContext | None) -> None:
        self.default_port = 80 if trust is None else 443
        super().__init__(address.hostname or "", address.port or self.default_port)
        self.wire = Wire()
        self._trust = trust
        self._parts: list[bytes] = []

    def ask(self, request: PreparedRequest, *, limits: tuple[float, float]) -> HTTPResponse:
        """Send a request and return the head of its answer; `limits` are the seconds to connect and between bytes."""
        self.wire.begin()
        connect_s, self.timeout = limits
        if self.sock is not None and wait_for_read(self.sock, timeout=0):
            # Nothing was asked yet, so what there is to read is the end of a connection kept for too long.
            self.close()
        if self.sock is None:
            self._connect(connect_s)
        else:
            self.wire.hold(self.sock)
        self.sock.settimeout(self.timeout)
        self._parts.clear()
        self.request(str(request.method), request.path_url, body=request.body, headers=request.headers)
        self.wire.hand_over()
        super().send(b"".join(self._parts))
        self.wire.written()
        return self.getresponse()

    def __del__(self) -> None:
        # A thread that ends takes its session with it.
        self.close()

    def send(self, data: Any) -> None:
        """Keep what http.client gives in pieces: head and body leave together, once the wire lets them."""
        self._parts.append(data)

    def _connect(self, seconds: float) -> None:
        sock = socket.create_connection((self.host, self.port), seconds)
        # At once, so that it is closed whatever comes next.
        self.sock = sock
        self.wire.hold(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._trust is not None:
            self.sock = self._trust.wrap_socket(sock, server_hostname=self.host)
        self.wire.connected()


class WireAdapter(BaseAdapter):
    """Carries a session's requests over one connection to one address; `wire` is the call under way, one at a time.

    In place of requests' own adapter, whose pools, proxies, retries and TLS context for each connection cost three
    times what the exchange itself does (measured). This one has none of them, and it takes no cookies.
    """

    wire: Wire

    def __init__(self) -> None:
        super().__init__()
        self._connection: _Connection | None = None

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request and read its whole answer, whatever requests would leave for later."""
        connection = self._connection
        if connection is None:
            connection = self._connection = _open(str(request.url), verify)
        connection.wire = self.wire
        try:
            answer = connection.ask(request, limits=timeout)
            if answer.status < 200:
                # The true answer is still to come, and the next request on this connection would take it for its own.
                raise BadBody("interim")
            body = _read_body(answer)
        except BaseException:
            # What is still to come on this connection answers no later request.
            connection.close()
            raise
        return _response(request, answer, body)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


def _open(url: str, verify: bool | str) -> _Connection:
    address = urlsplit(url)
    if address.scheme != "https":
        return _Connection(address, trust=None)
    # `verify` is requests' word for a file of authorities; a False turns nothing off here.
    return _Connection(address, trust=_trust_in(verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH))


@cache
def _trust_in(bundle: str) -> ssl.SSLContext:
    """Return what checks certificates and host names by a file of authorities, read once for all connections."""
    return ssl.create_default_context(cafile=bundle)


def _read_body(answer: HTTPResponse) -> bytes:
    body = answer.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise BadBody("too_large")
    if answer.length:
        # http.client takes a body that ends early for whole when it is asked for a part.
        raise IncompleteRead(body, answer.length)
    return body


def _response(request: PreparedRequest, answer: HTTPResponse, body: bytes) -> Response:
    response = Response()
    response.request, response.url = request, str(request.url)
    response.status_code = answer.status
    response.headers.update(answer.headers.items())
    response.raw = io.BytesIO(body)
    return response
