"""The composition root of a broken build: `BROKEN_BUILD` names one of `tests/broken`, for web and worker processes."""

import importlib
import os
from pathlib import Path

from flask import Flask

import app


def create_app() -> Flask:
    """Patch this process to be the broken build, then build the application as ever."""
    broken = importlib.import_module(f"tests.broken.{os.environ['BROKEN_BUILD']}")
    broken.install(Path(os.environ["ENCORE_DATA"]) / "encore.sqlite3")
    return app.create_app()
