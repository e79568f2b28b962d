"""The composition root: settings, then the shop, then blueprints, errors and commands.

`python app.py` is the parent that starts sandbox, worker and web; a WSGI server takes `app:create_app()`.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from encore import logs
from encore.clock import Clock
from encore.services.shop import Shop, open_shop
from encore.settings import Settings, SettingsError, load_settings
from encore.store import schema

# In a wheel this file is encore/app.py and the blueprints are encore.blueprints; in a checkout both stand alone.
if TYPE_CHECKING or not __package__:
    import blueprints
else:
    from . import blueprints

_HERE = Path(__file__).parent
# What anything ends with at wrong settings, as the parent does.
_USAGE = 2


class PendingMigrations(RuntimeError):
    """The schema is older than the code."""


def create_app(settings: Settings | None = None, *, clock: Clock | None = None) -> Flask:
    """Build the application for these settings, by default the environment's.

    Raises SettingsError with every fault at once, and PendingMigrations unless the command is about to apply them. With
    the environment's settings it ends the process instead, and says why on standard error.
    """
    if settings is not None:
        return _build(settings, clock=clock)
    try:
        return _build(load_settings(os.environ), clock=clock)
    except (SettingsError, PendingMigrations) as error:
        # To whoever set something wrong, a traceback of ours says nothing.
        print(error, file=sys.stderr)
        sys.exit(_USAGE)


def _build(settings: Settings, *, clock: Clock | None) -> Flask:
    logs.configure_logs(secrets=settings.secret_values())
    shop = open_shop(settings, clock=clock)
    _require_schema(shop)
    app = Flask("encore", root_path=str(_HERE), template_folder="templates", static_folder="static")
    app.extensions["encore"] = shop
    blueprints.register(app)
    return app


def _require_schema(shop: Shop) -> None:
    if _is_upgrading():
        return
    missing = schema.pending(shop.store)
    if missing:
        raise PendingMigrations(f"Run 'flask --app app db upgrade' first: {', '.join(missing)} not applied.")


def _is_upgrading() -> bool:
    return "db" in sys.argv[1:]


if __name__ == "__main__":
    from encore import parent

    sys.exit(parent.main())
