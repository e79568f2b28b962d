"""What stands between the socket and the routes: the log, the key, the rate limit, the ordered faults."""

import json
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn
from urllib.parse import parse_qs

import msgspec

from ..core.events import KILLED_STATUS
from ..core.ids import Ids
from ..core.match import Match
from ..core.store import Doc
from ..core.twin import Twin
from . import rate, request_log, unserved
from .call import Call
from .caller import why_not_local
from .faults import Fault, inflict, strike_early
from .router import Router
from .server import Connection, Request, Response
from .skew import stamp, unshifted

# Pages and control are not the wire: no key, no log, no fault.
OWN_PREFIXES = (
    "/_sandbox", "/session/", "/authenticate/", "/buy/", "/portal/", "/pay/", "/static/", "/uploads/",
    "/favicon.ico",
)  # fmt: skip
# A merchant's program calls these at its customers', where there is no key (docs, License Keys).
PUBLIC_PREFIX = "/licenses/"
# What a path is about, for `match`: its first word -> the kind of object that its second names.
KIND_OF_NOUN = {
    "payments": "payments",
    "checkouts": "sessions",
    "subscriptions": "subscriptions",
    "refunds": "refunds",
    "disputes": "disputes",
}
# In a fault's place of an endpoint: whatever route of the wire comes next.
ANY_ENDPOINT = "*"


