import json
import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from encore.keys import read_or_make_keys
from encore.settings import Settings, SettingsError, load_settings

SECRET = "Zk3_vQ9xT1mB7rL5yN2cW8hJ4dG6fS0a"
OTHER_SECRET = "p0Ka7Yw2Rt9Uv4Xz1Bn6Mq8Lc3Hd5Gj"
WEBHOOK_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LIVE = {
    "DODO_PAYMENTS_API_KEY": "live-key-of-a-merchant",
    "DODO_PAYMENTS_ENVIRONMENT": "live_mode",
    "DODO_PAYMENTS_WEBHOOK_KEY": WEBHOOK_KEY,
    "ENCORE_SECRET_KEY": SECRET,
    "ENCORE_ATTEMPT_KEY": OTHER_SECRET + "x",
    "ENCORE_PUBLIC_URL": "https://shop.example.com",
    "ENCORE_OWNER_EMAIL": "owner@example.com",
    "ENCORE_SMTP_HOST": "mail.example.com",
    "ENCORE_SMTP_FROM": "shop@example.com",
}


@pytest.fixture
def sandbox(tmp_path: Path) -> dict[str, str]:
    return {"ENCORE_DATA": str(tmp_path)}


def refused(env: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(env)
    return [fault.name for fault in caught.value.faults]


def test_no_key_means_sandbox_on_loopback(sandbox: dict[str, str]) -> None:
    settings = load_settings(sandbox)

    assert settings.mode == "sandbox"
    assert settings.provider_url == "http://127.0.0.1:4010"
    assert settings.public_url == "http://127.0.0.1:5000"
    assert settings.checkout_origins == ("http://127.0.0.1:4010",)
    assert (settings.quarantine_s, settings.looks_s, settings.look_every_s) == (2.0, (), 0.5)


def test_ports_move_shop_and_sandbox(sandbox: dict[str, str]) -> None:
    settings = load_settings(sandbox | {"PORT": "5001", "SANDBOX_PORT": "4011"})

    assert settings.public_url == "http://127.0.0.1:5001"
    assert settings.provider_url == "http://127.0.0.1:4011"


def test_sandbox_keys_are_kept_for_their_owner(sandbox: dict[str, str], tmp_path: Path) -> None:
    first, second = load_settings(sandbox), load_settings(sandbox)

    assert first.secret_values() == second.secret_values()
    assert stat.S_IMODE((tmp_path / "sandbox-keys.json").stat().st_mode) == 0o600


def test_processes_starting_together_share_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: read_or_make_keys(tmp_path), range(64)))

    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == ["sandbox-keys.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"api_key": 1})])
def test_broken_key_file_stops_the_start(sandbox: dict[str, str], tmp_path: Path, text: str) -> None:
    (tmp_path / "sandbox-keys.json").write_text(text)

    assert refused(sandbox) == ["ENCORE_DATA"]


def test_complete_live_settings_start() -> None:
    settings = load_settings(LIVE)

    assert settings.is_live
    assert settings.is_https
    assert settings.public_host == "shop.example.com"
    assert settings.provider_url == "https://live.dodopayments.com"
    assert settings.checkout_origins == ("https://checkout.dodopayments.com",)
    assert (settings.quarantine_s, settings.looks_s[0], settings.look_every_s) == (900.0, 1.0, 3600.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DODO_PAYMENTS_API_KEY", None),
        ("DODO_PAYMENTS_API_KEY", "sk_test_abc"),
        ("DODO_PAYMENTS_ENVIRONMENT", None),
        ("DODO_PAYMENTS_ENVIRONMENT", "production"),
        ("DODO_PAYMENTS_WEBHOOK_KEY", None),
        ("DODO_PAYMENTS_WEBHOOK_KEY", ""),
        ("DODO_PAYMENTS_WEBHOOK_KEY", "whsec_not base64"),
        ("DODO_PAYMENTS_BASE_URL", "https://live.dodopayments.com.evil.example"),
        ("DODO_PAYMENTS_BASE_URL", "https://test.dodopayments.com"),
        ("DODO_PAYMENTS_BASE_URL", "http://live.dodopayments.com"),
        ("DODO_PAYMENTS_BASE_URL", "http://127.0.0.1:4010"),
        ("ENCORE_SECRET_KEY", None),
        ("ENCORE_SECRET_KEY", ""),
        ("ENCORE_SECRET_KEY", "changeme"),
        ("ENCORE_SECRET_KEY", "changemechangemechangemechangeme"),
        ("ENCORE_SECRET_KEY_FILE", "/nonexistent"),
        ("ENCORE_ATTEMPT_KEY", None),
        ("ENCORE_ATTEMPT_KEY", SECRET),
        ("ENCORE_PUBLIC_URL", None),
        ("ENCORE_PUBLIC_URL", "http://shop.example.com"),
        ("ENCORE_PUBLIC_URL", "http://127.0.0.1:5000"),
        ("ENCORE_PUBLIC_URL", "https://shop.example.com/path"),
        ("ENCORE_PUBLIC_URL", "shop.example.com"),
        ("ENCORE_SMTP_HOST", None),
        ("ENCORE_SMTP_FROM", None),
        ("ENCORE_SMTP_FROM", "Shop <shop@example.com>"),
        ("ENCORE_SMTP_SECURITY", "none"),
        ("ENCORE_SMTP_USER", "shop"),
        ("ENCORE_OWNER_EMAIL", None),
        ("ENCORE_LIMITS", "off"),
        ("ENCORE_DODO_TIER", "off"),
        ("ENCORE_TESTING", "1"),
        ("ENCORE_CRASH_AT", "claim.committed"),
        ("ENCORE_PAUSE_AT", "claim.committed:1"),
        ("ENCORE_QUARANTINE_S", "599"),
        ("ENCORE_SEND_WINDOW_S", "8"),
        ("ENCORE_CHARGE_TIMEOUT_S", "1"),
        ("ENCORE_LOOKS_S", "1,2"),
        ("ENCORE_LOOK_EVERY_S", "1"),
        ("ENCORE_TWIN_URL", "https://twin.example.com"),
        ("ENCORE_CHECKOUT_ORIGINS", "http://127.0.0.1:4010"),
        ("ENCORE_MEDIA_ORIGINS", "https://*.example.com"),
        ("ENCORE_MEDIA_ORIGINS", "https://a.example;script-src"),
        ("ENCORE_ONE_CLICK_CAPS", "USD=10"),
        ("ENCORE_OFFER_MINUTES", "4"),
        ("ENCORE_OFFER_MINUTES", "1441"),
        ("ENCORE_MAX_PAGES", "5"),
        ("ENCORE_PROXY_COUNT", "-1"),
        ("ENCORE_LANGUAGE", "../en"),
        ("ENCORE_TIMEZONE", "Mars/Olympus"),
        ("PORT", "99999"),
        ("PORT", "٥"),
        ("PORT", "4010"),
    ],
)
def test_live_mode_refuses(name: str, value: str | None) -> None:
    env = {key: text for key, text in LIVE.items() if key != name} | ({} if value is None else {name: value})
    if name.endswith("_FILE"):
        env.pop(name.removesuffix("_FILE"))

    faults = refused(env)

    assert faults[0] == ("SANDBOX_PORT" if value == "4010" else name)


