import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from encore.logs import HIDDEN, configure_logs


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs(secrets=["canary-of-a-secret"], stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def last(log: io.StringIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log.getvalue().splitlines()[-1])
    return found


def test_event_is_one_json_line_with_its_fields(log: io.StringIO) -> None:
    structlog.get_logger("encore.test").info("attempt.settled", attempt_id="att_1", amount=2900, state="paid")

    line = last(log)

    assert line.pop("at") > 1_700_000_000_000
    assert line == {
        "event": "attempt.settled",
        "attempt_id": "att_1",
        "amount": 2900,
        "state": "paid",
        "level": "info",
    }


@pytest.mark.parametrize(
    "text",
    [
        "Authorization was Bearer sk_live_abc.def",
        "signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "out is the canary-of-a-secret",
        "mail to buyer.one+tag@example.com",
        "card 4242 4242 4242 4242",
        "card 4242424242424242",
        "Cookie: encore_buyer=abc; other=def",
        "token eyJ2IjoxLCJvIjoib2ZmX.aRtQ2w.Wm1Sx0b3Kq9Zt7Yp5Lr2Nd8Vc4Hf",
        "reference Zk3_vQ9xT1mB7rL5yN2cW8hJ4dG6fS0aPq2Ws4Ed6Rf",
    ],
)
def test_secret_or_person_in_a_text_is_hidden(log: io.StringIO, text: str) -> None:
    structlog.get_logger("encore.test").info("planted", note=text, deep={"list": [text]})

    line = last(log)

    assert HIDDEN in line["note"]
    assert line["deep"]["list"] == [line["note"]]
    assert text.split()[-1] not in log.getvalue()


def test_query_of_an_address_is_hidden(log: io.StringIO) -> None:
    logging.getLogger("urllib3").warning("GET %s failed", "/r/abc?payment_id=pay_1&email=a%40b.example")

    assert last(log)["event"] == f"GET /r/abc{HIDDEN} failed"


def test_field_named_after_a_secret_is_hidden(log: io.StringIO) -> None:
    structlog.get_logger("encore.test").info("planted", csrf_token="plain", customer_email="x", offer_token="y")

    line = last(log)

    assert (line["csrf_token"], line["customer_email"], line["offer_token"]) == (HIDDEN, HIDDEN, HIDDEN)


def test_traceback_is_searched_too(log: io.StringIO) -> None:
    try:
        raise ValueError("sent to buyer@example.com with canary-of-a-secret")
    except ValueError:
        structlog.get_logger("encore.test").exception("failed")

    assert "ValueError: sent to [hidden] with [hidden]" in last(log)["exception"]


def test_ids_times_and_amounts_stay_readable(log: io.StringIO) -> None:
    ids = "att_01J9Z3K8V5W6X7Y8Z9A0B1C2D3 pay_AbCdEfGhIjKlMnOpQrStU 1700000000001 /o/<id>"

    structlog.get_logger("encore.test").info("kept", note=ids)

    assert last(log)["note"] == ids
