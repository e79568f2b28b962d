"""Commands for a running sandbox: they only talk to its `/_sandbox/` routes."""

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from typing import Any

from ..core.cards import table

COMMANDS = ("cards", "clock", "fail-next", "deliveries", "requests", "reset")
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def run_command(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "cards":
        for card in table():
            print(f"{card['number']}  {card['expiry']}  {card['cvc']}  now {card['now']}, later {card['later']}")
        return 0
    try:
        print(json.dumps(_answer(options), indent=2, ensure_ascii=False))
    except urllib.error.HTTPError as error:
        print(f"sandbox: {error.read().decode(errors='replace')}", file=sys.stderr)
        return 1
    except urllib.error.URLError as error:
        print(f"sandbox: no answer from {options.url}: {error.reason}", file=sys.stderr)
        return 1
    return 0


def parse_duration(text: str) -> float:
    """Read `90`, `90s`, `5m`, `2h` or `30d` into seconds; raises ArgumentTypeError."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 5m, 2h or 30d")
    return float(match[1]) * UNITS_S[match[2] or "s"]


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--url", default="http://127.0.0.1:4010", help="where the sandbox runs")
    parser = argparse.ArgumentParser(prog="python -m sandbox")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cards", help="list the test cards")
    clock = commands.add_parser("clock", parents=[shared], help="read or move the sandbox clock")
    clock.add_argument("action", choices=["show", "advance", "freeze", "run"])
    clock.add_argument("by", nargs="?", type=parse_duration)
    fail = commands.add_parser("fail-next", parents=[shared], help="decline the next charge")
    fail.add_argument("code", nargs="?", default="GENERIC_DECLINE")
    for name, help_text in (
        ("deliveries", "list webhook deliveries"),
        ("requests", "list requests received"),
        ("reset", "start over"),
    ):
        commands.add_parser(name, parents=[shared], help=help_text)
    return parser


def _answer(options: argparse.Namespace) -> Any:
    if options.command == "clock":
        return _clock(options)
    if options.command == "fail-next":
        return _call(options.url, "payments", {"outcome": "failed", "error_code": options.code})
    return _call(options.url, options.command, {} if options.command == "reset" else None)


def _clock(options: argparse.Namespace) -> Any:
    if options.action == "show":
        return _call(options.url, "clock", None)
    if options.action == "advance":
        if options.by is None:
            raise SystemExit("python -m sandbox clock advance: say how far, such as 30d")
        return _call(options.url, "clock", {"advance_s": options.by})
    return _call(options.url, "clock", {"freeze": options.action == "freeze"})


def _call(url: str, route: str, body: object) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url.rstrip('/')}/_sandbox/{route}", data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())
