"""`python -m sandbox`: run the twin, or talk to one that runs.

python -m sandbox --port 4010 --db sandbox.sqlite3
python -m sandbox trigger payment.succeeded --set customer.email=minh@example.com
python -m sandbox clock advance 30d
python -m sandbox help
"""

import sys


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status. What does not begin with an option is a command."""
    if arguments and not arguments[0].startswith("-"):
        from .control.commands import run_command

        return run_command(["--help"] if arguments == ["help"] else arguments)
    # The server's imports are left until they are needed: a command should answer at once.
    from .run import run_server

    return run_server(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
