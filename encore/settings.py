"""The environment, read once and checked as a whole: `load_settings` names every fault at once."""

import os
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from encore.crash_point import armed_fault, is_loopback
from encore.environment import Environment, Fault, SettingsError
from encore.keys import read_keys

__all__ = ["Fault", "Settings", "SettingsError", "Smtp", "load_settings"]

Mode = Literal["sandbox", "test_mode", "live_mode"]
Tier = Literal["0", "1", "2", "off"]
SmtpSecurity = Literal["starttls", "tls", "none"]

OFFICIAL_API = {"test_mode": "https://test.dodopayments.com", "live_mode": "https://live.dodopayments.com"}
OFFICIAL_CHECKOUT = {
    "test_mode": "https://test.checkout.dodopayments.com",
    "live_mode": "https://checkout.dodopayments.com",
}

# About 1,000 US dollars a customer and day, in minor units, for currencies whose unit is worth little; every
# other one gets ONE_CLICK_CAP. It bounds what a stolen browser can spend, so no exact rate is needed.
ONE_CLICK_CAP = 100_000
ONE_CLICK_CAPS = {
    "BIF": 3_000_000,
    "CLP": 900_000,
    "CRC": 50_000_000,
    "CZK": 2_500_000,
    "DJF": 180_000,
    "GNF": 9_000_000,
    "HUF": 35_000_000,
    "IDR": 1_600_000_000,
    "INR": 8_500_000,
    "ISK": 14_000_000,
    "JPY": 150_000,
    "KMF": 450_000,
    "KRW": 1_400_000,
    "MGA": 4_500_000,
    "MXN": 2_000_000,
    "PHP": 5_500_000,
    "PYG": 7_500_000,
    "RWF": 1_300_000,
    "THB": 3_500_000,
    "TRY": 3_500_000,
    "TWD": 3_000_000,
    "UGX": 3_700_000,
    "VND": 25_000_000,
    "XAF": 600_000,
    "XOF": 600_000,
    "XPF": 110_000,
    "ZAR": 1_800_000,
}

# An unknown outcome is called absent only after this long without a trace; never less on real money.
_QUARANTINE_S = 900.0
_QUARANTINE_FLOOR_S = 600.0
_LOOKS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 960.0)
_LOCALES = Path(__file__).parent / "locales"


