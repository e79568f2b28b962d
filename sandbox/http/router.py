"""Finding the handler of a request, and making its answer."""

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from .call import MESSAGES, Call, Route, WireError, answer
from .server import Response


@dataclass(frozen=True)
class Matched:
    """A route, and the values its path template has taken from a path."""

    route: Route
    arguments: dict[str, str]


class Router:
    """Every route of the twin, found by method and path; a literal path wins over one with parameters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._literal: dict[tuple[str, str], Matched] = {}
        # By method, number of pieces and the first piece, which is a word in every template.
        self._with_parameters: dict[tuple[str, int, str], list[tuple[list[str], Route]]] = {}
        for route in self.routes:
            pieces = route.template.split("/")
            if "{" in route.template:
                self._with_parameters.setdefault((route.method, len(pieces), _first(route.template)), []).append(
                    (pieces, route)
                )
            else:
                self._literal[route.method, route.template] = Matched(route, {})

    def match(self, method: str, path: str) -> Matched | None:
        """Return the route of a request, None if there is none; HEAD is answered by the handler of GET."""
        method = "GET" if method == "HEAD" else method
        literal = self._literal.get((method, path))
        if literal is not None:
            return literal
        given = path.split("/")
        for pieces, route in self._with_parameters.get((method, len(given), _first(path)), ()):
            arguments = _arguments(pieces, given)
            if arguments is not None:
                return Matched(route, arguments)
        return None

    def respond(self, call: Call) -> Response:
        """Answer a request: by its handler, else by a refusal in the wire's shape. Never raises."""
        matched = self.match(call.request.method, call.request.path)
        try:
            if matched is None:
                raise self._not_served(call.request.path)
            # A refusal changes nothing, however far its handler had come.
            with call.twin.store.all_or_nothing():
                return matched.route.handler(call, **matched.arguments)
        except WireError as error:
            return answer({"code": error.code, "message": error.message}, error.status)
        except Exception as error:
            # The edge of a request: the trace goes to the terminal, the client gets the wire's 500.
            traceback.print_exception(error, file=sys.stderr)
            return answer({"code": "INTERNAL_SERVER_ERROR", "message": "The sandbox broke; see its terminal"}, 500)

    def _not_served(self, path: str) -> WireError:
        if any(self.match(route.method, path) for route in self.routes):
            return WireError(405, "METHOD_NOT_ALLOWED", "Method Not Allowed")
        return WireError(404, "NOT_FOUND", MESSAGES["NOT_FOUND"])


def _first(path: str) -> str:
    return path[1:].partition("/")[0]


def _arguments(pieces: list[str], given: list[str]) -> dict[str, str] | None:
    arguments = {}
    for piece, text in zip(pieces, given, strict=True):
        if piece[:1] == "{":
            if not text:
                return None
            arguments[piece[1:-1]] = unquote(text)
        elif piece != text:
            return None
    return arguments
