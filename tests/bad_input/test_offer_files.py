"""Offer files nobody should write: each is refused with its place, or is harmless; nothing is half published."""

import json
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blueprints.ops.commands.faults import sentence
from encore.services import offer_files
from tests.attacks.stage import Stage
from tests.sandbox_process import ROOT
from tests.scale import proves, scaled

FILES = scaled(150, proof=2_000)
RECIPE = (ROOT / "encore/services/recipes/starter-course.toml").read_text("utf-8")
MARKUP = "\"><img src=x onerror=alert(1)>'"
HOSTILE: tuple[Any, ...] = (
    *(
        [],
        {},
        [[]],
        [{}],
        "",
        "   ",
        "x" * 100_000,
        MARKUP,
        "\u0000",
        "\u202e",
        True,
        False,
        -1,
        0,
        2**31,
        2**63,
        10**40,
    ),
    *(-(2**63) - 1, float("inf"), float("nan"), -0.0, 1e308, date(2026, 1, 1), "../../x", "[[offers]]", "1" * 20),
)
NOT_TOML = {
    "empty": "",
    "only spaces": " \n\t\n",
    "binary": "\x00\x01\x02",
    "JSON": json.dumps({"offers": []}),
    "cut": RECIPE[: len(RECIPE) // 2] + '"',
    "twice": "a = 1\na = 2",
    "key of a table twice": RECIPE.replace('role = "upsell"', 'role = "upsell"\nrole = "upsell"', 1),
    "deep list": "a = " + "[" * 50_000 + "]" * 50_000,
    "deep table": "a = " + "{b = " * 20_000 + "1" + "}" * 20_000,
    "deep header": "[" + ".".join("a" * 1 for _ in range(20_000)) + "]",
    "number without end": "a = " + "9" * 10_000,
    "no number": "a = 0x",
    "bare surrogate": 'a = "\\uD800"',
    "other tables": "[admin]\nowner = true",
    "offers as a word": 'offers = "all"',
    "offers as a table": "[offers]\nid = 1",
    "funnels as a number": "funnels = 1",
    "hundred offers without an id": "[[offers]]\n" * 100,
}


@pytest.fixture(scope="module", autouse=True)
def nothing_published(stage: Stage) -> Iterator[None]:
    before = published(stage)
    yield
    assert published(stage) == before


def published(stage: Stage) -> Any:
    return stage.dump(but=tuple(set(stage.dump()) - {"offers", "offer_versions", "funnels", "funnel_versions"}))


def refuse(stage: Stage, text: str) -> None:
    result = offer_files.import_text(stage.shop, text)

    assert isinstance(result, offer_files.Refused)
    assert result.faults
    for located in result.faults:
        # Every fault is told in words, whatever stands in it.
        assert sentence(located.fault)


@pytest.mark.parametrize("name", NOT_TOML)
def test_text_that_is_no_offer_file_is_refused(stage: Stage, name: str) -> None:
    refuse(stage, NOT_TOML[name])


@proves(FILES, "offer files")
@settings(max_examples=FILES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(max_size=60)
    | st.sampled_from(["[[offers]]\n", "[[funnels]]\n"]).flatmap(lambda h: st.text(max_size=40).map(lambda t: h + t))
)
def test_any_text_is_refused_in_words(stage: Stage, text: str) -> None:
    refuse(stage, text)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, from the root down."""
    yield way
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield from places(part, (*way, key))


PLACES = [way for way in places(tomllib.loads(RECIPE)) if way]


@pytest.mark.parametrize("way", PLACES, ids=lambda way: ".".join(map(str, way)))
def test_wrong_value_at_any_place_is_refused_or_harmless(stage: Stage, way: tuple[Any, ...]) -> None:
    """Each place of a sound file in turn holds each hostile value; `check` reads as `import` does, and no more."""
    for value in HOSTILE:
        document = tomllib.loads(RECIPE)
        here = document
        for part in way[:-1]:
            here = here[part]
        here[way[-1]] = value

        result = offer_files.check_text(stage.shop, write(document))

        if isinstance(result, offer_files.Refused):
            assert all(sentence(located.fault) for located in result.faults)


def write(value: Any) -> str:
    """Write a document as TOML, all in inline tables."""
    return "\n".join(f"{json.dumps(name)} = {_inline(part)}" for name, part in value.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_inline(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool | str):
        return json.dumps(value).replace("\\u0000", "\\u0000").replace("\x7f", "\\u007f")
    return str(value)


def test_what_the_writer_writes_is_the_recipe() -> None:
    assert tomllib.loads(write(tomllib.loads(RECIPE))) == tomllib.loads(RECIPE)


HOSTILE_FILES = {
    "utf-16": b"\xff\xfe\x00",
    "byte order mark": b"\xef\xbb\xbf[[offers]]",
    "zeros": b"\x00" * 100,
    "deep": b"a = " + b"[" * 50_000,
    "endless": b"a = " + b"9" * 10_000,
}


@pytest.mark.parametrize("command", ["import", "check", "pause"])
@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_command_refuses_a_hostile_file_without_a_traceback(
    stage: Stage, command: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "offers.toml"
    file.write_bytes(HOSTILE_FILES[name])

    done = stage.app.test_cli_runner().invoke(args=["offers", command, str(file)])

    assert done.exit_code == 1, done.exception
    assert "Traceback" not in done.output
    assert done.output.strip()
