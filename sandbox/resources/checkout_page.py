"""What a checkout session orders for its page: flags, custom fields, looks (dodo-api.md 6.1)."""

from ..core.store import Doc
from ..http.call import flag, refuse_body, required_text, text

# The flags with their defaults.
FLAGS = {
    "redirect_immediately": False,
    "allow_currency_selection": True,
    "allow_discount_code": True,
    "allow_phone_number_collection": True,
    "require_phone_number": False,
    "allow_tax_id": True,
    "require_tax_id": False,
    "always_create_new_customer": False,
    "allow_editing_addons": False,
    "require_cardholder_name": False,
    "single_page": False,
    "allow_customer_editing_email": True,
    "allow_customer_editing_name": True,
    "allow_customer_editing_street": True,
    "allow_customer_editing_city": True,
    "allow_customer_editing_state": True,
    "allow_customer_editing_country": True,
    "allow_customer_editing_zipcode": True,
    "allow_customer_editing_tax_id": True,
    "allow_customer_editing_business_name": True,
}
MAX_CUSTOM_FIELDS = 5
FIELD_TYPES = ("text", "number", "email", "url", "date", "dropdown", "boolean")
THEMES = ("dark", "light", "system")


def read_page(body: Doc) -> Doc:
    """Return what a body of `POST /checkouts` says about its page; raises WireError."""
    return {
        "flags": _read_flags(body),
        "minimal_address": flag(body, "minimal_address"),
        "show_saved": flag(body, "show_saved_payment_methods"),
        "custom_fields": _read_custom_fields(body),
        **_read_customization(body),
    }


def _read_flags(body: Doc) -> Doc:
    given = _object(body, "feature_flags")
    return {name: flag(given, name, default=default) for name, default in FLAGS.items()}


def _read_custom_fields(body: Doc) -> list[Doc]:
    fields = body.get("custom_fields") or []
    if not isinstance(fields, list) or len(fields) > MAX_CUSTOM_FIELDS:
        raise refuse_body("custom_fields", f"must be a list of at most {MAX_CUSTOM_FIELDS} fields")
    return [_custom_field(field, f"custom_fields[{place}]") for place, field in enumerate(fields)]


def _custom_field(field: object, where: str) -> Doc:
    if not isinstance(field, dict):
        raise refuse_body(where, "must be an object")
    kind = field.get("field_type")
    if kind not in FIELD_TYPES:
        raise refuse_body(f"{where}.field_type", f"must be one of {', '.join(FIELD_TYPES)}")
    options = field.get("options") or []
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise refuse_body(f"{where}.options", "must be a list of strings")
    if kind == "dropdown" and not options:
        raise refuse_body(f"{where}.options", "is required for a dropdown")
    return {
        "key": required_text(field, "key", limit=100),
        "label": required_text(field, "label", limit=250),
        "field_type": kind,
        "options": options,
        "placeholder": text(field, "placeholder", limit=250),
        "required": flag(field, "required"),
    }


def _read_customization(body: Doc) -> Doc:
    given = _object(body, "customization")
    theme = given.get("theme")
    if theme is not None and theme not in THEMES:
        raise refuse_body("customization.theme", f"must be one of {', '.join(THEMES)}")
    config = _object(given, "theme_config")
    return {
        "language": text(given, "force_language", limit=35),
        "theme": theme or "system",
        # Colours are only looked at where the page's style sheet is made: one that is none leaves ours.
        "theme_config": config,
        "pay_button_text": text(config, "pay_button_text", limit=100),
        "show_on_demand_tag": flag(given, "show_on_demand_tag", default=True),
        "show_order_details": flag(given, "show_order_details", default=True),
    }


def _object(body: Doc, field: str) -> Doc:
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse_body(field, "must be an object")
    return value
