"""Broken: the sandbox reads the cookies that browsers send to every port, the shop's among them.

A plugin of pytest: with `-p tests.broken.ports_share_cookie` every sandbox that is started is `python -m` this module.
"""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests import sandbox_process


def pytest_configure(config: pytest.Config) -> None:
    """Start this module wherever a test starts the sandbox."""

    def start(command: list[str], **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen([__name__ if part == "sandbox" else part for part in command], **options)

    vars(sandbox_process)["subprocess"] = SimpleNamespace(Popen=start, PIPE=subprocess.PIPE)


def main(arguments: list[str]) -> int:
    """Run the sandbox with its two guards taken away."""
    from sandbox.http import request_log, server
    from sandbox.run import run_server

    parse = server._parse_head

    def parse_all(head: bytes, peer: str) -> server.Request:
        request = parse(head, peer)
        for line in head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            request.headers[name.strip().lower()] = value.strip()
        return request

    server._parse_head = parse_all
    vars(request_log)["SECRET_HEADERS"] = ()
    return run_server(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
