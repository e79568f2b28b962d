"""Invoices: a file of the provider, and nothing else."""

import pytest

from encore.errors import NotExecuted, Unavailable
from tests.dodo.examples import NOT_FOUND, MakeDodo
from tests.dodo.raw_server import RawServer, answering, http

PDF = b"%PDF-1.7\n%%EOF\n"


def test_invoice_is_read_as_the_file_it_is(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, PDF, "Content-Type: application/pdf; charset=binary"))) as server:
        dodo = make_dodo(server.url)
        found = dodo.invoices.of_payment("pay_1", budget=dodo.budget())

    assert found == PDF
    assert server.requests[0].path == "/invoices/payments/pay_1"
    assert server.requests[0].headers["accept"] == "application/pdf"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(200, b"<script>", "Content-Type: text/html"), id="a page"),
        pytest.param(http(200, PDF, "Content-Type: text/html"), id="a PDF called a page"),
        pytest.param(http(200, b"<script>", "Content-Type: application/pdf"), id="a page called a PDF"),
        pytest.param(http(200, b"", "Content-Type: application/pdf"), id="nothing"),
        pytest.param(http(200, PDF + b"x" * (1 << 20), "Content-Type: application/pdf"), id="too large"),
        pytest.param(http(302, b"", "Location: https://evil.example/"), id="somewhere else"),
        pytest.param(http(500, b""), id="an error"),
    ],
)
def test_what_is_no_invoice_is_not_handed_on(make_dodo: MakeDodo, answer: bytes) -> None:
    with RawServer(answering(answer)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.invoices.of_payment("pay_1", budget=dodo.budget())


def test_invoice_that_is_not_there_says_so(make_dodo: MakeDodo) -> None:
    with RawServer(answering(NOT_FOUND)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(NotExecuted):
            dodo.invoices.of_payment("pay_1", budget=dodo.budget())
