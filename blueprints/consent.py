"""The evidence of a yes: the words its page showed, rendered again from the same values."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flask import current_app, render_template, request

from encore.services.consent import Consent

from .security import hide_card_numbers, truncated_address
from .web import language

_MAX_USER_AGENT = 300


class Words(NamedTuple):
    """Where the words of a page's yes are.

    `text` is the template of the words alone, the button last; `page` the one that shows them; the hash of `parts`,
    the templates that hold words a buyer agrees to, is the version in the evidence.
    """

    text: str
    page: str
    parts: tuple[str, ...]


def read_consent(page: Any, words: Words) -> Consent:
    """Return what the buyer of this request agrees to by accepting `page`."""
    lines = [line.strip() for line in render_template(words.text, page=page).splitlines()]
    said = [line for line in lines if line]
    return Consent(
        text="\n".join(said[:-1]),
        # The last line is the button: courts read it first.
        button=said[-1],
        language=language(),
        template=f"{words.page}@{_version(words.parts, str(current_app.template_folder), current_app.root_path)}",
        user_agent=hide_card_numbers(request.user_agent.string)[:_MAX_USER_AGENT] or None,
        ip=truncated_address(),
    )


@cache
def _version(parts: tuple[str, ...], folder: str, root: str) -> str:
    digest = hashlib.sha256()
    for name in parts:
        digest.update((Path(root) / folder / name).read_bytes())
    return digest.hexdigest()[:12]