@dataclass(frozen=True)
class Smtp:
    """Where messages are handed over; `sender` is the From address."""

    host: str
    port: int
    sender: str
    security: SmtpSecurity
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the environment decides. URLs have no trailing slash; secrets never show in `repr`.

    `webhook_keys`, `secret_keys` and `attempt_sig_keys` hold the current key first, then older ones that
    still verify; no webhook key means that no delivery is accepted. `limits_storage` is None when limits are
    off. `looks_s` are the ages of an unknown attempt at its first looks, `look_every_s` the pause after them.
    """

    mode: Mode
    public_url: str
    port: int
    sandbox_port: int
    data_dir: Path
    provider_url: str
    api_key: str = field(repr=False)
    webhook_keys: tuple[str, ...] = field(repr=False)
    secret_keys: tuple[str, ...] = field(repr=False)
    attempt_sig_keys: tuple[str, ...] = field(repr=False)
    business_id: str | None = None
    twin_url: str | None = None
    shop_name: str = "Encore"
    language: str = "en"
    timezone: str = "UTC"
    dodo_tier: Tier = "0"
    limits_storage: str | None = "memory://"
    testing: bool = False
    smtp: Smtp | None = None
    owner_email: str | None = None
    checkout_origins: tuple[str, ...] = ()
    media_origins: tuple[str, ...] = ()
    proxy_count: int = 0
    max_pages_per_order: int = 2
    max_recommendations: int = 3
    offer_life_s: int = 1800
    one_click_per_day: int = 3
    one_click_caps: Mapping[str, int] = field(default_factory=lambda: dict(ONE_CLICK_CAPS))
    quarantine_s: float = _QUARANTINE_S
    looks_s: tuple[float, ...] = _LOOKS_S
    look_every_s: float = 3600.0
    send_window_s: float = 8.0
    connect_timeout_s: float = 3.0
    charge_timeout_s: float = 13.0
    budget_s: float = 19.0
    poll_every_s: float = 300.0
    catalogue_every_s: float = 600.0

    @property
    def is_sandbox(self) -> bool:
        """True when the provider is a loopback address: no real money, and every page says so."""
        return self.mode == "sandbox"

    @property
    def is_live(self) -> bool:
        """True when charges are real."""
        return self.mode == "live_mode"

    @property
    def is_https(self) -> bool:
        """True when buyers reach us over TLS: cookies are then Secure and carry the `__Host-` prefix."""
        return self.public_url.startswith("https://")

    @property
    def checkout_hosts(self) -> frozenset[str]:
        """The hosts (with port, if any) that a buyer may be sent to for paying."""
        return frozenset(urlsplit(origin).netloc for origin in self.checkout_origins)

    @property
    def public_host(self) -> str:
        """The only host name (without port) that requests may ask for."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def database_path(self) -> Path:
        """The SQLite file of this installation."""
        return self.data_dir / "encore.sqlite3"

    def one_click_cap(self, currency: str) -> int:
        """Return what one customer may be charged by one click in a day, in minor units of `currency`."""
        return self.one_click_caps.get(currency.upper(), ONE_CLICK_CAP)

    def secret_values(self) -> tuple[str, ...]:
        """Return every secret, so that the log filter can blank them wherever they turn up."""
        smtp_password = (self.smtp.password,) if self.smtp and self.smtp.password else ()
        return (self.api_key, *self.webhook_keys, *self.secret_keys, *self.attempt_sig_keys, *smtp_password)


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read and check all settings; raises SettingsError with every fault at once.

    Without a Dodo key the sandbox is meant: keys not given then come from ENCORE_DATA/sandbox-keys.json,
    which the first call makes. Nothing else is written. Any secret NAME may be given as NAME_FILE, the path
    of a file that only its owner can read.
    """
    return _Loader(Environment(env), env).load()


class _Loader:
    """Reads in the order that rules depend on: provider and mode first, then what each mode demands."""

    def __init__(self, reader: Environment, env: Mapping[str, str]) -> None:
        self._reader = reader
        self._env = env
        self._mode: Mode = "sandbox"
        self._testing = False

    def load(self) -> Settings:
        reader = self._reader
        port = reader.integer("PORT", 5000, low=1, high=65535)
        sandbox_port = reader.integer("SANDBOX_PORT", 4010, low=1, high=65535)
        if port == sandbox_port:
            reader.refuse("SANDBOX_PORT", f"is {port}, the same as PORT.", "Give each a port of its own.")
        provider_url = self._read_provider(sandbox_port)
        self._testing = self._read_testing(provider_url)
        data_dir = Path(reader.text("ENCORE_DATA") or _default_data_dir()).absolute()
        keys = read_keys(reader, mode=self._mode, data_dir=data_dir)
        self._check_data_dir(data_dir)
        quarantine_s, looks_s, look_every_s = self._read_quarantine()
        charge_timeout_s, budget_s = self._read_budget()
        settings = Settings(
            mode=self._mode,
            public_url=self._read_public_url(port),
            port=port,
            sandbox_port=sandbox_port,
            data_dir=data_dir,
            provider_url=provider_url,
            api_key=keys.api_key,
            webhook_keys=keys.webhook_keys,
            secret_keys=keys.secret_keys,
            attempt_sig_keys=keys.attempt_sig_keys,
            business_id=reader.text("DODO_PAYMENTS_BUSINESS_ID"),
            twin_url=self._read_twin(),
            shop_name=reader.text("ENCORE_SHOP_NAME") or "Encore",
            language=self._read_language(),
            timezone=self._read_timezone(),
            dodo_tier=self._read_tier(),
            limits_storage=self._read_limits(),
            testing=self._testing,
            smtp=self._read_smtp(),
            owner_email=self._read_owner(),
            checkout_origins=self._read_checkout_origins(provider_url),
            media_origins=self._read_media_origins(provider_url),
            proxy_count=reader.integer("ENCORE_PROXY_COUNT", 0, low=0, high=5),
            max_recommendations=reader.integer("ENCORE_MAX_RECOMMENDATIONS", 3, low=0, high=12),
            max_pages_per_order=reader.integer("ENCORE_MAX_PAGES", 2, low=1, high=4),
            offer_life_s=60 * reader.integer("ENCORE_OFFER_MINUTES", 30, low=5, high=24 * 60),
            one_click_per_day=reader.integer("ENCORE_ONE_CLICK_PER_DAY", 3, low=0, high=100),
            one_click_caps=self._read_caps(),
            quarantine_s=quarantine_s,
            looks_s=looks_s,
            look_every_s=look_every_s,
            send_window_s=self._tunable("ENCORE_SEND_WINDOW_S", 8.0),
            connect_timeout_s=self._tunable("ENCORE_CONNECT_TIMEOUT_S", 3.0),
            charge_timeout_s=charge_timeout_s,
            budget_s=budget_s,
            poll_every_s=self._tunable("ENCORE_POLL_EVERY_S", 300.0),
            catalogue_every_s=self._tunable("ENCORE_CATALOGUE_EVERY_S", 600.0),
        )
        if reader.faults:
            raise SettingsError(reader.faults)
        return settings

    def _check_data_dir(self, data_dir: Path) -> None:
        """Refuse a data folder that the first start could not make; keys that were to be kept there may have told."""
        if any(fault.name == "ENCORE_DATA" for fault in self._reader.faults):
            return
        nearest = next(path for path in (data_dir, *data_dir.parents) if os.path.exists(path))
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            problem = f"is {data_dir}, but {nearest} is no folder this user may write to."
            self._reader.refuse("ENCORE_DATA", problem, "Name a folder that is, or can be made.")

    def _read_provider(self, sandbox_port: int) -> str:
        """Decide the mode and the provider's address; only Dodo's own hosts and loopback may get our key."""
        reader = self._reader
        environment: Literal["", "test_mode", "live_mode"] = reader.choice(
            "DODO_PAYMENTS_ENVIRONMENT", "", allowed=("test_mode", "live_mode", "")
        )
        has_key = any(reader.is_set(name) for name in ("DODO_PAYMENTS_API_KEY", "DODO_PAYMENTS_API_KEY_FILE"))
        given = reader.text("DODO_PAYMENTS_BASE_URL")
        base_url = reader.origin("DODO_PAYMENTS_BASE_URL", given) if given else None
        if base_url and is_loopback(_host(base_url)) and environment != "live_mode":
            return base_url
        if not has_key and not environment and not given:
            return f"http://127.0.0.1:{sandbox_port}"
        if not has_key:
            reader.refuse("DODO_PAYMENTS_API_KEY", "is missing.", "Set it, or unset the other DODO_PAYMENTS_*.")
        if not environment:
            reader.refuse("DODO_PAYMENTS_ENVIRONMENT", "is missing.", "Write test_mode or live_mode.")
        self._mode = environment or "test_mode"
        official = OFFICIAL_API[self._mode]
        if base_url not in (None, official):
            reader.refuse("DODO_PAYMENTS_BASE_URL", f"is {base_url}.", f"Unset it, or write {official}.")
        return official

    def _read_testing(self, provider_url: str) -> bool:
        testing = self._reader.is_on("ENCORE_TESTING")
        if testing and self._mode != "sandbox":
            self._reader.refuse("ENCORE_TESTING", "is for a provider on loopback only.", "Unset it.")
        fault = armed_fault(self._env, provider_host=_host(provider_url), live=self._mode == "live_mode")
        if fault is not None:
            name, _, reason = fault.partition(": ")
            self._reader.refuse(name, "refused:", reason)
        return testing and self._mode == "sandbox"

    def _read_public_url(self, port: int) -> str:
        reader = self._reader
        name = "ENCORE_PUBLIC_URL"
        given = reader.text(name)
        if given is None:
            if self._mode == "live_mode":
                reader.refuse(name, "is missing.", "Live mode needs the shop's https address.")
            return f"http://127.0.0.1:{port}"
        url = reader.origin(name, given) or ""
        is_local = is_loopback(_host(url))
        if url and self._mode == "sandbox" and not is_local:
            # The sandbox takes any card: strangers must not be able to order there.
            reader.refuse(name, f"is {url}, but the sandbox is in use.", "Set a Dodo key, or unset the address.")
        elif url.startswith("http:") and (self._mode == "live_mode" or not is_local):
            reader.refuse(name, f"is {url}.", "Cookies and cards need https: write https://.")
        return url

    def _read_tier(self) -> Tier:
        # The sandbox has no account and so no tier; its own limits are off unless ordered.
        default: Tier = "2" if self._mode == "sandbox" else "0"
        tier: Tier = self._reader.choice("ENCORE_DODO_TIER", default, allowed=get_args(Tier))
        if tier == "off":
            self._demand_testing("ENCORE_DODO_TIER", "is off.")
        return tier

    def _read_limits(self) -> str | None:
        if self._reader.choice("ENCORE_LIMITS", "on", allowed=("on", "off")) == "off":
            self._demand_testing("ENCORE_LIMITS", "is off.")
            return None
        storage = self._reader.text("ENCORE_LIMITS_STORAGE") or "memory://"
        if not re.match(r"memory://$|rediss?://[^\s]+$", storage):
            self._reader.refuse("ENCORE_LIMITS_STORAGE", "is not an address.", "Write memory:// or redis://host.")
        return storage

    def _demand_testing(self, name: str, problem: str) -> None:
        if not self._testing:
            fix = "Unset it: only tests on loopback (ENCORE_TESTING=1) may change this."
            self._reader.refuse(name, problem, fix)

    def _tunable(self, name: str, default: float) -> float:
        """Read a duration that only tests may shorten: on real money each one is part of a proof."""
        if self._reader.text(name) is not None:
            self._demand_testing(name, "is set.")
        return self._reader.seconds(name, default)

    def _read_budget(self) -> tuple[float, float]:
        charge_timeout_s = self._tunable("ENCORE_CHARGE_TIMEOUT_S", 13.0)
        budget_s = self._tunable("ENCORE_BUDGET_S", 19.0)
        if budget_s < charge_timeout_s:
            fix = "Make it at least ENCORE_CHARGE_TIMEOUT_S."
            self._reader.refuse("ENCORE_BUDGET_S", f"is {budget_s:g}.", fix)
        return charge_timeout_s, budget_s

    def _read_quarantine(self) -> tuple[float, tuple[float, ...], float]:
        """Return the quiet time before "absent", then the two look settings."""
        reader = self._reader
        looks_s: tuple[float, ...]
        if self._mode == "sandbox":
            default_s, looks_s, look_every_s = 2.0, (), 0.5
        else:
            default_s, looks_s, look_every_s = _QUARANTINE_S, _LOOKS_S, 3600.0
        quarantine_s = reader.seconds("ENCORE_QUARANTINE_S", default_s)
        if quarantine_s < min(default_s, _QUARANTINE_FLOOR_S) and not self._testing:
            fix = f"Write at least {min(default_s, _QUARANTINE_FLOOR_S):g}."
            reader.refuse("ENCORE_QUARANTINE_S", f"is {quarantine_s:g}.", fix)
        if reader.text("ENCORE_LOOKS_S") is not None:
            self._demand_testing("ENCORE_LOOKS_S", "is set.")
            looks_s = reader.many_seconds("ENCORE_LOOKS_S", looks_s)
        return quarantine_s, looks_s, self._tunable("ENCORE_LOOK_EVERY_S", look_every_s)

    def _read_caps(self) -> dict[str, int]:
        caps = dict(ONE_CLICK_CAPS)
        for word in self._reader.words("ENCORE_ONE_CLICK_CAPS"):
            match = re.fullmatch(r"([A-Z]{3}):([0-9]{1,15})", word)
            if match is None:
                fix = "Write pairs such as USD:100000, in minor units."
                self._reader.refuse("ENCORE_ONE_CLICK_CAPS", f"has {word!r}.", fix)
            else:
                caps[match[1]] = int(match[2])
        return caps

    def _read_language(self) -> str:
        tag = self._reader.text("ENCORE_LANGUAGE") or "en"
        known = {"en", *(path.name for path in _LOCALES.glob("*") if path.is_dir())}
        if tag not in known:
            self._reader.refuse("ENCORE_LANGUAGE", f"is {tag!r}.", f"Write one of: {', '.join(sorted(known))}.")
        return tag

    def _read_timezone(self) -> str:
        name = self._reader.text("ENCORE_TIMEZONE") or "UTC"
        try:
            # UTC needs no time zone files, which the smallest systems lack.
            if name != "UTC":
                zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            self._reader.refuse("ENCORE_TIMEZONE", f"is {name!r}.", "Write a name such as Europe/Berlin.")
        return name

    def _read_smtp(self) -> Smtp | None:
        reader = self._reader
        host = reader.text("ENCORE_SMTP_HOST")
        security: SmtpSecurity = reader.choice("ENCORE_SMTP_SECURITY", "starttls", allowed=get_args(SmtpSecurity))
        port = reader.integer("ENCORE_SMTP_PORT", 465 if security == "tls" else 587, low=1, high=65535)
        password = reader.secret("ENCORE_SMTP_PASSWORD")
        user = reader.text("ENCORE_SMTP_USER")
        if host is None:
            if self._mode == "live_mode":
                reader.refuse("ENCORE_SMTP_HOST", "is missing.", "Live mode must be able to send receipts.")
            return None
        if security == "none" and not is_loopback(host):
            reader.refuse("ENCORE_SMTP_SECURITY", "is none.", "Only a mail server on loopback may go without TLS.")
        if (user is None) != (password is None):
            reader.refuse("ENCORE_SMTP_USER", "and ENCORE_SMTP_PASSWORD belong together.", "Set both or none.")
        sender = self._read_address("ENCORE_SMTP_FROM")
        if sender is None:
            reader.refuse("ENCORE_SMTP_FROM", "is missing.", "Write the address that messages come from.")
        return Smtp(host=host, port=port, sender=sender or "", security=security, user=user, password=password)

    def _read_owner(self) -> str | None:
        address = self._read_address("ENCORE_OWNER_EMAIL")
        if address is None and self._mode == "live_mode":
            self._reader.refuse("ENCORE_OWNER_EMAIL", "is missing.", "Alarms about money are sent there.")
        return address

    def _read_address(self, name: str) -> str | None:
        value = self._reader.text(name)
        if value is not None and not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", value):
            self._reader.refuse(name, f"is {value!r}.", "Write one plain address, such as shop@example.com.")
        return value

    def _read_twin(self) -> str | None:
        value = self._reader.text("ENCORE_TWIN_URL")
        url = self._reader.origin("ENCORE_TWIN_URL", value) if value else None
        if url and not is_loopback(_host(url)):
            self._reader.refuse("ENCORE_TWIN_URL", f"is {url}.", "The twin runs on loopback.")
        return url

    def _read_checkout_origins(self, provider_url: str) -> tuple[str, ...]:
        """Return where a buyer may be sent to pay: the content policy lists them, no other is followed."""
        own = provider_url if self._mode == "sandbox" else OFFICIAL_CHECKOUT[self._mode]
        return (own, *self._read_origins("ENCORE_CHECKOUT_ORIGINS"))

    def _read_media_origins(self, provider_url: str) -> tuple[str, ...]:
        own = (provider_url,) if self._mode == "sandbox" else ()
        return (*own, *self._read_origins("ENCORE_MEDIA_ORIGINS"))

    def _read_origins(self, name: str) -> list[str]:
        found = [self._reader.origin(name, word) for word in self._reader.words(name)]
        origins = [origin for origin in found if origin is not None]
        for origin in origins:
            is_local = is_loopback(_host(origin)) or _host(origin).endswith(".localhost")
            if not origin.startswith("https:") and not (is_local and self._mode == "sandbox"):
                self._reader.refuse(name, f"has {origin}.", "Write https addresses.")
        return origins


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _default_data_dir() -> Path:
    # A checkout keeps its data beside the code, wherever a command starts; an installed package must not.
    root = Path(__file__).parent.parent
    return (root if (root / "pyproject.toml").exists() else Path.cwd()) / "instance"
