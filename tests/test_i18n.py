"""Both languages are whole, say the same, and write amounts and times as their readers do."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from encore.i18n import (
    LANGUAGES,
    best_language,
    format_clock,
    format_day,
    format_moment,
    format_money,
    method_label,
    reason_words,
    words,
)
from encore.mail_templates import render_mail
from encore.rules.card_declines import DeclineWords
from encore.rules.methods import MethodReason
from encore.rules.money import Money
from encore.rules.quotes import QuotedMethod

ROOT = Path(__file__).parent.parent
AT = 1_797_949_500_000  # Dec 22, 2026, 14:25 UTC
KEYS = [*(reason.value for reason in MethodReason), *(reason.value for reason in DeclineWords)]


@cache
def messages() -> dict[str, str]:
    """Every message of the templates and of the code, with the file that says it first."""
    jinja = [("**.html", "jinja2.ext:babel_extract"), ("**.txt", "jinja2.ext:babel_extract")]
    options = {pattern: {"trimmed": "true", "silent": "false"} for pattern, _ in jinja}
    found = [*extract_from_dir(ROOT / "templates", jinja, options)]
    for package in ("encore", "blueprints"):
        found += extract_from_dir(ROOT / package, [("**.py", "python")])
    return {str(message): str(name) for name, _, message, _, _ in found if isinstance(message, str)}


@cache
def catalogue(language: str) -> dict[str, str]:
    with (ROOT / f"encore/locales/{language}/LC_MESSAGES/encore.po").open("rb") as source:
        return {str(m.id): str(m.string) for m in read_po(source, locale=language, abort_invalid=True) if m.id}


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)s", text))


def test_every_language_has_a_catalogue() -> None:
    assert {path.name for path in (ROOT / "encore/locales").iterdir()} == set(LANGUAGES)


@pytest.mark.criterion("P18")
@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_no_message_lacks_its_translation(language: str) -> None:
    translated = catalogue(language)

    missing = {message: where for message, where in messages().items() if not translated.get(message)}

    assert missing == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_key_has_words(language: str) -> None:
    assert [key for key in KEYS if not reason_words(key, language=language)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue_holds_nothing_that_nobody_says(language: str) -> None:
    said = {*messages(), *KEYS} if language != "en" else set(KEYS)

    assert set(catalogue(language)) - said == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_fill_in_the_same_facts(language: str) -> None:
    wrong = {m: t for m, t in catalogue(language).items() if m not in KEYS and placeholders(m) != placeholders(t)}

    assert wrong == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_unsure_of_itself(language: str) -> None:
    text = (ROOT / f"encore/locales/{language}/LC_MESSAGES/encore.po").read_text("utf-8")

    assert "fuzzy" not in text
    assert "#~" not in text


# Sentences whose words were decided (ux.md, section 3), as (English, Vietnamese).
DECIDED = {
    "W1": ("Continue to payment", "Tiếp tục đến trang thanh toán"),
    "W4": ("You left the checkout. Nothing was charged.", "Bạn đã rời trang thanh toán. Bạn không bị trừ tiền."),
    "W5": (
        "Payment received. Your order is complete.",
        "Đã nhận thanh toán. Đơn hàng của bạn đã hoàn tất.",
    ),
    "W7": ("Pay %(total)s now", "Thanh toán %(total)s ngay"),
    "W8": ("No, thank you", "Không, cảm ơn"),
    "W9": (
        "Charged once to %(card)s. A second payment today; with your order: %(sum)s.",
        "Trả một lần bằng %(card)s. Đây là khoản thứ hai hôm nay; cộng với đơn hàng: %(sum)s.",
    ),
    "W10": ("Use another card", "Dùng thẻ khác"),
    "W11": (
        "Payment sent. Waiting for the bank's answer.",
        "Đã gửi khoản thanh toán. Đang chờ ngân hàng trả lời.",
    ),
    "W13": ("Your bank wants to confirm that it is you.", "Ngân hàng cần xác nhận đó là bạn."),
    "W15": (
        "Your bank declined this payment. You were not charged, and your order is complete.",
        "Ngân hàng đã từ chối khoản này. Bạn không bị trừ tiền, và đơn hàng của bạn đã hoàn tất.",
    ),
    "W17": ("Pay another way", "Thanh toán cách khác"),
    "W18": ("Continue without it", "Tiếp tục, không mua"),
    "W19": (
        "One-click payment is not possible here, so you pay at the normal checkout.",
        "Không thể thanh toán một cú nhấp ở đây, nên bạn trả ở trang thanh toán thông thường.",
    ),
    "W20": (
        "This offer ended at %(time)s. Nothing was charged.",
        "Ưu đãi này đã kết thúc lúc %(time)s. Bạn không bị trừ tiền.",
    ),
    "W22": (
        "The amount changed from %(old)s to %(new)s. Nothing was charged. Please look again.",
        "Số tiền đã đổi từ %(old)s thành %(new)s. Bạn chưa bị trừ tiền. Vui lòng xem lại.",
    ),
    "W24": ("This offer is no longer available.", "Ưu đãi này không còn nữa."),
    "W36": (
        "This card pays for %(plan)s, so it cannot be removed.",
        "Thẻ này đang trả cho %(plan)s nên chưa thể xóa.",
    ),
    "W37": (
        "If we know this address, a sign-in link is on its way.",
        "Nếu địa chỉ này có trong hệ thống, liên kết đăng nhập đang được gửi đến bạn.",
    ),
    "W39": (
        "Something went wrong. We are checking whether a payment was made; please do not pay again.",
        "Đã có lỗi. Chúng tôi đang kiểm tra khoản thanh toán; vui lòng đừng thanh toán lần nữa.",
    ),
    "W41": ("Test shop. No real money moves.", "Cửa hàng thử nghiệm. Không có tiền thật."),
    "W49": (
        "The payment did not go through. You were not charged.",
        "Khoản thanh toán không thực hiện được. Bạn không bị trừ tiền.",
    ),
    "W50": ("We returned %(amount)s to %(card)s.", "Chúng tôi đã hoàn %(amount)s về %(card)s."),
    "W51": ("Not you? Sign out", "Không phải bạn? Đăng xuất"),
    "W52": (
        "Please use the device you paid on, or sign in.",
        "Vui lòng dùng thiết bị bạn đã thanh toán, hoặc đăng nhập.",
    ),
    "W53": ("Sign in to use another saved card.", "Đăng nhập để dùng thẻ khác đã lưu."),
}


@pytest.mark.parametrize("name", DECIDED)
def test_decided_words_are_used_as_decided(name: str) -> None:
    english, vietnamese = DECIDED[name]

    assert english in messages()
    assert words("vi").gettext(english) == vietnamese


# ---- Amounts and times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "english", "vietnamese"),
    [
        (2320, "USD", "$23.20", "23,20\xa0US$"),
        (0, "USD", "$0.00", "0,00\xa0US$"),
        (123456789, "EUR", "€1,234,567.89", "1.234.567,89\xa0€"),
        (250000, "VND", "₫250,000", "250.000\xa0₫"),
        (500, "JPY", "¥500", "500\xa0¥"),
        (2320, "ISK", "ISK23.20", "23,20\xa0ISK"),
        (100, "HUF", "HUF1.00", "1,00\xa0HUF"),
        (1500, "CLP", "CLP1,500", "1.500\xa0CLP"),
    ],
)
def test_amounts_have_the_providers_decimals(minor: int, currency: str, english: str, vietnamese: str) -> None:
    amount = Money(minor, currency)

    assert format_money(amount, "en").replace("\xa0", "") == english
    assert format_money(amount, "vi") == vietnamese


def test_times_name_their_zone() -> None:
    assert format_day(AT, "en", zone="UTC") == "Dec 22, 2026"
    assert format_day(AT, "vi", zone="UTC") == "22 thg 12, 2026"
    assert format_clock(AT, "en", zone="UTC").replace("\xa0", " ") == "2:25 PM UTC"
    assert format_clock(AT, "vi", zone="UTC").replace("\xa0", " ") == "14:25 UTC"
    assert format_clock(AT, "en", zone="Europe/Berlin").replace("\xa0", " ") == "3:25 PM (Berlin)"
    assert format_moment(AT, "vi", zone="Asia/Ho_Chi_Minh").replace("\xa0", " ").startswith("22 thg 12, 2026, 21:25")


def test_day_is_that_of_the_shops_zone() -> None:
    evening = AT + 10 * 3_600_000

    assert format_day(evening, "en", zone="UTC") == "Dec 23, 2026"
    assert format_day(evening, "en", zone="America/New_York") == "Dec 22, 2026"


@pytest.mark.parametrize(
    ("network", "last4", "kind", "label"),
    [
        ("visa", "4242", "card", "Visa •••• 4242"),
        ("MASTERCARD", "4444", "card", "Mastercard •••• 4444"),
        ("amex", "0005", "card", "American Express •••• 0005"),
        ("cartes_bancaires", "0001", "card", "Cartes Bancaires •••• 0001"),
        (None, "4242", "card", "Card •••• 4242"),
        (None, None, "upi_collect", "UPI"),
        (None, None, "apple_pay", "Apple pay"),
    ],
)
def test_methods_are_named_as_their_owners_know_them(
    network: str | None, last4: str | None, kind: str, label: str
) -> None:
    method = QuotedMethod(
        payment_method_id="pm_1", kind=kind, network=network, last4=last4, expiry_month=6, expiry_year=2032
    )

    assert method_label(method, "en").replace("\xa0", " ") == label


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("vi", "vi"), ("vi-VN", "vi"), ("vi_VN", "vi"), ("EN-us", "en"), ("fr", "en"), ("", "en"), (None, "en")],
)
def test_language_is_the_nearest_we_speak(wanted: str | None, found: str) -> None:
    assert best_language(wanted, fallback="en") == found


# ---- Messages ------------------------------------------------------------------------------------------------------

FACTS: dict[str, Any] = {
    "shop_name": "Paper & Co",
    "product_name": "Design <Templates>",
    "amount": Money(2320, "USD"),
    "card": QuotedMethod(
        payment_method_id="pm_1", kind="card", network="visa", last4="4242", expiry_month=6, expiry_year=2032
    ),
    "order_number": 1042,
    "order_url": "http://127.0.0.1:5000/orders/abc",
    "at": AT,
}
BUYER_KINDS = (
    *("receipt", "outcome_paid", "outcome_not_charged", "outcome_returned", "refund_done"),
    *("plan_changed", "plan_scheduled", "plan_not_changed", "plan_now", "dues_paid", "dues_not_paid"),
)


def mails(language: str) -> Iterator[tuple[str, str, str]]:
    for kind in BUYER_KINDS:
        yield render_mail(kind, language, zone="UTC", **FACTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_hold_their_facts_in_full(language: str) -> None:
    amount = {"en": "$23.20", "vi": "23,20 US$"}[language]
    for subject, html, text in mails(language):
        for fact in (amount, "Visa •••• 4242", "E-1042", "http://127.0.0.1:5000/orders/abc"):
            assert fact in html.replace("\xa0", " ")
            assert fact in text.replace("\xa0", " ")
        assert "Design <Templates>" in subject
        assert "Design <Templates>" in text
        assert "Design &lt;Templates&gt;" in html
        assert "Paper &amp; Co" in html
        assert f'<html lang="{language}">' in html
        assert "\n" not in subject


def test_messages_without_card_and_order_say_nothing_of_them() -> None:
    for _, html, text in (
        render_mail(kind, "en", **{**FACTS, "card": None, "order_number": None}) for kind in BUYER_KINDS
    ):
        assert "Paid with" not in html + text
        assert "E-" not in html + text


@pytest.mark.parametrize("language", LANGUAGES)
def test_alarm_names_what_happened_to_what(language: str) -> None:
    subject, html, text = render_mail(
        "alarm",
        language,
        shop_name="Paper & Co",
        alarm="unknown_old",
        object="att_1",
        detail="2 h without an answer",
        at=AT,
    )

    assert "unknown_old" in subject
    for fact in ("att_1", "2 h without an answer", "flask --app app doctor"):
        assert fact in html
        assert fact in text
