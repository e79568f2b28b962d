"""Cards of the account page: which funnels may stand there, and which of their steps are shown."""

from typing import Any

import pytest

from encore.rules.eligibility import Decision, decide_cards
from encore.rules.funnels import ACCOUNT, Funnel, Step, check_version, read_funnel
from encore.rules.kinds import Offer, read_offer, write_offer
from tests.rules.samples import facts, funnel, offer, offer_table, usd

STEPS = (Step("first", "bundle"), Step("second", "templates"))


def on_account(*steps: Step, **changes: Any) -> Funnel:
    return funnel(*(steps or STEPS), trigger="page_visited", placement=ACCOUNT, **changes)


def offers(**changes: Any) -> dict[str, Offer]:
    return {
        "bundle": offer("bundle", **{"role": "cross_sell", **changes}),
        "templates": offer("templates", role="cross_sell", product="pdt_templates"),
    }


def faults(given: Funnel, **changes: Any) -> list[str]:
    prices = {"bundle": usd(2000), "templates": usd(900)}
    return [fault.key for fault in check_version(given, offers=offers(**changes), prices=prices)]


def read(**changes: Any) -> Funnel:
    table = {"id": "f", "steps": [{"key": "first", "offer": "bundle"}], **changes}
    found = read_funnel(table, version=1)
    assert isinstance(found, Funnel)
    return found


def shown(trace: tuple[Decision, ...]) -> list[str]:
    return [decision.offer_id for decision in trace if decision.is_eligible]


def test_each_placement_has_its_own_trigger() -> None:
    assert read().trigger == "order_paid"
    assert read(placement="account").trigger == "page_visited"


@pytest.mark.parametrize(("trigger", "placement"), [("order_paid", "account"), ("page_visited", "return_page")])
def test_a_trigger_of_another_placement_is_refused(trigger: str, placement: str) -> None:
    assert "fault.trigger_elsewhere" in faults(read(trigger=trigger, placement=placement))


def test_steps_of_the_account_are_cards_that_nothing_leads_to() -> None:
    assert faults(on_account()) == []
    assert faults(on_account(Step("first", "bundle", on_declined="second"), STEPS[1])) == ["fault.edge_from_card"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"role": "upsell"}, "fault.role_not_cross_sell"),
        ({"quantity": 2}, "fault.quantity_of_card"),
        ({"title": {"en": "Bundle"}}, "fault.words_missing"),
    ],
)
def test_what_an_account_cannot_show_is_refused(change: dict[str, Any], key: str) -> None:
    assert key in faults(on_account(), **change)


def test_rules_that_nobody_with_an_account_matches_are_refused() -> None:
    owners = {"field": "owned_product", "operator": "is", "value": ["pdt_bundle"]}
    new = {"field": "orders_so_far", "operator": "at_most", "value": 0}

    assert faults(read(placement="account", rules=[[owners]])) == ["fault.never_recommended"]
    assert faults(read(placement="account", rules=[[owners]]), buy_again=True) == []
    assert faults(read(placement="account", rules=[[new]])) == ["fault.before_first_order"]
    assert faults(read(placement="account", rules=[[owners, new]])) == []


def test_a_quantity_of_one_is_written_as_it_was_before_there_was_a_choice() -> None:
    assert "max_quantity" not in write_offer(offer())
    several = offer(max_quantity=5)
    assert read_offer(write_offer(several), version=1) == several
    assert isinstance(read_offer(offer_table(max_quantity=0), version=1), list)


@pytest.mark.criterion("R7c")
def test_every_matching_step_is_a_card_up_to_the_cap() -> None:
    low = on_account(Step("third", "templates"), priority=1)

    assert shown(decide_cards([low, on_account()], facts(), offers=offers(), cap=3)) == ["bundle", "templates"]
    capped = decide_cards([on_account()], facts(), offers=offers(), cap=1)
    assert shown(capped) == ["bundle"]
    assert [reason.key for reason in capped[1].reasons if not reason.is_ok] == ["guard.card_cap"]
    assert shown(decide_cards([on_account()], facts(), offers=offers(), cap=0)) == []


def test_owned_declined_and_open_products_are_no_cards() -> None:
    for barred in ("owned_products", "suppressed_products", "open_products"):
        trace = decide_cards([on_account()], facts(**{barred: frozenset({"pdt_bundle"})}), offers=offers(), cap=3)
        assert shown(trace) == ["templates"], barred
