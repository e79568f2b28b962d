"""The socket under one provider call: what was handed to it, and the means to cut it from outside."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from encore.crash_point import crash_point


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
        twin = socket.socket(fileno=os.dup(sock.fileno()))
        with self._lock:
            if self._twin is not None:
                self._twin.close()
            self._twin = twin
            if self.is_cut:
                _shut(twin)

    @property
    def is_held(self) -> bool:
        return self._twin is not None

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
    """A connection that tells the wire of the current call what it does."""

    # A connection lost in mid-request must fail: http.client would open another and send the rest there.
    auto_open = 0

    def __init__(self, *args: Any, adapter: "WireAdapter", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._adapter = adapter

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._adapter.wire.hold(sock)
        return sock

    def connect(self) -> None:
        super().connect()
        self._adapter.wire.connected()

    def request(self, *args: Any, **kwargs: Any) -> None:
        wire = self._adapter.wire
        wire.begin()
        if self.sock is None:
            self.connect()
        elif not wire.is_held:  # kept alive from an earlier call
            wire.hold(self.sock)
        super().request(*args, **kwargs)
        wire.written()

    def send(self, data: Any) -> None:
        self._adapter.wire.hand_over()
        super().send(data)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class WireAdapter(HTTPAdapter):
    """Makes requests use our connection class. No retries; `wire` is the call under way, one at a time."""

    wire: Wire

    def __init__(self) -> None:
        super().__init__(max_retries=0, pool_connections=1, pool_maxsize=1)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """Return requests' pool for the address, with our connection class in it."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = _TlsConnection if pool.scheme == "https" else _Connection
        pool.ConnectionCls = partial(kind, adapter=self)
        return cast(HTTPConnectionPool, pool)
