"""Where a buyer may be sent: within the shop, to a checkout host, and nowhere a stranger or the provider names."""

from collections.abc import Iterator

import pytest

from tests.attacks.stage import AUTHENTICATES_LATER, DECLINES_LATER, Browser, Stage, state_of
from tests.html import read

# What has led browsers away from sites that meant to stay on their own.
ELSEWHERE = (
    *("https://evil.example", "http://evil.example/", "//evil.example", "///evil.example", "////evil.example"),
    *("/\\evil.example", "\\/evil.example", "\\\\evil.example", "/\\/evil.example", "https:evil.example"),
    *(
        "https:/evil.example",
        "https:\\\\evil.example",
        "hTtPs://evil.example",
        "//evil.example/%2f..",
        "//evil%2eexample",
    ),
    *(
        "/%09/evil.example",
        "/%5cevil.example",
        "/%0d/evil.example",
        "%0d%0aLocation:https://evil.example",
        "\t//evil.example",
    ),
    *(
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
    ),
    *("vbscript:msgbox(1)", "http://127.0.0.1:5000@evil.example", "http://127.0.0.1:5000.evil.example"),
    *("http://evil.example#127.0.0.1:5000", "http://evil.example?127.0.0.1:5000", "/r/../../../evil.example"),
    *("//127.0.0.1:5001", "http://localhost:5000", "http://[::1]:5000", "http://0x7f.1:9", "http://2130706433/"),
    *("file:///etc/passwd", "ftp://evil.example", "//google.com%E3%80%82evil.example", "https://evil。example"),
    *("/.evil.example", "@evil.example", ".evil.example", "?next=//evil.example", "#//evil.example"),
)
NAMES = (
    *(
        "next",
        "return",
        "return_to",
        "return_url",
        "returnUrl",
        "redirect",
        "redirect_uri",
        "redirect_url",
        "url",
        "to",
    ),
    *(
        "continue",
        "dest",
        "goto",
        "back",
        "cancel_url",
        "success_url",
        "checkout_url",
        "payment_link",
        "lang",
        "r",
        "u",
    ),
)
HOST_HEADERS = (
    *("X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Host-Override"),
    *("Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Port", "Referer", "X-Forwarded-For"),
)


@pytest.fixture(scope="module")
def buyer(stage: Stage) -> Browser:
    return stage.buyer()


def test_forty_addresses_are_tried() -> None:
    assert len(set(ELSEWHERE)) >= 40


@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_parameter_of_any_name_leads_elsewhere(stage: Stage, buyer: Browser, address: str) -> None:
    query = dict.fromkeys(NAMES, address)
    visitor = stage.browser()

    answers = [
        buyer.get(f"/r/{buyer.ref}", query_string=query),
        buyer.get(f"/o/{buyer.instance}", query_string=query),
        buyer.get(f"/o/{buyer.instance}", query_string=query, is_htmx=True),
        buyer.get(f"/orders/{buyer.ref}", query_string=query),
        visitor.get("/", query_string=query),
        visitor.get("/p/starter-course", query_string=query),
        visitor.post("/checkout", {**query, "product": "starter-course"}),
        visitor.post("/sign-out", query),
        buyer.post(f"/o/{buyer.instance}/decline", {**query, "offer_token": "x"}),
    ]

    for answer in answers:
        assert_stays(stage, answer.headers.get("Location"))
        assert_stays(stage, answer.headers.get("HX-Redirect"))
        assert answer.status_code < 500
        assert "evil" not in answer.get_data(as_text=True)


def assert_stays(stage: Stage, location: str | None) -> None:
    if location is None:
        return
    is_ours = location.startswith("/") and location[1:2] not in ("/", "\\")
    assert is_ours or location.startswith(f"{stage.sandbox.url}/session/"), location


