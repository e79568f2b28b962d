"""Conditions: one test of one fact about an order just paid, each with a reason that names the value seen."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from encore.rules.facts import Facts
from encore.rules.money import BadAmount, Money


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was or was not so: a message key, the verdict, and the values its words name."""

    key: str
    is_ok: bool
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """`field` `operator` `value`; the value is what the field's reader made of the table's."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class ConditionField:
    """A fact that rules can test: how it is seen, how a wanted value is read, and the operators it takes.

    `read` raises ValueError with a message key; an operator gets the value seen and the value wanted.
    """

    see: Callable[[Facts], Any]
    read: Callable[[object], Any]
    operators: Mapping[str, Callable[[Any, Any], bool]]


def evaluate(condition: Condition, facts: Facts) -> Reason:
    """Test one condition. The reason's key is `condition.<field>.<operator>`, its values `wanted` and `seen`."""
    field = FIELDS[condition.field]
    seen = field.see(facts)
    return Reason(
        key=f"condition.{condition.field}.{condition.operator}",
        is_ok=field.operators[condition.operator](seen, condition.value),
        values=(("wanted", _words(condition.value)), ("seen", _words(seen))),
    )


def read_condition(table: object) -> Condition:
    """Read `{field, operator, value}`. Raises ValueError, with a message key, for anything else."""
    if not isinstance(table, Mapping) or set(table) != {"field", "operator", "value"}:
        raise ValueError("fault.condition_expected")
    field, operator = table["field"], table["operator"]
    if not isinstance(field, str) or field not in FIELDS:
        raise ValueError("fault.unknown_condition")
    if not isinstance(operator, str) or operator not in FIELDS[field].operators:
        raise ValueError("fault.unknown_operator")
    return Condition(field=field, operator=operator, value=FIELDS[field].read(table["value"]))


def write_condition(condition: Condition) -> dict[str, Any]:
    """Write a condition as the table `read_condition` reads."""
    value = condition.value
    if isinstance(value, Money):
        value = {"minor": value.minor, "currency": value.currency}
    elif isinstance(value, frozenset):
        value = sorted(value)
    elif isinstance(value, date):
        value = value.isoformat()
    return {"field": condition.field, "operator": condition.operator, "value": value}


def _words(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value))
    if isinstance(value, Money):
        return f"{value.minor} {value.currency}"
    return str(value)


# ---- Wanted values ---------------------------------------------------------------------------------------------


def _read_set(value: object) -> frozenset[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not values or not all(isinstance(v, str) and v for v in values):
        raise ValueError("fault.list_expected")
    return frozenset(values)


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("fault.flag_expected")
    return value


def _read_count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("fault.number_expected")
    return value


def _read_percent(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 100:
        raise ValueError("fault.percent_expected")
    return value


def _read_money(value: object) -> Money:
    if not isinstance(value, Mapping) or set(value) != {"minor", "currency"}:
        raise ValueError("fault.money_expected")
    try:
        return Money(value["minor"], value["currency"])
    except BadAmount as fault:
        raise ValueError("fault.money_expected") from fault


def _read_date(value: object) -> date:
    # TOML has dates of its own, JSON has text.
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as fault:
        raise ValueError("fault.date_expected") from fault


# ---- Values seen and operators ---------------------------------------------------------------------------------


def _bucket(facts: Facts) -> int:
    """The customer's fixed place from 0 to 99: the same on every order and device, so that replays agree."""
    return int.from_bytes(hashlib.sha256(facts.customer_id.encode()).digest()[:8]) % 100


def _today(facts: Facts) -> date:
    return datetime.fromtimestamp(facts.now / 1000, tz=UTC).date()


def _has_any(seen: frozenset[str], wanted: frozenset[str]) -> bool:
    return not seen.isdisjoint(wanted)


def _has_none(seen: frozenset[str], wanted: frozenset[str]) -> bool:
    return seen.isdisjoint(wanted)


def _is_in(seen: str, wanted: frozenset[str]) -> bool:
    return seen in wanted


def _is_not_in(seen: str, wanted: frozenset[str]) -> bool:
    return seen not in wanted


def _is_at_least(seen: int, wanted: int) -> bool:
    return seen >= wanted


def _is_at_most(seen: int, wanted: int) -> bool:
    return seen <= wanted


def _is_money_at_least(seen: Money, wanted: Money) -> bool:
    # Another currency is neither more nor less: such an order does not match.
    return seen.currency == wanted.currency and seen >= wanted


def _is_money_at_most(seen: Money, wanted: Money) -> bool:
    return seen.currency == wanted.currency and seen <= wanted


_SET = {"is": _has_any, "is_not": _has_none}
_WORD = {"is": _is_in, "is_not": _is_not_in}
_COUNT = {"at_least": _is_at_least, "at_most": _is_at_most}

# Dates are days in UTC, both ends included.
FIELDS: dict[str, ConditionField] = {
    "product": ConditionField(lambda facts: facts.products_bought, _read_set, _SET),
    "owned_product": ConditionField(lambda facts: facts.owned_products, _read_set, _SET),
    "currency": ConditionField(lambda facts: facts.total.currency, _read_set, _WORD),
    "country": ConditionField(lambda facts: facts.country or "", _read_set, _WORD),
    "language": ConditionField(lambda facts: facts.language, _read_set, _WORD),
    "returning": ConditionField(lambda facts: facts.orders_so_far > 1, _read_flag, {"is": lambda a, b: a is b}),
    "orders_so_far": ConditionField(lambda facts: facts.orders_so_far, _read_count, _COUNT),
    "amount": ConditionField(
        lambda facts: facts.total, _read_money, {"at_least": _is_money_at_least, "at_most": _is_money_at_most}
    ),
    "date": ConditionField(
        _today, _read_date, {"from": lambda seen, wanted: seen >= wanted, "until": lambda seen, wanted: seen <= wanted}
    ),
    "sample": ConditionField(_bucket, _read_percent, {"below": lambda seen, wanted: seen < wanted}),
}
