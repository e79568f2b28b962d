"""`offers`: offers and funnels as TOML files, through the validator, and taken off at once."""

from pathlib import Path

import click

from encore.services import funnels, offer_files

from .faults import sentence
from .output import Shop, fail, json_option, print_json, print_records, with_shop

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def offers() -> None:
    """Offers and funnels."""


@offers.command("import")
@click.argument("file", type=_FILE)
@json_option
@with_shop
def import_file(shop: Shop, file: Path, as_json: bool) -> None:
    """Publish every offer and funnel of FILE, or none of them."""
    _print_result(offer_files.import_text(shop, _read(file)), file=file, as_json=as_json)


@offers.command()
@click.argument("file", type=_FILE)
@json_option
@with_shop
def check(shop: Shop, file: Path, as_json: bool) -> None:
    """Say what import would do with FILE, and do nothing."""
    _print_result(offer_files.check_text(shop, _read(file)), file=file, as_json=as_json)


@offers.command("list")
@json_option
@with_shop
def list_all(shop: Shop, as_json: bool) -> None:
    """List offers and funnels with version and state."""
    columns = ("noun", "id", "version", "state", "detail", "changed_at")
    print_records(funnels.list_all(shop), columns=columns, as_json=as_json, empty="No offers yet.")


@offers.command()
@click.argument("targets", metavar="FILE_OR_ID...", nargs=-1, required=True)
@with_shop
def pause(shop: Shop, targets: tuple[str, ...]) -> None:
    """Stop showing and accepting: from the next request on."""
    _set_state(shop, targets, state="paused")


@offers.command()
@click.argument("targets", metavar="FILE_OR_ID...", nargs=-1, required=True)
@with_shop
def resume(shop: Shop, targets: tuple[str, ...]) -> None:
    """Take up what was paused."""
    _set_state(shop, targets, state="live")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        fail(f"{file}: not UTF-8 text")


def _set_state(shop: Shop, targets: tuple[str, ...], *, state: funnels.State) -> None:
    found: list[tuple[funnels.Noun, str]] = []
    missing: list[str] = []
    for target in targets:
        ids = _ids(target)
        changed = funnels.set_state(shop, ids, state=state)
        found.extend(changed)
        missing.extend(id_ for id_ in ids if id_ not in {known for _, known in changed})
    for noun, id_ in found:
        click.echo(f"{state}  {noun} {id_}")
    if missing:
        fail(f"No offer or funnel is called {', '.join(missing)}.")


def _ids(target: str) -> list[str]:
    path = Path(target)
    if not path.is_file():
        return [target]
    try:
        return offer_files.ids_in(_read(path))
    except ValueError as error:
        fail(f"{target}: {error}")


def _print_result(result: offer_files.Imported | offer_files.Refused, *, file: Path, as_json: bool) -> None:
    match result:
        case offer_files.Imported(changes=changes):
            columns = ("noun", "id", "version", "what", "state")
            print_records(changes, columns=columns, as_json=as_json, empty="Nothing in it.")
        case offer_files.Refused(faults=faults):
            lines = [f"{file}:{at.line or 1}: {at.fault.where}: {sentence(at.fault)}" for at in faults]
            if as_json:
                print_json(
                    [
                        {"line": at.line, "where": at.fault.where, "key": at.fault.key, "said": sentence(at.fault)}
                        for at in faults
                    ]
                )
                raise click.exceptions.Exit(1)
            fail("\n".join([*lines, "Nothing was changed."]))


COMMANDS = (offers,)
