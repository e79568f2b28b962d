"""Invoices: the provider's documents, handed on as they are."""

from encore.dodo.client import Budget, Client, path_of
from encore.errors import Unavailable

_PDF = "application/pdf"


class Invoices:
    """`/invoices` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def of_payment(self, payment_id: str, *, budget: Budget) -> bytes:
        """Read the invoice of a payment as a PDF. Raises NotExecuted (404 if there is none) or Unavailable."""
        document = self._client.get_file(path_of("/invoices/payments/{}", payment_id), media_type=_PDF, budget=budget)
        if not document.startswith(b"%PDF-"):
            raise Unavailable("not_a_pdf")
        return document
