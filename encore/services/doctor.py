"""Doctor: looks at everything an installation needs and says, for each thing that is wrong, how to repair it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

from encore.errors import ProviderError
from encore.services import catalogue as catalogue_service
from encore.services import mail, status, webhooks
from encore.services.processes import is_silent
from encore.services.shop import Shop
from encore.store import StoreFull, alarms, catalogue, meta, processes, schema, webhook_events
from encore.store.engine import FREE_BYTES_FLOOR, sqlite_version

Level = Literal["ok", "warning", "problem"]

# Below this version a writer can reset the log under a reader's feet. Source: libraries.md, section 2.
_SQLITE_FLOOR = (3, 51, 3)
# A webhook signature is good for 300 s; a clock half as wrong is about to refuse true deliveries.
_MOST_SKEW_S = 150
_ASK_S = 4.0
_MINUTE_MS = 60_000
_SIGNATURE_REASONS = frozenset({"no_match", "no_secret"})


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one look found; `repair` says what to do, "" when nothing is to be done."""

    name: str
    level: Level
    said: str
    repair: str = ""


def examine(shop: Shop) -> list[Check]:
    """Look at everything. A `problem` costs sales or truth; a `warning` is worth knowing."""
    found = [_schema(shop)]
    if found[0].level == "problem":
        return found
    looks: list[Callable[[Shop], Check]] = [
        *(_sqlite, _store, _disk, _provider, _clock, _catalogue, _pictures, _worker, _webhooks, _mail),
    ]
    return [*found, *(look(shop) for look in looks), *_dead_letters(shop), *_alarms(shop)]


def is_healthy(checks: list[Check]) -> bool:
    """Tell whether nothing is a problem."""
    return all(check.level != "problem" for check in checks)


def _schema(shop: Shop) -> Check:
    try:
        missing = schema.pending(shop.store)
    except schema.SchemaChanged as error:
        repair = "Use the release whose file was applied; an applied migration is never edited."
        return Check(name="schema", level="problem", said=f"{error} was edited after it was applied", repair=repair)
    if missing:
        return _problem("schema", f"not applied: {', '.join(missing)}", "Run flask --app app db upgrade.")
    return _ok("schema", "up to date")


def _sqlite(shop: Shop) -> Check:
    version = sqlite_version()
    if tuple(int(part) for part in version.split(".")[:3]) < _SQLITE_FLOOR:
        repair = "Install pysqlite3 where it has a wheel, or a newer SQLite: before 3.51.3 the WAL-reset bug is in."
        return _warning("sqlite", f"version {version}", repair)
    return _ok("sqlite", f"version {version}")


def _store(shop: Shop) -> Check:
    try:
        with shop.store.write():
            meta.mark_value(shop.store, "doctor.looked_at", value=shop.now())
    except StoreFull as error:
        repair = f"Make {shop.settings.data_dir} writable, with room; until then nobody can buy."
        return _problem("store", f"cannot be written: {error}", repair)
    return _ok("store", f"{shop.settings.database_path} can be written")


def _disk(shop: Shop) -> Check:
    free_mb = shutil.disk_usage(shop.settings.data_dir).free // 1_000_000
    if shop.store.has_room():
        return _ok("disk", f"{free_mb} MB free")
    floor_mb = FREE_BYTES_FLOOR // 1_000_000
    return _problem("disk", f"{free_mb} MB free", f"Free at least {floor_mb} MB: below that no charge is begun.")


def _provider(shop: Shop) -> Check:
    host = urlsplit(shop.settings.provider_url).netloc
    match status.ask_provider(shop):
        case "ok":
            return _ok("provider", f"{host} answers and takes the key")
        case "refused":
            repair = "Set DODO_PAYMENTS_API_KEY to a key of this environment, from Dodo's page on API keys."
            return _problem("provider", f"{host} refuses the key", repair)
        case "busy":
            return _warning("provider", f"{host} was not asked: the call limit is used up", "Ask again in a minute.")
        case _:
            return _problem("provider", f"{host} cannot be reached", "Check the network and Dodo's status page.")


def _clock(shop: Shop) -> Check:
    """Compare with the provider's Date header: a wrong clock refuses true webhooks and takes forged old ones."""
    try:
        headers = shop.dodo.client.read_headers("/products?page_size=1", budget=shop.dodo.budget(_ASK_S))
    except ProviderError:
        return _warning("clock", "could not be compared with the provider's", "Repair the provider first.")
    if shop.settings.is_sandbox and "date" not in headers:
        return _ok("clock", "the sandbox runs on this machine's")
    try:
        told_at = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return _warning("clock", "the provider tells no time", "Compare this machine's clock with another by hand.")
    skew_s = round(shop.now() / 1000 - told_at.timestamp())
    if abs(skew_s) > _MOST_SKEW_S:
        repair = "Set this machine's clock, best by NTP: from 300 s on, no webhook is accepted."
        return _problem("clock", f"{abs(skew_s)} s {'ahead of' if skew_s > 0 else 'behind'} the provider's", repair)
    return _ok("clock", f"within {abs(skew_s)} s of the provider's")


