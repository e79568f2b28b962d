"""`POST /webhooks/dodo`: verified and stored before it is answered; what it means is the worker's to find out."""

from flask import Blueprint, Response, abort, request

from encore.errors import BadSignature
from encore.services import webhooks
from encore.store import StoreFull

from ..security import address, limits
from ..web import current_shop

bp = Blueprint("webhooks", __name__)

# Only rejected deliveries are counted: a busy shop's own must always come through.
_REJECTED = "60/minute"
_SCOPE = "webhook"


@bp.post("/webhooks/dodo")
def receive() -> Response:
    if limits().peek(_REJECTED, scope=_SCOPE, key=address()) is not None:
        abort(429)
    body = request.get_data(cache=False)
    try:
        webhooks.receive(current_shop(), dict(request.headers), body)
    except BadSignature:
        limits().hit(_REJECTED, scope=_SCOPE, key=address())
        # One constant body, whatever was wrong: a reason would help only a forger.
        return Response("unauthorized\n", status=401, mimetype="text/plain")
    except StoreFull:
        return Response(status=503)
    return Response(status=204)
