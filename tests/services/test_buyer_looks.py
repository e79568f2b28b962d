"""A buyer who asks again and again must not keep the worker from finding out."""

from tests.services.world import World


def test_buyers_look_does_not_put_off_the_workers(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", times=1)
    world.accept(page)
    due_at = world.attempt(page).next_check_at
    assert due_at is not None

    world.advance(5)
    assert world.page(page).state == "checking"

    assert world.attempt(page).next_check_at == due_at
    world.look()
    assert (world.attempt(page).next_check_at or 0) > due_at
