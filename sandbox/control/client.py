"""Talking to a running sandbox: its `/_sandbox/` routes over HTTP, failures as one sentence."""

import http.client
import json
import urllib.error
import urllib.request
from string import punctuation
from typing import Any
from urllib.parse import quote

TIMEOUT_S = 30.0


class CommandError(Exception):
    """Why a command came to nothing, in one sentence."""


class Client:
    """The control routes of the sandbox at one address."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, route: str) -> Any:
        """Read `/_sandbox/<route>`. Raises CommandError."""
        return self._call("GET", route, None)

    def post(self, route: str, body: Any) -> Any:
        """Send a body to `/_sandbox/<route>`. Raises CommandError."""
        return self._call("POST", route, body)

    def delete(self, route: str) -> None:
        """Take something back. Raises CommandError."""
        self._call("DELETE", route, None)

    def wire(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request as a shop would, and return the answer. Raises CommandError if it was refused or lost."""
        # What a request line cannot carry, such as é or a space, is quoted; what means something in a path stays.
        return self._send(method, f"{self.url}/{quote(path.lstrip('/'), safe=punctuation)}", body)

    def _call(self, method: str, route: str, body: Any) -> Any:
        return self._send(method, f"{self.url}/_sandbox/{route}", body)

    def _send(self, method: str, address: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        # On loopback any key is taken.
        headers = {"content-type": "application/json", "authorization": "Bearer sandbox"}
        try:
            request = urllib.request.Request(address, data=data, headers=headers, method=method)
            # A proxy of the machine must not stand between a command and its own computer.
            with _without_proxy().open(request, timeout=TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            raise CommandError(_sentence(refusal)) from None
        except (OSError, ValueError, http.client.HTTPException) as failure:
            reason = failure.reason if isinstance(failure, urllib.error.URLError) else failure
            raise CommandError(f"no answer from {self.url}: {reason}") from None
        return _read(text)


def _without_proxy() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _read(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise CommandError(f"the answer is no JSON: {text[:200]!r}") from None


def _sentence(refusal: urllib.error.HTTPError) -> str:
    text = refusal.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{refusal.code} {text[:200]}".strip()
