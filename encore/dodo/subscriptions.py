"""Subscriptions: what they are, what a change of plan would cost, and the one POST that makes it."""

from collections.abc import Callable, Mapping
from typing import Any

from encore.dodo.answers import Answer, NotSent, classify
from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import ChangePreview, MethodUpdate, Subscription, SubscriptionPage
from encore.dodo.pages import Look, look
from encore.dodo.payments import rfc3339
from encore.errors import NotExecuted, Unavailable


class Subscriptions:
    """`/subscriptions` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, subscription_id: str, *, budget: Budget) -> Subscription:
        """Read a subscription. Raises NotExecuted (404 if unknown) or Unavailable."""
        found = self._client.get(path_of("/subscriptions/{}", subscription_id), Subscription, budget=budget)
        if found.subscription_id != subscription_id:
            # Believed, it would give one customer's plan to another.
            raise Unavailable("other_subscription")
        return found

    def preview_change(self, subscription_id: str, body: Mapping[str, Any], *, budget: Budget) -> ChangePreview:
        """Ask what a plan change would charge; changes nothing. Raises NotExecuted or Unavailable."""
        path = path_of("/subscriptions/{}/change-plan/preview", subscription_id)
        return self._client.post(path, body, ChangePreview, budget=budget)

    def change_plan(
        self, subscription_id: str, body: Mapping[str, Any], *, before_first_byte: Callable[[], bool]
    ) -> Answer:
        """Change a plan, and charge what that costs: one POST, never repeated, `charge_s` at most.

        The answer to a change that settles on the stored method is a 200 without a body, or with nothing in it: that
        is an UnknownAnswer, and only reading the subscription and its payments tells. Never raises for what the
        provider or the network did. Raises ValueError for a body that may charge without changing the plan, or change
        it without being paid: see `on_payment_failure` and `addons` in dodo-api.md, section 10.3.
        """
        if body.get("on_payment_failure") != "prevent_change" or "addons" not in body or "quantity" not in body:
            raise ValueError("a plan change names its quantity and add-ons, and prevents what is not paid")
        return self._charge("/subscriptions/{}/change-plan", subscription_id, body, before_first_byte)

    def cancel_scheduled_change(self, subscription_id: str, *, budget: Budget) -> bool:
        """Drop the scheduled change of a subscription; False if there is none (any more).

        Raises Unavailable for any other answer: it may be asked for again.
        """
        path = path_of("/subscriptions/{}/change-plan/scheduled", subscription_id)
        reply = self._client.delete(path, budget=budget)
        if reply.status not in (200, 204, 404):
            raise Unavailable(f"status_{reply.status}")
        return reply.status != 404

    def ask_for_method(self, subscription_id: str, *, return_url: str, budget: Budget) -> MethodUpdate:
        """Begin giving a subscription another card on the provider's page. Raises NotExecuted or Unavailable.

        Only for one that owes nothing: on hold, the same request charges what is owed.
        """
        path = path_of("/subscriptions/{}/update-payment-method", subscription_id)
        return self._client.post(path, {"type": "new", "return_url": return_url}, MethodUpdate, budget=budget)

    def use_method(self, subscription_id: str, payment_method_id: str, *, budget: Budget) -> MethodUpdate:
        """Let another saved method pay for a subscription from now on. Raises NotExecuted or Unavailable.

        Only for one that owes nothing, as with `ask_for_method`; it may be asked for again. An answer that names a
        payment has charged what is owed.
        """
        path = path_of("/subscriptions/{}/update-payment-method", subscription_id)
        body = {"type": "existing", "payment_method_id": payment_method_id}
        return self._client.post(path, body, MethodUpdate, budget=budget)

    def pay_dues(
        self, subscription_id: str, body: Mapping[str, Any], *, before_first_byte: Callable[[], bool]
    ) -> Answer:
        """Give a subscription on hold a method, which charges what it owes: one POST, never repeated.

        Accepted with a `payment_link` has charged nothing yet; an answer without a payment is an UnknownAnswer. Never
        raises for what the provider or the network did.
        """
        return self._charge("/subscriptions/{}/update-payment-method", subscription_id, body, before_first_byte)

    def set_cancellation(self, subscription_id: str, *, at_next_billing: bool, budget: Budget) -> Subscription:
        """End a subscription with its current period, or take that back. Raises NotExecuted or Unavailable."""
        body = {"cancel_at_next_billing_date": at_next_billing}
        return self._client.patch(path_of("/subscriptions/{}", subscription_id), body, Subscription, budget=budget)

    def end_now(self, subscription_id: str, *, budget: Budget) -> Subscription:
        """End a subscription at once, because its customer says so; cannot be taken back.

        Raises NotExecuted or Unavailable. May be asked for again: an ended one is refused.
        """
        body = {"status": "cancelled", "cancel_reason": "cancelled_by_customer"}
        return self._client.patch(path_of("/subscriptions/{}", subscription_id), body, Subscription, budget=budget)

    def list_all(
        self,
        *,
        customer_id: str | None = None,
        product_id: str | None = None,
        created_at_gte: int | None = None,
        budget: Budget,
    ) -> Look[Subscription]:
        """Look at all subscriptions that match; `created_at_gte` is epoch milliseconds."""

        def read_page(page_number: int, page_size: int) -> list[Subscription]:
            query = {
                "customer_id": customer_id,
                "product_id": product_id,
                "created_at_gte": None if created_at_gte is None else rfc3339(created_at_gte),
                "page_number": page_number,
                "page_size": page_size,
            }
            return self._client.get("/subscriptions", SubscriptionPage, query=query, budget=budget).items

        return look(read_page, key=lambda subscription: subscription.subscription_id)

    def _charge(
        self, template: str, subscription_id: str, body: Mapping[str, Any], before_first_byte: Callable[[], bool]
    ) -> Answer:
        try:
            path = path_of(template, subscription_id)
        except NotExecuted:
            return NotSent("not_an_id")
        exchange = self._client.send_once(path, body, before_first_byte=before_first_byte, is_charge=True)
        return classify(exchange, now=self._client.clock.now())
