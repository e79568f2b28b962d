import ast
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from encore.clock import Clock
from encore.rules.conditions import FIELDS
from encore.rules.funnels import Funnel, read_funnel
from encore.rules.kinds import KINDS, Offer, read_offer
from encore.rules.plan_changes import MODES
from encore.rules.plan_groups import GROUP_FIELDS, PlanGroup, read_plan_group
from encore.settings import Settings, load_settings
from encore.store import open_store, schema
from sandbox.control.commands import command_parser

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "__pycache__" not in path.parts)

# How many lettered criteria each number has: R1 is R1a to R1d, R20 is one criterion.
LETTERED = {
    **{"R1": 4, "R2": 2, "R3": 2, "R4": 4, "R5": 3, "R6": 5, "R7": 3, "R8": 5, "R9": 4, "R10": 6, "R11": 2, "R12": 4},
    **{"R13": 3, "R14": 6, "R15": 5, "R16": 5, "R17": 4, "R18": 6, "R19": 7, "R24": 4, "R25": 3, "R26": 3, "R27": 3},
    **{"R29": 3, "R30": 3, "R31": 3, "R35": 3, "R36": 3, "R37": 5},
}
NUMBERED = {"R": 38, "P": 28, "N": 15}

Doc = dict[str, Any]


def all_ids() -> list[str]:
    numbers = [f"{group}{number}" for group, last in NUMBERED.items() for number in range(1, last + 1)]
    return [f"{n}{letter}" for n in numbers for letter in ("abcdefg"[: LETTERED[n]] if n in LETTERED else [""])]


def read_criteria() -> list[Doc]:
    found: list[Doc] = tomllib.loads((ROOT / "docs/criteria.toml").read_text("utf-8"))["criterion"]
    return found


# ---- Criteria --------------------------------------------------------------------------------------------------


def named_by(source: str) -> set[str]:
    """Return the criteria that the tests of a module name: in markers, or where their docstrings begin."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.criterion":
            found.update(ast.literal_eval(argument) for argument in node.args)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first_words = re.match(r"(Proves: )?((?:[RPN]\d+[a-z]?\b[ ,]*)+)", ast.get_docstring(node) or "")
            found.update(first_words[2].replace(",", " ").split() if first_words else ())
    return found


def named_by_tests() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in TESTS:
        if path == Path(__file__):
            continue
        for criterion in named_by(path.read_text("utf-8")):
            found.setdefault(criterion, []).append(path.relative_to(ROOT).as_posix())
    return found


def test_every_criterion_is_listed_once() -> None:
    counted = Counter(criterion["id"] for criterion in read_criteria())

    assert counted == Counter(all_ids())


def test_every_done_criterion_is_named_by_a_test() -> None:
    named = named_by_tests()

    assert [c["id"] for c in read_criteria() if c["state"] == "done" and c["id"] not in named] == []


def test_every_criterion_named_by_a_test_exists() -> None:
    unknown = {name: where for name, where in named_by_tests().items() if name not in all_ids()}

    assert unknown == {}


def test_every_criterion_says_whose_it_is() -> None:
    for criterion in read_criteria():
        assert set(criterion) - {"note"} == {"id", "text", "issue", "state"}, criterion
        assert criterion["issue"] in (2, 3, 4, "later"), criterion
        assert criterion["state"] in ("done", "open" if criterion["issue"] == 2 else "later"), criterion
        assert criterion["text"].endswith("."), criterion


def test_criteria_are_read_from_markers_and_docstrings() -> None:
    module = """
@pytest.mark.criterion("R1a", "R1b")
def test_one():
    '''R2a R2b: what it shows.'''
def test_two():
    '''Proves: R3a, R3b'''
def test_three():
    '''As R4a says.'''
def help_four():
    '''R4b'''
"""

    assert named_by(module) == {"R1a", "R1b", "R2a", "R2b", "R3a", "R3b"}


# ---- Links -----------------------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual hosts of repositories make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not aim.exists() or (anchor and anchor not in anchors_of(aim)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n[a](page.md#top) [b](gone.md) [c](#gone) [d](https://example.com/x) `[e](code.md)`\n", "utf-8"
    )

    assert list(broken_links(page)) == ["gone.md", "#gone"]


def test_every_decision_is_listed_under_its_number() -> None:
    folder = ROOT / "docs/adr"
    files = sorted(path.name for path in folder.glob("0*.md"))
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \|", (folder / "README.md").read_text("utf-8"), flags=re.MULTILINE)

    assert rows == [(name[:4], name) for name in files]


# ---- Commands --------------------------------------------------------------------------------------------------


def code_of(text: str) -> list[str]:
    """Return the code of a page, inline or fenced, a line each, without comments and what stands in a comment."""
    fenced = re.findall(r"^```(?:sh|console|text)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [re.sub(r"(^|\s)#.*", "", line) for block in [*fenced, *inline] for line in block.splitlines()]


def commands(program: str) -> set[str]:
    """Return every command line of the pages that calls a program, without the program's name."""
    lines = (line for page in PAGES for line in code_of(page.read_text("utf-8")))
    found = (re.search(rf"(?:^|\s){re.escape(program)}((?: [^|&;]*)?)$", line.strip()) for line in lines)
    return {match[1].strip() for match in found if match}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[click.Group]:
    settings: Settings = load_settings({"ENCORE_DATA": str(tmp_path_factory.mktemp("docs"))})
    store = open_store(settings.database_path)
    schema.upgrade(store, now=Clock().now())
    store.close()
    from app import create_app

    app = create_app(settings)
    yield app.cli
    app.extensions["encore"].close()


