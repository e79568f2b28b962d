"""Funnels: steps with an edge for each answer, which page comes next, and the checks of a version before it is live."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from encore.rules.conditions import Condition, read_condition, write_condition
from encore.rules.kinds import (
    LANGUAGES,
    Fault,
    Offer,
    OfferField,
    read_fields,
    read_flag,
    read_one_of,
    read_text,
    read_whole,
)
from encore.rules.money import Money

# The edge value that ends a funnel.
THANKS = "thanks"
RETURN_PAGE, ACCOUNT = "return_page", "account"
# What makes a funnel be considered, by the place it shows its offers at: each place has one trigger.
_TRIGGER_AT = {RETURN_PAGE: "order_paid", ACCOUNT: "page_visited"}
TRIGGERS = tuple(_TRIGGER_AT.values())
PLACEMENTS = tuple(_TRIGGER_AT)
# A buyer who has paid sees two offers unless the merchant says otherwise, and never more than two of each sort.
DEFAULT_PAGE_CAP = 2
MAX_PAGE_CAP = 4
MAX_PAGES_OF_A_SORT = 2
MAX_PRIORITY = 1_000_000

Edge = Literal["accepted", "declined", "failed"]
EDGES: tuple[Edge, ...] = ("accepted", "declined", "failed")
# Conditions of which any must hold; all groups must.
Group = tuple[Condition, ...]


class UnknownStep(ValueError):
    """A funnel was asked for a step it does not have."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node: the offer it shows, and where each answer leads (a step key or `thanks`).

    `is_dearer_confirmed`: the merchant wants this step after a decline although it does not cost less.
    """

    key: str
    offer_id: str
    on_accepted: str = THANKS
    on_declined: str = THANKS
    on_failed: str = THANKS
    is_dearer_confirmed: bool = False

    def edge(self, edge: Edge) -> str:
        """Where an answer leads."""
        return {"accepted": self.on_accepted, "declined": self.on_declined, "failed": self.on_failed}[edge]


@dataclass(frozen=True, slots=True)
class Funnel:
    """A frozen version: of the funnels whose rules match an order the one with the highest `priority` is chosen.

    `steps[0]` is where it begins. No rules: it matches every order. On the account page every funnel that matches is
    shown, and every step is a card of its own.
    """

    id: str
    version: int
    priority: int
    trigger: str
    placement: str
    rules: tuple[Group, ...]
    steps: tuple[Step, ...]
    page_cap: int = DEFAULT_PAGE_CAP


def get_step(funnel: Funnel, step_key: str) -> Step:
    """The step of that key. Raises UnknownStep."""
    for step in funnel.steps:
        if step.key == step_key:
            return step
    raise UnknownStep(f"funnel {funnel.id} version {funnel.version} has no step {step_key!r}")


def next_step(funnel: Funnel, step_key: str, edge: Edge) -> Step | None:
    """The step an answer leads to; None: the thank-you page. Raises UnknownStep."""
    target = get_step(funnel, step_key).edge(edge)
    return None if target == THANKS else get_step(funnel, target)


def is_downsell(funnel: Funnel, step_key: str) -> bool:
    """Whether a step is a downsell: some decline leads to it."""
    return any(step.on_declined == step_key for step in funnel.steps)


def has_room_for_page(funnel: Funnel, *, step_key: str, ups_shown: int, downs_shown: int) -> bool:
    """Whether a further page may be shown for this order: within the cap, and at most two up and two down."""
    if ups_shown + downs_shown >= min(funnel.page_cap, MAX_PAGE_CAP):
        return False
    shown = downs_shown if is_downsell(funnel, step_key) else ups_shown
    return shown < MAX_PAGES_OF_A_SORT


def may_show_suppressed(
    funnel: Funnel, *, step_key: str, declined_step_key: str | None, product_id: str, downsells_shown: frozenset[str]
) -> bool:
    """Whether a declined product may be shown all the same: once, as this funnel's own cheaper downsell (R36b).

    `declined_step_key` is the step the buyer has just declined, `downsells_shown` the products this customer has
    been shown as a downsell before. A checked version guarantees that a downsell costs less, unless confirmed.
    """
    if declined_step_key is None or product_id in downsells_shown:
        return False
    is_own = get_step(funnel, declined_step_key).on_declined == step_key
    return is_own and not get_step(funnel, step_key).is_dearer_confirmed


# ---- Reading and writing ---------------------------------------------------------------------------------------


def _read_rules(value: object) -> tuple[Group, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(group, list | tuple) and group for group in value):
        raise ValueError("fault.groups_expected")
    return tuple(tuple(read_condition(table) for table in group) for group in value)


def _read_step(table: object) -> Step:
    if not isinstance(table, Mapping):
        raise ValueError("fault.steps_expected")
    values, faults = read_fields(_STEP_FIELDS, table, where="step", known=())
    if faults:
        raise ValueError(faults[0].key)
    return Step(
        key=values["key"],
        offer_id=values["offer"],
        on_accepted=values["accepted"],
        on_declined=values["declined"],
        on_failed=values["failed"],
        is_dearer_confirmed=values["dearer_confirmed"],
    )


def _read_steps(value: object) -> tuple[Step, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("fault.steps_expected")
    return tuple(_read_step(table) for table in value)


_STEP_FIELDS = (
    OfferField("key", read_text, is_required=True),
    OfferField("offer", read_text, is_required=True),
    OfferField("accepted", read_text, default=THANKS),
    OfferField("declined", read_text, default=THANKS),
    OfferField("failed", read_text, default=THANKS),
    OfferField("dearer_confirmed", read_flag, default=False),
)
_FUNNEL_FIELDS = (
    OfferField("priority", read_whole(0, MAX_PRIORITY), default=0),
    OfferField("trigger", read_one_of(*TRIGGERS)),
    OfferField("placement", read_one_of(*PLACEMENTS), default=RETURN_PAGE),
    OfferField("rules", _read_rules, default=()),
    OfferField("steps", _read_steps, is_required=True),
    OfferField("page_cap", read_whole(1, MAX_PAGE_CAP), default=DEFAULT_PAGE_CAP),
)


def read_funnel(table: Mapping[str, object], *, version: int) -> Funnel | list[Fault]:
    """Read a funnel's table as its published `version`, or say everything that is wrong with its form.

    `rules` is a list of groups, a group a list of `{field, operator, value}`. Whether the version makes sense is
    for `check_version`.
    """
    funnel_id = table.get("id")
    if not isinstance(funnel_id, str) or not funnel_id:
        return [Fault(where="funnels", key="fault.id_missing")]
    values, faults = read_fields(_FUNNEL_FIELDS, table, where=f"funnels.{funnel_id}", known=("id",))
    if faults:
        return faults
    values["trigger"] = values["trigger"] or _TRIGGER_AT[values["placement"]]
    return Funnel(id=funnel_id, version=version, **values)


def write_funnel(funnel: Funnel) -> dict[str, Any]:
    """Write a funnel as the table `read_funnel` reads, without its version."""
    return {
        "id": funnel.id,
        "priority": funnel.priority,
        "trigger": funnel.trigger,
        "placement": funnel.placement,
        "page_cap": funnel.page_cap,
        "rules": [[write_condition(condition) for condition in group] for group in funnel.rules],
        "steps": [
            {
                "key": step.key,
                "offer": step.offer_id,
                "accepted": step.on_accepted,
                "declined": step.on_declined,
                "failed": step.on_failed,
                "dearer_confirmed": step.is_dearer_confirmed,
            }
            for step in funnel.steps
        ],
    }


# ---- Checks before a version goes live -------------------------------------------------------------------------


def check_version(funnel: Funnel, *, offers: Mapping[str, Offer], prices: Mapping[str, Money]) -> list[Fault]:
    """Say everything that would go wrong with a version: an empty list lets it go live.

    `offers` are all offers by id, `prices` what each costs in all, as the provider previewed it (for an offer without
    a discount the listed price times the quantity will do).
    """
    keys = [step.key for step in funnel.steps]
    doubled = sorted({key for key in keys if keys.count(key) > 1} | ({THANKS} & set(keys)))
    if doubled:
        # With an ambiguous key no edge can be followed, so nothing else can be said.
        return [_fault(funnel, key, "fault.step_key_twice") for key in doubled]
    faults = [*_misplaced(funnel), *_offer_faults(funnel, offers)]
    if funnel.placement == ACCOUNT:
        return [*faults, *_account_faults(funnel, offers)]
    faults.extend((*_dead_ends(funnel), *_unreachable(funnel), *_loops(funnel), *_beyond_cap(funnel)))
    faults.extend(_dear_downsells(funnel, prices))
    return faults


def _misplaced(funnel: Funnel) -> Iterator[Fault]:
    trigger = _TRIGGER_AT[funnel.placement]
    if funnel.trigger != trigger:
        named = (("trigger", funnel.trigger), ("placement", funnel.placement), ("right", trigger))
        yield Fault(where=f"funnels.{funnel.id}.trigger", key="fault.trigger_elsewhere", values=named)


def _account_faults(funnel: Funnel, offers: Mapping[str, Offer]) -> Iterator[Fault]:
    """What makes no sense on the account page, where each step is a card of its own and nothing follows an answer."""
    for step in funnel.steps:
        if any(step.edge(edge) != THANKS for edge in EDGES):
            yield _fault(funnel, step.key, "fault.edge_from_card")
        offer = offers.get(step.offer_id)
        if offer is None:
            continue
        if offer.role != "cross_sell":
            yield _fault(funnel, step.key, "fault.role_not_cross_sell", offer=offer.id, role=offer.role)
        if offer.quantity > 1:
            yield _fault(funnel, step.key, "fault.quantity_of_card", offer=offer.id)
        if not offer.allows_buy_again and _wants_owned(funnel, offer.product_id):
            yield _fault(funnel, step.key, "fault.never_recommended", offer=offer.id, product=offer.product_id)
    for group in funnel.rules:
        if all(_is_before_first_order(condition) for condition in group):
            yield Fault(where=f"funnels.{funnel.id}.rules", key="fault.before_first_order")


def _wants_owned(funnel: Funnel, product_id: str) -> bool:
    """Whether the rules let in only owners of a product: the latest order's is owned, too."""
    wanted = frozenset((product_id,))
    return any(
        all(c.field in ("product", "owned_product") and c.operator == "is" and c.value == wanted for c in group)
        for group in funnel.rules
    )


