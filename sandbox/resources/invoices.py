"""Invoices of payments and refunds as PDF documents, marked as what they are: documents of a test."""

from collections.abc import Iterable

from ..core.clock import rfc3339
from ..core.pdf import Document, Page
from ..core.places import ZERO_DECIMAL
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError, found
from ..http.server import Response
from . import customers

routes = Routes()

LEFT, RIGHT, TOP = 50, 545, 780
QUANTITY_AT, NET_AT, TAX_AT = 340, 420, 480
LINES_ON_A_PAGE = 26
LINE_HEIGHT = 18
# Name, quantity, amount with its tax, tax.
Row = tuple[str, int | None, int, int]
NOTE = "Issued by a sandbox for testing. Not a tax invoice; no money has moved."


@routes.get("/invoices/payments/{payment_id}")
def get_payment_invoice(call: Call, payment_id: str) -> Response:
    payment = found(call.twin.store.get("payments", payment_id), "Payment")
    if payment["status"] != "succeeded":
        raise WireError(404, "NOT_FOUND", "This payment has no invoice")
    return _pdf(f"invoice-{payment['invoice_id']}.pdf", payment_invoice(call.twin, payment))


@routes.get("/invoices/refunds/{refund_id}")
def get_refund_invoice(call: Call, refund_id: str) -> Response:
    refund = found(call.twin.store.get("refunds", refund_id), "Refund")
    if refund["status"] != "succeeded":
        raise WireError(404, "NOT_FOUND", "This refund has no credit note")
    return _pdf(f"credit-note-{refund_id}.pdf", refund_invoice(call.twin, refund))


def payment_invoice(twin: Twin, payment: Doc) -> bytes:
    """Return the invoice of a succeeded payment as a PDF file."""
    facts = [
        ("Invoice", payment["invoice_id"]),
        ("Payment", payment["id"]),
        ("Date", rfc3339(payment["created_at"])[:10]),
        ("Paid with", _method(payment)),
    ]
    rows = [
        (line["name"] or line["product_id"], line["quantity"], line["total"], line["tax"]) for line in payment["lines"]
    ]
    return _document(twin, "Invoice", payment, facts=facts, rows=rows)


def refund_invoice(twin: Twin, refund: Doc) -> bytes:
    """Return the credit note of a succeeded refund as a PDF file; its tax is each line's share."""
    payment = found(twin.store.get("payments", refund["payment_id"]), "Payment")
    facts = [
        ("Credit note", refund["id"]),
        ("For invoice", payment["invoice_id"]),
        ("Payment", payment["id"]),
        ("Date", rfc3339(refund["created_at"])[:10]),
    ]
    rows: list[Row] = []
    for line in payment["lines"]:
        amount = refund["by_line"].get(line["id"], 0)
        if amount:
            rows.append((line["name"] or line["product_id"], None, amount, _share(line["tax"], amount, line["total"])))
    return _document(twin, "Credit note", payment, facts=facts, rows=rows)


def _document(twin: Twin, title: str, payment: Doc, *, facts: Iterable[tuple[str, str]], rows: list[Row]) -> bytes:
    document = Document(f"{title} {payment['id']}")
    page, currency = document.add_page(), payment["currency"]
    y = _head(page, title, facts, _buyer(twin, payment))
    for number, row in enumerate(rows):
        if number and number % LINES_ON_A_PAGE == 0:
            page = document.add_page()
            y = _columns(page, TOP)
        y = _row(page, y, row, currency)
    total, tax = sum(row[2] for row in rows), sum(row[3] for row in rows)
    page.rule(NET_AT - 80, y + 8, RIGHT)
    for label, amount, bold in (("Without tax", total - tax, False), ("Tax", tax, False), ("Total", total, True)):
        page.text(NET_AT - 80, y - 8, label, bold=bold)
        page.text_right(RIGHT, y - 8, _amount(amount, currency), bold=bold)
        y -= LINE_HEIGHT
    page.text(LEFT, 50, NOTE, size=8)
    return document.render()


def _head(page: Page, title: str, facts: Iterable[tuple[str, str]], buyer: list[str]) -> float:
    """Write what stands above the lines; return where they begin."""
    page.text(LEFT, TOP, title, size=22, bold=True)
    y = TOP - 40
    for label, value in facts:
        page.text(LEFT, y, label)
        page.text(LEFT + 80, y, value)
        y -= 16
    y -= 8
    page.text(LEFT, y, "Billed to", bold=True)
    for text in buyer:
        y -= 16
        page.text(LEFT, y, text)
    return _columns(page, y - 36)


def _columns(page: Page, y: float) -> float:
    page.text(LEFT, y, "Item")
    for x, label in ((QUANTITY_AT, "Quantity"), (NET_AT, "Without tax"), (TAX_AT, "Tax"), (RIGHT, "Amount")):
        page.text_right(x, y, label)
    page.rule(LEFT, y - 6, RIGHT)
    return y - 22


def _row(page: Page, y: float, row: Row, currency: str) -> float:
    name, quantity, total, tax = row
    page.text(LEFT, y, name if len(name) <= 44 else name[:43] + "…")
    if quantity is not None:
        page.text_right(QUANTITY_AT, y, str(quantity))
    for x, amount in ((NET_AT, total - tax), (TAX_AT, tax), (RIGHT, total)):
        page.text_right(x, y, _digits(amount, currency))
    return y - LINE_HEIGHT


def _buyer(twin: Twin, payment: Doc) -> list[str]:
    """Return who the invoice is for; a business stands there instead of the person (OpenAPI 1.113.0)."""
    customer, billing = customers.limited(twin, payment["customer_id"]), payment["billing"]
    renewed = [twin.store.get("subscriptions", subscription_id) for subscription_id in payment["subscription_ids"]]
    business: Doc = next((said for said in (payment, *renewed) if said and said.get("business_name")), {})
    tax_id = business.get("tax_id")
    place = " ".join(billing[name] for name in ("zipcode", "city", "state", "country") if billing.get(name))
    name = business.get("business_name") or customer["name"]
    lines = [name, customer["email"], billing.get("street"), place, tax_id and f"Tax id {tax_id}"]
    return [line for line in lines if line]


def _method(payment: Doc) -> str:
    card = payment["card"]
    return f"{card['network']} ending in {card['last4']}" if card else "no payment method was needed"


def _amount(minor: int, currency: str) -> str:
    return f"{currency} {_digits(minor, currency)}"


def _digits(minor: int, currency: str) -> str:
    if currency in ZERO_DECIMAL:
        return f"{minor:,}"
    whole, cents = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{whole:,}.{cents:02}"


def _share(tax: int, amount: int, total: int) -> int:
    return (2 * tax * amount + total) // (2 * total) if total else 0


def _pdf(name: str, content: bytes) -> Response:
    headers = [("Content-Type", "application/pdf"), ("Content-Disposition", f'inline; filename="{name}"')]
    return Response(200, headers, content)