def resolve(cli: click.Group, line: str) -> str | None:
    """Say what is wrong with a command line, None if it would be understood as far as its options go."""
    command: click.Command = cli
    words = line.split()
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return "stops at a group"
    known = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else None


def test_every_flask_command_of_the_pages_exists(cli: click.Group) -> None:
    lines = commands("flask --app app")

    assert len(lines) > 10
    assert {line: fault for line in lines if (fault := resolve(cli, line))} == {}


def test_a_command_that_is_not_there_is_found(cli: click.Group) -> None:
    assert resolve(cli, "attempts hide") == "no command 'hide'"
    assert resolve(cli, "worker --twice") == "no option --twice"
    assert resolve(cli, "db") == "stops at a group"


def test_every_make_target_of_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    named = {word for line in commands("make") for word in line.split()[:1] if "=" not in word}

    assert {"run", "test"} <= named <= targets


def test_every_sandbox_command_of_the_pages_exists() -> None:
    lines = [line for line in commands("python -m sandbox") if line and not line.startswith("-")]

    assert lines
    for line in lines:
        # A command line that makes no sense ends the process with a usage.
        assert command_parser().parse_args(shlex.split(line)).run


# ---- Inventories -----------------------------------------------------------------------------------------------


def texts_in(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def first_cells(page: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)


def test_every_setting_is_documented_once() -> None:
    pattern = re.compile(r"(ENCORE|DODO_PAYMENTS)_[A-Z_]+|PORT|SANDBOX_PORT")
    read = {text for _, text in texts_in(ROOT / "encore") if pattern.fullmatch(text) and not text.endswith("_FILE")}

    assert Counter(first_cells("docs/operator/settings.md")) == Counter(read)


def alarm_kinds() -> set[str]:
    """Return every kind of alarm in the code: named where it is raised, in a constant, or as a payment's verdict."""
    found: set[str] = set()
    for path in sorted((ROOT / "encore").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="raise_alarm"), args=[_, ast.Constant(value=str(kind)), *_]):
                    found.add(kind)
                case ast.Call(func=ast.Name(id="KeepAndRefund"), args=[ast.Constant(value=str(kind))]):
                    found.add(kind)
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.endswith("_ALARM"):
                    kind = ast.literal_eval(value)
                    found.add(kind if isinstance(kind, str) else kind[0])
    # A buyer's own wish to undo is refunded without an alarm.
    return found - {"undo"}


def test_every_alarm_has_its_paragraph() -> None:
    headings = re.findall(r"^### `([a-z_]+)`$", (ROOT / "docs/operator/recovery.md").read_text("utf-8"), re.MULTILINE)

    assert Counter(headings) == Counter(alarm_kinds())


def test_every_condition_is_documented_with_its_operators() -> None:
    table = (ROOT / "docs/merchant/conditions.md").read_text("utf-8").partition("|---|")[2]
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| ([^|]+) \|", table, flags=re.MULTILINE)

    assert {field: set(re.findall(r"`([a-z_]+)`", cell)) for field, cell in rows} == {
        name: set(field.operators) for name, field in FIELDS.items()
    }


def test_every_field_of_an_offer_is_documented() -> None:
    page = (ROOT / "docs/merchant/start.md").read_text("utf-8")
    table = page.partition("## Fields of an offer")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| `([a-z_]+)` \|", table, flags=re.MULTILINE)) == {
        "id", "kind", *(field.name for field in KINDS["one_time"])
    }  # fmt: skip


def examples() -> list[str]:
    pages = (ROOT / "docs/merchant").glob("*.md")
    return [block for page in pages for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]


@pytest.mark.parametrize("text", examples(), ids=lambda text: str(next(iter(tomllib.loads(text).values()))[0]["id"]))
def test_every_example_of_the_merchant_pages_is_read(text: str) -> None:
    tables = tomllib.loads(text)

    assert all(isinstance(read_offer(table, version=1), Offer) for table in tables.get("offers", ()))
    assert all(isinstance(read_funnel(table, version=1), Funnel) for table in tables.get("funnels", ()))
    assert all(isinstance(read_plan_group(table, version=1), PlanGroup) for table in tables.get("plan_groups", ()))


def test_every_field_and_mode_of_plan_groups_and_plan_offers_is_documented() -> None:
    page = (ROOT / "docs/merchant/plans.md").read_text("utf-8")
    groups, _, rest = page.partition("## A higher plan as an offer")
    own = {field.name for field in KINDS["plan_change"]}

    assert set(re.findall(r"^\| `([a-z_]+)` \|", groups, flags=re.MULTILINE)) == {
        "id", *(field.name for field in GROUP_FIELDS), *MODES
    }  # fmt: skip
    assert {
        name for row in re.findall(r"^\| (`.*?) \|", rest, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    } == own
