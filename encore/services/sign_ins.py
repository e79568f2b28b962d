"""Signing in: a link by e-mail proves an address, and the account is of the address that was proven.

All of the provider's customers with that address belong to it. Paying is no sign-in: whoever pays types an address, and
typing proves nothing. The request for a link never looks whether the address is known, so that its answer cannot tell;
the worker does, and writes the message.
"""

import re
from contextlib import suppress
from dataclasses import dataclass

from encore import tokens
from encore.ids import new_id
from encore.services import order_pages
from encore.services.shop import Shop
from encore.store import StoreFull, checkouts, customers, orders, outbox, sign_ins, subscriptions
from encore.store.sign_ins import Link, SignIn

# How long a link works, and an account without and with its buyer there. Source: security.md, section 4.
LINK_LIFE_MS = 15 * 60_000
_IDLE_MS = 30 * 60_000
_LIFE_MS = 12 * 3_600_000
# What takes something away wants a link used within this time.
_RECENT_MS = 30 * 60_000
# Links an hour: of one address, and for one network. Source: security.md, section 12.
_MOST_OF_ADDRESS, _MOST_OF_NETWORK, _HOUR_MS = 3, 20, 3_600_000
# One write a minute and browser is enough to know who is idle.
_SEEN_EVERY_MS = 60_000
_KEPT_MS = 24 * 3_600_000

_ADDRESS = re.compile(r"[^@\s<>\"(),:;\\]{1,64}@[^@\s<>\"(),:;\\]+\.[^@\s<>\"(),:;\\]+")
_LONGEST_ADDRESS = 254
_PLACE = re.compile(r"/(account|orders|quotes|r)(/[A-Za-z0-9_-]+)*")
_HOME = "/account"


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a signed-in browser may see: everything of these customers. `address` is in small letters.

    `is_recent`: the link was used a short while ago, so that something may be taken away.
    """

    address: str
    customer_ids: tuple[str, ...]
    is_recent: bool

    @property
    def masked_address(self) -> str:
        return order_pages.mask(self.address)


# ---- The link --------------------------------------------------------------------------------------------------


def read_address(text: str) -> str | None:
    """Return a typed e-mail address as addresses are compared, or None if it cannot be one."""
    address = fold(text.strip())
    return address if len(address) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(address) else None


def fold(address: str) -> str:
    """Make A to Z small, and nothing else: other alphabets have letters that would then be taken for each other."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in address)


def read_place(text: str | None) -> str:
    """Return where a sign-in leads to: a page of accounts, orders, quotes or offers, whatever else was asked for."""
    return text if text and len(text) <= 200 and _PLACE.fullmatch(text) else _HOME


def ask(shop: Shop, *, address: str, network: str, language: str, leads_to: str) -> int | None:
    """Take a request for a link; None, or when to try again (epoch milliseconds) if there were too many.

    `address` as `read_address` returns it. Known and unknown ones are treated by the very same statements.
    """
    now = shop.now()
    link = Link(
        id=new_id("link"),
        address=address,
        network=tokens.name_in_secret(shop.settings.secret_keys, "network", network),
        language=language,
        leads_to=leads_to,
        asked_at=now,
    )
    with shop.store.write():
        retry_at = _retry_at(shop, link) if shop.settings.limits_storage else None
        if retry_at is None:
            sign_ins.insert_link(shop.store, link)
    return retry_at


def _retry_at(shop: Shop, link: Link) -> int | None:
    since = link.asked_at - _HOUR_MS
    of_address = sign_ins.get_nth_newest(shop.store, address=link.address, n=_MOST_OF_ADDRESS, since=since)
    of_network = sign_ins.get_nth_newest_of_network(shop.store, network=link.network, n=_MOST_OF_NETWORK, since=since)
    oldest = max(of_address or 0, of_network or 0)
    return oldest + _HOUR_MS if oldest else None


def write_next(shop: Shop) -> bool:
    """Write the message of the next request, if its address is a customer's; False when no request waits."""
    # Looked at first without the write lock, which buyers need.
    link = sign_ins.get_waiting(shop.store)
    if link is None:
        return False
    found = customers.list_of_address(shop.store, link.address)
    now = shop.now()
    expires_at = now + LINK_LIFE_MS if found else None
    with shop.store.write():
        if not sign_ins.mark_handled(shop.store, link.id, now=now, expires_at=expires_at):
            return True
        if found:
            outbox.insert_message(
                shop.store,
                kind="sign_in",
                dedup_key=f"sign_in:{link.id}",
                # As the provider holds it, never as it was typed: two spellings may be two mailboxes.
                recipient=str(found[0].email),
                language=found[0].language or link.language,
                payload={"link_id": link.id, "until": expires_at},
                now=now,
            )
    return True


def link_url(shop: Shop, link_id: str) -> str:
    """Return the address that a message carries; it is made anew each time and stored nowhere."""
    return (
        f"{shop.settings.public_url}/account/sign-in/link/{tokens.make_link_token(shop.settings.secret_keys, link_id)}"
    )


def read_link(shop: Shop, token: str) -> str | None:
    """Return the id of the request whose link this is, while it can be used; nothing is used up."""
    link_id = tokens.read_link_token(shop.settings.secret_keys, token)
    return link_id if link_id and masked_address(shop, link_id) else None


def masked_address(shop: Shop, link_id: str) -> str | None:
    """Return whose account a link opens, masked; None if it was used, ran out or never was."""
    link = sign_ins.get_link(shop.store, link_id)
    if link is None or link.used_at is not None or link.expires_at is None or shop.now() >= link.expires_at:
        return None
    return order_pages.mask(link.address)


