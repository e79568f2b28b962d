"""The event types of the provider. Source: `WebhookEventType` of the Python SDK 1.123.0."""

EVENTS_OF = {
    "payment": "succeeded failed processing cancelled",
    "refund": "succeeded failed",
    "dispute": "opened expired accepted cancelled challenged won lost",
    "subscription": "active renewed on_hold past_due paused unpaused cancelled failed expired plan_changed updated"
    " update_payment_method",
    "license_key": "created",
    "payout": "created on_hold in_progress failed success",
    "credit": "added deducted expired rolled_over rollover_forfeited overage_charged overage_reset manual_adjustment"
    " balance_low",
    "abandoned_checkout": "detected recovered",
    "dunning": "started recovered",
    "entitlement_grant": "created delivered failed revoked",
}
EVENT_TYPES = tuple(f"{noun}.{name}" for noun, names in EVENTS_OF.items() for name in names.split())