@pytest.mark.parametrize("is_htmx", [False, True])
@pytest.mark.parametrize(
    "path", ["%0d%0aX-Evil:%20yes", "%0aLocation:%20evil.example", "%E2%82%AC", "%ff", "%00", "a%20b", "%5c%5cevil"]
)
@pytest.mark.parametrize("route", ["r", "o"])
def test_no_path_can_write_a_header(stage: Stage, route: str, path: str, is_htmx: bool) -> None:
    """The query of these pages is dropped by a redirect to their own path, which anybody can write."""
    answer = stage.browser().get(f"/{route}/{path}?status=succeeded", is_htmx=is_htmx)

    location = answer.headers["HX-Redirect" if is_htmx else "Location"]
    assert "X-Evil" not in answer.headers
    assert location.isascii()
    assert location.isprintable()
    assert location.startswith(f"/{route}/")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::1]", "127.0.0.2", "0", "a b", "é"]
)
def test_request_for_another_host_is_refused(stage: Stage, buyer: Browser, host: str) -> None:
    with stage.unchanged():
        page = buyer.get("/", headers={"Host": host})
        post = buyer.post("/checkout", {"product": "starter-course"}, headers={"Host": host})

    assert {page.status_code, post.status_code} == {400}
    for answer in (page, post):
        assert host not in answer.get_data(as_text=True) or host == "0"


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "localhost:x@evil.example"])
def test_other_name_of_this_machine_leads_to_our_own_address_and_takes_nothing(
    stage: Stage, buyer: Browser, host: str
) -> None:
    with stage.unchanged():
        pages = [buyer.get(path, headers={"Host": host}) for path in ("/", "//evil.example/", f"/r/{buyer.ref}?to=//x")]
        post = buyer.post("/checkout", {"product": "starter-course"}, headers={"Host": host})

    assert post.status_code == 400
    for page in pages:
        assert page.status_code in (303, 400)
        assert page.location is None or page.location.startswith(f"{stage.settings.public_url}/")


@pytest.mark.parametrize("header", HOST_HEADERS)
def test_no_header_moves_our_own_address(stage: Stage, buyer: Browser, header: str) -> None:
    """Without a declared proxy nothing a client says of host, scheme or prefix counts; the return address is ours."""
    value = {"Forwarded": "host=evil.example;proto=https", "X-Forwarded-Port": "6666"}.get(header, "evil.example")
    visitor = stage.browser()

    page = visitor.get("/p/starter-course", headers={header: value})
    started = visitor.post(
        "/checkout", {"product": "starter-course"}, headers={header: value} if header != "Referer" else {}
    )
    look = buyer.get(f"/r/{buyer.ref}?x=1", headers={header: value})

    sent = stage.sandbox.requests("POST", "/checkouts")[-1]["body"]
    assert sent["return_url"].startswith(f"{stage.settings.public_url}/r/")
    assert sent["cancel_url"] == sent["return_url"]
    assert "evil" not in page.get_data(as_text=True) + str(started.headers) + str(look.headers)
    assert look.location == f"/r/{buyer.ref}"


# ---- A forged return -----------------------------------------------------------------------------------------------


FORGED = (
    "status=succeeded",
    "status=succeeded&payment_id={payment}",
    "payment_id={payment}&status=succeeded&email=thief%40example.com&license_key=AAAA-BBBB",
    "subscription_id=sub_1&status=active",
    "session_id={session}&checkout_id={session}&status=paid",
    "status=failed",
)


@pytest.mark.parametrize("query", FORGED)
def test_forged_return_pays_for_nothing(stage: Stage, buyer: Browser, query: str) -> None:
    """A buyer who has not paid comes back with somebody's true payment id; the known failure of return handlers."""
    thief = stage.browser()
    session = thief.send(thief.page("/p/starter-course"), "buy").headers["Location"].rpartition("/")[2]
    ref = stage.one("SELECT ref FROM checkouts WHERE provider_session_id = :id", id=session)["ref"]
    paid = stage.one("SELECT c.payment_id, c.provider_session_id FROM checkouts c WHERE c.ref = :ref", ref=buyer.ref)
    query = query.format(payment=paid["payment_id"], session=paid["provider_session_id"])

    answer = thief.get(f"/r/{ref}?{query}")
    page = thief.page(f"/r/{ref}")

    assert answer.status_code == 303
    assert answer.location == f"/r/{ref}"
    assert answer.get_data(as_text=True).count("payment_id") == 0
    assert state_of(page) == "cancelled"
    orders = "SELECT count(*) AS n FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref"
    assert stage.one(orders, ref=ref)["n"] == 0


