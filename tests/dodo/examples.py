"""What many tests here use: how they make the provider's client, and answers of the provider."""

import json
from collections.abc import Callable
from typing import Any

from encore.dodo import Dodo
from tests.dodo.raw_server import http

MakeDodo = Callable[..., Dodo]

PAYMENT = {
    "payment_id": "pay_1",
    "total_amount": 2900,
    "currency": "USD",
    "status": "succeeded",
    "created_at": "2025-08-04T05:36:41.609359Z",
    "customer": {"customer_id": "cus_1", "email": "a@example.com", "name": None},
    "product_cart": [{"product_id": "pdt_1", "quantity": 1}],
    "metadata": {"attempt_id": "att_1", "n": 5},
}
NOT_FOUND = http(404, b'{"code":"NOT_FOUND","message":"Item not found"}')


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
