"""Sign-ins: requests for a link by e-mail, and the browsers that have used one."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Link:
    """A request for a sign-in link; `expires_at` is None until its message is written, and for ever without one."""

    id: str
    address: str
    network: str
    language: str
    leads_to: str
    asked_at: int
    handled_at: int | None = None
    expires_at: int | None = None
    used_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A browser that has the account of `address`; `signed_in_at` is when it used its link."""

    buyer_key: str
    address: str
    link_id: str
    signed_in_at: int
    seen_at: int


_LINK = columns(Link)
_SIGN_IN = columns(SignIn)


# ---- Links -----------------------------------------------------------------------------------------------------


def insert_link(store: Store, link: Link) -> None:
    """Store a request for a link."""
    store.run(f"INSERT INTO sign_in_links ({_LINK}) VALUES ({placeholders(Link)})", **values(link))


def get_link(store: Store, link_id: str) -> Link | None:
    """Return a request by id."""
    return one(Link, store.row(f"SELECT {_LINK} FROM sign_in_links WHERE id = :id", id=link_id))


def get_nth_newest(store: Store, *, address: str, n: int, since: int) -> int | None:
    """Return when the n-th newest request for an address was made, None if fewer were made after `since`."""
    return _nth_newest(store, "address = :of", of=address, n=n, since=since)


def get_nth_newest_of_network(store: Store, *, network: str, n: int, since: int) -> int | None:
    """Return the same for requests from one network."""
    return _nth_newest(store, "network = :of", of=network, n=n, since=since)


def _nth_newest(store: Store, condition: str, *, of: str, n: int, since: int) -> int | None:
    found = store.row(
        f"SELECT asked_at FROM sign_in_links WHERE {condition} AND asked_at > :since"
        " ORDER BY asked_at DESC LIMIT 1 OFFSET :skip",
        of=of,
        since=since,
        skip=n - 1,
    )
    return None if found is None else int(found["asked_at"])


def get_waiting(store: Store) -> Link | None:
    """Return the oldest request that no message was written for yet."""
    return one(
        Link,
        store.row(f"SELECT {_LINK} FROM sign_in_links WHERE handled_at IS NULL ORDER BY asked_at, id LIMIT 1"),
    )


def mark_handled(store: Store, link_id: str, *, now: int, expires_at: int | None) -> bool:
    """Note that a request was looked at, once; `expires_at` makes its link valid until then."""
    return bool(
        store.rows(
            "UPDATE sign_in_links SET handled_at = :now, expires_at = :expires_at"
            " WHERE id = :id AND handled_at IS NULL RETURNING id",
            id=link_id,
            now=now,
            expires_at=expires_at,
        )
    )


def claim_link(store: Store, link_id: str, *, now: int) -> Link | None:
    """Use a link up: the request it belongs to, or None if it was used, ran out or never was."""
    found = store.rows(
        "UPDATE sign_in_links SET used_at = :now"
        f" WHERE id = :id AND used_at IS NULL AND expires_at > :now RETURNING {_LINK}",
        id=link_id,
        now=now,
    )
    return many(Link, found)[0] if found else None


# ---- Browsers --------------------------------------------------------------------------------------------------


def insert_sign_in(store: Store, sign_in: SignIn) -> None:
    """Give a browser the account of an address; raises Conflict if the link or the browser has one."""
    store.run(f"INSERT INTO sign_ins ({_SIGN_IN}) VALUES ({placeholders(SignIn)})", **values(sign_in))


def get_sign_in(store: Store, buyer_key: str) -> SignIn | None:
    """Return a browser's sign-in, whatever its age."""
    return one(SignIn, store.row(f"SELECT {_SIGN_IN} FROM sign_ins WHERE buyer_key = :key", key=buyer_key))


def mark_seen(store: Store, buyer_key: str, *, now: int) -> None:
    """Note that a signed-in browser was here."""
    store.run("UPDATE sign_ins SET seen_at = :now WHERE buyer_key = :key", key=buyer_key, now=now)


def delete_sign_in(store: Store, buyer_key: str) -> None:
    """End a browser's sign-in."""
    store.run("DELETE FROM sign_ins WHERE buyer_key = :key", key=buyer_key)


def rename_browser(store: Store, *, old: str, new: str) -> None:
    """Carry what a browser has begun over to its new cookie: checkouts, the offers after them, and their orders."""
    names = {"old": old, "new": new}
    # From the end backwards: each step finds its rows by those that still bear the old name.
    store.run(
        "UPDATE orders SET buyer_key = :new WHERE acceptance_id IN (SELECT acceptances.id FROM checkouts"
        " JOIN orders AS firsts ON firsts.checkout_id = checkouts.id"
        " JOIN offer_instances ON offer_instances.source_ref = firsts.id OR offer_instances.source_ref IN"
        " (SELECT tries.id FROM offer_instances AS tries WHERE tries.source_ref = firsts.id)"
        " JOIN acceptances ON acceptances.offer_instance_id = offer_instances.id WHERE checkouts.buyer_key = :old)",
        **names,
    )
    store.run(
        "UPDATE offer_instances SET buyer_key = :new WHERE source_ref IN (SELECT orders.id FROM checkouts"
        " JOIN orders ON orders.checkout_id = checkouts.id WHERE checkouts.buyer_key = :old)"
        # The second try of a plan change follows the first.
        " OR source_ref IN (SELECT firsts.id FROM checkouts JOIN orders ON orders.checkout_id = checkouts.id"
        " JOIN offer_instances AS firsts ON firsts.source_ref = orders.id WHERE checkouts.buyer_key = :old)",
        **names,
    )
    store.run(
        "UPDATE orders SET buyer_key = :new WHERE checkout_id IN (SELECT id FROM checkouts WHERE buyer_key = :old)",
        **names,
    )
    store.run("UPDATE checkouts SET buyer_key = :new WHERE buyer_key = :old", **names)


def delete_old(store: Store, *, before: int) -> int:
    """Delete requests and sign-ins from before a time; returns how many."""
    links = store.run("DELETE FROM sign_in_links WHERE asked_at < :before", before=before)
    return links + store.run("DELETE FROM sign_ins WHERE signed_in_at < :before", before=before)
