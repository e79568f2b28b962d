"""The provider's objects, as far as we read them.

Unknown keys, statuses and enum values are tolerated, and whatever may be null is; amounts are strict integers
in minor units up to 10^15. Source: Dodo's API, SDK 1.123.0.
"""

from msgspec import Struct
from msgspec.json import Decoder

from encore.dodo.models.checkouts import Breakup, CheckoutCreated, CheckoutPreview, CheckoutSession, PreviewItem
from encore.dodo.models.customers import Billing, Card, Customer, CustomerLimited, PaymentMethod, PaymentMethodList
from encore.dodo.models.events import WebhookEnvelope
from encore.dodo.models.fields import Amount, Count, Currency, Id, Metadata, SignedAmount, epoch_ms
from encore.dodo.models.grants import EntitlementGrant, GrantedKey, GrantPage, KeyPage, LicenseKey
from encore.dodo.models.payments import (
    CartItem,
    Dispute,
    DisputePage,
    Payment,
    PaymentLine,
    PaymentLines,
    PaymentListItem,
    PaymentPage,
    Refund,
    RefundPage,
)
from encore.dodo.models.products import Addon, AddonPage, Price, Product, ProductListItem, ProductPage
from encore.dodo.models.subscriptions import (
    ChangeLineItem,
    ChangePreview,
    ChangeSummary,
    ImmediateCharge,
    MethodUpdate,
    ScheduledChange,
    Subscription,
    SubscriptionAddon,
    SubscriptionPage,
)

__all__ = [
    "Addon",
    "AddonPage",
    "Amount",
    "Billing",
    "Breakup",
    "Card",
    "CartItem",
    "ChangeLineItem",
    "ChangePreview",
    "ChangeSummary",
    "CheckoutCreated",
    "CheckoutPreview",
    "CheckoutSession",
    "Count",
    "Currency",
    "Customer",
    "CustomerLimited",
    "Dispute",
    "DisputePage",
    "EntitlementGrant",
    "GrantPage",
    "GrantedKey",
    "Id",
    "ImmediateCharge",
    "KeyPage",
    "LicenseKey",
    "Metadata",
    "MethodUpdate",
    "Payment",
    "PaymentLine",
    "PaymentLines",
    "PaymentListItem",
    "PaymentMethod",
    "PaymentMethodList",
    "PaymentPage",
    "PreviewItem",
    "Price",
    "Product",
    "ProductListItem",
    "ProductPage",
    "Refund",
    "RefundPage",
    "ScheduledChange",
    "SignedAmount",
    "Subscription",
    "SubscriptionAddon",
    "SubscriptionPage",
    "WebhookEnvelope",
    "epoch_ms",
]

# msgspec reads the types of a struct when one is first made, and two threads that do so at once can end the process
# (msgspec 0.22): here all are read, before there is a second thread.
for _model in [model for model in list(globals().values()) if isinstance(model, type) and issubclass(model, Struct)]:
    Decoder(_model)
