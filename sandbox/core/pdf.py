"""A small PDF writer: A4 pages of text and rules in Helvetica, which every reader has.

Helvetica as readers know it stops at Western European letters. A Vietnamese letter is drawn here as its base letter
with its marks (a Type 3 glyph each); a letter that cannot be composed so is drawn as a box. In every case the text
itself is in the file (`ActualText`), so that searching and copying give what was written.
"""

import unicodedata
from dataclasses import dataclass, field

PAGE_WIDTH, PAGE_HEIGHT = 595, 842
BOX = "\u25a1"
# Widths of the printable ASCII characters in Helvetica, in thousandths of the size (Adobe's font metrics).
_WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 "
    "584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 "
    "667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 "
    "278 556 500 722 500 500 500 334 260 334 584"
)
WIDTHS = {chr(32 + place): int(width) for place, width in enumerate(_WIDTHS.split())}
# Strokes of each combining mark around (c, y): the middle of the letter and a little above its top.
_STROKES = {
    "\u0301": "{c-40} {y} m {c+60} {y+130} l S",
    "\u0300": "{c+40} {y} m {c-60} {y+130} l S",
    "\u0302": "{c-120} {y} m {c} {y+110} l {c+120} {y} l S",
    "\u0303": "{c-130} {y+20} m {c-60} {y+140} {c+60} {y-60} {c+130} {y+80} c S",
    "\u0306": "{c-120} {y+100} m {c-90} {y-30} {c+90} {y-30} {c+120} {y+100} c S",
    "\u0309": "{c-60} {y+110} m {c-40} {y+190} {c+80} {y+180} {c+60} {y+90} c {c+50} {y+50} {c} {y+60} {c} {y} c S",
}
_DOT_BELOW, _HORN = "\u0323", "\u031b"
_CAP_HEIGHT, _X_HEIGHT = 718, 523


@dataclass
class Page:
    """One page; positions are points from the lower left corner."""

    _glyphs: "_Glyphs"
    _content: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, *, size: float = 10, bold: bool = False) -> None:
        """Write one line of text from `x` to the right."""
        font = "B" if bold else "F"
        self._content.append(f"/Span << /ActualText {_utf16(text)} >> BDC BT {x:.1f} {y:.1f} Td")
        for run, composed in _runs(text):
            name, code = ("V", self._glyphs.encode(run)) if composed else (font, run.encode("cp1252"))
            self._content.append(f"/{name} {size} Tf <{code.hex()}> Tj")
        self._content.append("ET EMC")

    def text_right(self, x: float, y: float, text: str, *, size: float = 10, bold: bool = False) -> None:
        """Write one line of text that ends at `x`."""
        self.text(x - width_of(text) * size / 1000, y, text, size=size, bold=bold)

    def rule(self, x: float, y: float, to_x: float) -> None:
        """Draw a thin horizontal line."""
        self._content.append(f"0.5 w {x} {y} m {to_x} {y} l S")

    def stream(self) -> bytes:
        """Return the page's content."""
        return "\n".join(self._content).encode("ascii")


