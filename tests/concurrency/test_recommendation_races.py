"""Cards and clicks at the same instant in one account: one live offer, one charge."""

from functools import partial

import pytest

from blueprints.web import hash_cookie
from encore.services import offers, recommendations, sign_ins
from encore.services.recommendations import Opened
from encore.store import sign_ins as rows
from tests.concurrency.crowd import Crowd, Offered, at_once, in_waves
from tests.sandbox_process import wait_for
from tests.services.world import World


def signed_in(world: World, email: str, cookie: str) -> sign_ins.Account:
    """Let a browser have used the link that the worker mails to an address."""
    key = hash_cookie(cookie)
    sign_ins.ask(world.shop, address=email, network=email, language="en", leads_to="/account")
    link = world.shop.store.row("SELECT id FROM sign_in_links WHERE address = :address", address=email)
    assert link is not None
    wait_for(lambda: _is_written(world, link["id"]), limit_s=20, what="the link")
    assert sign_ins.sign_in(world.shop, link["id"], old_key=None, new_key=key)
    account = sign_ins.current_account(world.shop, key)
    assert account is not None
    return account


def _is_written(world: World, link_id: str) -> bool:
    sign_ins.write_next(world.shop)
    link = rows.get_link(world.shop.store, link_id)
    return link is not None and link.expires_at is not None


def recommended(crowd: Crowd, cookie: str, email: str) -> Offered:
    """Press the same card four times at once; every press must lead to the same offer."""
    world, key = crowd.world, hash_cookie(cookie)
    account = signed_in(world, email, cookie)
    press = partial(recommendations.open_card, world.shop, account, "account-templates", buyer_key=key, language="en")
    opened = at_once([press] * 4)
    assert len(set(opened)) == 1, opened
    assert isinstance(opened[0], Opened)
    page = offers.page(world.shop, opened[0].instance_id, buyer_key=key, language="en")
    assert page is not None
    return Offered(page, cookie)


@pytest.mark.criterion("R7b", "R7c")
def test_cards_and_clicks_at_once_charge_once(crowd: Crowd) -> None:
    bought = crowd.offers(8, name="account")
    offered = [recommended(crowd, one.cookie, f"account{index}@example.com") for index, one in enumerate(bought)]
    live = crowd.world.shop.store.rows("SELECT id FROM offer_instances WHERE order_id IS NOT NULL")
    assert len(live) == len(offered)
    races = [[partial(tab.press, "offer-accept") for tab in pair for _ in range(3)] for pair in crowd.tabs(offered)]

    statuses = in_waves(races)

    crowd.check(statuses)
    assert set(statuses) == {303}
    charged = [c["body"]["return_url"] for c in crowd.world.sandbox.charges(offer_id="account-templates")]
    assert sorted(url.rpartition("/")[2] for url in charged) == sorted(one.page.instance_id for one in offered)
    assert {crowd.world.outcome(one.page) for one in offered} == {"charged"}
