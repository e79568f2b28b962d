"""Reading provider JSON: strictly as a document, tolerantly as a contract."""

import json
import math
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class BadBody(ValueError):
    """The body is not the JSON we were promised; the text says why and never quotes the body."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadBody("repeated key")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadBody("number out of range")
    return number


def _no_constant(text: str) -> float:
    raise BadBody(f"{text} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def read_json(body: bytes) -> object:
    """Parse one JSON document, refusing what parsers disagree about.

    Repeated keys, NaN, Infinity, numbers beyond a float and lone surrogates are refused: two readers of
    such a body could see two different payments. Raises BadBody.
    """
    try:
        document: object = _decoder.decode(body.decode("utf-8"))
        if b"\\u" in body:
            json.dumps(document, ensure_ascii=False).encode("utf-8")  # fails on a lone surrogate
    except BadBody:
        raise
    except (ValueError, RecursionError) as error:
        raise BadBody(type(error).__name__) from error
    return document


def read_model(body: bytes, model: type[T]) -> T:
    """Parse a body into a struct of `models`; unknown keys are ignored. Raises BadBody."""
    try:
        return msgspec.convert(read_json(body), model, strict=True)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise BadBody(str(error)) from error
