"""The HTML lint every answer of a test passes, and a small reader of forms; standard library only."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# Everything of htmx 4.0.1 we use; a name of htmx 2 would be ignored by the browser without a word.
HTMX_ATTRIBUTES = frozenset(["hx-post", "hx-get", "hx-target", "hx-swap", "hx-trigger", "hx-disable", "hx-sync"])
_HTMX_STATUS = re.compile(r"hx-status:([1-5][0-9]{2}|[1-5][0-9]x|[1-5]xx)")
_SWAPS = frozenset({"outerHTML", "innerHTML", "none"})


@dataclass
class Element:
    """An element with its attributes, its own and all contained text, and its children."""

    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = field(default=None, repr=False)
    children: list["Element"] = field(default_factory=list, repr=False)
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """All text inside, with single spaces; a no-break space counts as a space."""
        return " ".join(" ".join(self._texts()).split())

    def _texts(self) -> list[str]:
        return [*self.pieces, *(text for child in self.children for text in child._texts())]

    def all(self, tag: str = "*", **wanted: str) -> list["Element"]:
        """Every element below with this tag and these attributes (`_` stands for `-`)."""
        names = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [
            element
            for element in self._below()
            if tag in ("*", element.tag)
            and (not names or all(element.attributes.get(name) == value for name, value in names.items()))
        ]

    def one(self, tag: str = "*", **wanted: str) -> "Element":
        """The only such element."""
        found = self.all(tag, **wanted)
        assert len(found) == 1, f"{len(found)} elements match {tag} {wanted}"
        return found[0]

    def test_id(self, name: str) -> "Element":
        """The element with this `data-testid`."""
        return self.one(data_testid=name)

    def has_test_id(self, name: str) -> bool:
        """Whether an element with this `data-testid` is there."""
        return bool(self.all(data_testid=name))

    def _below(self) -> list["Element"]:
        found, waiting = [], [*reversed(self.children)]
        while waiting:
            found.append(element := waiting.pop())
            waiting += reversed(element.children)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#root", {})
        self.here = self.root
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.faults += [f"<{tag}> says {name} twice" for name in {n for n in names if names.count(n) > 1}]
        element = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(element)
        if tag not in _VOID:
            self.here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.here.tag != tag:
            self.faults.append(f"</{tag}> closes <{self.here.tag}>")
        if self.here.parent is not None:
            self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.here.pieces.append(data)


def read(html: str) -> Element:
    """Read a page or a fragment; the returned element contains it."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.root


def form_fields(form: Element) -> dict[str, str]:
    """The fields a browser would send with a form as it stands."""
    return {
        element.attributes["name"]: element.attributes.get("value", "")
        for element in form.all("input")
        if "name" in element.attributes
    }


class LintFault(AssertionError):
    """A page or fragment breaks a rule that every page keeps; the message lists all of them."""


