"""The evidence of a change of plan: the words its page showed, rendered again from the same values."""

import hashlib
from functools import cache
from pathlib import Path

from flask import current_app, render_template, request

from encore.services.consent import Consent
from encore.services.plan_pages import QuotePage

from ..security import hide_card_numbers, truncated_address
from ..web import language

# The parts of the page that hold words a buyer agrees to; their hash is the version in the evidence.
_WORDED = ("subscriptions/consent.txt", "components/plan.html")
_MAX_USER_AGENT = 300


def read_consent(page: QuotePage) -> Consent:
    """Return what the buyer of this request agrees to by confirming `page`."""
    lines = [line.strip() for line in render_template("subscriptions/consent.txt", page=page).splitlines()]
    said = [line for line in lines if line]
    return Consent(
        text="\n".join(said[:-1]),
        # The last line is the button: courts read it first.
        button=said[-1],
        language=language(),
        template=f"subscriptions/_preview.html@{_version(str(current_app.template_folder), current_app.root_path)}",
        user_agent=hide_card_numbers(request.user_agent.string)[:_MAX_USER_AGENT] or None,
        ip=truncated_address(),
    )


@cache
def _version(folder: str, root: str) -> str:
    digest = hashlib.sha256()
    for name in _WORDED:
        digest.update((Path(root) / folder / name).read_bytes())
    return digest.hexdigest()[:12]
