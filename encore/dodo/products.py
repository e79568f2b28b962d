"""The provider's catalogue."""

from collections.abc import Sequence

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Product, ProductListItem, ProductPage
from encore.dodo.pages import PAGE_SIZE, read_pages


class Products:
    """`/products` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, product_id: str, *, budget: Budget) -> Product:
        """Read a product. Raises NotExecuted (404 if unknown) or Unavailable."""
        return self._client.get(path_of("/products/{}", product_id), Product, budget=budget)

    def list(
        self, *, archived: bool = False, page_number: int, page_size: int, budget: Budget
    ) -> list[ProductListItem]:
        """Read one page, numbered from 0, of the products on sale or of the archived ones.

        Raises NotExecuted or Unavailable.
        """
        query = {
            "archived": "true" if archived else None,
            "page_number": page_number,
            "page_size": page_size,
        }
        return self._client.get("/products", ProductPage, query=query, budget=budget).items

    def list_all(self, *, archived: bool = False, budget: Budget) -> Sequence[ProductListItem]:
        """Read all products on sale, or all archived ones; raises as `list`: a part would look like the whole."""

        def read_page(page_number: int) -> Sequence[ProductListItem]:
            return self.list(archived=archived, page_number=page_number, page_size=PAGE_SIZE, budget=budget)

        return tuple(read_pages(read_page))
