"""The rules of the house that import-linter cannot say, and the proof that its contracts can fail."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("blueprints", "encore", "sandbox")
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|ALTER TABLE|PRAGMA)\b")
CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "clock_gettime", "localtime", "gmtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
CHANCE = {"random", "secrets", "uuid"}

Breach = tuple[str, int]
Rule = Callable[[str, ast.Module], Iterator[int]]


def sources(root: Path = ROOT) -> list[Path]:
    return [root / "app.py", *(path for name in PACKAGES for path in sorted((root / name).rglob("*.py")))]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each absolutely imported module with its line; "from a import b" gives both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno
            for name in node.names:
                yield f"{node.module}.{name.name}", node.lineno


def nobody_imports_app(path: str, tree: ast.Module) -> Iterator[int]:
    return (line for name, line in imports(tree) if name.split(".")[0] == "app")


def only_services_open_a_write(path: str, tree: ast.Module) -> Iterator[int]:
    # The store itself writes only to migrate.
    if path.startswith(("encore/services/", "sandbox/")) or path == "encore/store/schema.py":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "write":
            yield node.lineno


def only_the_clock_asks_the_time(path: str, tree: ast.Module) -> Iterator[int]:
    if path == "encore/clock.py" or path.startswith("sandbox/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if node.attr in CLOCKS.get(owner, ()):
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for name in node.names if name.name in CLOCKS["time"])


def only_ids_use_chance(path: str, tree: ast.Module) -> Iterator[int]:
    if path == "encore/ids.py" or path.startswith("sandbox/"):
        return
    yield from (line for name, line in imports(tree) if name.split(".")[0] in CHANCE or name == "os.urandom")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "urandom":
            yield node.lineno


def rules_import_the_standard_library_only(path: str, tree: ast.Module) -> Iterator[int]:
    if not path.startswith("encore/rules/"):
        return
    for name, line in imports(tree):
        if not (name.split(".")[0] in sys.stdlib_module_names or name.startswith("encore.rules")):
            yield line


def outer_packages_import_themselves_relatively(path: str, tree: ast.Module) -> Iterator[int]:
    # In a wheel they are encore.blueprints and encore.sandbox, where an absolute name would find nothing.
    own = path.split("/")[0]
    if own in ("blueprints", "sandbox"):
        yield from (line for name, line in imports(tree) if name.split(".")[0] == own)


def core_imports_itself_absolutely(path: str, tree: ast.Module) -> Iterator[int]:
    if path.startswith("encore/"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield node.lineno


def sql_lives_in_the_store(path: str, tree: ast.Module) -> Iterator[int]:
    if path.startswith(("encore/store/", "sandbox/")):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            yield node.lineno


RULES: dict[Rule, tuple[str, str]] = {
    nobody_imports_app: ("blueprints/web.py", "from app import create_app"),
    only_services_open_a_write: ("blueprints/offers/routes.py", "with shop.store.write():\n    pass"),
    only_the_clock_asks_the_time: ("encore/services/offers.py", "import time\nnow = time.time()"),
    only_ids_use_chance: ("encore/services/offers.py", "import secrets"),
    rules_import_the_standard_library_only: ("encore/rules/quotes.py", "import msgspec"),
    outer_packages_import_themselves_relatively: ("sandbox/core/cards.py", "from sandbox.core import clock"),
    core_imports_itself_absolutely: ("encore/dodo/client.py", "from . import answers"),
    sql_lives_in_the_store: ("encore/services/offers.py", 'store.rows("SELECT id FROM offers")'),
}
OTHER_WAYS = [
    (only_services_open_a_write, "blueprints/ops/cli.py", "begin = shop.store.write"),
    (only_the_clock_asks_the_time, "app.py", "from time import monotonic"),
    (only_the_clock_asks_the_time, "encore/rules/quotes.py", "import datetime\ndatetime.datetime.now()"),
    (only_ids_use_chance, "encore/keys.py", "import os\nos.urandom(8)"),
    (rules_import_the_standard_library_only, "encore/rules/money.py", "from encore import clock"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_keeps_the_rule(rule: Rule) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        for line in rule(path.relative_to(ROOT).as_posix(), parsed(path))
    ]

    assert found == []


def test_tests_open_the_stores_file_with_its_own_library() -> None:
    """A second SQLite in one process drops the first one's locks when it closes the file, and writes get lost."""
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        for name, _ in imports(ast.parse(path.read_text(encoding="utf-8")))
        if name.split(".")[0] == "sqlite3"
    ]

    assert found == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [*((rule, *planted) for rule, planted in RULES.items()), *OTHER_WAYS],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_rule_catches_a_planted_breach(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, ast.parse(source)))


