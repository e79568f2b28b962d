"""The benchmark measures what it says; how much that is depends on the machine and is nobody's test."""

import re
from pathlib import Path

import pytest

from tests.installation import running_installation
from tests.tools.bench_rows import measure_own_time
from tests.tools.bench_shop import SETTINGS, start_web


@pytest.mark.criterion("R6c")
def test_own_time_of_return_and_accept_is_what_is_left_without_the_provider(tmp_path: Path) -> None:
    with running_installation(tmp_path, **SETTINGS) as shop:
        start_web(shop, "the product")
        shop.sandbox.webhooks(drop=True)

        returned, accepted = measure_own_time(shop, buyers=2)

    # Each call of the provider takes 100 ms more: four after each other for the page, three for the click.
    for row, provider_ms in ((returned, 400), (accepted, 300)):
        found = re.fullmatch(r"p50 ([\d.]+), p95 [\d.]+, p99 [\d.]+ ms \(provider (\d+) ms\)", row.value)
        assert found is not None, row.value
        assert float(found[1]) > 0
        assert int(found[2]) >= provider_ms
