"""Messages as people read them: subject, HTML and plain text, rendered from `templates/mail/` without Flask."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from encore.i18n import format_day, format_moment, format_money, method_label, words

# A checkout keeps templates beside the package; an installed one holds them inside.
_HERE = Path(__file__).parent
_FOLDER = _HERE / "templates" if (_HERE / "templates").is_dir() else _HERE.parent / "templates"


def render_mail(kind: str, language: str, *, zone: str = "UTC", **facts: Any) -> tuple[str, str, str]:
    """Return (subject, html, text) of a message of `kind` in `language`; times are told in `zone`.

    `kind` is receipt, outcome_paid, outcome_not_charged, outcome_returned, refund_done, plan_changed, plan_scheduled,
    plan_not_changed, plan_now, dues_paid or dues_not_paid, with the facts shop_name, product_name, amount (Money), card
    (QuotedMethod or None), order_number (int or None), order_url and at (epoch milliseconds), and perhaps sum_today
    (Money), what an offer and the order before it add up to; trial_started, with those and trial_ends_at and
    price_after (Money or None); sign_in, with shop_name and url; or alarm, with shop_name, alarm,
    object, detail and at. Raises jinja2.UndefinedError if a fact is missing: a message without its
    facts must not leave.
    """
    environment = _environment(language, zone)
    subject = " ".join(environment.get_template(f"mail/{kind}.subject.txt").render(facts).split())
    values = {**facts, "subject": subject, "language": language}
    html = environment.get_template(f"mail/{kind}.html").render(values)
    text = environment.get_template(f"mail/{kind}.txt").render(values).strip() + "\n"
    return subject, html, text


@cache
def _environment(language: str, zone: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(("html",)),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    catalogue = words(language)
    environment.install_gettext_callables(catalogue.gettext, catalogue.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.filters["money"] = lambda amount: format_money(amount, language)
    environment.filters["card"] = lambda method: method_label(method, language)
    environment.filters["day"] = lambda at: format_day(at, language, zone=zone)
    environment.filters["moment"] = lambda at: format_moment(at, language, zone=zone)
    return environment
