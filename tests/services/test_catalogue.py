"""The catalogue is the provider's, in its order, under stable addresses, and never half a copy."""

from pathlib import Path

import pytest

from encore.errors import ProviderError
from encore.services import budgets, catalogue, demo
from encore.services.shop import Shop
from encore.store import addons as addon_rows
from encore.store import alarms
from encore.store import catalogue as catalogue_rows
from tests.factories import make_shop
from tests.sandbox_process import BASIC, BRAND_KIT, BUNDLE, COURSE, EXTRA_PROJECT, PRO, SandboxProcess
from tests.services.world import MovableClock


def sync(shop: Shop) -> list[str]:
    catalogue.sync(shop)
    return [card.slug for card in catalogue.list_products(shop)]


def test_products_stand_in_the_providers_order(shop: Shop) -> None:
    slugs = sync(shop)

    assert slugs[:3] == ["starter-course", "complete-bundle", "design-templates"]
    assert "sach-bao-bi" in slugs


def test_first_demo_product_is_bought_once_in_dollars(shop: Shop) -> None:
    sync(shop)

    first = catalogue.list_products(shop)[0]

    assert (first.name, first.price.currency, first.is_recurring) == ("Starter course", "USD", False)
    assert first.image_url is not None
    assert first.image_url.startswith(shop.settings.provider_url)


def test_all_pages_of_a_long_catalogue_are_read(shop: Shop, sandbox: SandboxProcess) -> None:
    price = {"type": "one_time_price", "currency": "USD", "price": 100, "discount": 0}
    for number in range(101):
        sandbox.post("/products", {"name": f"Card {number}", "price": price, "tax_category": "e_book"})

    assert len(sync(shop)) == 109


def test_a_slug_stays_when_the_name_changes(shop: Shop, sandbox: SandboxProcess) -> None:
    sync(shop)
    sandbox.call("PATCH", f"/products/{COURSE}", {"name": "Opening course"})

    sync(shop)

    card = catalogue.get_product(shop, "starter-course")
    assert card is not None
    assert card.name == "Opening course"


def test_two_products_of_one_name_get_two_addresses(shop: Shop, sandbox: SandboxProcess) -> None:
    price = {"type": "one_time_price", "currency": "USD", "price": 100, "discount": 0}
    sandbox.post("/products", {"name": "Starter course", "price": price, "tax_category": "e_book"})

    assert {"starter-course", "starter-course-2"} <= set(sync(shop))


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Sách bao bì", "sach-bao-bi"),
        ("Khoá học Đầu tiên", "khoa-hoc-dau-tien"),
        ("  Type & atlas, 2nd  ", "type-atlas-2nd"),
        ("日本語", "product"),
        ("x" * 90, "x" * 60),
    ],
)
def test_a_name_becomes_a_plain_address(name: str, slug: str) -> None:
    assert catalogue.slug_of(name) == slug


def test_an_archived_product_is_kept_but_not_listed(shop: Shop, sandbox: SandboxProcess) -> None:
    sync(shop)
    sandbox.call("DELETE", f"/products/{BUNDLE}")

    assert "complete-bundle" not in sync(shop)
    card = catalogue.get_product(shop, "complete-bundle")
    assert card is not None
    assert card.is_archived


def test_archiving_a_product_of_a_live_offer_tells_the_merchant(shop: Shop, sandbox: SandboxProcess) -> None:
    """Proves: R2b"""
    sync(shop)
    demo.seed(shop)
    sandbox.call("DELETE", f"/products/{BUNDLE}")

    sync(shop)

    told = [(alarm.kind, alarm.object) for alarm in alarms.list_standing(shop.store)]
    assert told == [("product_archived", BUNDLE)]


def test_the_alarm_ends_when_the_product_is_sold_again(shop: Shop, sandbox: SandboxProcess) -> None:
    sync(shop)
    demo.seed(shop)
    sandbox.call("DELETE", f"/products/{BUNDLE}")
    sync(shop)
    sandbox.call("POST", f"/products/{BUNDLE}/unarchive")

    assert "complete-bundle" in sync(shop)
    assert alarms.list_standing(shop.store) == []


