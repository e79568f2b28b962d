"""Objects of an older sandbox file, completed with what the twin has learnt to keep since."""

from typing import Any

Doc = dict[str, Any]

# Kind -> what an object is given that has no such field: the value that means what the old twin did.
ADDED: dict[str, Doc] = {
    "products": {
        "image_id": None, "addons": None, "license_key_enabled": False, "license_key_activations_limit": None,
        "license_key_duration": None, "license_key_activation_message": None, "delivery": None, "pricing_mode": None,
    },
    "discounts": {"preserve_on_plan_change": False, "customer_eligibility": "any", "customer_ids": []},
    "sessions": {
        "tax_id": None, "business_name": None, "custom_fields": [], "theme": "system", "theme_config": {},
        "show_order_details": True, "show_on_demand_tag": True, "pay_button_text": None, "billing_currency": None,
        "fees_inclusive": None,
    },
    "payments": {"custom_field_responses": None, "effect": None, "retry_attempt": 0, "periods": []},
    "subscriptions": {
        "addons": [], "trial_amount": None, "trial_paid": None, "anchor_day": None, "discounts": [], "card": {},
        "on_demand": False, "cancelled_at": None, "cancelled_by": None, "cancellation_feedback": None,
        "cancellation_comment": None, "paused_at": None, "past_due_ends_at": None, "scheduled_change": None,
        "pending_payment_id": None, "owed_payment_id": None, "timer_at": None, "tax_id": None, "business_name": None,
        "fees_inclusive": None, "custom_field_responses": None, "product_description": None,
    },
}  # fmt: skip
# The same for the lines of a payment, and for the items of a session's cart.
ADDED_TO_LINES: Doc = {"addon": False, "prorated": False, "credited": 0}
ADDED_TO_CART: Doc = {"amount": None, "addons": [], "trial_days": None, "on_demand": None}
# The old twin knew one term and no category of its own for a subscription.
_TERM_MS = 20 * 365 * 86_400_000
_CATEGORY = "saas"


def completed(kind: str, doc: Doc) -> Doc:
    """Return an object with every field that the twin of today reads."""
    doc = {**ADDED.get(kind, {}), **doc}
    if kind == "payments":
        doc["lines"] = [{**ADDED_TO_LINES, **line} for line in doc["lines"]]
    elif kind == "sessions":
        doc["cart"] = [{**ADDED_TO_CART, **item} for item in doc["cart"]]
        # The inputs of an older form; they are typed again.
        doc["typed"] = None
    elif kind == "subscriptions" and "items" not in doc:
        doc |= {"term_end": doc["created_at"] + _TERM_MS, "items": [_item(doc)]}
    return doc


def _item(subscription: Doc) -> Doc:
    return {
        "kind": "subscription",
        "ref": subscription["product_id"],
        "name": subscription["product_name"],
        "description": None,
        "unit_price": subscription["unit_price"],
        "quantity": subscription["quantity"],
        "tax_category": _CATEGORY,
        "tax_inclusive": bool(subscription["tax_inclusive"]),
    }
