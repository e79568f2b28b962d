"""A provider that lies: everything passes through to the sandbox and back, but for the answers a test rewrites."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import requests

Lie = Callable[[bytes], bytes]


class Liar:
    """An HTTP server before a sandbox. `told` counts the answers that were rewritten."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.told = 0
        self._lies: list[tuple[str, str, Lie]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @contextmanager
    def telling(self, method: str, path: str, lie: Lie) -> Iterator[None]:
        """Rewrite the bodies of good answers to `method` and a path that matches the pattern, while inside."""
        self._lies.append((method, path, lie))
        self.told = 0
        try:
            yield
        finally:
            self._lies.pop()

    def _rewrite(self, method: str, path: str, answer: requests.Response) -> bytes:
        body = answer.content
        for of_method, pattern, lie in self._lies:
            if answer.status_code == 200 and method == of_method and re.fullmatch(pattern, path.partition("?")[0]):
                self.told += 1
                body = lie(body)
        return body

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are written apart: the second waits 40 ms for an acknowledgement otherwise.
            disable_nagle_algorithm = True

            def pass_on(self) -> None:
                sent = self.rfile.read(int(self.headers.get("content-length", 0)))
                kept = {k: v for k, v in self.headers.items() if k.lower() in ("authorization", "content-type")}
                with requests.Session() as session:
                    session.trust_env = False
                    answer = session.request(
                        self.command,
                        liar.upstream + self.path,
                        data=sent,
                        headers=kept,
                        allow_redirects=False,
                        timeout=10,
                    )
                body = liar._rewrite(self.command, self.path, answer)
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers.get("content-type", "application/json"))
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = pass_on

            def log_message(self, format: str, *args: Any) -> None:
                return

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def saying(path: str, value: object) -> Lie:
    """A lie that puts a value at a dotted place such as `current_breakup.tax`; numbers stand for places in a list.

    `...` takes the place away. A `Raw` value is written as it stands.
    """

    def lie(body: bytes) -> bytes:
        doc = json.loads(body)
        here = doc
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in way:
            here = here[part]
        if value is ...:
            del here[last]
        else:
            here[last] = f"@raw@{value.text}@raw@" if isinstance(value, Raw) else value
        return re.sub(rb'"@raw@(.*?)@raw@"', rb"\1", json.dumps(doc).encode())

    return lie


class Raw:
    """JSON that Python would not write, such as 1e400."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
