"""What belongs to no object: where the provider sells, and in which languages a catalogue can be."""

from ..core.places import SUPPORTED_COUNTRIES
from ..http.call import Call, Routes, answer
from ..http.server import Response

routes = Routes()

# Code -> English name, own name; the codes are those of the SDK 1.123.0 (`LocaleInfo`). Vietnamese is not among them.
LOCALES = {
    "ar": ("Arabic", "العربية"),
    "ca": ("Catalan", "català"),
    "zh": ("Chinese", "中文"),
    "nl": ("Dutch", "Nederlands"),
    "en": ("English", "English"),
    "fr": ("French", "français"),
    "de": ("German", "Deutsch"),
    "he": ("Hebrew", "עברית"),
    "id": ("Indonesian", "Indonesia"),
    "it": ("Italian", "italiano"),
    "ja": ("Japanese", "日本語"),
    "ka": ("Georgian", "ქართული"),
    "ko": ("Korean", "한국어"),
    "ms": ("Malay", "Melayu"),
    "pl": ("Polish", "polski"),
    "pt": ("Portuguese", "português"),
    "ro": ("Romanian", "română"),
    "ru": ("Russian", "русский"),
    "es": ("Spanish", "español"),
    "sv": ("Swedish", "svenska"),
    "th": ("Thai", "ไทย"),
    "tr": ("Turkish", "Türkçe"),
}


@routes.get("/checkout/supported_countries")
def list_supported_countries(call: Call) -> Response:
    return answer(list(SUPPORTED_COUNTRIES))


@routes.get("/locales")
def list_locales(call: Call) -> Response:
    return answer([{"code": code, "name": name, "native_name": own_name} for code, (name, own_name) in LOCALES.items()])