def link_name(shop: Shop, link_id: str) -> str:
    """Return what a page calls a link, so that its button opens the account it names and no other."""
    return tokens.name_in_secret(shop.settings.secret_keys, "link", link_id)


# ---- The browser -----------------------------------------------------------------------------------------------


def sign_in(shop: Shop, link_id: str, *, old_key: str | None, new_key: str) -> str | None:
    """Use a link up and give its account to the browser's new cookie; returns where to go, None if it is too late.

    The cookie is always a new one: a value somebody planted before opens nothing afterwards. What the browser has begun
    under the old one goes on under the new one, unless that had another account: whoever signs in after somebody is
    taken for another person, who sees nothing of theirs and charges none of their cards, as after a sign-out.
    """
    now = shop.now()
    with shop.store.write():
        link = sign_ins.claim_link(shop.store, link_id, now=now)
        if link is None:
            return None
        if old_key is not None:
            before = sign_ins.get_sign_in(shop.store, old_key)
            sign_ins.delete_sign_in(shop.store, old_key)
            if before is None or before.address == link.address:
                sign_ins.rename_browser(shop.store, old=old_key, new=new_key)
        sign_ins.insert_sign_in(
            shop.store,
            SignIn(buyer_key=new_key, address=link.address, link_id=link.id, signed_in_at=now, seen_at=now),
        )
        return _place_of(shop, link, new_key)


def _place_of(shop: Shop, link: Link, buyer_key: str) -> str:
    """Return where a link leads to in this browser: an order's offers stay with the browser that paid."""
    if not link.leads_to.startswith("/r/"):
        return link.leads_to
    checkout = checkouts.get_by_ref(shop.store, link.leads_to.removeprefix("/r/"))
    return link.leads_to if checkout is not None and checkout.buyer_key == buyer_key else _HOME


def current_account(shop: Shop, buyer_key: str | None) -> Account | None:
    """Return the account of a browser, None without one or when its time is over; being asked for keeps it alive."""
    row = _standing(shop, buyer_key)
    if row is None:
        return None
    if shop.now() - row.seen_at >= _SEEN_EVERY_MS:
        _note_seen(shop, row)
    found = customers.list_of_address(shop.store, row.address)
    return Account(
        address=row.address,
        customer_ids=tuple(customer.id for customer in found),
        is_recent=_is_recent(shop, row),
    )


def _is_recent(shop: Shop, row: SignIn) -> bool:
    return shop.now() - row.signed_in_at < _RECENT_MS


def has_account(shop: Shop, buyer_key: str, *, customer_id: str, lately: bool = False) -> bool:
    """Tell whether a browser is signed in to the account that a customer belongs to; nothing is written.

    `lately`: by a link that was used a short while ago, as what changes a plan needs.
    """
    row = _standing(shop, buyer_key)
    if row is not None and lately and not _is_recent(shop, row):
        return False
    customer = customers.get_customer(shop.store, customer_id) if row else None
    return row is not None and customer is not None and fold(customer.email or "") == row.address


def is_signed_in(shop: Shop, buyer_key: str) -> bool:
    """Tell whether a browser is signed in to any account; nothing is written."""
    return _standing(shop, buyer_key) is not None


def is_of_other_account(shop: Shop, place: str, *, buyer_key: str | None) -> bool:
    """Tell whether a place is of an order or a plan bought in this browser, but with another account than it has now.

    What led to the sign-in from there would lead to it again, without a word.
    """
    if buyer_key is None:
        return False
    owner = _owner_of(shop, place, buyer_key)
    return owner is not None and not has_account(shop, buyer_key, customer_id=owner)


def _owner_of(shop: Shop, place: str, buyer_key: str) -> str | None:
    """Return the customer of what a place shows, if this browser bought it; nobody is told of another's."""
    name = place.rpartition("/")[2]
    if place.startswith("/account/subscriptions/"):
        bought = subscriptions.list_of_browser(shop.store, buyer_key)
        return next((row.customer_id for row in bought if row.id == name), None)
    checkout = checkouts.get_by_ref(shop.store, name) if place.startswith(("/r/", "/orders/")) else None
    order = orders.get_of_checkout(shop.store, checkout.id) if checkout and checkout.buyer_key == buyer_key else None
    return order.customer_id if order else None


def only_customer(shop: Shop, buyer_key: str) -> str | None:
    """Return the one customer of a signed-in browser's account; None without one, or where there are several."""
    row = _standing(shop, buyer_key)
    found = customers.list_of_address(shop.store, row.address) if row else []
    return found[0].id if len(found) == 1 else None


def _standing(shop: Shop, buyer_key: str | None) -> SignIn | None:
    row = sign_ins.get_sign_in(shop.store, buyer_key) if buyer_key else None
    if row is None:
        return None
    now = shop.now()
    # A clock that was set back says nothing of how long it has been.
    is_standing = 0 <= now - row.signed_in_at < _LIFE_MS and 0 <= now - row.seen_at < _IDLE_MS
    return row if is_standing else None


def _note_seen(shop: Shop, row: SignIn) -> None:
    # A full disk must not keep anybody from reading.
    with suppress(StoreFull), shop.store.write():
        sign_ins.mark_seen(shop.store, row.buyer_key, now=shop.now())


def sign_out(shop: Shop, buyer_key: str | None) -> None:
    """End a browser's account, if it has one."""
    if buyer_key is None or sign_ins.get_sign_in(shop.store, buyer_key) is None:
        return
    with shop.store.write():
        sign_ins.delete_sign_in(shop.store, buyer_key)


def sweep(shop: Shop) -> int:
    """Forget requests and sign-ins whose time is long over; returns how many."""
    with shop.store.write():
        return sign_ins.delete_old(shop.store, before=shop.now() - _KEPT_MS)
