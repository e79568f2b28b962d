"""The catalogue through the official SDK: what products and add-ons can be, and what is refused."""

from typing import Any

import dodopayments
import pytest
import requests
from dodopayments import DodoPayments

from tests.contract.schema import assert_answer
from tests.sandbox_process import BASIC, COURSE, SandboxProcess

PIXEL = b"\x89PNG\r\n\x1a\n only looked at by people"
ONE_TIME: Any = {"type": "one_time_price", "currency": "USD", "price": 900}
MONTHLY: Any = {
    "type": "recurring_price",
    "currency": "USD",
    "price": 2000,
    "payment_frequency_count": 1,
    "payment_frequency_interval": "Month",
    "subscription_period_count": 1,
    "subscription_period_interval": "Year",
}


def make_addon(client: DodoPayments, **changes: Any) -> str:
    given: Any = {"name": "Seat", "currency": "USD", "price": 500, "tax_category": "saas", **changes}
    return client.addons.create(**given).id


def make_product(client: DodoPayments, **changes: Any) -> Any:
    given: Any = {"name": "Poster", "tax_category": "saas", "price": ONE_TIME, **changes}
    return client.products.create(**given)


def refusal(error: pytest.ExceptionInfo[dodopayments.APIStatusError]) -> tuple[int, str, str]:
    body: Any = error.value.body
    return error.value.status_code, body["code"], body["message"]


def test_addons_are_made_changed_archived_and_put_back(client: DodoPayments) -> None:
    addon_id = make_addon(client)

    changed = client.addons.update(addon_id, name="Two seats", price=900, description="For a friend")
    client.addons.delete(addon_id)
    on_sale, archived = client.addons.list().items, client.addons.list(archived=True).items
    client.addons.unarchive(addon_id)

    assert (changed.name, changed.price, changed.description, changed.currency) == (
        "Two seats",
        900,
        "For a friend",
        "USD",
    )
    assert addon_id not in [addon.id for addon in on_sale]
    assert [addon.id for addon in archived] == [addon_id]
    assert client.addons.list().items[0] == client.addons.retrieve(addon_id)


def test_an_addon_is_archived_once(client: DodoPayments) -> None:
    addon_id = make_addon(client)
    client.addons.delete(addon_id)

    with pytest.raises(dodopayments.APIStatusError) as again:
        client.addons.delete(addon_id)

    assert refusal(again)[:2] == (410, "PRODUCT_IS_DELETED")


def test_a_subscription_product_names_its_addons(client: DodoPayments) -> None:
    addon_id = make_addon(client)

    product = make_product(client, price=MONTHLY, addons=[addon_id])
    client.products.update(product.product_id, addons=[])

    assert product.addons == [addon_id]
    assert client.products.retrieve(product.product_id).addons is None


@pytest.mark.parametrize(
    ("price", "names", "code"),
    [
        (MONTHLY, ["adn_nowhere"], "MISSING_ADDON_IDS"),
        (MONTHLY, ["euro"], "INVALID_REQUEST_BODY"),
        (MONTHLY, ["seat", "seat"], "DUPLICATE_ADDON_IDS_IN_REQUEST"),
        (ONE_TIME, ["seat"], "INVALID_REQUEST_BODY"),
    ],
    ids=["unknown", "other-currency", "twice", "one-time-product"],
)
def test_addons_that_do_not_fit_are_refused(client: DodoPayments, price: Any, names: list[str], code: str) -> None:
    known = {"seat": make_addon(client), "euro": make_addon(client, currency="EUR")}

    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        make_product(client, price=price, addons=[known.get(name, name) for name in names])

    assert refusal(refused)[1] == code


def test_product_keeps_every_field_it_was_given(sandbox: SandboxProcess, client: DodoPayments) -> None:
    product = make_product(
        client,
        description="A1, matt",
        license_key_enabled=True,
        license_key_activations_limit=3,
        license_key_activation_message="Paste it",
        license_key_duration={"count": 1, "interval": "Year"},
        digital_product_delivery={"external_url": "https://example.com/poster", "instructions": "Print it"},
        metadata={"shelf": 3},
    )

    read = client.products.retrieve(product.product_id)

    assert read == product
    assert_answer("GET /products/{id}", sandbox.get(f"/products/{product.product_id}"))
    assert (read.license_key_enabled, read.license_key_activations_limit) == (True, 3)
    assert read.license_key_duration is not None
    assert read.license_key_duration.interval == "Year"
    assert read.digital_product_delivery is not None
    assert read.digital_product_delivery.instructions == "Print it"


