from collections.abc import Callable

import pytest

from encore.clock import Clock
from encore.dodo import Dodo, Timeouts
from tests.dodo.examples import MakeDodo

# Enough for any answer that comes at all, however busy the machine.
PATIENT = Timeouts(connect_s=5.0, read_s=5.0, charge_s=5.0, total_s=20.0)


@pytest.fixture
def make_dodo() -> MakeDodo:
    def make(url: str, *, timeouts: Timeouts = PATIENT, forbid: Callable[[], None] = lambda: None) -> Dodo:
        return Dodo(base_url=url, api_key="key", clock=Clock(), timeouts=timeouts, forbid=forbid)

    return make