# One breach for each contract of pyproject.toml: file, line to add, and the import the report must name.
PLANTED = {
    "layers": ("encore/rules/money.py", "import encore.services", "encore.rules.money -> encore.services"),
    "sandbox-and-encore": ("sandbox/core/clock.py", "import encore.ids", "sandbox.core.clock -> encore.ids"),
    "sandbox-and-blueprints": ("blueprints/web.py", "import sandbox.core.ids", "blueprints.web -> sandbox.core.ids"),
    "blueprints-apart": (
        "blueprints/offers/routes.py",
        "from ..storefront import routes as planted",
        "blueprints.offers.routes -> blueprints.storefront.routes",
    ),
    "pure-rules": ("encore/rules/quotes.py", "import babel", "encore.rules.quotes -> babel"),
    "no-flask-in-core": ("encore/store/engine.py", "import flask", "encore.store.engine -> flask"),
    "one-way-out": ("encore/services/catalogue.py", "import requests", "encore.services.catalogue -> requests"),
    "one-place-for-sql": ("encore/dodo/client.py", "import sqlite3", "encore.dodo.client -> sqlite3"),
    "routes-never-call-dodo": (
        "blueprints/checkout/routes.py",
        "import encore.dodo.client",
        "blueprints.checkout.routes -> encore.dodo.client",
    ),
}


def contracts() -> list[dict[str, object]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[dict[str, object]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return found


def test_every_contract_catches_its_planted_import(tmp_path: Path) -> None:
    assert set(PLANTED) == {contract["id"] for contract in contracts()}
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))

    kept = lint_imports(tmp_path)
    for path, line, _ in PLANTED.values():
        with (tmp_path / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    broken = lint_imports(tmp_path)

    assert f"Contracts: {len(PLANTED)} kept, 0 broken." in kept
    assert f"Contracts: 0 kept, {len(PLANTED)} broken." in broken
    assert [named for _, _, named in PLANTED.values() if named not in broken] == []


def lint_imports(root: Path) -> str:
    """Return what lint-imports says, with each run of blanks as one, since it wraps long lines."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("contract_id", "allowed"),
    [("one-way-out", {"encore.dodo", "encore.hooks"}), ("one-place-for-sql", {"encore.store"})],
)
def test_contract_names_every_part_of_the_core(contract_id: str, allowed: set[str]) -> None:
    contract = next(contract for contract in contracts() if contract["id"] == contract_id)
    named = contract["source_modules"]
    assert isinstance(named, list)

    parts = {
        f"encore.{path.stem}"
        for path in (ROOT / "encore").iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
    }

    assert parts - allowed == set(named) - {"blueprints"}


def test_contract_names_every_blueprint() -> None:
    contract = next(contract for contract in contracts() if contract["id"] == "blueprints-apart")

    folders = {
        f"blueprints.{path.name}"
        for path in (ROOT / "blueprints").iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }

    assert contract["modules"] == sorted(folders)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-test.txt"])
def test_lock_names_no_address_and_hashes_everything(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]

    assert not [line for line in lines if "://" in line or line.startswith("-")]
    assert pins
    assert not [line for line in pins if "==" not in line or not line.endswith("\\")]
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins)
