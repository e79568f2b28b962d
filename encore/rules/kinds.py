"""Offers as merchants write them: the kinds there are, the fields each has, and reading one from a table.

A table is what a TOML file or a stored JSON definition parses to. Adding a kind is a row in `KINDS`; reading,
checking and exporting follow from its fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from datetime import UTC, datetime
from typing import Any

from encore.rules.plan_changes import AT_RENEWAL, MODES, NOW, Mode, When

LANGUAGES = ("en", "vi")
ROLES = ("upsell", "downsell", "cross_sell")
# The life of a shown offer in minutes: long enough to read, at most the day that checkout authority lasts.
EXPIRY_MIN = (5, 1440)
# More of one thing in one click is likelier a slip than a wish; the provider's own cart has no such limit.
MAX_QUANTITY = 100

Words = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a definition: `where` (`offers.bundle.title`), a message key, and the values it names."""

    where: str
    key: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A published version of an offer. `titles`, `texts` and each of `points` map a language to a merchant's words.

    `expires_after_min` is the life of a shown offer in minutes, None for the shop's setting; `allows_buy_again` shows
    it to owners as well.
    A signed-in buyer may take up to `max_quantity` of it.
    `terms` are the conditions that stand by the price; at `deadline_at` (epoch milliseconds) the offer ends for all.
    `mode` and `timing` are how a plan change is billed and when it is made, None for what the plan group says and now.
    """

    id: str
    version: int
    kind: str
    role: str
    product_id: str
    quantity: int
    discount_code: str | None
    titles: Words
    texts: Words
    points: tuple[Words, ...]
    expires_after_min: int | None
    allows_buy_again: bool
    terms: Words = made_by(default_factory=dict)
    deadline_at: int | None = None
    max_quantity: int = 1
    mode: Mode | None = None
    timing: When | None = None

    def words_in(self, language: str, *, fallback: str) -> tuple[dict[str, str], str]:
        """Return the merchant's words (`title`, `gain`, `terms`) and the language they are in.

        That is `language`, else `fallback`, else whichever the merchant wrote; what is not written is "".
        """
        spoken = next((tag for tag in (language, fallback) if tag in self.titles), next(iter(self.titles)))
        words = {"title": self.titles, "gain": self.texts, "terms": self.terms}
        return {name: texts.get(spoken, "") for name, texts in words.items()}, spoken

    def value_points_in(self, language: str) -> tuple[str, ...]:
        """Return the value points that are written in a language."""
        return tuple(point[language] for point in self.points if language in point)


@dataclass(frozen=True, slots=True)
class OfferField:
    """One field of an offer's table: its name there, how its value is read, and what it is when left out.

    `read` raises ValueError, with a message key, for a value that cannot be meant. A `default` of None and
    `is_required` false means that the field may be absent.
    """

    name: str
    read: Callable[[object], Any]
    is_required: bool = False
    default: Any = None


def read_text(value: object) -> str:
    """Read a non-empty text of at most 500 characters."""
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        raise ValueError("fault.text_expected")
    return value


def read_flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("fault.flag_expected")
    return value


def read_whole(low: int, high: int) -> Callable[[object], int]:
    """Make a reader of whole numbers from `low` to `high`."""

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError("fault.number_expected")
        return value

    return read


def read_one_of(*allowed: str) -> Callable[[object], str]:
    """Make a reader of one word out of a list."""

    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError("fault.word_not_allowed")
        return str(value)

    return read


def read_moment(value: object) -> int:
    """Read a date with time and zone, TOML's own or as text (`2026-12-24T18:00:00+07:00`), as epoch milliseconds."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    # Without a zone it would end at another instant on another machine.
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("fault.moment_expected")
    return int(moment.timestamp() * 1000)


def read_words(value: object) -> Words:
    """Read a merchant's words, one text a language."""
    if not isinstance(value, Mapping) or not value or not set(value) <= set(LANGUAGES):
        raise ValueError("fault.words_expected")
    return {language: read_text(words) for language, words in value.items()}


def _read_points(value: object) -> tuple[Words, ...]:
    if not isinstance(value, list | tuple) or len(value) > 6:
        raise ValueError("fault.points_expected")
    return tuple(read_words(point) for point in value)


_ONE_TIME_FIELDS = (
    OfferField("role", read_one_of(*ROLES), is_required=True),
    OfferField("product", read_text, is_required=True),
    OfferField("quantity", read_whole(1, MAX_QUANTITY), default=1),
    OfferField("max_quantity", read_whole(1, MAX_QUANTITY), default=1),
    OfferField("discount_code", read_text),
    OfferField("title", read_words, is_required=True),
    OfferField("text", read_words, default={}),
    OfferField("terms", read_words, default={}),
    OfferField("points", _read_points, default=()),
    OfferField("deadline", read_moment),
    OfferField("expires_after_min", read_whole(*EXPIRY_MIN)),
    OfferField("buy_again", read_flag, default=False),
)

