"""The provider's add-ons of subscription products."""

from collections.abc import Sequence

from encore.dodo.client import Budget, Client
from encore.dodo.models import Addon, AddonPage
from encore.dodo.pages import PAGE_SIZE, read_pages


class Addons:
    """`/addons` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_all(self, *, budget: Budget) -> Sequence[Addon]:
        """Read all add-ons on sale. Raises NotExecuted or Unavailable: a part would look like the whole."""

        def read_page(page_number: int) -> Sequence[Addon]:
            query = {"page_number": page_number, "page_size": PAGE_SIZE}
            return self._client.get("/addons", AddonPage, query=query, budget=budget).items

        return tuple(read_pages(read_page))
