"""Offers and funnels as a merchant writes them: a file or nothing of it, fixed versions, a pause at once."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from blueprints.ops.commands.faults import sentence
from encore.rules.kinds import Fault
from encore.services import catalogue, demo, funnels, offer_files
from encore.services.offer_files import Imported, Refused
from encore.services.shop import Shop
from tests.sandbox_process import BUNDLE, COURSE, SACH, TEMPLATES, SandboxProcess
from tests.services.world import MovableClock

ATLAS_FUNNEL = """
[[offers]]
id = "templates-too"
role = "cross_sell"
product = "design-templates"
title = { en = "Templates too?", vi = "Thêm mẫu?" }

[[funnels]]
id = "bundle-buyers"
rules = [[{ field = "product", operator = "is", value = ["complete-bundle"] }]]
steps = [{ key = "only", offer = "templates-too" }]
"""


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    catalogue.sync(shop)
    return shop


def import_ok(shop: Shop, text: str) -> list[tuple[str, str, int, str]]:
    result = offer_files.import_text(shop, text)
    assert isinstance(result, Imported), result
    return [(change.noun, change.id, change.version, change.what) for change in result.changes]


def refusal(shop: Shop, text: str) -> list[tuple[int | None, str, str]]:
    result = offer_files.import_text(shop, text)
    assert isinstance(result, Refused)
    return [(at.line, at.fault.where, at.fault.key) for at in result.faults]


def demo_with(old: str, new: str) -> str:
    text = demo.demo_text()
    assert old in text
    return text.replace(old, new, 1)


def test_an_import_publishes_offers_and_funnels(stocked: Shop) -> None:
    changes = import_ok(stocked, demo.demo_text())

    assert changes == [
        ("offer", "complete-bundle", 1, "new"),
        ("offer", "design-templates", 1, "new"),
        ("funnel", "starter-course", 1, "new"),
    ]
    live = funnels.live_funnels(stocked)
    assert [funnel.id for funnel in live] == ["starter-course"]
    assert live[0].rules[0][0].value == frozenset({COURSE})
    assert {offer.product_id for offer in funnels.live_offers(stocked).values()} == {BUNDLE, TEMPLATES}


def test_offers_that_are_not_the_demos_come_from_a_file(stocked: Shop) -> None:
    """Proves: R8e"""
    import_ok(stocked, ATLAS_FUNNEL)

    offer = funnels.get_offer(stocked, "templates-too")
    assert offer is not None
    assert offer.words_in("vi", fallback="en")[0]["title"] == "Thêm mẫu?"


def test_the_same_text_again_changes_nothing(stocked: Shop) -> None:
    import_ok(stocked, demo.demo_text())
    before = funnels.list_all(stocked)

    changes = import_ok(stocked, demo.demo_text())

    assert {what for *_, what in changes} == {"unchanged"}
    assert funnels.list_all(stocked) == before


@pytest.mark.criterion("R8d")
def test_other_text_is_a_new_version_and_the_old_one_stays(stocked: Shop) -> None:
    import_ok(stocked, demo.demo_text())
    changed = demo_with('en = "Go on with the Complete bundle"', 'en = "All of it"')

    changes = import_ok(stocked, changed)

    assert ("offer", "complete-bundle", 2, "changed") in changes
    assert ("funnel", "starter-course", 1, "unchanged") in changes
    first, second = (funnels.get_offer(stocked, "complete-bundle", version=number) for number in (1, 2))
    assert first is not None
    assert second is not None
    assert (first.titles["en"], second.titles["en"]) == ("Go on with the Complete bundle", "All of it")
    live = funnels.get_offer(stocked, "complete-bundle")
    assert live == second


def test_one_fault_keeps_the_whole_file_out(stocked: Shop) -> None:
    text = demo.demo_text() + ATLAS_FUNNEL.replace('role = "cross_sell"', 'role = "gift"')

    faults = refusal(stocked, text)

    assert [(where, key) for _, where, key in faults] == [("offers.templates-too.role", "fault.word_not_allowed")]
    assert funnels.list_all(stocked) == []


def test_every_fault_is_named_with_its_line(stocked: Shop) -> None:
    text = (
        demo_with('role = "upsell"', 'role = "gift"')
        .replace('product = "design-templates"', 'product = "nothing-like-it"')
        .replace("priority = 10", "priority = -1")
    )
    lines = text.splitlines()

    faults = refusal(stocked, text)

    assert [(where, key) for _, where, key in faults] == [
        ("offers.complete-bundle.role", "fault.word_not_allowed"),
        ("offers.design-templates.product", "fault.unknown_product"),
        ("funnels.starter-course.priority", "fault.number_expected"),
    ]
    said = [lines[(line or 0) - 1] for line, *_ in faults]
    assert said == ['role = "gift"', 'product = "nothing-like-it"', "priority = -1"]


def test_text_that_is_not_toml_names_its_line(stocked: Shop) -> None:
    assert refusal(stocked, '[[offers]]\nid = "a\n')[0][::2] == (2, "fault.not_toml")


@pytest.mark.parametrize(
    ("old", "new", "where", "key"),
    [
        (
            'product = "complete-bundle"',
            'product = "basic-plan"',
            "offers.complete-bundle.product",
            "product_recurring",
        ),
        ('product = "complete-bundle"', f'product = "{SACH}"', "funnels.starter-course", "currency_mixed"),
        ('vi = "Học tiếp với Trọn bộ hoàn chỉnh"', "", "funnels.starter-course.bundle", "words_missing"),
        ('declined = "templates"', 'declined = "bundle"', "funnels.starter-course.templates", "unreachable"),
        ('declined = "templates"', 'declined = "nowhere"', "funnels.starter-course.bundle", "dead_end"),
        ('offer = "design-templates"', 'offer = "complete-bundle"', "funnels.starter-course.templates", "not_cheaper"),
        ('offer = "design-templates"', 'offer = "missing"', "funnels.starter-course.templates", "unknown_offer"),
        ('["starter-course"]', '["sach-bao-bi"]', "funnels.starter-course.rules", "currency_never"),
        ('["starter-course"]', '["stolen-course"]', "funnels.starter-course.rules", "unknown_product"),
        ('id = "complete-bundle"', 'id = "Complete bundle"', "offers.Complete bundle", "bad_id"),
        ('id = "design-templates"', 'id = "complete-bundle"', "offers.complete-bundle", "id_twice"),
        ('role = "upsell"', 'role = "upsell"\ndeadline = 2020-01-01T00:00:00Z', "offers.complete-bundle", "past"),
        ('role = "upsell"', 'role = "upsell"\ndeadline = 2099-01-01T00:00:00', "offers.complete-bundle", "moment"),
        ('role = "upsell"', 'role = "upsell"\nprice = 100', "offers.complete-bundle.price", "unknown_field"),
        ('role = "upsell"', 'role = "upsell"\ndiscount_code = "NONE"', "offers.complete-bundle", "discount_refused"),
        ("[[offers]]", "[merchant]\n[[offers]]", "merchant", "unknown_field"),
    ],
)
def test_a_planted_fault_is_refused(stocked: Shop, old: str, new: str, where: str, key: str) -> None:
    faults = refusal(stocked, demo_with(old, new))

    assert any(at.startswith(where) and key in said for _, at, said in faults), faults
    assert funnels.list_all(stocked) == []


def test_an_archived_product_cannot_be_offered(stocked: Shop, sandbox: SandboxProcess) -> None:
    sandbox.call("DELETE", f"/products/{BUNDLE}")
    catalogue.sync(stocked)

    assert refusal(stocked, demo.demo_text())[0][2] == "fault.product_archived"


def test_a_discount_counts_in_what_a_downsell_costs(stocked: Shop, sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 9000, "code": "NINETY"})
    cheaper = demo_with('product = "complete-bundle"', 'product = "complete-bundle"\ndiscount_code = "NINETY"')

    assert refusal(stocked, cheaper)[0][2] == "fault.downsell_not_cheaper"


def test_a_file_cannot_break_a_funnel_that_is_live_elsewhere(stocked: Shop) -> None:
    import_ok(stocked, demo.demo_text())
    dear = ATLAS_FUNNEL.replace("templates-too", "design-templates").replace(
        'product = "design-templates"', 'product = "complete-bundle"\nquantity = 2'
    )

    faults = refusal(stocked, dear)

    assert [(where, key) for _, where, key in faults] == [
        ("funnels.starter-course.templates", "fault.downsell_not_cheaper")
    ]


def test_checking_publishes_nothing(stocked: Shop) -> None:
    result = offer_files.check_text(stocked, demo.demo_text())

    assert isinstance(result, Imported)
    assert funnels.list_all(stocked) == []


def test_a_pause_holds_from_the_next_request_on(stocked: Shop) -> None:
    import_ok(stocked, demo.demo_text())
    assert "complete-bundle" in funnels.live_offers(stocked)

    funnels.set_state(stocked, ["complete-bundle"], state="paused")

    assert "complete-bundle" not in funnels.live_offers(stocked)


def test_a_paused_funnel_is_not_considered(stocked: Shop) -> None:
    import_ok(stocked, demo.demo_text())

    funnels.set_state(stocked, ["starter-course"], state="paused")

    assert funnels.live_funnels(stocked) == []


def test_a_new_version_does_not_end_a_pause(stocked: Shop) -> None:
    import_ok(stocked, demo.demo_text())
    funnels.set_state(stocked, ["complete-bundle"], state="paused")

    import_ok(stocked, demo_with('en = "Go on with the Complete bundle"', 'en = "All of it"'))

    assert "complete-bundle" not in funnels.live_offers(stocked)
    funnels.set_state(stocked, ["complete-bundle"], state="live")
    assert funnels.live_offers(stocked)["complete-bundle"].titles["en"] == "All of it"


def test_an_offer_ends_at_its_deadline(stocked: Shop, clock: MovableClock) -> None:
    soon = demo_with('role = "upsell"', 'role = "upsell"\ndeadline = "2027-01-01T00:00:00+00:00"')
    import_ok(stocked, soon)
    offer = funnels.get_offer(stocked, "complete-bundle")
    assert offer is not None
    assert offer.deadline_at is not None

    clock.wall_s += (offer.deadline_at - stocked.now()) / 1000

    assert "complete-bundle" not in funnels.live_offers(stocked)


def test_every_recipe_is_accepted_once_its_products_exist(stocked: Shop, sandbox: SandboxProcess) -> None:
    """Proves: R8b"""
    for name, price in (
        ("Basic edition", 2000),
        ("Pro edition", 5000),
        ("Single licence", 900),
        ("Team licence", 4900),
    ):
        body = {"type": "one_time_price", "currency": "USD", "price": price, "discount": 0}
        sandbox.post("/products", {"name": name, "price": body, "tax_category": "saas"})
    sandbox.post("/discounts", {"type": "percentage", "amount": 1000, "code": "SECOND"})
    catalogue.sync(stocked)
    recipes = [entry for entry in (files("encore.services") / "recipes").iterdir() if entry.name.endswith(".toml")]

    for recipe in recipes:
        import_ok(stocked, recipe.read_text("utf-8"))

    assert {funnel.id for funnel in funnels.live_funnels(stocked)} == {
        "account",
        "basic-plan-to-pro-plan",
        "basic-to-pro",
        "single-to-team",
        "starter-course",
    }


_PLACED = ("trigger", "placement", "right", "role")


def test_every_fault_has_words() -> None:
    sources = [Path("encore/rules/kinds.py"), Path("encore/rules/funnels.py"), Path("encore/rules/conditions.py")]
    sources += [Path("encore/services/offer_files.py"), Path("encore/rules/plan_groups.py")]
    sources += [Path("encore/services/plan_offer_files.py")]
    keys = {key for source in sources for key in re.findall(r'"(fault\.[a-z_]+)"', source.read_text("utf-8"))}
    named = ("detail", "kind", "product", "code", "reason", "edge", "target", "cap", "offer", "offers", "declined")
    more = (*named, "language", "currencies", "offered", "bought", "group", "mode", "only")
    values = tuple((name, "x") for name in (*more, *_PLACED))

    unspoken = {key for key in keys if sentence(Fault(where="w", key=key, values=values)) == key}

    assert keys
    assert unspoken == set()


def test_seeding_twice_makes_the_demo_once(stocked: Shop) -> None:
    assert demo.seed(stocked) == "seeded"
    assert demo.seed(stocked) == "already"
    assert len(funnels.list_all(stocked)) == 9


def test_seeding_leaves_a_merchants_own_offers_alone(stocked: Shop) -> None:
    import_ok(stocked, ATLAS_FUNNEL)

    assert demo.seed(stocked) == "own_offers"
    assert [line.id for line in funnels.list_all(stocked)] == ["templates-too", "bundle-buyers"]


def test_another_catalogue_gets_no_demo(shop: Shop) -> None:
    assert demo.seed(shop) == "other_catalogue"
