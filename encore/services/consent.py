"""Consent: the exact words a buyer agreed to, kept with the yes as evidence."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What the buyer agreed to: the rendered words, the button, where and with what they pressed it.

    `ip` is truncated; `template` names the partial the words came from.
    """

    text: str
    button: str
    language: str
    template: str
    user_agent: str | None
    ip: str | None


def hosted_consent(language: str) -> Consent:
    """Return the consent of a yes without a one-click button: the words and the amount are the hosted page's."""
    return Consent(text="", button="", language=language, template="hosted_checkout", user_agent=None, ip=None)
