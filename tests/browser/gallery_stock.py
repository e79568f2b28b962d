"""What the gallery's shop sells: what makes pages difficult, and the offers and plans that lead to every state."""

from importlib.resources import files
from pathlib import Path

from tests.installation import Installation
from tests.sandbox.subscriptions import make_plan

LONG_NAME = "Hand-bound archive edition of all twelve lessons, in a slipcase"
DONG_NAME = "Khuôn cắt bao bì"
OLD_NAME = "Poster of last year"
_OFFERS = """
[[offers]]
id = "archive"
role = "upsell"
product = "LONG_SLUG"

[offers.title]
en = "Keep the hand-bound archive edition of all twelve lessons, in a slipcase"
vi = "Giữ trọn bản lưu trữ đóng tay của cả mười hai bài học, kèm hộp đựng"

[[offers]]
id = "cutters"
role = "upsell"
product = "DONG_SLUG"
title = { en = "Add the cutting dies", vi = "Thêm bộ khuôn cắt" }
text = { en = "Fifteen dies, ready to print.", vi = "Mười lăm khuôn, sẵn sàng để in." }

[[offers]]
id = "members"
role = "upsell"
product = "design-templates"
title = { en = "Add the Design templates", vi = "Thêm bộ Mẫu thiết kế" }
"""


def stock(shop: Installation, folder: Path) -> None:
    """Sell what makes pages difficult: a long name, no picture, a currency without decimals."""
    for name, currency, minor in ((LONG_NAME, "EUR", 12_345), (DONG_NAME, "VND", 1_290_000), (OLD_NAME, "USD", 900)):
        _create_product(shop, name, currency, minor)
    run(shop, "dodo", "sync")
    slugs = {row["name"]: row["slug"] for row in shop.store.rows("SELECT name, slug FROM products")}
    offers = _OFFERS.replace("LONG_SLUG", slugs[LONG_NAME]).replace("DONG_SLUG", slugs[DONG_NAME])
    for funnel, product in (("archive", "type-atlas"), ("cutters", slugs["Sách bao bì"]), ("members", "pro-plan")):
        offers += f'\n[[funnels]]\nid = "{funnel}"\npriority = 5\n'
        offers += f'rules = [[{{ field = "product", operator = "is", value = ["{product}"] }}]]\n'
        offers += f'[[funnels.steps]]\nkey = "only"\noffer = "{funnel}"\n'
    file = folder / "offers.toml"
    file.write_text(offers, "utf-8")
    run(shop, "offers", "import", str(file))


def _create_product(shop: Installation, name: str, currency: str, minor: int) -> None:
    price = {"type": "one_time_price", "currency": currency, "price": minor, "discount": 0}
    body = {"name": name, "description": "", "price": {**price, "purchasing_power_parity": False}}
    shop.sandbox.post("/products", {**body, "tax_category": "digital_products"})


def put_a_plan_between(shop: Installation) -> None:
    """Publish the shipped plans with one between them, so that a way down passes over it."""
    make_plan(shop.sandbox, 5000, name="Studio plan")
    run(shop, "dodo", "sync")
    shipped = (files("encore.services") / "recipes" / "plans.toml").read_text("utf-8")
    first, last = shipped.rsplit("[[plan_groups.plans]]", 1)
    points = '[{ about = "projects", en = "5 projects", vi = "5 dự án" }, { en = "Templates", vi = "Mẫu" }]'
    file = shop.folder / "plans.toml"
    file.write_text(
        f'{first}[[plan_groups.plans]]\nproduct = "studio-plan"\npoints = {points}\n\n[[plan_groups.plans]]{last}',
        "utf-8",
    )
    run(shop, "offers", "import", str(file))


def run(shop: Installation, *arguments: str) -> None:
    """Run a command of the shop, which must succeed."""
    done = shop.flask(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
