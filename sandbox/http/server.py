"""A small threaded HTTP/1.1 server that keeps hold of the raw socket.

A WSGI server hides the connection, and the twin must be able to drop it, stall it and lie on it. So this
module parses requests and sends answers; what to do with them is the handler's business (`gateway.py`).
Cookies are removed as soon as a request is read: browsers share them between ports, and the shop's are
none of the sandbox's business.
"""

import contextlib
import http.client
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Protocol

MAX_HEAD_BYTES = 64 * 1024
# No request of the wire is larger than a few kilobytes; the limit only keeps a mistake from filling memory.
MAX_BODY_BYTES = 8 * 1024 * 1024
# Long enough for a pooled client connection between two tests, short enough not to collect threads.
KEEP_ALIVE_S = 120


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
    """What the server calls for each request."""

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
        self._buffer = bytearray()

    def read_head(self) -> Request | None:
        """Read up to the blank line; None when the client has gone. Raises BadRequest."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequest("431 Request Header Fields Too Large")
            if not self._fill():
                return None
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD_BYTES:
            raise BadRequest("431 Request Header Fields Too Large")
        self._buffer = bytearray(rest)
        return _parse_head(head, self.peer)

    def read_body(self, length: int) -> bytes:
        """Read exactly `length` bytes, or fewer if the client goes."""
        while len(self._buffer) < length and self._fill():
            pass
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def send(self, response: Response, *, keep_alive: bool, with_body: bool = True) -> None:
        """Send a complete, honest answer."""
        body = response.body if with_body and response.status not in (204, 304) else b""
        self.write(response.head(length=len(response.body), keep_alive=keep_alive) + body)

    def write(self, data: bytes) -> None:
        """Send raw bytes; a client that has gone is no error here."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()

    def reset(self) -> None:
        """Drop the connection so that the client sees a reset, not an end."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Wakes a thread that waits for the next request: while it waits, the system keeps the connection whole.
            self.sock.shutdown(socket.SHUT_RD)
        self.close()

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

    def _fill(self) -> bool:
        try:
            chunk = self.sock.recv(65536)
        except OSError:
            return False
        self._buffer += chunk
        return bool(chunk)


class Server:
    """Listens on one address and runs a thread for each connection."""

    def __init__(self, host: str, port: int) -> None:
        self._handler: Handler | None = None
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
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
            connection.reset()
        self._wake_out.send(b"x")
        self._reopening.cancel()
        self._reopening = threading.Timer(for_s, self.accept_connections)
        self._reopening.daemon = True
        self._reopening.start()

    def start(self, handler: Handler) -> None:
        """Listen, and accept connections in a thread of its own until `stop()`; `handler` answers them."""
        self._handler = handler
        self.accept_connections()
        threading.Thread(target=self._run, name="accept", daemon=True).start()

    def stop(self) -> None:
        """Stop accepting and close the port."""
        self._stopping = True
        self._wake_out.send(b"x")
        for sock in (self._listener, self._placeholder):
            if sock is not None:
                sock.close()

    def _run(self) -> None:
        while not self._stopping:
            listener = self._listener
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_in, selectors.EVENT_READ)
                if listener is not None and listener.fileno() >= 0:
                    selector.register(listener, selectors.EVENT_READ)
                self._accept_while_unchanged(selector, listener)

    def _accept_while_unchanged(self, selector: selectors.BaseSelector, listener: socket.socket | None) -> None:
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._wake_in:
                    self._wake_in.recv(1024)
                    return
                self._accept(listener)

    def _accept(self, listener: socket.socket | None) -> None:
        try:
            assert listener is not None
            sock, address = listener.accept()
        except OSError:
            return
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, str(address[0]))
        with self._lock:
            self._connections.add(connection)
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            while connection.open and self._serve_one(connection):
                pass
        finally:
            connection.close()
            with self._lock:
                self._connections.discard(connection)

    def _serve_one(self, connection: Connection) -> bool:
        assert self._handler is not None
        try:
            connection.sock.settimeout(KEEP_ALIVE_S)
            request = connection.read_head()
            if request is None:
                return False
            if not self._handler.begins(request, connection):
                return False
            request.body = connection.read_body(request.content_length)
        except (BadRequest, OSError) as error:
            if isinstance(error, BadRequest):
                connection.write(f"HTTP/1.1 {error}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return False
        if len(request.body) < request.content_length:
            return False
        connection.sock.settimeout(None)
        self._handler.handle(request, connection)
        return request.keep_alive and connection.open


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