def test_a_row_missing_from_the_list_does_not_end_a_product(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sync(shop)
    whole = shop.dodo.products.list_all

    def without_the_bundle(*, archived: bool = False, budget: object) -> object:
        return [item for item in whole(archived=archived, budget=budget) if item.product_id != BUNDLE]  # type: ignore[arg-type]

    monkeypatch.setattr(shop.dodo.products, "list_all", without_the_bundle)

    found = catalogue.sync(shop)

    assert found.archived == ()
    card = catalogue.get_product(shop, "complete-bundle")
    assert card is not None
    assert not card.is_archived


@pytest.mark.parametrize("fault", ["status:500", "empty", "html", "truncated", "wrong_type", "reset"])
def test_a_sync_that_fails_changes_nothing(shop: Shop, sandbox: SandboxProcess, fault: str) -> None:
    sync(shop)
    before = catalogue_rows.list_products(shop.store)
    sandbox.call("PATCH", f"/products/{COURSE}", {"name": "Changed"})
    sandbox.fault("GET /products", fault, times=20)

    with pytest.raises(ProviderError):
        catalogue.sync(shop)

    assert catalogue_rows.list_products(shop.store) == before


def test_prices_are_called_old_after_three_missed_refreshes(shop: Shop, clock: MovableClock) -> None:
    assert catalogue.is_stale(shop)
    sync(shop)
    assert not catalogue.is_stale(shop)

    clock.wall_s += 3 * shop.settings.catalogue_every_s + 1

    assert catalogue.is_stale(shop)


def test_a_browser_without_cookie_owns_nothing(shop: Shop) -> None:
    sync(shop)

    assert not catalogue.is_owned(shop, COURSE, buyer_key=None)


def test_the_catalogue_leaves_the_call_budget_to_money(sandbox: SandboxProcess, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, provider_url=sandbox.url, dodo_tier="0")
    while budgets.take(shop, "reconcile"):
        pass

    with pytest.raises(ProviderError, match="rate_budget"):
        catalogue.sync(shop)

    assert budgets.take(shop, "charge")
    shop.close()


def addons(shop: Shop, product_id: str) -> list[tuple[str, int]]:
    return [(addon.name, addon.price_minor) for addon in addon_rows.list_of_product(shop.store, product_id)]


def test_add_ons_are_copied_with_the_plans_that_take_them(shop: Shop, sandbox: SandboxProcess) -> None:
    sync(shop)
    assert addons(shop, BASIC) == [("Extra project", 1000)]
    assert sorted(addons(shop, PRO)) == [("Brand kit", 1500), ("Extra project", 1000)]

    sandbox.call("PATCH", f"/addons/{EXTRA_PROJECT}", {"name": "One more project", "price": 1200})
    sandbox.call("DELETE", f"/addons/{BRAND_KIT}")
    sync(shop)

    assert addons(shop, PRO) == [("One more project", 1200)]
    gone = addon_rows.get_addon(shop.store, BRAND_KIT)
    assert gone is not None
    assert (gone.name, gone.archived_at is None) == ("Brand kit", False)


def test_a_list_of_add_ons_that_cannot_be_read_changes_nothing(shop: Shop, sandbox: SandboxProcess) -> None:
    sync(shop)
    sandbox.call("PATCH", f"/products/{COURSE}", {"name": "Opening course"})
    sandbox.fault("GET /addons", "status:500", times=10)

    with pytest.raises(ProviderError):
        sync(shop)

    card = catalogue.get_product(shop, "starter-course")
    assert card is not None
    assert (card.name, addons(shop, BASIC)) == ("Starter course", [("Extra project", 1000)])


def test_a_business_without_add_ons_is_spared_the_reads(shop: Shop, sandbox: SandboxProcess) -> None:
    for addon_id in (EXTRA_PROJECT, BRAND_KIT):
        sandbox.call("DELETE", f"/addons/{addon_id}")

    sync(shop)

    assert sandbox.requests("GET", f"/products/{BASIC}") == []
