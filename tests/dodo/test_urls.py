import pytest

from encore.dodo.urls import is_checkout_url

HOSTS = {"checkout.dodopayments.com", "127.0.0.1:4010", "shop.example:4010"}


@pytest.mark.parametrize(
    "url",
    [
        "https://checkout.dodopayments.com/session/cks_1?a=b",
        "https://CHECKOUT.dodopayments.com/Z3okzwYA",
        "http://127.0.0.1:4010/session/cks_1",
    ],
)
def test_a_checkout_address_may_be_followed(url: str) -> None:
    assert is_checkout_url(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "/session/cks_1",
        "//checkout.dodopayments.com/x",
        "http://checkout.dodopayments.com/x",
        "javascript:alert(1)//checkout.dodopayments.com",
        "https://evil.example/checkout.dodopayments.com",
        "https://checkout.dodopayments.com.evil.example/",
        "https://checkout.dodopayments.com@evil.example/",
        "https://user@checkout.dodopayments.com/",
        "https://checkout.dodopayments.com:444/",
        "https://evil.example\\@checkout.dodopayments.com/",
        "https://checkout.dodopayments.com/\n",
        "\thttps://checkout.dodopayments.com/",
        "https://checkout.dodopayments.com/a b",
        "https://[::1",
        "http://127.0.0.1:4011/session/cks_1",
        "http://shop.example:4010/session/cks_1",
        "ftp://127.0.0.1:4010/",
    ],
)
def test_any_other_address_is_not_followed(url: object) -> None:
    assert not is_checkout_url(url, HOSTS)
