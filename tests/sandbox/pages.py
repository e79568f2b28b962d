"""Reading the sandbox's pages as a browser without scripts would."""

from html.parser import HTMLParser
from typing import Any

from tests.sandbox_process import COURSE, SandboxProcess


class Page(HTMLParser):
    """The tags of a page that tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._forms: list[list[dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "form":
            self._forms.append([])
        elif tag in ("input", "select") and self._forms:
            self._forms[-1].append(dict(attrs))

    @property
    def state(self) -> str | None:
        return next(attrs.get("data-page-state") for tag, attrs in self.tags if tag == "main")

    def by_testid(self, name: str) -> dict[str, str | None] | None:
        return next((attrs for _, attrs in self.tags if attrs.get("data-testid") == name), None)

    def all_by_testid(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if attrs.get("data-testid") == name]

    def fields(self) -> list[str | None]:
        return [attrs.get("name") for tag, attrs in self.tags if tag in ("input", "select")]

    def field(self, name: str) -> dict[str, str | None]:
        return next(attrs for tag, attrs in self.tags if tag in ("input", "select") and attrs.get("name") == name)

    def form_with(self, name: str) -> list[str | None]:
        return next(
            [field.get("name") for field in form]
            for form in self._forms
            if any(field.get("name") == name for field in form)
        )


def open_session(sandbox: SandboxProcess, product_id: str = COURSE, **body: Any) -> str:
    order = {"product_cart": [{"product_id": product_id, "quantity": 1}], **body}
    return str(sandbox.post("/checkouts", order)["session_id"])


def page(sandbox: SandboxProcess, path: str, **options: Any) -> Page:
    return Page(sandbox.call("GET", path, **options).text)