def _is_before_first_order(condition: Condition) -> bool:
    """Whether nobody with an account can match: whoever has one has ordered."""
    return (condition.field, condition.operator, condition.value) == ("orders_so_far", "at_most", 0)


def _fault(funnel: Funnel, step_key: str, key: str, **values: str) -> Fault:
    return Fault(where=f"funnels.{funnel.id}.{step_key}", key=key, values=tuple(values.items()))


def _targets(funnel: Funnel, step_key: str) -> list[str]:
    """The steps a step leads to, without the end and without edges that lead nowhere."""
    keys = {step.key for step in funnel.steps}
    step = get_step(funnel, step_key)
    return [step.edge(edge) for edge in EDGES if step.edge(edge) in keys]


def _dead_ends(funnel: Funnel) -> Iterator[Fault]:
    keys = {step.key for step in funnel.steps} | {THANKS}
    for step in funnel.steps:
        for edge in EDGES:
            if step.edge(edge) not in keys:
                yield _fault(funnel, step.key, "fault.dead_end", edge=edge, target=step.edge(edge))


def _reachable(funnel: Funnel, start: str) -> set[str]:
    """The steps that can follow `start`, itself only if it can come again."""
    found: set[str] = set()
    ahead = _targets(funnel, start)
    while ahead:
        key = ahead.pop()
        if key not in found:
            found.add(key)
            ahead.extend(_targets(funnel, key))
    return found


