"""What a buyer's page shows, as plain values: services make them from rows, templates only print them.

A page is always derived from what is stored, so a reload, a second tab and the answer to a click agree.
"""

from dataclasses import dataclass
from typing import Literal

from encore.rules.money import Money
from encore.rules.quotes import Quote, QuotedMethod, Same, compare

OfferState = Literal[
    "offer",
    "quote_changed",
    "no_method",
    "processing",
    "checking",
    "action_required",
    "receipt",
    "failed",
    "not_charged",
    "checkout_open",
    "returned",
    "answered",
    "expired",
    "withdrawn",
    "owned",
    "limited",
    "choose_card",
    "choose_quantity",
]
# What an offered plan change comes to, instead of a receipt.
PlanOfferState = Literal["changed", "scheduled"]
# What is true of money that goes back: owed or on its way, there, or given back by the buyer's bank after a dispute.
ReturnOfMoney = Literal["due", "done", "by_bank"]
ReturnState = Literal["waiting", "offer", "thanks", "still_processing", "payment_failed", "cancelled", "other_browser"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The trial a plan begins with: its length, its price (0: free), and when one that begins now ends."""

    days: int
    price: Money
    ends_at: int


@dataclass(frozen=True, kw_only=True)
class ProductCard:
    """A product as the shop shows it; interval fields are for recurring ones, `trial` for those that begin with one."""

    id: str
    slug: str
    name: str
    description: str
    image_url: str | None
    price: Money
    tax_inclusive: bool
    is_recurring: bool
    interval_count: int | None
    interval_unit: str | None
    is_archived: bool
    trial: Trial | None = None


@dataclass(frozen=True, kw_only=True)
class PaymentLine:
    """One payment of today; `state` is paid, free, processing, checking, refunded, disputed or lost (a dispute).

    `refunded` is what was given back of it, None for nothing.
    """

    payment_id: str | None
    product_name: str
    quantity: int
    amount: Money
    state: str
    at: int
    method: QuotedMethod | None
    refunded: Money | None = None

    @property
    def has_invoice(self) -> bool:
        """Whether it was paid, so that the provider has written an invoice, whatever became of it afterwards."""
        return self.payment_id is not None and self.state in ("paid", "refunded", "disputed", "lost")


@dataclass(frozen=True, kw_only=True)
class GrantLine:
    """Something the provider gave; `kind` and `status` are its words, `ref` the page of its order, None without one.

    `license_key` is masked on pages that show no single order. Times are epoch milliseconds.
    """

    kind: str
    status: str
    product_name: str | None
    license_key: str | None
    activations: int | None
    activations_limit: int | None
    expires_at: int | None
    at: int
    ref: str | None


@dataclass(frozen=True, kw_only=True)
class OrderedTrial:
    """The trial an order began: `running`, `ending` (running, and the plan ends with it) or `over`.

    `price` is what each period costs from `ends_at` (epoch milliseconds) on, before tax; None where it is not known.
    """

    state: Literal["running", "ending", "over"]
    ends_at: int
    price: Money | None
    interval_count: int | None
    interval_unit: str | None


@dataclass(frozen=True, kw_only=True)
class OrderSummary:
    """The order behind `/r/<ref>`; `masked_email` is where its receipt went, None when the provider names none.

    `is_earlier`: the page is a recommendation in the account, only filed under this order.
    """

    ref: str
    number: int
    product: ProductCard
    quantity: int
    total: Money
    masked_email: str | None
    created_at: int
    trial: OrderedTrial | None = None
    is_earlier: bool = False


@dataclass(frozen=True, kw_only=True)
class CardChoice:
    """A saved method to choose; `name` is ours, `reason` a message key of why it cannot pay, None if it can."""

    name: str
    method: QuotedMethod
    reason: str | None
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class OfferPage:
    """One offer instance in one of the states of `ux.md` section 4.

    `words` holds the merchant's words (`title`, and `gain` and `terms` if written), `words_language` the language they
    are in. `sum_with_order` is the total plus today's earlier payments, None without any or in other currencies.
    `reason` is a message key (why there is no one-click, why the card was declined), else None.
    `poll_after_s` is None when nothing is to be polled; `can_cancel` is true only while nothing was sent.
    `can_choose`: the buyer has proven their address; `cards` are what they choose from (`choose_card`).
    `is_owned`: the buyer has it already, so that paying buys it again.
    `max_quantity` is how many of it a buyer may choose in its own step (`choose_quantity`), 1 where there is none.
    `retry_at` is when to try again (`limited`). `deadline_at` is when the offer ends. Times are epoch milliseconds.
    """

    state: OfferState | PlanOfferState
    instance_id: str
    offer_id: str
    order: OrderSummary
    product: ProductCard
    words: dict[str, str]
    value_points: tuple[str, ...]
    words_language: str
    role: str
    quote: Quote
    quote_hash: str
    moved_from: Quote | None
    sum_with_order: Money | None
    deadline_at: int
    reason: str | None = None
    masked_email: str | None = None
    poll_after_s: float | None = None
    can_cancel: bool = False
    retry_at: int | None = None
    returned: Money | None = None
    return_state: ReturnOfMoney = "done"
    next_url: str = ""
    can_choose: bool = False
    is_owned: bool = False
    cards: tuple[CardChoice, ...] = ()
    max_quantity: int = 1

    @property
    def partial(self) -> str:
        """The template that shows this state, without its folder."""
        return self.state

    @property
    def is_card_moved(self) -> bool:
        """Whether only the card is another than was shown before, and no figure."""
        return self.moved_from is not None and isinstance(compare(self.moved_from, self.quote), Same)


@dataclass(frozen=True, kw_only=True)
class ReturnPage:
    """The return page in one of its states; `other_browser` holds nothing of the order.

    `offer` is the funnel's current step in any of its states. `settled` is the offer just paid, shown above what
    follows. `payments` are today's payments (thanks), `today` their sum per currency, `declined` the products a buyer
    may still want, `grants` what the provider gave for the order. `reason` is a message key of a failed payment.
    `product` leads back to the shop. `is_unseen`: nothing of what the checkout came to was seen at the provider yet.
    """

    state: ReturnState
    ref: str
    order: OrderSummary | None = None
    offer: OfferPage | None = None
    settled: OfferPage | None = None
    payments: tuple[PaymentLine, ...] = ()
    today: tuple[Money, ...] = ()
    declined: tuple[ProductCard, ...] = ()
    grants: tuple[GrantLine, ...] = ()
    reason: str | None = None
    product: ProductCard | None = None
    checks_left: int = 0
    is_unseen: bool = False

    @property
    def may_have_left(self) -> bool:
        """Whether the buyer may as well have left: a free trial that has begun shows late, one that has not never."""
        return self.is_unseen and self.begins_free

    @property
    def begins_free(self) -> bool:
        """Whether the product begins with days that cost nothing: no payment is then waited for."""
        return self.product is not None and self.product.trial is not None and self.product.trial.price.minor == 0
