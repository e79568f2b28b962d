"""Checkout sessions: hosted ones, previews, and the one POST that charges a saved method."""

from collections.abc import Callable, Mapping
from typing import Any

from encore.dodo.answers import Answer, classify
from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import CheckoutCreated, CheckoutPreview, CheckoutSession
from encore.errors import Unavailable


class Checkouts:
    """`/checkouts` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, body: Mapping[str, Any], *, budget: Budget) -> CheckoutCreated:
        """Open a hosted session, which charges nothing by itself. Raises NotExecuted or Unavailable."""
        if body.get("confirm"):
            raise ValueError("a confirmed checkout charges: use confirm()")
        return self._client.post("/checkouts", body, CheckoutCreated, budget=budget)

    def confirm(self, body: Mapping[str, Any], *, before_first_byte: Callable[[], bool]) -> Answer:
        """Charge a saved payment method: one POST, never repeated, `charge_s` at most.

        `before_first_byte` is asked when the connection stands, directly before the request would leave;
        False gives NotSent("window"). Never raises for what the provider or the network did.
        """
        if body.get("confirm") is not True:
            raise ValueError("an unconfirmed checkout charges nothing: use create()")
        exchange = self._client.send_once("/checkouts", body, before_first_byte=before_first_byte, is_charge=True)
        return classify(exchange, now=self._client.clock.now())

    def get(self, session_id: str, *, budget: Budget) -> CheckoutSession:
        """Read a session. Raises NotExecuted (404 if unknown) or Unavailable."""
        session = self._client.get(path_of("/checkouts/{}", session_id), CheckoutSession, budget=budget)
        if session.id != session_id:
            raise Unavailable("other_session")
        return session

    def preview(self, body: Mapping[str, Any], *, budget: Budget) -> CheckoutPreview:
        """Ask what a checkout would cost, tax included. Raises NotExecuted or Unavailable."""
        return self._client.post("/checkouts/preview", body, CheckoutPreview, budget=budget)
