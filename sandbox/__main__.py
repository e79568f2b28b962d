"""`python -m sandbox`: run the twin, or talk to one that runs.

python -m sandbox --port 4010 --db sandbox.sqlite3
python -m sandbox cards | deliveries | requests | reset
python -m sandbox clock advance 30d
python -m sandbox fail-next INSUFFICIENT_FUNDS
"""

import sys

from .control.client import COMMANDS, run_command


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    if arguments and arguments[0] in COMMANDS:
        return run_command(arguments)
    # The server's imports are left until they are needed: a command should answer at once.
    from .run import run_server

    return run_server(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
