"""Every state of every buyer page, made by real buyers in a shop of its own, to be looked at in many ways.

Pages follow from rows, so a state made once by plain HTTP can be opened again and again, in any browser that carries
its buyer's cookies. The shop's quarantine never ends here: what is unknown stays unknown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.exhibits import STATES, Exhibit
from tests.browser.gallery_buyers import Maker
from tests.browser.gallery_stock import stock
from tests.installation import Installation, running_installation

_ENV = {
    "ENCORE_SHOP_NAME": "Paper & Co",
    "ENCORE_QUARANTINE_S": "86400",
    "ENCORE_CHARGE_TIMEOUT_S": "5",
    "ENCORE_BUDGET_S": "8",
}


@dataclass
class Gallery:
    """The shop and its exhibits by name."""

    shop: Installation
    exhibits: dict[str, Exhibit]

    def url(self, name: str, *, language: str = "en") -> str:
        """Return the address of an exhibit in a language."""
        return f"{self.shop.url}{self.exhibits[name].path}?lang={language}"


@contextmanager
def open_gallery(folder: Path) -> Iterator[Gallery]:
    """Set up the shop and make every exhibit."""
    with running_installation(folder, checkout_host="localhost", **_ENV) as shop:
        stock(shop, folder)
        shop.start_web()
        shop.start_worker()
        made = Maker(shop).make_all()
        # What follows is only looked at: a worker would go on asking after the unknown one.
        shop.kill("worker")
        assert {exhibit.name: exhibit.state for exhibit in made} == STATES
        yield Gallery(shop, {exhibit.name: exhibit for exhibit in made})
