"""What counts as quiet: only time watched after the sender has ended (charging.md, section 5; the protocol search)."""

from tests.services.conftest import Open
from tests.services.points import PassPoint


def test_silence_before_the_sender_ended_proves_nothing(open_shop_with: Open, pass_point: PassPoint) -> None:
    """N2 R27b"""
    world = open_shop_with(ENCORE_QUARANTINE_S="5")
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", effect="late:0.3")

    def pause_until_it_looks_absent() -> None:
        world.advance(30)
        for _ in range(6):
            world.advance(2)
            world.look()

    # Past the window's check nothing holds the sender back any more: it pauses, wakes up, and writes.
    pass_point("send.window_checked", pause_until_it_looks_absent)
    world.accept(page)

    world.look()
    assert world.attempt(page).state == "unknown"
    while world.outcome(page) == "open":
        world.look()
    assert world.outcome(page) == "charged"
