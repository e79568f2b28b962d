"""The head of an answer: its header lines, read strictly, and once.

http.client reads them as an e-mail's, which took a tenth of what an accept costs (measured), and takes a head that
breaks off, or holds a line that is no header, for whole. All else of an answer is read by http.client's own code.
"""

import http.client
import re
from http.client import HTTPException, HTTPMessage, HTTPResponse
from types import FunctionType
from typing import BinaryIO

# A token, a colon, and a value without NUL or line break. Source: RFC 9110, sections 5.1 and 5.5; a value that goes on
# in the next line is obsolete (RFC 9112, section 5.2) and refused.
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*?)[ \t]*\r?\n")
# Those of http.client.
_LONGEST_LINE, _MOST_LINES = 65_536, 100


def read_head(source: BinaryIO, **_limits: object) -> HTTPMessage:
    """Read header lines up to the empty one; raises HTTPException if there is none, or a line is no header."""
    head = HTTPMessage()
    for _ in range(_MOST_LINES + 1):
        line = source.readline(_LONGEST_LINE + 1)
        if line in (b"\r\n", b"\n"):
            return head
        found = _HEADER.fullmatch(line)
        if found is None:
            raise HTTPException("not a header")
        head[found[1].decode("ascii")] = found[2].decode("iso-8859-1")
    raise HTTPException("too many headers")


# Its own code, with our reading in the place of its e-mail parser: there is no other way in.
_begin = FunctionType(HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": read_head})
_begin.__kwdefaults__ = HTTPResponse.begin.__kwdefaults__


class Answer(HTTPResponse):
    """An answer of the provider, its head read by `read_head`."""

    def begin(self) -> None:
        """Read the status line and the head."""
        _begin(self)
