"""The commands of `python -m sandbox`: they only talk to the `/_sandbox/` routes of one that runs.

Answers are JSON on standard output. The exit status is 0 if done, 1 if the sandbox refused or did not answer (one
sentence on standard error), 2 if the command line makes no sense.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ..core.cards import table
from ..core.event_types import EVENT_TYPES
from .client import Client, CommandError
from .listen import listen

DEFAULT_URL = "http://127.0.0.1:4010"
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Options = argparse.Namespace
Command = Callable[[Client, Options], Any]


def run_command(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    options = command_parser().parse_args(arguments)
    try:
        answer = options.run(Client(options.url), options)
        if answer is not None:
            print(answer if isinstance(answer, str) else json.dumps(answer, indent=2, ensure_ascii=False), flush=True)
    except CommandError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read along, such as head, has seen enough. Python would write the rest when it ends: nowhere, then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parse_duration(text: str) -> float:
    """Read `90`, `90s`, `5m`, `2h` or `30d` into seconds; raises ArgumentTypeError."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 5m, 2h or 30d")
    return float(match[1]) * UNITS_S[match[2] or "s"]


def parse_setting(text: str) -> tuple[str, Any]:
    """Read `path=value`; the value is JSON if it can be, else text. Raises ArgumentTypeError."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting; write path=value")
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value


def nested(settings: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object that dotted paths describe: `a.b=1` is `{"a": {"b": 1}}`. Raises CommandError."""
    whole: dict[str, Any] = {}
    for path, value in settings:
        *parents, last = path.split(".")
        place = whole
        for name in parents:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise CommandError(f"{path}: {name} has a value already")
        place[last] = value
    return whole


# What each command does.


def _cards(client: Client, options: Options) -> Any:
    if options.json:
        return {"items": table()}
    rows = [
        f"{card['number']}  {card['expiry']}  {card['cvc']}  now {card['now']}, later {card['later']}"
        for card in table()
    ]
    return "\n".join(rows)


def _trigger(client: Client, options: Options) -> Any:
    if options.list:
        return "\n".join(EVENT_TYPES)
    return client.post("triggers", {"type": options.event, "set": dict(options.set)})


def _listen(client: Client, options: Options) -> Any:
    listen(client, options.forward_to, options.events.split(",") if options.events else [])


def _clock_show(client: Client, options: Options) -> Any:
    return client.get("clock")


def _clock_advance(client: Client, options: Options) -> Any:
    return client.post("clock", {"advance_s": options.by})


def _clock_to_next_renewal(client: Client, options: Options) -> Any:
    return client.post("clock", {"to": "next_renewal"})


def _clock_skew(client: Client, options: Options) -> Any:
    return client.post("clock", {"skew_s": -options.by if options.behind else options.by})


def _clock_freeze(client: Client, options: Options) -> Any:
    return client.post("clock", {"freeze": True})


def _clock_run(client: Client, options: Options) -> Any:
    return client.post("clock", {"freeze": False})


def _fault_add(client: Client, options: Options) -> Any:
    order = {"endpoint": options.endpoint, "fault": options.fault, "effect": options.effect, "times": options.times}
    if options.retry_after is not None:
        order["retry_after"] = options.retry_after
    return client.post("faults", {**order, **_match(options)})


def _fault_list(client: Client, options: Options) -> Any:
    return client.get("faults")


def _fault_clear(client: Client, options: Options) -> Any:
    client.delete(f"faults/{quote(options.id, safe='')}" if options.id else "faults")
    return client.get("faults")


def _fail_next(client: Client, options: Options) -> Any:
    order = {"outcome": "failed", "error_code": options.code, "times": options.times}
    return client.post("payments", {**order, **_match(options)})


def _charge_next(client: Client, options: Options) -> Any:
    if options.clear:
        client.delete("payments")
        return client.get("payments")
    return client.post("payments", {"outcome": options.outcome, "times": options.times, **_match(options)})


def _rate(client: Client, options: Options) -> Any:
    return client.post("rate", {"rate": options.tier}) if options.tier else client.get("rate")


def _settle(client: Client, options: Options) -> Any:
    field = "refund_id" if options.id.startswith("ref_") else "payment_id"
    code = {"error_code": options.code} if options.code else {}
    return client.post("settle", {field: options.id, "status": options.status, **code})


def _refund(client: Client, options: Options) -> Any:
    return client.post("refunds", {"payment_id": options.payment_id, **_part(options)})


def _dispute(client: Client, options: Options) -> Any:
    if options.outcome:
        return client.post("disputes", {"dispute_id": options.id, "outcome": options.outcome})
    return client.post("disputes", {"payment_id": options.id, **_part(options)})


def _part(options: Options) -> Any:
    part = {"amount": options.amount, "reason": options.reason}
    return {name: value for name, value in part.items() if value is not None}


def _renew(client: Client, options: Options) -> Any:
    return client.post("renewals", {"subscription_id": options.subscription_id})


