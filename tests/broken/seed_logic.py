"""Read the offer, charge, and only then write that it is taken: the handler of the guide that inspired this product."""

from pathlib import Path

from encore.rules.quotes import thaw
from encore.services import charging
from encore.services.consent import Consent
from encore.services.shop import Shop
from encore.store import acceptances, attempts, offer_instances
from encore.store.attempts import Attempt
from tests.broken.scenarios import SIX_CLICKS

SCENARIO = SIX_CLICKS
BREAKS = {"I2", "I4"}


def install(database: Path) -> None:
    charging.accept = _accept  # type: ignore[assignment]


def _accept(
    shop: Shop, instance_id: str, *, buyer_key: str, quote_hash: str, consent: Consent, buy_again: bool = False
) -> str:
    instance = offer_instances.get_instance(shop.store, instance_id)
    assert instance is not None
    if instance.state != "shown":
        return "taken"
    now = shop.now()
    charge = charging._one_click(shop, instance, thaw(instance.quote_json), buy_again=buy_again)
    acceptance = charging._new_acceptance(instance, charge, consent=consent, now=now)
    attempt = Attempt(
        id=f"att_{instance.id}",
        acceptance_id=acceptance.id,
        kind="one_click",
        state="sending",
        post_count=1,
        claimed_at=now,
        created_at=now,
        changed_at=now,
    )
    body = charging._request(shop, instance, thaw(instance.quote_json), attempt_id=attempt.id)
    answer = shop.dodo.checkouts.confirm(body, before_first_byte=lambda: True)
    with shop.store.write():
        offer_instances.claim_instance(shop.store, instance.id, quote_hash=quote_hash, now=now)
        if acceptances.insert_acceptance(shop.store, acceptance):
            attempts.insert_attempt(shop.store, attempt)
    stored = attempts.get_attempt(shop.store, attempt.id)
    assert stored is not None
    charging.settle(shop, stored, answer)
    return "taken"
