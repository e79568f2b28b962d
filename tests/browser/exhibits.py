"""What the gallery shows: the name of each page in a known state, and how a browser becomes its buyer."""

from dataclasses import dataclass

from playwright.sync_api import BrowserContext

# What is shown, and the page state it must be in: the names that tests are made of.
STATES = {
    "shop": "ready",
    "product": "ready",
    "product-recurring": "ready",
    "product-trial": "ready",
    "product-owned": "owned",
    "product-subscribed": "subscribed",
    "product-archived": "archived",
    "help": "ready",
    "missing": "error",
    "neutral": "other_browser",
    "cancelled": "cancelled",
    "waiting": "waiting",
    "still-processing": "still_processing",
    "payment-failed": "payment_failed",
    "trial-unseen": "still_processing",
    "offer": "offer",
    "offer-long": "offer",
    "offer-dong": "offer",
    "downsell": "offer",
    "no-method": "no_method",
    "moved": "quote_changed",
    "answered": "answered",
    "expired": "expired",
    "withdrawn": "withdrawn",
    "plan-offer": "offer",
    "plan-offer-moved": "quote_changed",
    "plan-offer-failed": "failed",
    "plan-offer-no-method": "no_method",
    "owned": "owned",
    "processing": "processing",
    "checking": "checking",
    "action-required": "action_required",
    "receipt": "receipt",
    "returned": "returned",
    "failed": "failed",
    "not-charged": "not_charged",
    "checkout-open": "checkout_open",
    "thanks": "thanks",
    "thanks-paid": "thanks",
    "thanks-trial": "thanks",
    "order": "order",
    "sign-in": "ready",
    "choose-card": "choose_card",
    "account": "ready",
    "account-methods": "list",
    "plan": "active",
    "plan-trial": "trial",
    "plan-upgrade": "preview",
    "plan-downgrade": "preview",
    "plan-add-ons": "active",
    "plan-add-ons-removed": "preview",
    "plan-scheduled": "scheduled",
    "plan-lower-option": "preview",
    "recommendation": "offer",
    "choose-quantity": "choose_quantity",
    "plan-cards": "choose_card",
    "plan-on-hold": "on_hold",
    "plan-end": "cancel",
    "plan-past-due": "past_due",
    "plan-waits-for-bank": "on_hold",
    "plan-card-charged": "active",
    "dues-failed": "failed",
    "dues-paid-again": "recovered",
    "dues-given-back": "recovered",
}


@dataclass(frozen=True)
class Exhibit:
    """A page in a known state: its path, and the cookies of the browser it belongs to."""

    name: str
    path: str
    state: str
    cookies: tuple[tuple[str, str], ...] = ()

    def admit(self, context: BrowserContext) -> None:
        """Let this browser be the buyer of the page, and nobody else."""
        context.clear_cookies()
        if self.cookies:
            context.add_cookies(
                [{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"} for name, value in self.cookies]
            )