def _unreachable(funnel: Funnel) -> Iterator[Fault]:
    first = funnel.steps[0].key
    reached = {first} | _reachable(funnel, first)
    for step in funnel.steps:
        if step.key not in reached:
            yield _fault(funnel, step.key, "fault.unreachable")


def _loops(funnel: Funnel) -> Iterator[Fault]:
    for step in funnel.steps:
        if step.key in _reachable(funnel, step.key):
            yield _fault(funnel, step.key, "fault.loop")


def _beyond_cap(funnel: Funnel) -> Iterator[Fault]:
    """A step that the page cap never lets a buyer see is a promise that cannot be kept."""
    depth = {funnel.steps[0].key: 1}
    # As many rounds as steps: with a loop the depths stop growing here, and the loop is a fault of its own.
    for _ in funnel.steps:
        for step in funnel.steps:
            for target in _targets(funnel, step.key):
                if step.key in depth:
                    depth[target] = min(depth.get(target, depth[step.key] + 1), depth[step.key] + 1)
    for key, pages in depth.items():
        if pages > funnel.page_cap:
            yield _fault(funnel, key, "fault.beyond_page_cap", cap=str(funnel.page_cap))


def _offer_faults(funnel: Funnel, offers: Mapping[str, Offer]) -> Iterator[Fault]:
    for step in funnel.steps:
        offer = offers.get(step.offer_id)
        if offer is None:
            yield _fault(funnel, step.key, "fault.unknown_offer", offer=step.offer_id)
            continue
        for language in LANGUAGES:
            for words in (offer.titles, *(words for words in (offer.texts, offer.terms) if words), *offer.points):
                if language not in words:
                    yield _fault(funnel, step.key, "fault.words_missing", offer=offer.id, language=language)
                    break


def _dear_downsells(funnel: Funnel, prices: Mapping[str, Money]) -> Iterator[Fault]:
    by_key = {step.key: step for step in funnel.steps}
    for step in funnel.steps:
        downsell = by_key.get(step.on_declined)
        if downsell is None or downsell.is_dearer_confirmed:
            continue
        price, lower = prices.get(step.offer_id), prices.get(downsell.offer_id)
        if price is None or lower is None:
            yield _fault(funnel, downsell.key, "fault.price_unknown", declined=step.key)
        elif lower.currency != price.currency or lower >= price:
            yield _fault(funnel, downsell.key, "fault.downsell_not_cheaper", declined=step.key)
