"""A small HTTP/1.1 server that keeps hold of the raw socket.

A WSGI server hides the connection, and the twin must be able to drop it, stall it and lie on it. So this
module parses requests and sends answers; what to do with them is the handler's business (`gateway.py`).

One thread, the loop, waits on all connections and does what is quick: sixteen threads that pass the interpreter's
lock around cost twice the processor time of one. What may wait (an ordered fault, a page, control) gets a thread of
its own for that one request, and its connection then returns to the loop.

Cookies are removed as soon as a request is read: browsers share them between ports, and the shop's are
none of the sandbox's business.
"""

import contextlib
import http.client
import selectors
import socket
import struct
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

MAX_HEAD_BYTES = 64 * 1024
# No request of the wire is larger than a few kilobytes; the limit only keeps a mistake from filling memory.
MAX_BODY_BYTES = 8 * 1024 * 1024
# Long enough for a pooled client connection between two tests, short enough not to collect connections.
KEEP_ALIVE_S = 120
# How often idle connections are looked through.
SWEEP_S = 30


class BadRequest(Exception):
    """The bytes are not a request we can answer; the message is the status line to send."""


@dataclass
class Request:
    """One request; `headers` has lower-case names and never a cookie."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    peer: str
    keep_alive: bool
    body: bytes = b""

    @property
    def content_length(self) -> int:
        """Length of the body as announced."""
        return int(self.headers.get("content-length") or 0)


@dataclass
class Response:
    """One answer; `headers` without Content-Length, which the server adds."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def whole(self, *, keep_alive: bool, with_body: bool = True) -> bytes:
        """Return the answer as bytes."""
        head = self.head(length=len(self.body), keep_alive=keep_alive)
        return head + self.body if with_body and self.status not in (204, 304) else head

    def head(self, *, length: int, keep_alive: bool) -> bytes:
        """Return status line and headers as bytes, announcing `length` bytes of body."""
        reason = http.client.responses.get(self.status, "Unknown")
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers if name.lower() != "content-length"]
        if self.status not in (204, 304):
            lines.append(f"Content-Length: {length}")
        lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Handler(Protocol):
    """What the server calls for each request; the first two in the loop, where nothing may wait."""

    def is_quick(self, request: Request) -> bool:
        """Look at the head and say whether the request can be answered in the loop."""

    def answer(self, request: Request, connection: "Connection") -> Response | None:
        """Answer a quick request; None if it needs a thread after all."""

    def begins(self, request: Request, connection: "Connection") -> bool:
        """Look at the head before the body is read; False if the connection is already done with."""

    def handle(self, request: Request, connection: "Connection") -> None:
        """Answer on the connection, or deliberately not."""


