"""The three card inputs, wherever a page asks for a card."""

import re

from ..billing.charges import NO_SOURCE, Source
from ..core.cards import CARDS, Card, find_card, parse_expiry
from ..core.clock import rfc3339
from ..http.call import Call


def typed_card(call: Call, *, holder: str) -> tuple[Source, list[str]]:
    """Return the card typed into a form and the names of the inputs that cannot be used."""
    card = find_card(call.form.get("card_number", ""))
    expiry = parse_expiry(call.form.get("expiry", ""))
    errors = []
    if card is None:
        errors.append("card_number")
    if expiry is None or "-".join(reversed(expiry)) < rfc3339(call.twin.clock.now())[:7]:
        errors.append("expiry")
    if re.fullmatch(r"\s*\d{3,4}\s*", call.form.get("cvc", "")) is None:
        errors.append("cvc")
    if card is None or expiry is None or errors:
        return NO_SOURCE, errors
    return Source.typed(card, exp_month=expiry[0], exp_year=expiry[1], holder=holder), []


def chosen_card(call: Call) -> Card | None:
    """Return the test card whose button was pressed without JavaScript: `?card=4242`."""
    return next((card for card in CARDS if card.last4 == call.query.get("card")), None)
