"""`doctor`: what is wrong with this installation, and the repair for each."""

from dataclasses import asdict

import click

from encore.services import doctor as doctor_service

from .output import Shop, json_option, print_json, with_shop


@click.command()
@json_option
@with_shop
def doctor(shop: Shop, as_json: bool) -> None:
    """Look at everything this installation needs; status 1 if something is a problem."""
    checks = doctor_service.examine(shop)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{check.level:<8} {check.name:<{width}}  {check.said}")
            if check.repair:
                click.echo(f"{'':<8} {'':<{width}}  -> {check.repair}")
    if not doctor_service.is_healthy(checks):
        raise click.exceptions.Exit(1)


COMMANDS = (doctor,)