def lint(html: str, *, is_fragment: bool) -> Element:
    """Check a page or fragment; returns it as elements. Raises LintFault with every fault."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    root = reader.root
    faults = [*reader.faults]
    if reader.here is not root:
        faults.append(f"<{reader.here.tag}> is never closed")
    if "{{" in html or "{%" in html:
        faults.append("a template tag was printed")
    faults += _ids(root)
    faults += [fault for form in root.all("form") for fault in _form(root, form)]
    faults += [fault for element in root.all() for fault in _element(root, element, is_fragment=is_fragment)]
    faults += _outline(root, is_fragment=is_fragment)
    if faults:
        raise LintFault("\n".join(faults))
    return root


def _ids(root: Element) -> list[str]:
    ids = [element.attributes["id"] for element in root.all() if "id" in element.attributes]
    faults = [f"id {name!r} stands there twice" for name in {i for i in ids if ids.count(i) > 1}]
    wanted = {
        name
        for element in root.all()
        for attribute in ("for", "aria-labelledby", "aria-describedby", "form")
        for name in element.attributes.get(attribute, "").split()
    }
    return [*faults, *(f"nothing has the id {name!r}" for name in wanted - set(ids))]


def _form(root: Element, form: Element) -> list[str]:
    attributes, faults = form.attributes, []
    if attributes.get("method", "").lower() != "post":
        faults.append("a form is not a post")
    action = attributes.get("action", "")
    if not action.startswith("/"):
        faults.append(f"a form's action is {action!r}")
    if "hx-post" in attributes and attributes["hx-post"] != action:
        faults.append(f"hx-post {attributes['hx-post']!r} is not the action {action!r}")
    if "hx-post" in attributes and not {"hx-target", "hx-swap", "hx-disable", "hx-sync"} <= set(attributes):
        faults.append(f"the form {action} can be sent twice or lands nowhere")
    if [e for e in form.all("input", name="csrf_token") if e.attributes.get("value")] == []:
        faults.append(f"the form {action} has no csrf_token")
    if action.startswith("/o/") and not form.all("input", name="offer_token"):
        faults.append(f"the form {action} has no offer_token")
    name = attributes.get("id")
    buttons = [*form.all("button"), *(root.all("button", form=name) if name else [])]
    if len(buttons) != 1:
        faults.append(f"the form {action} has {len(buttons)} buttons")
    if any("id" in child.attributes and child.attributes["id"] in ("action", "method") for child in form.all()):
        faults.append(f"the form {action} hides its own action")
    return faults


def _element(root: Element, element: Element, *, is_fragment: bool) -> list[str]:
    attributes, faults = element.attributes, []
    for name, value in attributes.items():
        if name.startswith("hx-") and name not in HTMX_ATTRIBUTES and not _HTMX_STATUS.fullmatch(name):
            faults.append(f"{name} is no attribute of htmx 4 that we use")
        if name.startswith("on") or name == "style" or value.strip().lower().startswith(("js:", "javascript:")):
            faults.append(f"<{element.tag}> runs or styles inline: {name}")
    if attributes.get("hx-swap", "outerHTML") not in _SWAPS:
        faults.append(f"hx-swap {attributes['hx-swap']!r}")
    target = attributes.get("hx-target", "")
    if target and not (
        target.startswith("#")
        and (root.all(id=target.removeprefix("#")) or (is_fragment and element.tag == "hx-partial"))
    ):
        faults.append(f"hx-target {target!r} is not in the page")
    if element.tag == "script" and (element.text or not attributes.get("src", "").startswith("/static/")):
        faults.append("a script is not a file of ours")
    if element.tag == "style":
        faults.append("there is an inline style")
    if element.tag == "img" and not {"alt", "width", "height"} <= set(attributes):
        faults.append("a picture lacks alt, width or height")
    if (
        element.tag == "input"
        and attributes.get("type") != "hidden"
        and not root.all("label", for_=attributes.get("id", ""))
    ):
        faults.append(f"the field {attributes.get('name')} has no label")
    if element.tag in ("button", "a") and not (element.text or attributes.get("aria-label")):
        faults.append(f"a {element.tag} has no words")
    if element.tag == "a" and "href" not in attributes:
        faults.append("a link leads nowhere")
    return faults


def _outline(root: Element, *, is_fragment: bool) -> list[str]:
    faults = []
    headings = root.all("h1")
    if len(headings) != 1:
        faults.append(f"{len(headings)} first headings")
    if is_fragment:
        roots = [e for e in root.children if e.tag not in ("title", "hx-partial")]
        if len(roots) != 1 or "id" not in roots[0].attributes:
            faults.append("a fragment has one root with an id")
        return faults
    html = root.all("html")
    if not html or not html[0].attributes.get("lang"):
        faults.append("the page names no language")
    faults += [
        f"{len(root.all(tag))} <{tag}>" for tag in ("title", "main", "header", "footer") if len(root.all(tag)) != 1
    ]
    if root.all("title") and not root.all("title")[0].text.replace("–", "").strip():
        faults.append("the title is empty")
    if root.all("main") and not root.all("main")[0].attributes.get("data-page-state"):
        faults.append("main does not name its state")
    if len(root.all(role="status")) != 1:
        faults.append(f"{len(root.all(role='status'))} status lines")
    return faults