def _portal(client: Client, options: Options) -> Any:
    return client.wire("POST", f"customers/{quote(options.customer_id, safe='')}/customer-portal/session")["link"]


def _endpoints(client: Client, options: Options) -> Any:
    return client.post("endpoints", {"url": options.add}) if options.add else client.get("endpoints")


def _match(options: Options) -> Any:
    match = {"customer_id": options.customer, "card": options.card, "metadata": dict(options.metadata)}
    named = {name: value for name, value in match.items() if value}
    return {"match": named} if named else {}


def _deliveries(client: Client, options: Options) -> Any:
    if options.resend:
        return client.post("webhooks", {"again": options.resend})
    return client.get("deliveries")


def _reset(client: Client, options: Options) -> Any:
    return client.post("reset", {})


def _snapshot_save(client: Client, options: Options) -> Any:
    return client.post("snapshots", {"name": options.name})


def _snapshot_restore(client: Client, options: Options) -> Any:
    return client.post("snapshots", {"restore": options.name})


def _snapshot_delete(client: Client, options: Options) -> Any:
    client.delete(f"snapshots/{quote(options.name, safe='')}")
    return client.get("snapshots")


def _scenario_load(client: Client, options: Options) -> Any:
    return client.post("scenarios", {"name": options.name})


def _wire(method: str) -> Command:
    """Return the command that sends a request as a shop would, with a body if the command takes settings."""
    return lambda client, options: client.wire(method, options.path, nested(options.set) if "set" in options else None)


def _reading(route: str) -> Command:
    return lambda client, options: client.get(route)


def _settings(route: str) -> Command:
    """Return the command that sets what is given as `name=value`, or reads if nothing is."""
    return lambda client, options: client.post(route, dict(options.set)) if options.set else client.get(route)


# What the command line looks like.


