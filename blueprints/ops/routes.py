"""`/healthz`: is the process up; `/readyz`: can the shop serve buyers now. JSON, for machines."""

from flask import Blueprint, Response, current_app, jsonify
from flask.blueprints import BlueprintSetupState

from encore.services import status

from ..web import current_shop

# The commands stand at the top level: `flask --app app doctor`, not `flask --app app ops doctor`.
bp = Blueprint("ops", __name__, cli_group=None)

_READINESS = "encore.readiness"


@bp.record_once
def keep_readiness(state: BlueprintSetupState) -> None:
    state.app.extensions[_READINESS] = status.Readiness(state.app.extensions["encore"])


@bp.get("/healthz")
def healthz() -> Response:
    return _uncached(jsonify(status.healthz(current_shop())))


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    readiness: status.Readiness = current_app.extensions[_READINESS]
    facts, is_ready = readiness.readyz()
    return _uncached(jsonify(facts)), 200 if is_ready else 503


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