# ---- What the provider names ---------------------------------------------------------------------------------------

NOT_A_CHECKOUT = (
    *("https://evil.example/session/1", "http://checkout.dodopayments.com/session/1", "javascript:alert(1)", "//evil"),
    *("https://user@{host}/session/1", "https://{host}.evil.example/session/1", "https://evil.example/{host}", ""),
    *("http://{host}\\@evil.example/session/1", "http://{host}\n.evil.example", "ftp://{host}/session/1", "/session/1"),
    *("https://127.0.0.1/session/1", "http://{host}:80/session/1", "data:text/html,x", " http://{host}/session/1"),
)


@pytest.mark.parametrize("link", NOT_A_CHECKOUT)
def test_bank_link_that_is_no_checkout_host_is_neither_followed_nor_shown(stage: Stage, link: str) -> None:
    """security.md, section 11: a `payment_link` is https on a checkout host, or nobody is sent there."""
    buyer = stage.buyer(AUTHENTICATES_LATER)
    buyer.act("accept")
    link = link.format(host=stage.sandbox.url.removeprefix("http://"))
    store = stage.shop.store
    with store.write():
        store.run(
            "UPDATE payments SET payment_link = :link WHERE status = 'requires_customer_action' AND customer_id = :id",
            link=link,
            id=buyer.row()["customer_id"],
        )

    page = buyer.get(f"/o/{buyer.instance}/status", headers={"X": "1"})
    answer = buyer.act("checkout")

    assert answer.status_code in (303, 503)
    assert answer.location is None or answer.location.startswith((f"{stage.sandbox.url}/authenticate/", "/o/"))
    assert not link or link not in read(page.get_data(as_text=True)).text
    assert link == "" or link not in str(answer.headers)


@pytest.fixture
def moved(stage: Stage) -> Iterator[Stage]:
    """A provider that answers with redirects to another host, where this very sandbox would see who follows."""
    yield stage
    stage.sandbox.clear_faults()


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
@pytest.mark.parametrize(
    "endpoint", ["POST /checkouts", "GET /checkouts/{id}", "POST /checkouts/preview", "GET /payments/{id}"]
)
def test_redirect_by_the_provider_is_never_followed(moved: Stage, endpoint: str, status: str) -> None:
    buyer = moved.browser()
    moved.sandbox.fault(endpoint, f"redirect:{status}", times=50)

    answer = buyer.send(buyer.page("/p/starter-course"), "buy")
    if answer.status_code == 303:
        ref = moved.sandbox.requests("POST", "/checkouts")[-1]["body"]["return_url"].rpartition("/")[2]
        moved.sandbox.pay(str(answer.location).rpartition("/")[2], email=buyer.email)
        page = buyer.get(f"/r/{ref}")
        assert page.status_code == 200
        assert not read(page.get_data(as_text=True)).has_test_id("offer-accept")

    hosts = {request["headers"].get("host") for request in moved.sandbox.requests()}
    assert hosts == {moved.sandbox.url.removeprefix("http://")}
    assert answer.status_code in (303, 503)


def test_fallback_that_cannot_be_opened_says_so_and_stays(moved: Stage) -> None:
    buyer = moved.buyer(DECLINES_LATER, expiry="12/34")
    buyer.act("accept")
    moved.sandbox.fault("POST /checkouts", "redirect", times=50)

    answer = buyer.act("checkout")

    assert answer.status_code == 503
    assert "The checkout cannot be reached right now." in answer.get_data(as_text=True)
