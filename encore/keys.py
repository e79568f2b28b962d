"""The secrets: demanded from the environment on a real account, made once for an installation without one."""

import base64
import binascii
import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import NamedTemporaryFile

from encore.environment import Environment
from encore.ids import random_ref

SANDBOX_KEYS = "sandbox-keys.json"
_MIN_LENGTH = 32
_MIN_SYMBOLS = 10  # "changemechangemechangemechangeme" has 7, a random key of 32 characters over 20
# What stands in examples and is copied from there; a random key has none of these words.
_OF_EXAMPLES = re.compile(r"changeme|password|secretkey|yoursecret|mysecret|example|default|insecure|placeholder")
_HOW_TO_MAKE = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The secrets in use: of each tuple the first signs and all verify."""

    api_key: str = field(repr=False)
    webhook_keys: tuple[str, ...] = field(repr=False)
    secret_keys: tuple[str, ...] = field(repr=False)
    attempt_sig_keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SandboxKeys:
    """What the sandbox and Encore share (`api_key`, `webhook_key`), and Encore's own two secrets."""

    api_key: str = field(default="", repr=False)
    webhook_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    attempt_sig_key: str = field(default="", repr=False)


def read_keys(reader: Environment, *, mode: str, data_dir: Path) -> Keys:
    """Read every secret, noting in `reader` what `mode` (sandbox, test_mode, live_mode) does not accept.

    In the sandbox a key that is not given comes from the file in `data_dir`.
    """
    api_key = reader.secret("DODO_PAYMENTS_API_KEY")
    webhook = reader.secret("DODO_PAYMENTS_WEBHOOK_KEY")
    previous = reader.secret("DODO_PAYMENTS_WEBHOOK_KEY_PREVIOUS")
    secret = reader.secret("ENCORE_SECRET_KEY")
    attempt = reader.secret("ENCORE_ATTEMPT_KEY")
    if mode == "sandbox":
        is_complete = None not in (api_key, webhook, secret, attempt)
        made = SandboxKeys() if is_complete else _read_sandbox_keys(reader, data_dir)
        api_key = api_key or made.api_key
        webhook = webhook or made.webhook_key
        secret = secret or made.secret_key
        attempt = attempt or made.attempt_sig_key
    else:
        _demand_own_secrets(reader, secret=secret, attempt=attempt)
    if mode == "live_mode":
        _demand_live_keys(reader, api_key=api_key, webhook=webhook)
    for name, key in (
        ("DODO_PAYMENTS_WEBHOOK_KEY", webhook),
        ("DODO_PAYMENTS_WEBHOOK_KEY_PREVIOUS", previous),
    ):
        if key and not _is_webhook_key(key):
            reader.refuse(name, "is not a webhook signing key.", "Copy whsec_.. from Dodo's webhook page.")
    return Keys(
        api_key=api_key or "",
        webhook_keys=tuple(key for key in (webhook, previous) if key),
        secret_keys=(secret or "", *reader.secrets("ENCORE_SECRET_KEY_FALLBACKS")),
        attempt_sig_keys=(attempt or "", *reader.secrets("ENCORE_ATTEMPT_KEY_FALLBACKS")),
    )


def _demand_own_secrets(reader: Environment, *, secret: str | None, attempt: str | None) -> None:
    for name, value in (("ENCORE_SECRET_KEY", secret), ("ENCORE_ATTEMPT_KEY", attempt)):
        if value is None:
            reader.refuse(name, "is missing.", _HOW_TO_MAKE)
        elif len(value) < _MIN_LENGTH or _is_plain(value):
            reader.refuse(name, "is too short or too plain to be a secret.", _HOW_TO_MAKE)
    if secret is not None and secret == attempt:
        # One leak must not open both: sessions pass through far more code than the signing of attempts.
        reader.refuse("ENCORE_ATTEMPT_KEY", "is the same as ENCORE_SECRET_KEY.", _HOW_TO_MAKE)


def _is_plain(value: str) -> bool:
    letters = re.sub(r"[^a-z]", "", value.lower())
    return len(set(value)) < _MIN_SYMBOLS or _OF_EXAMPLES.search(letters) is not None


def _demand_live_keys(reader: Environment, *, api_key: str | None, webhook: str | None) -> None:
    if webhook is None:
        fix = "Copy it from Dodo's webhook page: live mode needs it."
        reader.refuse("DODO_PAYMENTS_WEBHOOK_KEY", "is missing.", fix)
    if api_key is not None and re.match(r"(sk_)?test|sandbox_|bad", api_key, re.IGNORECASE):
        reader.refuse("DODO_PAYMENTS_API_KEY", "is a test key.", "Live mode needs the live key.")


def _is_webhook_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.removeprefix("whsec_"), validate=True)) >= 16
    except (binascii.Error, ValueError):
        return False


def _read_sandbox_keys(reader: Environment, data_dir: Path) -> SandboxKeys:
    try:
        return read_or_make_keys(data_dir)
    except (OSError, ValueError):
        problem = f"is {data_dir}, where {SANDBOX_KEYS} can be neither read nor made."
        reader.refuse("ENCORE_DATA", problem, "Make the folder writable, or delete the broken file.")
        return SandboxKeys()


def read_or_make_keys(data_dir: Path) -> SandboxKeys:
    """Return the keys kept in `data_dir`, made by the first caller with mode 0600.

    Kept, not made anew at each start: a signed attempt must verify for as long as its row exists.
    Raises OSError if the folder cannot be written and ValueError if the file is not what we wrote.
    """
    path = data_dir / SANDBOX_KEYS
    if not path.exists():
        _write_once(path, _make_keys())
    return _read(path)


def _make_keys() -> SandboxKeys:
    # A webhook key is "whsec_" and standard base64; random_ref is URL-safe base64 without its padding.
    webhook_key = "whsec_" + random_ref().replace("-", "+").replace("_", "/") + "="
    return SandboxKeys(
        api_key=f"sandbox_{random_ref()}",
        webhook_key=webhook_key,
        secret_key=random_ref(),
        attempt_sig_key=random_ref(),
    )


def _write_once(path: Path, keys: SandboxKeys) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Web, worker and commands may all be first: a whole file is linked into place, the losers read it.
    with NamedTemporaryFile("w", dir=path.parent, prefix=".keys-", encoding="utf-8") as draft:
        os.chmod(draft.name, 0o600)
        json.dump(asdict(keys), draft, indent=1)
        draft.flush()
        os.fsync(draft.fileno())
        try:
            os.link(draft.name, path)
        except FileExistsError:
            return


def _read(path: Path) -> SandboxKeys:
    found = json.loads(path.read_text(encoding="utf-8"))
    names = [item.name for item in fields(SandboxKeys)]
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) and found[name] for name in names):
        raise ValueError(f"{path} is not a file of sandbox keys")
    return SandboxKeys(**{name: found[name] for name in names})
