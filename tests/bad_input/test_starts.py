"""Wrong settings stop every way of starting with one message that lists each fault and its fix, and no traceback."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from encore.settings import SettingsError, load_settings
from tests import nursery
from tests.installation import free_port

# Live mode with everything missing, a port that is none and a language nobody speaks.
WRONG = {"DODO_PAYMENTS_ENVIRONMENT": "live_mode", "ENCORE_LANGUAGE": "xx", "ENCORE_OFFER_MINUTES": "soon"}
NAMED = (
    *("ENCORE_LANGUAGE", "ENCORE_OFFER_MINUTES", "DODO_PAYMENTS_API_KEY", "DODO_PAYMENTS_WEBHOOK_KEY"),
    *("ENCORE_SECRET_KEY", "ENCORE_ATTEMPT_KEY", "ENCORE_PUBLIC_URL", "ENCORE_SMTP_HOST", "ENCORE_OWNER_EMAIL"),
)
COMMANDS = {
    "flask web": ("flask", "--app", "app", "web"),
    "flask run": ("flask", "--app", "app", "run", "--port", "{port}"),
    "flask worker": ("flask", "--app", "app", "worker", "--once"),
    "flask db": ("flask", "--app", "app", "db", "upgrade"),
    "flask doctor": ("flask", "--app", "app", "doctor"),
    "parent": ("app",),
}


def start(name: str, data: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Start one of `COMMANDS` in an environment of its own and wait for its end."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ENCORE_", "DODO_", "PORT", "SANDBOX_"))}
    command = [part.format(port=free_port()) for part in COMMANDS[name]]
    return nursery.run(*command, env={**kept, "ENCORE_DATA": str(data), **env}, timeout=30)


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_settings_stop_every_start_with_one_message(name: str, tmp_path: Path) -> None:
    done = start(name, tmp_path, **WRONG)

    said = done.stdout + done.stderr
    assert done.returncode == 2
    assert said.count("Encore cannot start: 9 settings need attention.") == 1
    for setting in NAMED:
        assert said.count(f"\n  {setting} ") == 1, said
    assert "Traceback" not in said
    assert 'File "' not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["flask web", "flask doctor"])
def test_store_without_its_schema_says_what_to_run(name: str, tmp_path: Path) -> None:
    done = start(name, tmp_path, SANDBOX_PORT="9")

    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert said.count("Run 'flask --app app db upgrade' first") == 1
    assert "Traceback" not in said


def test_no_secret_is_repeated_in_the_message(tmp_path: Path) -> None:
    secrets = {
        "DODO_PAYMENTS_API_KEY": "sk_test_planted_canary_1",
        "DODO_PAYMENTS_WEBHOOK_KEY": "planted canary 2",
        "ENCORE_SECRET_KEY": "planted_canary_3",
        "ENCORE_ATTEMPT_KEY": "planted_canary_4",
        "ENCORE_SMTP_HOST": "mail.example",
        "ENCORE_SMTP_PASSWORD": "planted_canary_5",
        "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
    }

    done = start("flask doctor", tmp_path, **secrets)

    assert done.returncode == 2
    assert "canary" not in done.stdout + done.stderr


# ---- Live mode -----------------------------------------------------------------------------------------------------

LIVE = {
    "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
    "DODO_PAYMENTS_API_KEY": "sk_live_9f8e7d6c5b4a39281706",
    "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ENCORE_SECRET_KEY": "kq7Yx2vN8mR4tW1zB6cF9hJ3lP5sD0aG",
    "ENCORE_ATTEMPT_KEY": "Zp3Lw9eT6uI1oK8nM5bV2cX7yH4gR0fQ",
    "ENCORE_PUBLIC_URL": "https://shop.example",
    "ENCORE_SMTP_HOST": "mail.example",
    "ENCORE_SMTP_FROM": "shop@shop.example",
    "ENCORE_OWNER_EMAIL": "owner@shop.example",
}
DEFAULTS = (
    "changeme",
    "secret",
    "dev",
    "development",
    "change-me-please-change-me-please-1",
    "django-insecure-9f8e7d6c5b4a39281706",
    "a" * 64,
    "0" * 32,
    "password" * 4,
)


def refused(env: dict[str, str]) -> set[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(env)
    return {fault.name for fault in caught.value.faults}


@pytest.fixture
def live(tmp_path: Path) -> dict[str, str]:
    env = {**LIVE, "ENCORE_DATA": str(tmp_path)}
    assert load_settings(env).is_live
    return env


@pytest.mark.parametrize("secret", DEFAULTS)
@pytest.mark.parametrize("name", ["ENCORE_SECRET_KEY", "ENCORE_ATTEMPT_KEY"])
def test_live_mode_refuses_a_default_secret(live: dict[str, str], name: str, secret: str) -> None:
    assert refused({**live, name: secret}) == {name}


@pytest.mark.parametrize("name", [name for name in LIVE if name != "DODO_PAYMENTS_ENVIRONMENT"])
@pytest.mark.parametrize("value", [None, "", "   "])
def test_live_mode_refuses_what_is_missing_or_empty(live: dict[str, str], name: str, value: str | None) -> None:
    env = {key: text for key, text in live.items() if key != name}

    found = refused(env if value is None else {**env, name: value})

    assert name in found


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://shop.example",
            "http://127.0.0.1:5000",
            "shop.example",
            "ftp://shop.example",
            "https://",
            "//shop.example",
        ),
        *("https://shop.example/path", "https://shop.example?x=1", "https://user@shop.example", "https://*.example"),
        *(
            "javascript:alert(1)",
            "https://shop.example; script-src *",
            "https://shop example",
            "https://[",
            "https://a:b",
        ),
    ],
)
def test_live_mode_refuses_an_address_that_is_no_https_origin(live: dict[str, str], url: str) -> None:
    assert "ENCORE_PUBLIC_URL" in refused({**live, "ENCORE_PUBLIC_URL": url})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DODO_PAYMENTS_API_KEY", "sk_test_1234567890"),
        ("DODO_PAYMENTS_API_KEY", "sandbox_1234567890"),
        ("DODO_PAYMENTS_WEBHOOK_KEY", "whsec_"),
        ("DODO_PAYMENTS_WEBHOOK_KEY", "whsec_AAAA"),
        ("DODO_PAYMENTS_WEBHOOK_KEY", "not base64 at all"),
        ("DODO_PAYMENTS_BASE_URL", "https://evil.example"),
        ("DODO_PAYMENTS_BASE_URL", "http://live.dodopayments.com"),
        ("DODO_PAYMENTS_BASE_URL", "http://127.0.0.1:4010"),
        ("ENCORE_LIMITS", "off"),
        ("ENCORE_TESTING", "1"),
        ("ENCORE_DODO_TIER", "off"),
        ("ENCORE_CRASH_AT", "claim.committed"),
        ("ENCORE_PAUSE_AT", "claim.committed:5"),
        ("ENCORE_SEND_WINDOW_S", "60"),
        ("ENCORE_QUARANTINE_S", "1"),
        ("ENCORE_SMTP_SECURITY", "none"),
        ("ENCORE_CHECKOUT_ORIGINS", "http://evil.example"),
        ("ENCORE_PROXY_COUNT", "-1"),
        ("ENCORE_PROXY_COUNT", "99999999999999999999"),
    ],
)
def test_live_mode_refuses_what_only_tests_may_have(live: dict[str, str], name: str, value: str) -> None:
    assert name in refused({**live, name: value})


@pytest.mark.parametrize(
    "value", ["\u0663", "5e3", "0x1388", "-1", "0", "65536", "1" * 400, "nan", "5000 5001", "５０００"]
)
def test_port_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    assert refused({"ENCORE_DATA": str(tmp_path), "PORT": value}) == {"PORT"}


def test_data_folder_that_is_a_file_is_refused(live: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    assert refused({**live, "ENCORE_DATA": str(tmp_path / "file")}) == {"ENCORE_DATA"}
    assert refused({**live, "ENCORE_DATA": str(tmp_path / "file" / "below")}) == {"ENCORE_DATA"}
    assert refused({"ENCORE_DATA": str(tmp_path / "file")}) == {"ENCORE_DATA"}


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = start("parent", tmp_path, PORT=port, SANDBOX_PORT=str(free_port()))

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"Port {port} is in use" in done.stderr
