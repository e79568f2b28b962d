"""What no template may do, what each file promises by its name, and how many bytes a page may weigh."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from tests.html import HTMX_ATTRIBUTES

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file())
HTML = [path for path in TEMPLATES if path.suffix == ".html"]
STATIC = ROOT / "static"

BANS = {
    "prints unescaped": r"\|\s*safe\b|\{%-?\s*autoescape|Markup\(",
    "styles inline": r"<style\b|\sstyle\s*=",
    "runs inline": r"<script(?![^>]*\bsrc=)|\son[a-z]+\s*=",
    "scripts in an attribute": r"hx-on\b|[\"']\s*js:|javascript:|\beval\(",
    "speaks htmx 2": r"hx-(disabled-elt|ext|vars|params|target-\d|push|ws|sse|boost|headers|vals)\b",
    "calculates": r"\{[{%][^}%]*[\w)\]]\s[-+*/%]\s[\w(\[][^}%]*[%}]\}",
    "loads from elsewhere": r"(?:src|href)=\"(?:https?:)?//",
    "asks for focus": r"\bautofocus\b",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("fault", BANS)
@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_template_keeps_the_ban(path: Path, fault: str) -> None:
    found = re.search(BANS[fault], path.read_text("utf-8"))

    assert found is None, f"{name_of(path)} {fault}: {found and found[0]}"


@pytest.mark.parametrize(
    ("fault", "breach"),
    [
        ("prints unescaped", "{{ words|safe }}"),
        ("styles inline", '<p style="color:red">'),
        ("runs inline", "<script>pay()</script>"),
        ("runs inline", '<a onclick="pay()">'),
        ("scripts in an attribute", '<form hx-on:click="pay()">'),
        ("scripts in an attribute", "<form hx-vals='js:{a: 1}'>"),
        ("speaks htmx 2", '<form hx-disabled-elt="this">'),
        ("calculates", "{{ price * quantity }}"),
        ("calculates", "{% set n = total - tax %}"),
        ("loads from elsewhere", '<img src="//cdn.example/x.png">'),
        ("asks for focus", "<input autofocus>"),
    ],
)
def test_each_ban_finds_its_breach(fault: str, breach: str) -> None:
    assert re.search(BANS[fault], breach)


@pytest.mark.parametrize("path", [path for path in HTML if path.name.startswith("_")], ids=name_of)
def test_partial_has_one_root_named_after_its_file(path: Path) -> None:
    if path.parent.name == "mail":
        return
    text = re.sub(r"\{#.*?#\}|\{% (?:from|import) .*?%\}", "", path.read_text("utf-8"), flags=re.DOTALL).strip()

    root = re.match(r'<(\w+) id="([\w-]+)"', text)

    assert root is not None, "its first tag has no id"
    assert root[2] == f"{path.parent.name}-{path.stem.removeprefix('_')}"
    assert text.endswith(f"</{root[1]}>")


@pytest.mark.parametrize("path", HTML, ids=name_of)
def test_components_hold_macros_only(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text("utf-8"), flags=re.DOTALL)
    outside = re.sub(r"\{%-?\s*macro\b.*?endmacro\s*-?%\}|\{% from .*?%\}", "", text, flags=re.DOTALL).strip()

    assert (outside == "") or path.parent.name != "components"


def test_macros_that_are_imported_are_there_and_used() -> None:
    macros = {path: set(re.findall(r"\{%-? macro (\w+)\(", path.read_text("utf-8"))) for path in HTML}
    amiss = []
    for path in HTML:
        text = path.read_text("utf-8")
        for source, names in re.findall(r'\{% from "([^"]+)" import ([^%]+?) %\}', text):
            for name in names.split(", "):
                if name not in macros[ROOT / "templates" / source]:
                    amiss.append(f"{name_of(path)}: {source} has no {name}")
                if not re.search(rf"\b{name}\(", text):
                    amiss.append(f"{name_of(path)}: {name} is not used")

    assert amiss == []


@pytest.mark.parametrize("path", HTML, ids=name_of)
def test_only_known_attributes_of_htmx_are_used(path: Path) -> None:
    used = set(re.findall(r"\s(hx-[a-z-]+)", path.read_text("utf-8")))

    assert used <= HTMX_ATTRIBUTES | {"hx-status"}


def test_htmx_is_the_file_we_reviewed() -> None:
    facts = dict(line.split(": ", 1) for line in (STATIC / "vendor/VENDORED").read_text("utf-8").splitlines())
    content = (STATIC / "vendor" / facts["file"]).read_bytes()

    assert base64.b64encode(hashlib.sha384(content).digest()).decode() == facts["sha384"]
    assert facts["sha384"] == "Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"
    assert b"4.0.1" in content
    assert sorted(path.name for path in (STATIC / "vendor").iterdir()) == ["VENDORED", facts["file"]]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("css/encore.css", 36_000), ("js/encore.js", 4_000), ("icons.svg", 6_000), ("vendor/htmx-4.0.1.min.js", 37_448)],
)
def test_file_stays_within_its_bytes(name: str, limit: int) -> None:
    assert (STATIC / name).stat().st_size <= limit


def test_icons_used_are_the_icons_there() -> None:
    there = set(re.findall(r'<symbol id="(\w+)"', (STATIC / "icons.svg").read_text("utf-8")))
    used = {name for path in HTML for name in re.findall(r'icon\("(\w+)"', path.read_text("utf-8"))}

    assert used == there


def test_style_sheet_loads_nothing_and_hides_no_focus() -> None:
    sheet = (STATIC / "css/encore.css").read_text("utf-8")

    assert "@import" not in sheet
    assert "url(" not in sheet
    assert ":focus-visible { outline: 3px solid var(--ink); outline-offset: 2px;" in sheet