def command_parser() -> argparse.ArgumentParser:
    """Return what reads a command line; each command's function is its `run`."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Commands for a sandbox that runs")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    cards = _add(commands, "cards", _cards, "list the test cards; needs no running sandbox")
    cards.add_argument("--json", action="store_true", help="as JSON")
    _add_trigger(commands)
    _add_listen(commands)
    _add_clock(commands)
    _add_faults(commands)
    fail = _add(commands, "fail-next", _fail_next, "decline the next charge")
    fail.add_argument("code", nargs="?", default="GENERIC_DECLINE", help="a card-decline code, such as EXPIRED_CARD")
    _add_match(fail)
    charge = _add(
        commands, "charge-next", _charge_next, "let the next charge end otherwise, or take back all such orders"
    )
    one = charge.add_mutually_exclusive_group(required=True)
    one.add_argument("outcome", nargs="?", help="a payment status, such as requires_customer_action or processing")
    one.add_argument("--clear", action="store_true", help="take back all that is ordered for next charges")
    _add_match(charge)
    _add_money(commands)
    deliveries = _add(commands, "deliveries", _deliveries, "list webhook deliveries, or send one again")
    deliveries.add_argument("--resend", metavar="ID", help="the webhook id (msg_..) to deliver anew")
    endpoints = _add(commands, "endpoints", _endpoints, "list the addresses events go to, or add one")
    endpoints.add_argument("--add", metavar="URL", help="such as http://127.0.0.1:5000/webhooks")
    _add(commands, "requests", _reading("requests"), "list the wire requests received, oldest first")
    _add(commands, "not-implemented", _reading("not-implemented"), "list the requests no route answered")
    rate = _add(commands, "rate", _rate, "read or set the rate limit")
    rate.add_argument("tier", nargs="?", help="off, 0, 1 or 2")
    _add(commands, "state", _reading("state"), "show everything that is ordered, with counts")
    for name, help_text in (
        ("webhooks", "read or set how webhooks are delivered, such as delay_s=7200 hold=true"),
        ("switches", "read or set switches, such as action_link=false"),
        ("lists", "read or set how lists mislead, such as lag_s=30"),
    ):
        _add(commands, name, _settings(name), help_text).add_argument(
            "set", nargs="*", type=parse_setting, metavar="name=value"
        )
    for name in ("get", "delete", "post", "patch", "put"):
        sent = _add(commands, name, _wire(name.upper()), f"send a {name.upper()} to the wire as a shop would")
        sent.add_argument("path", help="such as /payments")
        if name in ("post", "patch", "put"):
            sent.add_argument("set", nargs="*", type=parse_setting, metavar="name=value", help="customer.email=..")
    _add(commands, "reset", _reset, "start over; where webhooks go stays")
    _add_snapshot(commands)
    _add_scenario(commands)
    return parser


def _add(commands: Any, name: str, run: Command, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument(
        "--url", default=os.environ.get("SANDBOX_URL", DEFAULT_URL), help="where it runs; else $SANDBOX_URL, else 4010"
    )
    parser.set_defaults(run=run)
    return parser


def _group(commands: Any, name: str, help_text: str) -> Any:
    parser = commands.add_parser(name, help=help_text, description=help_text)
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def _add_trigger(commands: Any) -> None:
    parser = _add(commands, "trigger", _trigger, "make what an event is about, and send the event")
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("event", nargs="?", help="such as payment.succeeded")
    one.add_argument("--list", action="store_true", help="list the event types")
    parser.add_argument("--set", action="append", type=parse_setting, default=[], metavar="path=value",
                        help="such as customer.email=a@b.example, metadata.order=7, total_amount=100")  # fmt: skip


def _add_listen(commands: Any) -> None:
    parser = _add(commands, "listen", _listen, "send every event to an address too, and print each delivery")
    parser.add_argument("--forward-to", metavar="URL", help="such as http://127.0.0.1:5000/webhooks; else taken here")
    parser.add_argument("--events", metavar="TYPES", help="only these, separated by commas")


def _add_clock(commands: Any) -> None:
    actions = _group(commands, "clock", "read or move the sandbox clock")
    _add(actions, "show", _clock_show, "show sandbox time and real time")
    advance = _add(actions, "advance", _clock_advance, "move time forward; what is due then happens")
    advance.add_argument("by", type=parse_duration, help="such as 90s, 5m, 2h or 30d")
    _add(actions, "to-next-renewal", _clock_to_next_renewal, "move time to the next renewal of any subscription")
    skew = _add(actions, "skew", _clock_skew, "make the provider's clock wrong by so much, for what clients see")
    skew.add_argument("by", type=parse_duration, help="such as 15m, ahead of the sandbox clock; 0 puts it right")
    # An argument that begins with a minus would be taken for an option.
    skew.add_argument("--behind", action="store_true", help="behind it instead")
    _add(actions, "freeze", _clock_freeze, "stop time where it is")
    _add(actions, "run", _clock_run, "let time run on")


def _add_faults(commands: Any) -> None:
    actions = _group(commands, "faults", "order faults of the wire")
    add = _add(actions, "add", _fault_add, "order a fault for the next calls of an endpoint")
    add.add_argument("endpoint", help='method and route template, such as "POST /checkouts", or "*"')
    add.add_argument("fault", help="such as reset, timeout, status:503, kill; docs/operator/sandbox.md lists them")
    add.add_argument("--effect", default="none", help="none, before, late:<seconds> or twice")
    add.add_argument("--retry-after", help="the header of a 429")
    _add_match(add)
    _add(actions, "list", _fault_list, "list what is ordered, with hits")
    clear = _add(actions, "clear", _fault_clear, "take one fault back, or all")
    clear.add_argument("id", nargs="?", help="the number of one")


def _add_match(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=1, help="for how many (1)")
    parser.add_argument("--customer", metavar="ID", help="only for this customer")
    parser.add_argument("--card", metavar="NUMBER", help="only for this card, by number or last four digits")
    parser.add_argument("--metadata", action="append", type=parse_setting, default=[], metavar="key=value",
                        help="only with this metadata")  # fmt: skip


def _add_money(commands: Any) -> None:
    settle = _add(commands, "settle", _settle, "finish a payment or a refund that waits")
    settle.add_argument("id", help="of the payment (pay_..) or the refund (ref_..)")
    settle.add_argument("status", help="such as succeeded or failed")
    settle.add_argument("code", nargs="?", help="a card-decline code, for a payment that fails")
    refund = _add(commands, "refund", _refund, "begin a refund elsewhere than in the shop")
    refund.add_argument("payment_id")
    dispute = _add(commands, "dispute", _dispute, "open a dispute of a payment, or end one")
    dispute.add_argument("id", help="of the payment; with --outcome, of the dispute")
    dispute.add_argument("--outcome", help="how the dispute ends, such as won or lost")
    for parser in (refund, dispute):
        parser.add_argument("--amount", type=int, help="in minor units; else the whole")
        parser.add_argument("--reason")
    _add(commands, "renew", _renew, "pay a subscription's next period now").add_argument("subscription_id")
    _add(commands, "portal", _portal, "print a link to a customer's portal").add_argument("customer_id")


def _add_snapshot(commands: Any) -> None:
    actions = _group(commands, "snapshot", "keep the whole sandbox under a name, or bring it back")
    for name, run, help_text in (
        ("save", _snapshot_save, "keep the sandbox as it is now"),
        ("restore", _snapshot_restore, "bring a snapshot back"),
        ("delete", _snapshot_delete, "forget a snapshot"),
    ):
        _add(actions, name, run, help_text).add_argument("name")
    _add(actions, "list", _reading("snapshots"), "list the snapshots")


def _add_scenario(commands: Any) -> None:
    actions = _group(commands, "scenario", "start over in a known situation")
    load = _add(actions, "load", _scenario_load, "start over with a scenario; prints the ids of what it made")
    load.add_argument("name")
    _add(actions, "list", _reading("scenarios"), "list the scenarios")
