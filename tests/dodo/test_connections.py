"""Connections of ordinary calls: kept for the next one, each for one thread, and never past what may be trusted."""

import threading

import pytest

from encore.clock import Clock
from encore.dodo import Budget
from encore.dodo.client import Client
from encore.dodo.models import Payment
from encore.errors import Unavailable
from tests.dodo.broken_conversations import drip
from tests.dodo.examples import PAYMENT, MakeDodo, as_json
from tests.dodo.raw_server import Peer, RawServer, answering, http


def test_connections_are_kept_for_ordinary_calls(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        for _ in range(3):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert len(server.requests) == 3
    assert server.connections == 1


def drip_from_the_second(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.send(http(200, as_json(PAYMENT)))
    drip(server, peer)


def test_a_kept_connection_that_drips_is_cut_in_time(make_dodo: MakeDodo) -> None:
    with RawServer(drip_from_the_second) as server:
        dodo = make_dodo(server.url)
        dodo.payments.get("pay_1", budget=dodo.budget())
        began = Clock().monotonic()
        with pytest.raises(Unavailable, match="deadline"):
            dodo.payments.get("pay_1", budget=dodo.budget(0.2))

    assert server.connections == 1
    assert Clock().monotonic() - began < 4.0


def test_a_kept_connection_that_the_provider_has_closed_is_not_used_again(make_dodo: MakeDodo) -> None:
    closed = threading.Event()

    def answer_and_hang_up(server: RawServer, peer: Peer) -> None:
        server.take(peer)
        peer.send(http(200, as_json(PAYMENT)))
        peer.sock.close()
        closed.set()

    with RawServer(answer_and_hang_up) as server:
        client = make_dodo(server.url).client
        for _ in range(2):
            # A POST: it is sent once, so nothing else would save it.
            client.post("/checkouts/preview", {}, Payment, budget=Budget(Clock(), 3.0))
            assert closed.wait(5)
            closed.clear()

    assert server.connections == server.posts == 2


def test_threads_do_not_share_a_connection(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        for _ in range(2):
            thread = threading.Thread(target=lambda: dodo.payments.get("pay_1", budget=dodo.budget()))
            thread.start()
            thread.join()

    assert server.connections == 2


def test_a_fork_does_not_inherit_the_session(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    client: Client = make_dodo("http://127.0.0.1:9").client
    before = client._session()
    monkeypatch.setattr("os.getpid", lambda: -1)

    assert client._session() is not before


def test_answer_that_is_only_announced_ends_its_connection(make_dodo: MakeDodo) -> None:
    """Else the next request would take the true answer of this one, another customer's, for its own."""

    def methods(name: str) -> bytes:
        return as_json({"items": [{"payment_method_id": name, "payment_method": "card", "card": {}}]})

    def behave(server: RawServer, peer: Peer) -> None:
        request = server.take(peer)
        if "cus_A" in request.path:
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            server.take(peer)
            peer.send(http(200, methods("pm_of_A")))
        else:
            peer.send(http(200, methods("pm_of_B")))

    with RawServer(behave) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.customers.payment_methods("cus_A", budget=dodo.budget())
        found = dodo.customers.payment_methods("cus_B", budget=dodo.budget())

    assert [method.payment_method_id for method in found] == ["pm_of_B"]
