"""Pressing a button of a page: the page is a client of the twin's own routes, so both do the same."""

import json
from dataclasses import replace

from ..core.store import Doc
from ..http.call import Call, Handler
from ..http.server import Response


def press(call: Call, handler: Handler, body: Doc, **arguments: str) -> Response:
    """Let the handler of a route answer as if `body` had been sent to it; raises its WireError.

    `arguments` are the values of its path template.
    """
    request = replace(call.request, body=json.dumps(body).encode())
    return handler(Call(call.twin, request, call.connection), **arguments)
