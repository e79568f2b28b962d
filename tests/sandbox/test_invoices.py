"""Invoices are PDF files that a reader opens, and say who bought what."""

import re

import pytest
from dodopayments import DodoPayments

from sandbox.core.pdf import Document
from tests.sandbox_process import BASIC, BUNDLE, COURSE, SACH, SandboxProcess


def texts(content: bytes) -> list[str]:
    """Return every text of a PDF, as a reader would copy it."""
    found = re.findall(rb"/ActualText <FEFF([0-9a-f]*)>", content)
    return [bytes.fromhex(text.decode()).decode("utf-16-be") for text in found]


def assert_whole(content: bytes) -> None:
    """Fail unless the file is closed and its table leads to every object."""
    assert content.startswith(b"%PDF-1.7\n")
    assert content.endswith(b"%%EOF\n")
    start = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    table = content[start:].split(b"\n")
    assert table[0] == b"xref"
    for number, entry in enumerate(table[3 : 2 + int(table[1].split()[1])], start=1):
        assert content[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    for length, stream in re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", content, re.DOTALL):
        assert int(length) == len(stream)


def invoice(sandbox: SandboxProcess, path: str) -> bytes:
    answer = sandbox.call("GET", f"/invoices/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert_whole(answer.content)
    return answer.content


def test_invoice_names_buyer_lines_and_total(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BUNDLE, quantity=2)

    written = texts(invoice(sandbox, f"payments/{payment['payment_id']}"))

    assert {"Invoice", payment["invoice_id"], "Lan Nguyen", "lan@example.com", "Complete bundle", "2"} <= set(written)
    assert f"USD {payment['total_amount'] / 100:,.2f}" in written
    assert f"USD {payment['tax'] / 100:,.2f}" in written
    assert "visa ending in 4242" in written


def test_vietnamese_is_written_as_it_is_spelled(sandbox: SandboxProcess) -> None:
    session = sandbox.post("/checkouts", {"product_cart": [{"product_id": SACH, "quantity": 1}]})
    sandbox.pay(session["session_id"], name="Nguyễn Thị Ánh Tuyết", country="VN", zipcode="700000")
    payment = sandbox.get("/payments")["items"][0]

    content = invoice(sandbox, f"payments/{payment['payment_id']}")

    assert {"Nguyễn Thị Ánh Tuyết", "Sách bao bì", f"VND {payment['total_amount']:,}"} <= set(texts(content))
    # ễ and ế are drawn from the e that Helvetica has, each as a glyph of its own.
    assert content.count(b" 0 d0 BT /F 1000 Tf <65> Tj ET") == 2


def test_credit_note_is_of_the_refund(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(COURSE)
    items = [{"item_id": COURSE, "amount": 1000}]
    refund = sandbox.post("/refunds", {"payment_id": payment["payment_id"], "items": items})

    written = texts(invoice(sandbox, f"refunds/{refund['refund_id']}"))

    assert {"Credit note", refund["refund_id"], payment["invoice_id"], "USD 10.00"} <= set(written)


@pytest.mark.parametrize("path", ["payments/pay_nowhere", "refunds/ref_nowhere", "payouts/pyt_nowhere"])
def test_there_is_no_invoice_of_nothing(sandbox: SandboxProcess, path: str) -> None:
    assert sandbox.call("GET", f"/invoices/{path}").status_code == 404


def test_declined_payment_and_pending_refund_have_none(sandbox: SandboxProcess) -> None:
    declined, paid = sandbox.buy(card="4000000000000002"), sandbox.buy()
    sandbox.switch(refund_outcome="pending")
    pending = sandbox.post("/refunds", {"payment_id": paid["payment_id"]})

    for path in (f"payments/{declined['payment_id']}", f"refunds/{pending['refund_id']}"):
        assert sandbox.call("GET", f"/invoices/{path}").status_code == 404


def test_official_sdk_downloads_it(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BASIC)
    with DodoPayments(bearer_token="key", base_url=sandbox.url, max_retries=0) as client:
        content = client.invoices.payments.retrieve(payment["payment_id"]).read()

    assert_whole(content)


def test_long_carts_go_on_on_a_second_page(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": COURSE, "quantity": 1}] * 60
    made = sandbox.post(
        "/payments",
        {
            "product_cart": cart,
            "customer": {"email": "lan@example.com"},
            "billing": {"country": "US"},
            "payment_link": True,
        },
    )
    sandbox.pay(made["payment_link"].rsplit("/", 1)[1])

    content = invoice(sandbox, f"payments/{made['payment_id']}")

    assert b"/Count 3" in content
    assert texts(content).count("Starter course") == 60


def test_what_helvetica_lacks_is_a_box_but_stays_readable() -> None:
    document = Document("Any letters")
    page = document.add_page()
    page.text(50, 700, "日本語 Ψ")
    page.text(50, 680, "".join(chr(number) for number in range(0x4E00, 0x4F20)))

    content = document.render()

    assert_whole(content)
    assert texts(content)[0] == "日本語 Ψ"
    assert b"/LastChar 255" in content


def test_business_stands_on_the_invoice_instead_of_the_person(sandbox: SandboxProcess) -> None:
    customer_id = sandbox.buy(BASIC)["customer"]["customer_id"]
    made = sandbox.post(
        "/checkouts",
        {
            "product_cart": [{"product_id": BASIC, "quantity": 1}],
            "customer": {"customer_id": customer_id},
            "payment_method_id": sandbox.methods(customer_id)[0]["payment_method_id"],
            "billing_address": {"country": "DE", "zipcode": "10115"},
            "minimal_address": True,
            "confirm": True,
            "tax_id": "DE999999999",
            "customer_business_name": "Beispiel GmbH",
        },
    )
    payment = sandbox.get(f"/payments/{made['payment_id']}")
    sandbox.control("renewals", {"subscription_id": payment["subscription_id"]})
    renewal = sandbox.get("/payments", subscription_id=payment["subscription_id"])["items"][0]

    for payment_id in (payment["payment_id"], renewal["payment_id"]):
        written = texts(invoice(sandbox, f"payments/{payment_id}"))
        assert {"Beispiel GmbH", "Tax id DE999999999"} <= set(written)
        assert "Lan Nguyen" not in written