# A plan is changed in place: seats and add-ons stay, and what it gives is said in its plan group.
_PLAN_CHANGE_FIELDS = (
    OfferField("role", read_one_of("upsell", "downsell"), is_required=True),
    OfferField("product", read_text, is_required=True),
    OfferField("mode", read_one_of(*MODES)),
    OfferField("timing", read_one_of(NOW, AT_RENEWAL)),
    OfferField("title", read_words, is_required=True),
    OfferField("text", read_words, default={}),
    OfferField("terms", read_words, default={}),
    OfferField("deadline", read_moment),
    OfferField("expires_after_min", read_whole(*EXPIRY_MIN)),
)

# What accepting an offer does, and the fields its table has besides `id` and `kind`.
PLAN_CHANGE = "plan_change"
KINDS: dict[str, tuple[OfferField, ...]] = {"one_time": _ONE_TIME_FIELDS, PLAN_CHANGE: _PLAN_CHANGE_FIELDS}
# What a field says of an offer whose kind does not have it.
_LEFT_OUT = {field.name: field.default for fields in KINDS.values() for field in fields}


def read_offer(table: Mapping[str, object], *, version: int) -> Offer | list[Fault]:
    """Read an offer's table as its published `version`, or say everything that is wrong with it."""
    offer_id = table.get("id")
    where = f"offers.{offer_id}"
    if not isinstance(offer_id, str) or not offer_id:
        return [Fault(where="offers", key="fault.id_missing")]
    kind = table.get("kind", "one_time")
    if not isinstance(kind, str) or kind not in KINDS:
        return [Fault(where=where, key="fault.unknown_kind", values=(("kind", str(kind)),))]
    values, faults = read_fields(KINDS[kind], table, where=where, known=("id", "kind"))
    if faults:
        return faults
    values = _LEFT_OUT | values
    return Offer(
        id=offer_id,
        version=version,
        kind=kind,
        role=values["role"],
        product_id=values["product"],
        quantity=values["quantity"],
        discount_code=values["discount_code"],
        titles=values["title"],
        texts=values["text"],
        points=values["points"],
        expires_after_min=values["expires_after_min"],
        allows_buy_again=values["buy_again"],
        terms=values["terms"],
        deadline_at=values["deadline"],
        max_quantity=values["max_quantity"],
        mode=values["mode"],
        timing=values["timing"],
    )


def write_offer(offer: Offer) -> dict[str, Any]:
    """Write an offer as the table `read_offer` reads, without its version; JSON and TOML can hold it."""
    known = {"id", "kind"} | {field.name for field in KINDS[offer.kind]}
    table: dict[str, Any] = {
        "id": offer.id,
        "kind": offer.kind,
        "role": offer.role,
        "product": offer.product_id,
        "mode": offer.mode,
        "timing": offer.timing,
        "quantity": offer.quantity,
        "title": dict(offer.titles),
        "text": dict(offer.texts),
        "terms": dict(offer.terms),
        "points": [dict(point) for point in offer.points],
        "buy_again": offer.allows_buy_again,
    }
    # Not when it is what leaving it out means: the versions published before there was such a field stay the same.
    if offer.max_quantity > 1:
        table["max_quantity"] = offer.max_quantity
    table["expires_after_min"] = offer.expires_after_min
    table["discount_code"] = offer.discount_code
    if offer.deadline_at is not None:
        table["deadline"] = datetime.fromtimestamp(offer.deadline_at / 1000, tz=UTC).isoformat()
    return {name: value for name, value in table.items() if name in known and value not in ({}, None)}


def read_fields(
    fields: tuple[OfferField, ...], table: Mapping[str, object], *, where: str, known: tuple[str, ...]
) -> tuple[dict[str, Any], list[Fault]]:
    """Read a table field by field: the values by field name, and every fault, a field nobody knows included."""
    values: dict[str, Any] = {}
    names = {field.name for field in fields} | set(known)
    faults = [Fault(where=f"{where}.{name}", key="fault.unknown_field") for name in table if name not in names]
    for field in fields:
        if field.name not in table:
            values[field.name] = field.default
            if field.is_required:
                faults.append(Fault(where=f"{where}.{field.name}", key="fault.field_missing"))
            continue
        try:
            values[field.name] = field.read(table[field.name])
        except ValueError as fault:
            faults.append(Fault(where=f"{where}.{field.name}", key=str(fault)))
    return values, faults
