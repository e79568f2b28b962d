from collections.abc import Callable

import pytest

from encore.clock import Clock
from encore.dodo import Dodo, Timeouts

QUICK = Timeouts(connect_s=0.3, read_s=0.3, charge_s=0.5, total_s=1.5)


@pytest.fixture
def make_dodo() -> Callable[..., Dodo]:
    def make(url: str, *, timeouts: Timeouts = QUICK, forbid: Callable[[], None] = lambda: None) -> Dodo:
        return Dodo(base_url=url, api_key="key", clock=Clock(), timeouts=timeouts, forbid=forbid)

    return make