def test_every_fault_is_told_at_once_with_its_fix() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"DODO_PAYMENTS_ENVIRONMENT": "live_mode", "PORT": "x", "ENCORE_LIMITS": "off"})

    told = str(caught.value)
    for name in (
        "PORT",
        "DODO_PAYMENTS_API_KEY",
        "DODO_PAYMENTS_WEBHOOK_KEY",
        "ENCORE_SECRET_KEY",
        "ENCORE_ATTEMPT_KEY",
        "ENCORE_PUBLIC_URL",
        "ENCORE_SMTP_HOST",
        "ENCORE_OWNER_EMAIL",
        "ENCORE_LIMITS",
    ):
        assert f"\n  {name} " in told
    assert all(fault.fix for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENCORE_PUBLIC_URL", "https://shop.example.com"),
        ("DODO_PAYMENTS_BASE_URL", "https://api.example.com"),
        ("ENCORE_LIMITS", "off"),
        ("ENCORE_DODO_TIER", "off"),
        ("ENCORE_QUARANTINE_S", "1"),
        ("ENCORE_SEND_WINDOW_S", "1"),
        ("ENCORE_CRASH_AT", "claim.committed"),
    ],
)
def test_sandbox_refuses(sandbox: dict[str, str], name: str, value: str) -> None:
    assert name in refused(sandbox | {name: value})


