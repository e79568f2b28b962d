"""The command line: one module a noun. Exit status 0 is good, 1 a problem, 2 a command that makes no sense."""

from flask import Blueprint

from . import (
    alarms,
    attempts,
    audit,
    catalogue,
    database,
    doctor,
    mail,
    offers,
    plans,
    reconcile,
    web,
    webhooks,
    worker,
)

_NOUNS = (database, catalogue, offers, plans, web, worker, attempts, reconcile, webhooks, audit, doctor, alarms, mail)


def install(bp: Blueprint) -> None:
    """Add every command to the blueprint."""
    for module in _NOUNS:
        for command in module.COMMANDS:
            bp.cli.add_command(command)
