"""Handler of `/account/recommendations/<offer>`: a card of the account leads to an offer of its own."""

from flask import Blueprint, Response, abort, request

from encore.services import accounts, recommendations
from encore.services.recommendations import Opened

from ..errors import answer
from ..security import limits
from ..web import answer_unseen, buyer_key, current_account, current_shop, go, language, page

bp = Blueprint("recommendations", __name__)
bp.before_request(answer_unseen)


@bp.post("/account/recommendations/<offer_id>")
def open_card(offer_id: str) -> Response:
    if request.args or set(request.form) - {"csrf_token"}:
        # What it costs, how many and whom are for the rows: a form that names them is refused, not ignored.
        abort(400)
    account = current_account()
    if account is None:
        return go("/account/sign-in")
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    result = recommendations.open_card(
        current_shop(), account, offer_id, buyer_key=buyer_key() or "", language=language()
    )
    if isinstance(result, Opened):
        return go(f"/o/{result.instance_id}")
    if result == "not_offered":
        abort(404)
    overview = accounts.overview(current_shop(), account)
    found = recommendations.recommend(current_shop(), account, language=language())
    return page("account/index.html", state="ready", status=503, account=overview, recommended=found, notice=result)
