"""A lean HTTP load client: raw sockets, one selector, requests written out beforehand, in a process of its own.

A Python client of the usual kind costs more processor than the pages it asks for, on the cores the shop needs. This one
takes some 40 microseconds a request. `run` is what the benchmark calls; `python -m tests.tools.load` is the process.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

_ROOT = Path(__file__).resolve().parent.parent.parent
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PROVIDER = re.compile(rb"\r\nserver-timing: *provider;dur=([\d.]+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
# An answer later than this is counted as lost: no page may take longer.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answer:
    """One answer: status (0: lost), wall time in ms, and the part of it that a provider call was open."""

    status: int
    wall_ms: float
    provider_ms: float

    @property
    def own_ms(self) -> float:
        """Wall time without the provider's: what the shop itself took."""
        return self.wall_ms - self.provider_ms


@dataclass(frozen=True)
class Load:
    """What a run of the client measured, answers in the order of their requests."""

    seconds: float
    answers: list[Answer]

    @property
    def per_second(self) -> float:
        """Answers a second over the whole run."""
        return len(self.answers) / self.seconds

    def count(self, *statuses: int) -> int:
        """Return how many answers have one of these statuses."""
        return sum(answer.status in statuses for answer in self.answers)


class Running:
    """A load under way in its process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def wait(self) -> Load:
        """Wait for the last answer."""
        out, _ = self._process.communicate(timeout=600)
        if self._process.returncode:
            raise RuntimeError("the load client failed")
        found = json.loads(out)
        return Load(found["seconds"], [Answer(*values) for values in found["answers"]])


def start(
    port: int,
    requests: Sequence[str],
    *,
    connections: int,
    total: int | None = None,
    per_second: float | None = None,
    patience_s: float = PATIENCE_S,
) -> Running:
    """Send `total` requests (default: each once) in a process of its own, cycling through `requests`.

    When nothing is answered for `patience_s`, the rest counts as lost. Without `per_second` every connection sends its
    next request when its last is answered; with it, requests are sent at that rate whatever comes back, and an answer's
    time counts from when its request was due.
    """
    plan = {
        "port": port,
        "requests": list(requests),
        "connections": connections,
        "total": total or len(requests),
        "per_second": per_second,
        "patience_s": patience_s,
    }
    command = [sys.executable, "-m", "tests.tools.load"]
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan))
    process.stdin.close()
    process.stdin = None
    return Running(process)


def run(
    port: int,
    requests: Sequence[str],
    *,
    connections: int,
    total: int | None = None,
    per_second: float | None = None,
    patience_s: float = PATIENCE_S,
) -> Load:
    """Do `start` and wait for it."""
    return start(
        port, requests, connections=connections, total=total, per_second=per_second, patience_s=patience_s
    ).wait()


class _Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sock: socket.socket | None = None
        self.index = -1
        self.since = 0.0
        self._received = bytearray()
        self._length = -1

    def send(self, request: bytes, *, index: int, since: float) -> socket.socket:
        if self.sock is None:
            self.sock = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.index, self.since = index, since
        self._received.clear()
        self._length = -1
        self.sock.sendall(request)
        return self.sock

    def receive(self) -> Answer | None:
        """Read what is there; the answer when it is whole, with status 0 when the connection ended before."""
        assert self.sock is not None
        try:
            piece = self.sock.recv(65_536)
        except OSError:
            piece = b""
        if not piece:
            self.close()
            return Answer(0, (perf_counter() - self.since) * 1000, 0.0)
        self._received += piece
        if self._length < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            found = _LENGTH.search(self._received, 0, end)
            self._length = end + 4 + (int(found[1]) if found else 0)
        if len(self._received) < self._length:
            return None
        wall_ms = (perf_counter() - self.since) * 1000
        head = bytes(self._received[: self._received.find(b"\r\n\r\n")])
        if _CLOSES.search(head):
            self.close()
        provider = _PROVIDER.search(head)
        return Answer(int(head[9:12]), wall_ms, float(provider[1]) if provider else 0.0)

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None


def _work(
    port: int, requests: list[bytes], *, connections: int, total: int, per_second: float | None, patience_s: float
) -> tuple[float, list[Answer]]:
    idle = [_Connection(port) for _ in range(min(connections, total))]
    answers: list[Answer] = [Answer(0, 0.0, 0.0)] * total
    selector = selectors.DefaultSelector()
    began = perf_counter()
    due = _due_times(began, total, per_second)
    index, done, next_at = 0, 0, next(due)
    while done < total:
        while index < total and idle and next_at <= perf_counter():
            connection = idle.pop(0)
            since = next_at if per_second else perf_counter()
            try:
                sock = connection.send(requests[index % len(requests)], index=index, since=since)
                selector.register(sock, selectors.EVENT_READ, connection)
            except OSError:
                connection.close()
                idle.append(connection)
                done += 1
            index, next_at = index + 1, next(due)
        wait_s = max(0.0, next_at - perf_counter()) if index < total and idle else patience_s
        if not selector.get_map():
            sleep(wait_s)
            continue
        events = selector.select(wait_s)
        if not events and wait_s == patience_s:
            break
        for key, _ in events:
            connection = key.data
            answer = connection.receive()
            if answer is not None:
                selector.unregister(key.fileobj)
                answers[connection.index] = answer
                idle.append(connection)
                done += 1
    return perf_counter() - began, answers


def _due_times(began: float, total: int, per_second: float | None) -> Iterator[float]:
    for number in range(total + 1):
        yield began + number / per_second if per_second else began


def main() -> None:
    """Read a plan from standard input, do it, and write what it measured to standard output."""
    plan = json.load(sys.stdin)
    seconds, answers = _work(
        plan["port"],
        [text.encode() for text in plan["requests"]],
        connections=plan["connections"],
        total=plan["total"],
        per_second=plan["per_second"],
        patience_s=plan["patience_s"],
    )
    json.dump({"seconds": seconds, "answers": [[a.status, a.wall_ms, a.provider_ms] for a in answers]}, sys.stdout)


if __name__ == "__main__":
    main()