class Gateway:
    """The server's handler: decides what happens to each request."""

    def __init__(self, router: Router, twin: Twin) -> None:
        self._router = router
        self._twin = twin
        self._rate = rate.RateLimit()
        self._ids = Ids()

    def is_quick(self, request: Request) -> bool:
        """Whether nothing in a request's answer waits: it is the wire's, and no fault is ordered."""
        return is_wire(request.path) and not any(rule["times"] for rule in self._twin.store.setting("faults", []))

    def answer(self, request: Request, connection: Connection) -> Response | None:
        """Do a quick request; None for one that is not quick, or no more."""
        if not self.is_quick(request):
            return None
        return self._refusal(request) or self._perform(request, connection)

    def begins(self, request: Request, connection: Connection) -> bool:
        """Drop the connection early if a fault says so; nothing can have happened then."""
        if not is_wire(request.path):
            return True
        endpoint = self.endpoint_of(request)
        rule = take_rule(self._twin, lambda rule: _strikes_unread(rule, endpoint))
        if rule is None:
            return True
        log_id = request_log.add(self._twin, request, rule)
        strike_early(_fault(rule), request, connection)
        request_log.set_status(self._twin, log_id, None)
        return False

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request."""
        if not is_wire(request.path):
            connection.send(
                self._own(request, connection),
                keep_alive=request.keep_alive,
                with_body=request.method != "HEAD",
            )
            return
        answer = self._refusal(request)
        rule = self._rule_for(request) if answer is None else None
        if rule is None:
            answer = answer or self._perform(request, connection)
            connection.send(answer, keep_alive=request.keep_alive, with_body=request.method != "HEAD")
            return
        # A request that a fault holds, loses or ends the process with is in the log before that.
        log_id = request_log.add(self._twin, request, rule)
        point = _fault(rule).kill_point(str(rule["effect"]))
        if point is not None:
            self._die(point, request, connection, log_id)
        answer = self._effect(rule, request, connection)
        status = inflict(_fault(rule), request, connection, answer=answer, other_id=self._other_id(answer))
        request_log.set_status(self._twin, log_id, status)

    def endpoint_of(self, request: Request) -> str | None:
        """Return method and route template, parameters unnamed: `GET /payments/{}`."""
        matched = self._router.match(request.method, request.path)
        if matched is None:
            return None
        return normal_endpoint(f"{matched.route.method} {matched.route.template}")

    def _answer(self, request: Request, connection: Connection) -> Response:
        return self._router.respond(Call(self._twin, request, connection))

    def _own(self, request: Request, connection: Connection) -> Response:
        control = request.path.startswith("/_sandbox") or request.path == "/"
        refusal = why_not_local(request) if control else None
        if refusal is not None:
            return json_response(403, {"code": "FORBIDDEN", "message": refusal})
        if request.method == "GET" or control:
            # Control takes the store by itself: a reset has to wait for a delivery, which needs it too.
            return self._answer(request, connection)
        with self._twin.store.write():
            return self._answer(request, connection)

    def _refusal(self, request: Request) -> Response | None:
        refused = self._check_key(request) or self._check_rate(request)
        if refused is not None:
            request_log.add(self._twin, request, None, status=refused.status)
        return refused

    def _rule_for(self, request: Request) -> Doc | None:
        if not self._twin.store.setting("faults", []):
            return None
        endpoint, facts = self.endpoint_of(request), self._facts(request)
        return take_rule(self._twin, lambda rule: _fits(rule, endpoint, facts))

    def _perform(self, request: Request, connection: Connection) -> Response:
        """Do a request that no fault is meant for, and log it; one that writes does both or nothing."""
        with nullcontext() if request.method == "GET" else self._twin.store.write():
            answer = self._execute(request, connection)
            request_log.add(self._twin, request, None, status=answer.status)
        if answer.status in (404, 405) and self.endpoint_of(request) is None:
            unserved.note(self._twin, request.method, request.path)
        return answer

    def _execute(self, request: Request, connection: Connection) -> Response:
        """Do the request; one that writes is alone with the store while it runs."""
        request = unshifted(self._twin, request)
        if request.method == "GET":
            answer = self._answer(request, connection)
        else:
            with self._twin.store.write():
                answer = self._answer(request, connection)
        rate.add_headers(self._rate, self._twin, request, answer)
        stamp(self._twin, answer)
        return answer

    def _effect(self, rule: Doc, request: Request, connection: Connection) -> Response:
        """Let happen what the rule says and return the answer it would have had."""
        effect = str(rule["effect"])
        if effect == "before":
            return self._execute(request, connection)
        if effect == "twice":
            first = self._execute(request, connection)
            self._execute(request, connection)
            return first
        if effect.startswith("late:"):
            timer = threading.Timer(float(effect[5:]), self._execute, (request, connection))
            timer.daemon = True
            timer.start()
        return self._rehearse(request, connection) if _fault(rule).needs_answer else Response(200)

    def _rehearse(self, request: Request, connection: Connection) -> Response:
        """Make the answer that the request would get, and take everything it did back."""
        with self._twin.store.rehearsal():
            answer = self._answer(unshifted(self._twin, request), connection)
        stamp(self._twin, answer)
        return answer

    def _die(self, point: str, request: Request, connection: Connection, log_id: int) -> NoReturn:
        """End the process at a named point of this request, as if killed."""
        if point == "in_effect":
            with self._twin.store.write():
                self._answer(request, connection)
                os._exit(KILLED_STATUS)
        if point != "before_effect":
            answer = self._execute(request, connection)
            if point == "before_answer":
                request_log.set_status(self._twin, log_id, answer.status)
        os._exit(KILLED_STATUS)

    def _check_rate(self, request: Request) -> Response | None:
        limits = rate.limits_of(self._twin, request)
        wait_s = 0 if limits is None else self._rate.spend(rate.caller_of(request), limits)
        if not wait_s:
            return None
        refusal = json_response(429, {"code": "TOO_MANY_REQUESTS", "message": "Too many requests"})
        rate.add_headers(self._rate, self._twin, request, refusal)
        refusal.headers.append(("Retry-After", str(wait_s)))
        return refusal

    def _check_key(self, request: Request) -> Response | None:
        if request.path.startswith(PUBLIC_PREFIX):
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        expected = self._twin.options.api_key
        accepted = key and not key.startswith("bad")
        if why_not_local(request) is not None:
            # On loopback any key is taken; nowhere else.
            accepted = accepted and key == expected
        if scheme.lower() == "bearer" and accepted:
            return None
        body = {"code": "UNAUTHORIZED", "message": "You are not authorised to perform this action"}
        return json_response(401, body)

    def _facts(self, request: Request) -> tuple[str | None, str | None, Doc]:
        """Return (customer id, last four digits, metadata) a request is about, for `match`."""
        body = _object(request.body)
        about = self._about_path(request.path) or self._find("payments", body.get("payment_id")) or {}
        customer = body.get("customer")
        customer_id = customer.get("customer_id") if isinstance(customer, dict) else None
        customer_id = customer_id or about.get("customer_id") or _first(request.query, "customer_id")
        method = self._find("payment_methods", body.get("payment_method_id") or about.get("payment_method_id"))
        metadata = body.get("metadata") or about.get("metadata") or {}
        last4 = method["last4"] if method else (about.get("card") or {}).get("last4")
        return customer_id, last4, metadata if isinstance(metadata, dict) else {}

    def _find(self, kind: str, object_id: object) -> Doc | None:
        return self._twin.store.get(kind, object_id) if isinstance(object_id, str) else None

    def _about_path(self, path: str) -> Doc:
        noun, _, object_id = path.strip("/").partition("/")
        object_id = object_id.partition("/")[0]
        if noun == "customers" and object_id:
            return {"customer_id": object_id}
        return self._twin.store.get(KIND_OF_NOUN[noun], object_id) or {} if noun in KIND_OF_NOUN else {}

    def _other_id(self, answer: Response) -> str:
        """Return another payment's id than the answer's, made up if there is none."""
        own = _object(answer.body).get("payment_id")
        for payment in self._twin.store.find("payments", limit=2):
            if payment["id"] != own:
                return str(payment["id"])
        return self._ids.new("pay_")


def take_rule(twin: Twin, fits: Callable[[Doc], bool]) -> Doc | None:
    """Use up one pass of the first fault rule that fits, and return it."""
    if not twin.store.setting("faults", []):
        return None
    with twin.store.write():
        rules: list[Doc] = twin.store.setting("faults", [])
        for number, rule in enumerate(rules):
            if rule["times"] > 0 and fits(rule):
                used = {**rule, "times": rule["times"] - 1, "hits": rule["hits"] + 1}
                twin.store.set_setting("faults", [*rules[:number], used, *rules[number + 1 :]])
                return rule
    return None


def normal_endpoint(text: str) -> str:
    """Return an endpoint with its parameters unnamed, so that `{id}` and `{payment_id}` are one."""
    pieces = text.split("{")
    return pieces[0] + "".join("{" + piece[piece.find("}") :] for piece in pieces[1:])


def json_response(status: int, body: Any) -> Response:
    """Return an answer made outside the routes."""
    return Response(status, [("Content-Type", "application/json")], json.dumps(body).encode())


def is_wire(path: str) -> bool:
    """Return whether a path is the provider's: with a key, in the log, open to faults."""
    return path != "/" and not path.startswith(OWN_PREFIXES)


def _fault(rule: Doc) -> Fault:
    return Fault.parse(rule["fault"], rule.get("retry_after"))


def _strikes_unread(rule: Doc, endpoint: str | None) -> bool:
    # With an effect or a match the request must be read; the reset then comes after the reading.
    unconditional = rule["effect"] == "none" and not rule.get("match")
    return unconditional and _fault(rule).strikes_early and _endpoint_fits(rule, endpoint)


def _fits(rule: Doc, endpoint: str | None, facts: tuple[str | None, str | None, Doc]) -> bool:
    return _endpoint_fits(rule, endpoint) and Match.of(rule.get("match") or {}).fits(*facts)


def _endpoint_fits(rule: Doc, endpoint: str | None) -> bool:
    return endpoint is not None and rule["endpoint"] in (endpoint, ANY_ENDPOINT)


def _object(text: bytes) -> Doc:
    """Return the JSON object of a body, an empty one for anything else."""
    try:
        body = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _first(query: str, name: str) -> str | None:
    values = parse_qs(query).get(name)
    return values[0] if values else None
