"""The words of the pages for buyers, English and Vietnamese; those of the portal are in portal_words.py."""

import unicodedata
from datetime import datetime
from functools import lru_cache

from babel import Locale
from babel.dates import format_date

from ..core.places import SUPPORTED_COUNTRIES
from .portal_words import PORTAL_WORDS

LANGUAGES = ("en", "vi")

# Key -> (English, Vietnamese). The provider's own page has its own words; these only need to be clear.
WORDS: dict[str, tuple[str, str]] = {
    "band": (
        "Sandbox. Test cards only; no real money moves.",
        "Môi trường thử nghiệm. Chỉ dùng thẻ thử; không có tiền thật.",
    ),
    "title": ("Checkout", "Thanh toán"),
    "order": ("Your order", "Đơn hàng của bạn"),
    "subtotal": ("Subtotal", "Tạm tính"),
    "discount": ("Discount", "Giảm giá"),
    "tax": ("Tax", "Thuế"),
    "tax_included": ("Tax, included", "Thuế, đã gồm"),
    "total": ("Total due today", "Tổng cộng hôm nay"),
    "every_Day": ("every day", "mỗi ngày"),
    "every_Week": ("every week", "mỗi tuần"),
    "every_Month": ("every month", "mỗi tháng"),
    "every_Year": ("every year", "mỗi năm"),
    "every_n_Day": ("every {n} days", "mỗi {n} ngày"),
    "every_n_Week": ("every {n} weeks", "mỗi {n} tuần"),
    "every_n_Month": ("every {n} months", "mỗi {n} tháng"),
    "every_n_Year": ("every {n} years", "mỗi {n} năm"),
    "trial_paid": ("trial of {days} days", "dùng thử {days} ngày"),
    "on_demand": ("charged on demand", "trả tiền khi có yêu cầu"),
    "on_demand_note": (
        "Your card is saved, and charged when the shop asks for it.",
        "Thẻ được lưu và bị trừ tiền khi cửa hàng yêu cầu.",
    ),
    "your_choice": ("Your choice", "Lựa chọn của bạn"),
    "name_price": (
        "{product}: your price in {currency}, at least {least}",
        "{product}: giá bạn trả bằng {currency}, ít nhất {least}",
    ),
    "currency": ("Currency", "Tiền tệ"),
    "trial": ("{days} days free", "{days} ngày dùng thử"),
    "later": ("Then {total} {every}, from {date}.", "Sau đó {total} {every}, từ {date}."),
    "details": ("Details", "Chi tiết"),
    "optional": ("(optional)", "(không bắt buộc)"),
    "choose": ("Choose", "Chọn"),
    "contact": ("Contact", "Liên hệ"),
    "email": ("E-mail", "Email"),
    "name": ("Full name", "Họ và tên"),
    "phone": ("Phone", "Điện thoại"),
    "billing": ("Billing address", "Địa chỉ thanh toán"),
    "country": ("Country", "Quốc gia"),
    "zipcode": ("Postal code", "Mã bưu chính"),
    "more_address": ("Add street, city, state", "Thêm đường, thành phố, bang"),
    "street": ("Street", "Đường"),
    "city": ("City", "Thành phố"),
    "state": ("State", "Bang / tỉnh"),
    "business": ("I am buying for a business", "Tôi mua cho doanh nghiệp"),
    "tax_id": ("Tax number", "Mã số thuế"),
    "business_name": ("Business name", "Tên doanh nghiệp"),
    "more": ("More about your order", "Thêm về đơn hàng"),
    "card": ("Card", "Thẻ"),
    "saved_card": ("Pay with", "Thanh toán bằng"),
    "new_card": ("Another card", "Thẻ khác"),
    "expires": ("expires", "hết hạn"),
    "card_number": ("Card number", "Số thẻ"),
    "expiry": ("Expiry (MM/YY)", "Hết hạn (MM/YY)"),
    "cvc": ("Security code", "Mã bảo mật"),
    "card_holder": ("Name on the card", "Tên trên thẻ"),
    "no_card_needed": ("Nothing is due, so no card is needed.", "Không có gì phải trả nên không cần thẻ."),
    "have_code": ("I have a discount code", "Tôi có mã giảm giá"),
    "discount_code": ("Discount code", "Mã giảm giá"),
    "pay": ("Pay {total}", "Thanh toán {total}"),
    "start_trial": ("Start the trial", "Bắt đầu dùng thử"),
    "complete": ("Complete the order", "Hoàn tất đơn hàng"),
    "date": ("Date", "Ngày"),
    "sum": ("Total", "Tổng cộng"),
    "check_again": ("Check again", "Kiểm tra lại"),
    "update_total": ("Update the total", "Cập nhật tổng tiền"),
    "saved_note": (
        "Your card is saved for later purchases you confirm.",
        "Thẻ được lưu cho những lần mua sau mà bạn xác nhận.",
    ),
    "mandate_note": (
        "Your card is saved, and charged for each period until you cancel.",
        "Thẻ được lưu và bị trừ tiền mỗi kỳ cho đến khi bạn hủy.",
    ),
    "test_cards": ("Test cards", "Thẻ thử"),
    "test_cards_note": ("Press one to fill in the card.", "Bấm để điền thông tin thẻ."),
    "cancel": ("Back to the shop", "Quay lại cửa hàng"),
    "return": ("Return to the shop", "Quay lại cửa hàng"),
    "paid": ("Payment received", "Đã nhận thanh toán"),
    "paid_text": (
        "{total} was paid. You can return to the shop.",
        "Đã thanh toán {total}. Bạn có thể quay lại cửa hàng.",
    ),
    "paying": ("Waiting for the bank", "Đang chờ ngân hàng"),
    "paying_text": (
        "The payment was sent and the bank has not answered yet. You may return to the shop.",
        "Khoản thanh toán đã được gửi và ngân hàng chưa trả lời. Bạn có thể quay lại cửa hàng.",
    ),
    "failed": ("The payment did not go through", "Khoản thanh toán không thực hiện được"),
    "failed_text": (
        "You were not charged. Try another card, or return to the shop.",
        "Bạn không bị trừ tiền. Hãy thử thẻ khác hoặc quay lại cửa hàng.",
    ),
    "expired": ("This checkout has expired", "Phiên thanh toán đã hết hạn"),
    "expired_text": (
        "Nothing was charged. Start again from the shop.",
        "Bạn không bị trừ tiền. Hãy bắt đầu lại từ cửa hàng.",
    ),
    "consumed": ("This checkout has already been used", "Phiên thanh toán này đã được dùng"),
    "consumed_text": ("It cannot be paid a second time.", "Không thể thanh toán lần thứ hai."),
    "unavailable": ("This order is no longer sold", "Đơn hàng này không còn được bán"),
    "unavailable_text": (
        "Something in it has changed. Nothing was charged. Start again from the shop.",
        "Có mục trong đơn đã thay đổi. Bạn không bị trừ tiền. Hãy bắt đầu lại từ cửa hàng.",
    ),
    "unknown": ("There is no such checkout", "Không có phiên thanh toán này"),
    "unknown_text": ("The address may be incomplete.", "Địa chỉ có thể chưa đầy đủ."),
    "authenticate": ("Your bank wants to know that it is you", "Ngân hàng cần xác nhận đó là bạn"),
    "authenticate_text": (
        "This stands for your bank's own page. {total} with the card ending in {last4}.",
        "Trang này thay cho trang của ngân hàng. {total} bằng thẻ có số cuối {last4}.",
    ),
    "approve": ("Approve the payment", "Xác nhận thanh toán"),
    "fail": ("Fail the authentication", "Từ chối xác thực"),
    "leave": ("Leave without an answer", "Rời trang mà không trả lời"),
    "errors": ("Please correct this", "Vui lòng sửa"),
    "error_email": (
        "Enter an e-mail address, such as lan@example.com.",
        "Nhập địa chỉ email, ví dụ lan@example.com.",
    ),
    "error_name": ("Enter your name.", "Nhập họ tên của bạn."),
    "error_phone": ("Enter your phone number.", "Nhập số điện thoại của bạn."),
    "error_country": ("Choose a country from the list.", "Chọn một quốc gia trong danh sách."),
    "error_zipcode": ("Enter your postal code.", "Nhập mã bưu chính."),
    "error_tax_id": ("Enter your tax number.", "Nhập mã số thuế."),
    "error_card_holder": ("Enter the name on the card.", "Nhập tên trên thẻ."),
    "error_custom": ("Please check “{label}”.", "Vui lòng kiểm tra “{label}”."),
    "error_card_number": (
        "Use one of the test cards below. Never type a real card here.",
        "Hãy dùng một thẻ thử bên dưới. Đừng nhập thẻ thật ở đây.",
    ),
    "error_expiry": (
        "Enter a month and year that are not past, such as 06/32.",
        "Nhập tháng và năm còn hiệu lực, ví dụ 06/32.",
    ),
    "error_cvc": ("Enter the three or four digits on the card.", "Nhập ba hoặc bốn chữ số trên thẻ."),
    "error_discount_code": ("This code cannot be used.", "Không dùng được mã này."),
    "error_cart": ("This order cannot be paid", "Không thể thanh toán đơn hàng này"),
    "language": ("Tiếng Việt", "English"),
    "reason_INSUFFICIENT_FUNDS": ("The card does not have enough funds.", "Thẻ không đủ số dư."),
    "reason_EXPIRED_CARD": ("The card has expired.", "Thẻ đã hết hạn."),
    "reason_INCORRECT_CVC": ("The security code is wrong.", "Mã bảo mật không đúng."),
    "reason_AUTHENTICATION_FAILURE": ("The authentication was not completed.", "Chưa hoàn tất xác thực."),
    "reason_PROCESSING_ERROR": (
        "The bank could not process it just now.",
        "Ngân hàng chưa xử lý được lúc này.",
    ),
    "reason": ("The bank declined the card.", "Ngân hàng đã từ chối thẻ."),
}  # fmt: skip


def words(language: str) -> dict[str, str]:
    """Return every text in one language."""
    place = LANGUAGES.index(language)
    return {key: texts[place] for key, texts in (WORDS | PORTAL_WORDS).items()}


@lru_cache
def country_choices(language: str) -> list[tuple[str, str]]:
    """Return `(code, name)` of every supported country, by name."""
    names = Locale(language).territories
    choices = [(code, names.get(code, code)) for code in SUPPORTED_COUNTRIES]
    return sorted(choices, key=lambda choice: _without_accents(choice[1]))


def day_text(moment: datetime, language: str) -> str:
    """Return a day for people: `Dec 5, 2026`, `5 thg 12, 2026`."""
    return format_date(moment, "medium", locale=language)


def choose_language(*candidates: str | None) -> str:
    """Return the first candidate (a language tag or an Accept-Language header) that is spoken here."""
    for candidate in candidates:
        for tag in (candidate or "").split(","):
            language = tag.split(";")[0].strip().lower()[:2]
            if language in LANGUAGES:
                return language
    return "en"


def _without_accents(text: str) -> str:
    plain = unicodedata.normalize("NFD", text.replace("Đ", "D").replace("đ", "d"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).lower()
