"""The head of an answer is whole and made of headers, or it is none."""

import io
import string
from email.parser import Parser
from http.client import HTTPException

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.dodo.heads import read_head

NAMES = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=20)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85"), max_size=60)


def head(*lines: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(lines) + b"\r\nthe body")


@given(lines=st.lists(st.tuples(NAMES, VALUES), max_size=20), space=st.sampled_from(["", " ", "\t "]))
def test_headers_are_read_as_the_e_mail_parser_reads_them(lines: list[tuple[str, str]], space: str) -> None:
    text = "".join(f"{name}:{space}{value}\r\n" for name, value in lines)
    source = head(text.encode("iso-8859-1"))

    found = read_head(source)

    there = Parser().parsestr(text + "\r\n").items()
    # Blanks after a value are no part of it; the e-mail parser leaves them.
    assert found.items() == [(name, value.rstrip(" \t")) for name, value in there]
    assert source.read() == b"the body"


@pytest.mark.parametrize(
    "lines",
    [
        (b"no colon\r\n",),
        (b": no name\r\n",),
        (b"Name : value\r\n",),
        (b" Name: value\r\n",),
        (b"Name: a\r\n", b"\tfolded\r\n"),
        (b"N\xc3\xa4me: value\r\n",),
        (b"Name: a\rb\r\n",),
        (b"Name: a\x00b\r\n",),
        (b"Name: " + b"x" * 65_536 + b"\r\n",),
        (b"Name: value\r\n",) * 101,
    ],
)
def test_what_is_no_header_makes_no_head(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(HTTPException):
        read_head(head(*lines))


@pytest.mark.parametrize("text", [b"", b"Name: value\r\n", b"Name: val"])
def test_head_that_breaks_off_is_none(text: bytes) -> None:
    with pytest.raises(HTTPException):
        read_head(io.BytesIO(text))


def test_hundred_headers_are_read() -> None:
    assert len(read_head(head(*(b"Name: value\r\n",) * 100)).items()) == 100