def test_paid_trial_and_chosen_price_are_kept(client: DodoPayments) -> None:
    trial = make_product(client, price={**MONTHLY, "trial_period_days": 14, "trial_amount": 100})
    chosen = make_product(client, price={**ONE_TIME, "pay_what_you_want": True, "suggested_price": 1500})

    assert (trial.price.trial_period_days, trial.price.trial_amount) == (14, 100)
    assert (chosen.price.price, chosen.price.suggested_price) == (900, 1500)


@pytest.mark.parametrize(
    ("price", "field"),
    [
        ({**MONTHLY, "trial_amount": 100}, "price.trial_amount"),
        ({**MONTHLY, "price": 99}, "price.price"),
        ({**ONE_TIME, "discount": 10}, "price.discount"),
        ({**ONE_TIME, "currency": "XXX"}, "price.currency"),
        ({**MONTHLY, "type": "usage_based_price", "fixed_price": 0}, "price.type"),
    ],
    ids=["trial-without-days", "under-a-dollar", "own-discount", "no-currency", "usage"],
)
def test_prices_that_cannot_be_are_refused(client: DodoPayments, price: Any, field: str) -> None:
    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        make_product(client, price=price)

    assert refusal(refused)[2].startswith(f"{field}:")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": {**ONE_TIME, "currency": "KWD"}}, "UNSUPPORTED_CURRENCY"),
        ({"price": {**ONE_TIME, "pay_what_you_want": True, "suggested_price": 100}}, "INVALID_SUGGESTED_PRICE"),
        ({"tax_category": "groceries"}, "UNSUPPORTED_TAX_CATEGORY"),
    ],
    ids=["three-decimals", "suggests-too-little", "groceries"],
)
def test_refusals_have_their_documented_codes(client: DodoPayments, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        make_product(client, **changes)

    assert refusal(refused)[1] == code


def test_product_image_is_uploaded_and_shown(client: DodoPayments) -> None:
    offered = client.products.images.update(COURSE)
    sent = requests.put(offered.url, data=PIXEL, headers={"content-type": "image/png"}, timeout=5)
    client.products.update(COURSE, image_id=offered.image_id)

    shown = requests.get(str(client.products.retrieve(COURSE).image), timeout=5)

    assert sent.status_code == 200
    assert (shown.content, shown.headers["content-type"]) == (PIXEL, "image/png")
    assert client.products.images.update(COURSE).image_id is None
    assert client.products.images.update(COURSE, force_update=True).image_id not in (None, offered.image_id)


def test_image_that_was_not_uploaded_is_refused(client: DodoPayments) -> None:
    offered = client.addons.update_images(make_addon(client))

    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        client.products.update(COURSE, image_id=offered.image_id)

    assert refusal(refused)[2].startswith("image_id:")


def test_upload_address_expires_after_a_minute(sandbox: SandboxProcess, client: DodoPayments) -> None:
    offered = client.products.images.update(BASIC)
    sandbox.clock(61)

    sent = requests.put(offered.url, data=PIXEL, headers={"content-type": "image/png"}, timeout=5)

    assert sent.status_code == 403


def test_only_pictures_are_taken_as_images(client: DodoPayments) -> None:
    offered = client.products.images.update(BASIC)

    sent = requests.put(offered.url, data=b"<svg/>", headers={"content-type": "image/svg+xml"}, timeout=5)

    assert sent.status_code == 422


def test_file_is_uploaded_delivered_and_never_run(client: DodoPayments) -> None:
    offered = client.products.update_files(COURSE, file_name="sách.html")
    requests.put(offered.url, data=b"<p>hello", headers={"content-type": "text/html"}, timeout=5)
    client.products.update(COURSE, digital_product_delivery={"files": [offered.file_id]})

    delivery = client.products.retrieve(COURSE).digital_product_delivery
    assert delivery is not None
    read = requests.get(delivery.files[0].download_url, timeout=5)

    assert (delivery.files[0].filename, delivery.files[0].file_size) == ("sách.html", 8)
    assert read.content == b"<p>hello"
    assert read.headers["content-type"] == "application/octet-stream"
    assert read.headers["content-disposition"].startswith("attachment")


def test_locales_are_listed(client: DodoPayments) -> None:
    assert "fr" in [locale.code for locale in client.misc.list_locales()]