def test_key_demands_its_environment(sandbox: dict[str, str]) -> None:
    assert "DODO_PAYMENTS_ENVIRONMENT" in refused(sandbox | {"DODO_PAYMENTS_API_KEY": "key"})


def test_tests_on_loopback_may_move_the_times(sandbox: dict[str, str]) -> None:
    settings = load_settings(
        sandbox
        | {
            "ENCORE_TESTING": "1",
            "ENCORE_LIMITS": "off",
            "ENCORE_DODO_TIER": "off",
            "ENCORE_QUARANTINE_S": "0.4",
            "ENCORE_LOOKS_S": "0.1, 0.2",
            "ENCORE_CHARGE_TIMEOUT_S": "0.3",
            "ENCORE_CRASH_AT": "claim.committed#2",
        }
    )

    assert settings.limits_storage is None
    assert settings.dodo_tier == "off"
    assert (settings.quarantine_s, settings.looks_s, settings.charge_timeout_s) == (0.4, (0.1, 0.2), 0.3)


def test_secret_comes_from_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    env = {key: text for key, text in LIVE.items() if key != "ENCORE_SECRET_KEY"}
    env["ENCORE_SECRET_KEY_FILE"] = str(path)

    path.chmod(0o644)
    assert refused(env) == ["ENCORE_SECRET_KEY_FILE"]
    path.chmod(0o600)
    assert load_settings(env).secret_keys == (SECRET,)
    assert refused(env | {"ENCORE_SECRET_KEY": SECRET}) == ["ENCORE_SECRET_KEY"]


def test_older_keys_follow_the_current_one() -> None:
    older = {
        "DODO_PAYMENTS_WEBHOOK_KEY_PREVIOUS": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ENCORE_SECRET_KEY_FALLBACKS": "old-1, old-2",
        "ENCORE_ATTEMPT_KEY_FALLBACKS": "old-3",
    }

    settings = load_settings(LIVE | older)

    assert settings.webhook_keys == (WEBHOOK_KEY, older["DODO_PAYMENTS_WEBHOOK_KEY_PREVIOUS"])
    assert settings.secret_keys[1:] == ("old-1", "old-2")
    assert settings.attempt_sig_keys[1:] == ("old-3",)


def test_no_secret_shows_in_text() -> None:
    settings = load_settings(LIVE | {"ENCORE_SMTP_USER": "u", "ENCORE_SMTP_PASSWORD": "mail-password"})
    secrets = settings.secret_values()

    assert len(secrets) == 5
    assert not [secret for secret in secrets if secret in repr(settings) + str(settings)]


def test_no_secret_shows_in_a_fault() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(LIVE | {"ENCORE_SECRET_KEY": "too-plain", "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_@wrong"})

    assert "too-plain" not in str(caught.value)
    assert "@wrong" not in str(caught.value)


def test_cap_knows_currencies_of_small_worth() -> None:
    settings: Settings = load_settings(LIVE | {"ENCORE_ONE_CLICK_CAPS": "EUR:5000"})

    assert settings.one_click_cap("USD") == 100_000
    assert settings.one_click_cap("eur") == 5_000
    assert settings.one_click_cap("VND") == 25_000_000
