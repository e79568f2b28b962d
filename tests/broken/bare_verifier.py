"""Broken: deliveries are verified by the library alone, without a look at the headers before.

A plugin of pytest: `-p tests.broken.bare_verifier` makes the child process this build.
"""

from collections.abc import Mapping, Sequence

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from encore.dodo.webhooks import Verified
from encore.errors import BadSignature
from encore.services import webhooks


def pytest_configure(config: pytest.Config) -> None:
    """Translate the library's own exception, and no other."""
    vars(webhooks)["verify"] = _verify


def _verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Verified:
    sent = {name.lower(): value for name, value in headers.items()}
    for secret in secrets:
        try:
            Webhook(secret).verify(body, sent, json_parse=False)
        except WebhookVerificationError:
            continue
        return Verified(sent["webhook-id"], 0)
    raise BadSignature("no_match")
