"""Sessions of the customer portal: a link, good for a day, to pages drawn under `/portal/session/`."""

from ..core.store import Doc
from ..http.call import Call, Routes, answer, found, query_flag, refuse_body
from ..http.server import Response

routes = Routes()

# The link lives 24 hours (docs, Customer Portal).
LIFE_MS = 24 * 3600 * 1000


@routes.post("/customers/{customer_id}/customer-portal/session")
def create_portal_session(call: Call, customer_id: str) -> Response:
    found(call.twin.store.get("customers", customer_id), "Customer")
    # Test mode sends no e-mail, so `send_email` is only checked.
    query_flag(call, "send_email")
    return_url = call.query.get("return_url")
    if return_url is not None and not return_url.startswith(("http://", "https://")):
        raise refuse_body("return_url", "must be an http or https address")
    now = call.twin.clock.now()
    session: Doc = {
        # The token is all that opens the page: 21 characters of base62 are 125 bits.
        "id": call.twin.ids.new(""),
        "created_at": now,
        "expires_at": now + LIFE_MS,
        "customer_id": customer_id,
        "return_url": return_url,
    }
    call.twin.store.put("portal_sessions", session)
    return answer({"link": call.twin.url(f"/portal/session/{session['id']}")})