def _catalogue(shop: Shop) -> Check:
    synced_at = meta.get_number(shop.store, catalogue_service.SYNCED_AT)
    repair = "Run flask --app app dodo sync, and see that the worker runs."
    if synced_at is None:
        return _problem("catalogue", "never read", repair)
    said = f"{len(catalogue_service.list_products(shop))} products, read {_ago(shop, synced_at)}"
    return _problem("catalogue", said, repair) if catalogue_service.is_stale(shop) else _ok("catalogue", said)


def _pictures(shop: Shop) -> Check:
    shown = [product for product in catalogue.list_products(shop.store) if product.archived_at is None]
    addresses = [urlsplit(product.image_url) for product in shown if product.image_url]
    origins = {f"{parts.scheme}://{parts.netloc}" for parts in addresses} - set(shop.settings.media_origins)
    if not origins:
        return _ok("pictures", f"{len(addresses)} of {len(shown)} products have one")
    repair = f"Add them to ENCORE_MEDIA_ORIGINS: {' '.join(sorted(origins))}"
    return _warning("pictures", f"not shown: they come from {len(origins)} hosts that are not allowed", repair)


def _worker(shop: Shop) -> Check:
    latest = processes.get_latest_heartbeat(shop.store, "worker")
    repair = "Start it: flask --app app worker. Without it nothing unknown is settled and no message is sent."
    if latest is None:
        return _problem("worker", "is not running", repair)
    said = f"last seen {_ago(shop, latest)}"
    return _problem("worker", said, repair) if is_silent(latest, now=shop.now()) else _ok("worker", said)


def _webhooks(shop: Shop) -> Check:
    """Say "never received", "received n min ago" or "signature wrong" (R3b)."""
    received_at = webhook_events.get_latest_received_at(shop.store)
    refused = webhooks.get_rejections(shop)
    is_refused_since = (refused.latest_at or 0) > (received_at or 0)
    if is_refused_since and refused.latest_reason in _SIGNATURE_REASONS:
        repair = "Copy the signing secret of Dodo's webhook page to DODO_PAYMENTS_WEBHOOK_KEY, and restart."
        return _problem("webhooks", f"signature wrong, {_ago(shop, refused.latest_at or 0)}", repair)
    if received_at is None:
        repair = (
            f"In Dodo's dashboard add the endpoint {shop.settings.public_url}/webhooks/dodo with the events"
            " payment.*, refund.* and dispute.*. Until then changes are found by asking, within minutes."
        )
        return _warning("webhooks", "never received", repair)
    return _ok("webhooks", f"received {max(0, shop.now() - received_at) // _MINUTE_MS} min ago")


def _mail(shop: Shop) -> Check:
    smtp = shop.settings.smtp
    if smtp is None and shop.settings.is_sandbox:
        return _ok("mail", "kept for the test mail page: flask --app app mail link")
    if smtp is None:
        return _warning("mail", "no server is set: messages are not sent", "Set ENCORE_SMTP_HOST and its fellows.")
    fault = mail.check_server(smtp)
    if fault is not None:
        repair = "Check ENCORE_SMTP_HOST, _PORT, _SECURITY, _USER and _PASSWORD: receipts wait until it works."
        return _problem("mail", f"{smtp.host}:{smtp.port} fails: {fault}", repair)
    return _ok("mail", f"{smtp.host}:{smtp.port} takes messages")


def _dead_letters(shop: Shop) -> list[Check]:
    dead = webhook_events.count_by_state(shop.store).get("dead", 0)
    if not dead:
        return []
    repair = "flask --app app webhooks list --state dead, then webhooks process ID."
    return [_problem("dead letters", f"{dead} deliveries could not be processed", repair)]


def _alarms(shop: Shop) -> list[Check]:
    return [
        _problem(f"alarm {alarm.kind}", f"{alarm.object}: {alarm.detail}", _ALARM_REPAIRS.get(alarm.kind, _LOOK))
        for alarm in alarms.list_standing(shop.store)
    ]


_LOOK = "Look into it: flask --app app audit names what disagrees."
_ALARM_REPAIRS = {
    "product_archived": "Put another product in the offer's file and import it, or pause the offer.",
    "webhook_dead": "flask --app app webhooks process ID, once the cause is repaired.",
    "clock_skew": "Set this machine's clock, best by NTP.",
    "mail_failing": "Repair the mail server's settings; the message itself is in the store.",
    "worker_job_failing": "See the worker's log: the job is tried again by itself.",
    "payment_without_row": "Run flask --app app reconcile --rebuild.",
}


def _ok(name: str, said: str) -> Check:
    return Check(name=name, level="ok", said=said)


def _warning(name: str, said: str, repair: str) -> Check:
    return Check(name=name, level="warning", said=said, repair=repair)


def _problem(name: str, said: str, repair: str) -> Check:
    return Check(name=name, level="problem", said=said, repair=repair)


def _ago(shop: Shop, at: int) -> str:
    age_ms = max(0, shop.now() - at)
    return f"{age_ms // _MINUTE_MS} min ago" if age_ms >= _MINUTE_MS else f"{age_ms // 1000} s ago"
