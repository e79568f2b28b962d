"""`audit`: prove that the provider's payments, our orders and accesses agree."""

from pathlib import Path

import click

from encore.services import audit as audit_service

from .output import Shop, fail, json_option, print_json, with_shop


@click.command()
@click.option(
    "--witness",
    "witness_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A log of what the provider received and delivered, as JSON.",
)
@json_option
@with_shop
def audit(shop: Shop, witness_file: Path | None, as_json: bool) -> None:
    """Check every invariant; status 1 if one is broken, and its name."""
    try:
        witness = audit_service.read_witness(witness_file.read_text("utf-8")) if witness_file else None
    except (audit_service.WitnessUnreadable, UnicodeDecodeError) as error:
        fail(f"{witness_file}: {error}")
    report = audit_service.run(shop, witness=witness)
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo("\n".join(audit_service.render(report)))
    if report.exit_status:
        raise click.exceptions.Exit(report.exit_status)


COMMANDS = (audit,)
