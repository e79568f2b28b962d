"""Files that offer a plan change: what could never be shown or taken is a fault, and names its line."""

import pytest

from encore.services import offer_files
from tests.sandbox.subscriptions import make_plan
from tests.sandbox_process import BASIC, PRO
from tests.services.plan_offers import OFFER
from tests.services.world import World


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('product = "pro-plan"', 'product = "starter-course"', ("offers.pro.product", "fault.not_a_plan")),
        ('product = "pro-plan"', 'product = "basic-plan"', ("offers.pro.product", "fault.lowest_plan")),
        ('role = "upsell"', 'role = "upsell"\nquantity = 2', ("offers.pro.quantity", "fault.unknown_field")),
        (
            'role = "upsell"',
            'role = "upsell"\ndiscount_code = "X"',
            ("offers.pro.discount_code", "fault.unknown_field"),
        ),
        ('role = "upsell"', 'role = "cross_sell"', ("offers.pro.role", "fault.word_not_allowed")),
        ('role = "upsell"', 'role = "upsell"\nmode = "half"', ("offers.pro.mode", "fault.word_not_allowed")),
        (
            'role = "upsell"',
            'role = "upsell"\ntiming = "next_billing_date"\nmode = "do_not_bill"',
            ("offers.pro.mode", "fault.mode_at_renewal"),
        ),
        ('value = ["basic-plan"]', 'value = ["pro-plan"]', ("funnels.to-pro.pro", "fault.plan_not_above")),
        ('value = ["basic-plan"]', 'value = ["starter-course"]', ("funnels.to-pro.pro", "fault.plan_not_above")),
        ("rules = [", 'placement = "account"\nrules = [', ("funnels.to-pro.pro", "fault.plan_placement")),
        ('offer = "templates-instead"', 'offer = "pro"', ("funnels.to-pro.templates", "fault.plan_declined")),
    ],
)
def test_what_could_never_be_shown_or_taken_is_a_fault(
    world: World, old: str, new: str, fault: tuple[str, str]
) -> None:
    text = OFFER.format(fields="")
    assert old in text

    refused = offer_files.check_text(world.shop, text.replace(old, new, 1))

    assert isinstance(refused, offer_files.Refused)
    assert fault in [(located.fault.where, located.fault.key) for located in refused.faults]
    assert all(located.line for located in refused.faults)


def test_a_downsell_costs_less_than_the_difference_that_was_declined(world: World) -> None:
    """R12b"""
    text = OFFER.format(fields="")
    dear = world.sell("Dear templates", 6000)

    refused = offer_files.check_text(world.shop, text.replace('product = "design-templates"', f'product = "{dear}"'))

    assert isinstance(refused, offer_files.Refused)
    assert [located.fault.key for located in refused.faults] == ["fault.downsell_not_cheaper"]


@pytest.mark.parametrize(
    ("first", "then", "edge", "keys"),
    [
        # From Basic at 30: Team at 120 is a change about 90, Pro at 80 one about 50.
        ("team", "pro", "declined", []),
        ("pro", "team", "declined", ["fault.downsell_not_cheaper"]),
        ("pro", "team", "accepted", []),
    ],
)
def test_a_middle_plan_after_a_higher_one_is_measured_from_what_was_bought(
    world: World, first: str, then: str, edge: str, keys: list[str]
) -> None:
    """R12b"""
    team = make_plan(world.sandbox, 12_000)
    world.sync()
    plans = "\n".join(f'[[plan_groups.plans]]\nproduct = "{product_id}"' for product_id in (BASIC, PRO, team))
    products = {"pro": PRO, "team": team}
    roles = {first: "upsell", then: "downsell" if edge == "declined" else "upsell"}
    offers = "\n".join(
        f'[[offers]]\nid = "{name}"\nkind = "plan_change"\nrole = "{roles[name]}"\nproduct = "{products[name]}"\n'
        'title = { en = "More", vi = "Thêm" }'
        for name in (first, then)
    )
    text = (
        f'[[plan_groups]]\nid = "plans"\n{plans}\n{offers}\n[[funnels]]\nid = "up"\n'
        'rules = [[{ field = "product", operator = "is", value = ["basic-plan"] }]]\n'
        f'[[funnels.steps]]\nkey = "a"\noffer = "{first}"\n{edge} = "b"\n'
        f'[[funnels.steps]]\nkey = "b"\noffer = "{then}"\n'
    )

    checked = offer_files.check_text(world.shop, text)

    faults = checked.faults if isinstance(checked, offer_files.Refused) else ()
    assert [located.fault.key for located in faults] == keys


def test_the_same_text_again_changes_nothing(world: World) -> None:
    text = OFFER.format(fields='mode = "full_immediately"\ntiming = "next_billing_date"')
    world.publish(text)

    result = offer_files.import_text(world.shop, text)

    assert isinstance(result, offer_files.Imported)
    assert {change.what for change in result.changes} == {"unchanged"}
