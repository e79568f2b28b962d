"""The provider, Dodo Payments: the only HTTP that Encore speaks to it."""

from collections.abc import Callable

from encore.clock import Clock
from encore.dodo.addons import Addons
from encore.dodo.checkouts import Checkouts
from encore.dodo.client import Budget, Client, Timeouts
from encore.dodo.customers import Customers
from encore.dodo.disputes import Disputes
from encore.dodo.grants import Grants
from encore.dodo.invoices import Invoices
from encore.dodo.payments import Payments
from encore.dodo.products import Products
from encore.dodo.refunds import Refunds
from encore.dodo.subscriptions import Subscriptions

__all__ = ["Budget", "Dodo", "Timeouts"]


class Dodo:
    """One provider account: a resource an attribute, a call a method.

    `forbid` is called before every send and raises if this thread holds a write transaction.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        clock: Clock,
        timeouts: Timeouts,
        forbid: Callable[[], None],
    ) -> None:
        self.client = Client(base_url, api_key, clock, timeouts, forbid)
        self.addons = Addons(self.client)
        self.checkouts = Checkouts(self.client)
        self.customers = Customers(self.client)
        self.disputes = Disputes(self.client)
        self.grants = Grants(self.client)
        self.invoices = Invoices(self.client)
        self.payments = Payments(self.client)
        self.products = Products(self.client)
        self.refunds = Refunds(self.client)
        self.subscriptions = Subscriptions(self.client)

    def budget(self, total_s: float | None = None) -> Budget:
        """Start the time budget of one request; the whole of `timeouts.total_s` unless less is given."""
        return Budget(self.client.clock, self.client.timeouts.total_s if total_s is None else total_s)
