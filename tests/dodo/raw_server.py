"""A provider made of one socket, so that a test can break the conversation at any byte."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK_PEM = Path(__file__).with_name("loopback.pem")


@dataclass(frozen=True)
class Request:
    """What arrived, whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """The server's end of one connection, with the few things a broken provider does."""

    sock: socket.socket
    stopping: threading.Event
    seen: bytearray = field(default_factory=bytearray)

    def read_request(self) -> Request | None:
        """Read one request to its last byte; None if the client went away."""
        while b"\r\n\r\n" not in self.seen:
            if not self._read_some():
                return None
        head, _, _ = bytes(self.seen).partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        whole = len(head) + 4 + int(headers.get("content-length", "0"))
        while len(self.seen) < whole:
            if not self._read_some():
                return None
        body = bytes(self.seen[len(head) + 4 : whole])
        del self.seen[:whole]
        method, path, _ = lines[0].split(" ")
        return Request(method, path, headers, body)

    def _read_some(self) -> bool:
        piece = self.sock.recv(65_536)
        self.seen += piece
        return bool(piece)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, *, every_s: float = 0.05) -> None:
        """Send byte by byte, each well within any read time-out."""
        for number in range(len(data)):
            self.sock.sendall(data[number : number + 1])
            if self.stopping.wait(every_s):
                return

    def reset(self) -> None:
        """Drop the connection with a TCP reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_end(self) -> None:
        """Say nothing until the client hangs up."""
        while self._read_some():
            pass


Behaviour = Callable[["RawServer", Peer], None]


class RawServer:
    """Listens on a free loopback port and treats every connection by `behaviour`."""

    def __init__(self, behaviour: Behaviour, *, tls: bool = False) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.bytes_of_broken = bytearray()
        self._behaviour = behaviour
        self._stopping = threading.Event()
        self._last_address: object = None
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(LOOPBACK_PEM)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._socks: list[socket.socket] = []

    @property
    def url(self) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for request in self.requests)

    def __enter__(self) -> "RawServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        # Connections are accepted in turn, so when this last one is, `connections` counts all before it.
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            self._last_address = last.getsockname()
            last.connect(self._listener.getsockname())
            self._threads[0].join(5)
        self._stopping.set()
        self._listener.close()
        for sock in self._socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            sock, address = self._listener.accept()
            if address == self._last_address:
                sock.close()
                return
            self.connections += 1
            self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            peer = Peer(sock, self._stopping)
            self._behaviour(self, peer)
            self.bytes_of_broken += peer.seen
        except OSError:
            pass
        finally:
            sock.close()

    def take(self, peer: Peer) -> Request | None:
        """Read and record one request."""
        request = peer.read_request()
        if request is not None:
            self.requests.append(request)
        return request


def http(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Write an answer; `length` lies about the length of the body."""
    declared = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {declared}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answering(*answers: bytes) -> Behaviour:
    """Answer requests in turn, the last for ever, keeping connections open."""

    def behave(server: RawServer, peer: Peer) -> None:
        while server.take(peer) is not None:
            number = min(len(server.requests), len(answers)) - 1
            peer.send(answers[number])

    return behave


def answering_once(answer: bytes) -> Behaviour:
    """Answer one request and close."""

    def behave(server: RawServer, peer: Peer) -> None:
        if server.take(peer) is not None:
            peer.send(answer)

    return behave