class Document:
    """Pages, and the file they make."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._glyphs = _Glyphs()
        self.pages: list[Page] = []

    def add_page(self) -> Page:
        """Return a new empty page."""
        page = Page(self._glyphs)
        self.pages.append(page)
        return page

    def render(self) -> bytes:
        """Return the file."""
        # Numbers 1 to 5 are fixed: catalog, page tree, both Helveticas, information.
        first_free = 6
        glyph_at = first_free + 2 * len(self.pages)
        fonts = f"/F 3 0 R /B 4 0 R /V {glyph_at} 0 R"
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            self._tree(first_free),
            _helvetica("Helvetica"),
            _helvetica("Helvetica-Bold"),
            f"<< /Title {_utf16(self._title)} /Producer (Sandbox) >>".encode(),
        ]
        for number, page in enumerate(self.pages):
            box = f"/MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}]"
            content_at = first_free + 2 * number + 1
            resources = f"/Resources << /Font << {fonts} >> >>"
            objects.append(f"<< /Type /Page /Parent 2 0 R {box} {resources} /Contents {content_at} 0 R >>".encode())
            objects.append(_stream(page.stream()))
        objects += self._glyphs.objects(glyph_at)
        return _file(objects)

    def _tree(self, first: int) -> bytes:
        kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(self.pages)))
        return f"<< /Type /Pages /Kids [{kids}] /Count {len(self.pages)} >>".encode()


def width_of(text: str) -> int:
    """Return the width of a text in thousandths of its size; what is not ASCII is as wide as its base letter."""
    return sum(WIDTHS.get(character) or WIDTHS.get(_decompose(character)[0], 556) for character in text)


class _Glyphs:
    """The letters Helvetica does not have, each drawn once, as one Type 3 font."""

    def __init__(self) -> None:
        # One font has 256 places; the first is the box, which also stands for what finds no place.
        self._letters = [BOX]

    def encode(self, run: str) -> bytes:
        """Return the codes of letters, taking up those not met before."""
        for letter in run:
            if letter not in self._letters and len(self._letters) < 256:
                self._letters.append(letter)
        return bytes(self._letters.index(letter) if letter in self._letters else 0 for letter in run)

    def objects(self, number: int) -> list[bytes]:
        """Return the font and one stream for each letter, numbered from `number` on."""
        letters = self._letters
        names = [f"/g{place}" for place in range(len(letters))]
        procedures = " ".join(f"{name} {number + 1 + place} 0 R" for place, name in enumerate(names))
        font = (
            "<< /Type /Font /Subtype /Type3 /FontBBox [0 -250 1100 1100] /FontMatrix [0.001 0 0 0.001 0 0]"
            f" /FirstChar 0 /LastChar {len(letters) - 1} /Widths [{' '.join(str(width_of(c)) for c in letters)}]"
            f" /Encoding << /Type /Encoding /Differences [0 {' '.join(names)}] >> /CharProcs << {procedures} >>"
            " /Resources << /Font << /F 3 0 R >> >> >>"
        )
        return [font.encode(), *(_stream(_draw(letter).encode("ascii")) for letter in letters)]


def _runs(text: str) -> list[tuple[str, bool]]:
    """Cut a text into pieces that Helvetica has and pieces that are composed."""
    runs: list[tuple[str, bool]] = []
    for character in unicodedata.normalize("NFC", text):
        composed = not _in_helvetica(character)
        if runs and runs[-1][1] == composed:
            runs[-1] = (runs[-1][0] + character, composed)
        else:
            runs.append((character, composed))
    return runs


def _draw(letter: str) -> str:
    """Return the glyph program of one composed letter."""
    base, marks = _decompose(letter)
    width = width_of(letter)
    if not _in_helvetica(base) or not set(marks) <= {*_STROKES, _DOT_BELOW, _HORN, "-"}:
        return f"{width} 0 d0 40 w 60 0 {width - 120} 650 re S"
    top = _CAP_HEIGHT if base.isupper() else _X_HEIGHT
    above = [mark for mark in marks if mark in _STROKES]
    # An i under a mark loses its dot: code 1 is the dotless one.
    code = "01" if base == "i" and above else base.encode("cp1252").hex()
    program = [f"{width} 0 d0 BT /F 1000 Tf <{code}> Tj ET 1 J 1 j 55 w"]
    for place, mark in enumerate(above):
        # The second of two marks stands higher, and beside the first.
        values = {"c": width // 2 + 70 * place, "y": top + 70 + 130 * place}
        program.append(_placed(_STROKES[mark], values))
    if _DOT_BELOW in marks:
        program.append(f"100 w {width // 2} -150 m {width // 2} -150 l S 55 w")
    if _HORN in marks:
        # It joins the letter at the right shoulder.
        program.append(
            _placed("{x} {y} m {x+90} {y-10} {x+110} {y+70} {x+70} {y+130} c S", {"x": width - 90, "y": top - 60})
        )
    if "-" in marks:
        # The bar of a d: through the stem, left of a capital and right of a small letter.
        x, y = (10, 340) if base == "D" else (300, 610)
        program.append(f"{x} {y} m {x + 250} {y} l S")
    return " ".join(program)


def _placed(strokes: str, values: dict[str, int]) -> str:
    """Fill a stroke's places, `{c+60}` and the like, with numbers."""
    out = []
    for piece in strokes.split():
        if piece.startswith("{"):
            name, shift = piece[1], int(piece[2:-1] or 0)
            piece = str(values[name] + shift)
        out.append(piece)
    return " ".join(out)


def _decompose(character: str) -> tuple[str, str]:
    """Return base letter and marks; a barred d has no decomposition of its own, so its mark is called "-"."""
    if character in "đĐ":
        return ("d" if character == "đ" else "D"), "-"
    parts = unicodedata.normalize("NFD", character)
    return parts[0], parts[1:]


def _in_helvetica(character: str) -> bool:
    try:
        return character.encode("cp1252") >= b" "
    except UnicodeEncodeError:
        return False


def _helvetica(name: str) -> bytes:
    encoding = "<< /Type /Encoding /BaseEncoding /WinAnsiEncoding /Differences [1 /dotlessi] >>"
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding {encoding} >>".encode()


def _utf16(text: str) -> str:
    return f"<FEFF{text.encode('utf-16-be').hex()}>"


def _stream(content: bytes) -> bytes:
    return f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"


def _file(objects: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)