class Connection:
    """One client's socket with a read buffer."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.open = True
        # The request under way: its head is read.
        self.request: Request | None = None
        self.used_at = time.monotonic()
        self._buffer = bytearray()

    def take_head(self) -> Request | None:
        """Return the request whose head has arrived in full, else None. Raises BadRequest."""
        end = self._buffer.find(b"\r\n\r\n")
        if (len(self._buffer) if end < 0 else end) > MAX_HEAD_BYTES:
            raise BadRequest("431 Request Header Fields Too Large")
        if end < 0:
            return None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return _parse_head(head, self.peer)

    def has_body(self, request: Request) -> bool:
        """Take the body of `request` if it has arrived in full."""
        if len(self._buffer) < request.content_length:
            return False
        request.body = self._taken(request.content_length)
        return True

    def receive(self) -> bool:
        """Read what has arrived, without waiting for more; False when the client has gone."""
        try:
            chunk = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.used_at = time.monotonic()
        self._buffer += chunk
        return bool(chunk)

    def read_body(self, length: int) -> bytes:
        """Read exactly `length` bytes, or fewer if the client goes."""
        while len(self._buffer) < length and self.receive():
            pass
        return self._taken(length)

    def offer(self, data: bytes) -> bytes:
        """Send without waiting and return what the client did not take yet."""
        try:
            return data[self.sock.send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            self.close()
            return b""

    def send(self, response: Response, *, keep_alive: bool, with_body: bool = True) -> None:
        """Send a complete, honest answer."""
        self.write(response.whole(keep_alive=keep_alive, with_body=with_body))

    def write(self, data: bytes) -> None:
        """Send raw bytes; a client that has gone is no error here."""
        if not self.open:
            return
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()

    def reset(self) -> None:
        """Drop the connection so that the client sees a reset, not an end."""
        self.doom()
        self.close()

    def doom(self) -> None:
        """Let whoever has the connection drop it at once with a reset; for any thread."""
        self.open = False
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Wakes the loop, or the thread that reads or waits: they find nothing more to read.
            self.sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        self.sock.close()

    def wait_until_gone(self, limit_s: float) -> bool:
        """Wait until the client gives up, at most `limit_s`; True if it did."""
        try:
            self.sock.settimeout(limit_s)
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def _taken(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


class Server:
    """Listens on one address and answers every connection."""

    def __init__(self, host: str, port: int) -> None:
        self._handler: Handler | None = None
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        # Connections that a thread has done its request on, for the loop to take back.
        self._returned: deque[Connection] = deque()
        self._selector = selectors.DefaultSelector()
        self._swept_at = time.monotonic()
        self._stopping = False
        self._reopening = threading.Timer(0, self.accept_connections)
        self._wake_in, self._wake_out = socket.socketpair()
        self._listener: socket.socket | None = None
        # Bound but not listening, it keeps the port ours while connections are refused.
        self._placeholder: socket.socket | None = _bound(host, port)
        self.host = host
        self.port: int = self._placeholder.getsockname()[1]

    @property
    def accepting(self) -> bool:
        """Whether a new connection would be accepted."""
        return self._listener is not None

    def accept_connections(self) -> None:
        """Start listening (again)."""
        self._reopening.cancel()
        with self._lock:
            if self._listener is None and self._placeholder is not None:
                self._placeholder.listen(512)
                self._listener, self._placeholder = self._placeholder, None
        self._wake_out.send(b"x")

    def refuse_connections(self, *, keep: Connection | None, for_s: float) -> None:
        """Stop listening for a while, so that connecting is refused; reset every open connection but `keep`."""
        with self._lock:
            if self._listener is not None:
                self._listener.close()
                self._listener, self._placeholder = None, _bound(self.host, self.port)
            doomed = [connection for connection in self._connections if connection is not keep]
        for connection in doomed:
            connection.doom()
        self._wake_out.send(b"x")
        self._reopening.cancel()
        self._reopening = threading.Timer(for_s, self.accept_connections)
        self._reopening.daemon = True
        self._reopening.start()

    def start(self, handler: Handler) -> None:
        """Listen, and serve connections in a thread of its own until `stop()`; `handler` answers them."""
        self._handler = handler
        self.accept_connections()
        threading.Thread(target=self._run, name="loop", daemon=True).start()

    def stop(self) -> None:
        """Stop accepting and close the port."""
        self._stopping = True
        self._wake_out.send(b"x")
        for sock in (self._listener, self._placeholder):
            if sock is not None:
                sock.close()

    def _run(self) -> None:
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        listening: socket.socket | None = None
        while not self._stopping:
            listening = self._listen_on(self._listener, listening)
            for key, _ in self._selector.select(SWEEP_S):
                if key.fileobj is self._wake_in:
                    self._wake_in.recv(1024)
                elif key.fileobj is listening:
                    self._accept(listening)
                else:
                    self._guarded(self._read, key.data)
            while self._returned:
                self._guarded(self._take_back, self._returned.popleft())
            self._close_idle()

    def _listen_on(self, listener: socket.socket | None, before: socket.socket | None) -> socket.socket | None:
        """Follow a change of the listening socket, which any thread can have made."""
        if listener is not before:
            # One of them may be closed by now; the next turn sees what came after.
            with contextlib.suppress(KeyError, ValueError, OSError):
                if before is not None:
                    self._selector.unregister(before)
            with contextlib.suppress(ValueError, OSError):
                if listener is not None:
                    self._selector.register(listener, selectors.EVENT_READ)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, str(address[0]))
        with self._lock:
            self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """Do a step of the loop; one broken connection must not end all others."""
        try:
            step(connection)
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            self._drop(connection)

    def _read(self, connection: Connection) -> None:
        if connection.receive() and connection.open:
            self._advance(connection)
        else:
            self._drop(connection)

    def _take_back(self, connection: Connection) -> None:
        if not connection.open:
            self._drop(connection)
            return
        connection.sock.setblocking(False)
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Do every request that has arrived in full."""
        assert self._handler is not None
        while True:
            try:
                request = connection.request = connection.request or connection.take_head()
            except BadRequest as error:
                connection.offer(f"HTTP/1.1 {error}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                self._drop(connection)
                return
            if request is None:
                return
            if not self._handler.is_quick(request):
                self._hand_over(connection, self._serve_slowly)
                return
            if not connection.has_body(request):
                return
            answer = self._handler.answer(request, connection)
            if answer is None:
                self._hand_over(connection, self._serve_slowly)
                return
            if not self._send(connection, request, answer):
                return

    def _send(self, connection: Connection, request: Request, answer: Response) -> bool:
        """Send an answer from the loop; True if the next request can be looked at."""
        with_body = request.method != "HEAD"
        left = connection.offer(answer.whole(keep_alive=request.keep_alive, with_body=with_body))
        connection.request = None
        if left and connection.open:
            self._hand_over(connection, lambda connection: self._finish(connection, request, left))
            return False
        if not request.keep_alive or not connection.open:
            self._drop(connection)
            return False
        return True

    def _hand_over(self, connection: Connection, work: Callable[[Connection], None]) -> None:
        self._selector.unregister(connection.sock)
        threading.Thread(target=work, args=(connection,), daemon=True).start()

    def _serve_slowly(self, connection: Connection) -> None:
        """In a thread of its own: do the request whose head is read, waiting wherever that waits."""
        request, handler = connection.request, self._handler
        assert request is not None
        assert handler is not None
        connection.request = None
        keep = False
        try:
            connection.sock.settimeout(KEEP_ALIVE_S)
            if handler.begins(request, connection):
                request.body = request.body or connection.read_body(request.content_length)
                if len(request.body) == request.content_length:
                    connection.sock.settimeout(None)
                    handler.handle(request, connection)
                    keep = request.keep_alive
        finally:
            self._give_back(connection, keep=keep)

    def _finish(self, connection: Connection, request: Request, left: bytes) -> None:
        """In a thread of its own: send the rest of an answer to a client that takes its time."""
        connection.sock.settimeout(None)
        connection.write(left)
        self._give_back(connection, keep=request.keep_alive)

    def _give_back(self, connection: Connection, *, keep: bool) -> None:
        if not keep:
            connection.close()
        self._returned.append(connection)
        self._wake_out.send(b"x")

    def _close_idle(self) -> None:
        now = time.monotonic()
        if now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        for key in list(self._selector.get_map().values()):
            if key.data is not None and now - key.data.used_at > KEEP_ALIVE_S:
                self._drop(key.data)

    def _drop(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.close()
        with self._lock:
            self._connections.discard(connection)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def _parse_head(head: bytes, peer: str) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise BadRequest("400 Bad Request") from None
    if not version.startswith("HTTP/1."):
        raise BadRequest("400 Bad Request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("400 Bad Request")
        if name.lower() != "cookie":
            headers[name.strip().lower()] = value.strip()
    _check_length(headers)
    path, _, query = target.partition("?")
    wants_close = headers.get("connection", "").lower() == "close" or version == "HTTP/1.0"
    return Request(method, path, query, headers, peer, keep_alive=not wants_close)


def _check_length(headers: dict[str, str]) -> None:
    if "transfer-encoding" in headers:
        raise BadRequest("411 Length Required")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest("400 Bad Request")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest("413 Content Too Large")
