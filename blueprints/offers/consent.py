"""The evidence of a yes: the words this page showed, rendered again from the same values."""

import hashlib
from functools import cache
from pathlib import Path

from flask import current_app, render_template, request

from encore.services.consent import Consent
from encore.services.pages import OfferPage

from ..security import hide_card_numbers, truncated_address
from ..web import language

# The parts of the page that hold words a buyer agrees to; their hash is the version in the evidence.
_WORDED = ("offers/_offer.html", "offers/consent.txt", "components/price.html")
_MAX_USER_AGENT = 300


def read_consent(page: OfferPage) -> Consent:
    """Return what the buyer of this request agrees to by accepting `page`."""
    text = render_template("offers/consent.txt", page=page)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return Consent(
        text="\n".join(lines[:-1]),
        # The last line is the button: courts read it first.
        button=lines[-1],
        language=language(),
        template=f"offers/_offer.html@{_version(str(current_app.template_folder), current_app.root_path)}",
        user_agent=hide_card_numbers(request.user_agent.string)[:_MAX_USER_AGENT] or None,
        ip=truncated_address(),
    )


@cache
def _version(folder: str, root: str) -> str:
    digest = hashlib.sha256()
    for name in _WORDED:
        digest.update((Path(root) / folder / name).read_bytes())
    return digest.hexdigest()[:12]
