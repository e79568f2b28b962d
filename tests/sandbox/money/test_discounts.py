"""What discounts take off adds up, line by line."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.money.discounts import flat_off, percentage_off, spread

AMOUNTS = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=20)


@given(weights=AMOUNTS, percent=st.integers(0, 100))
def test_parts_add_up_and_stay_below_their_weights(weights: list[int], percent: int) -> None:
    total = sum(weights) * percent // 100

    parts = spread(total, weights)

    assert sum(parts) == total
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
    assert all(
        abs(part * sum(weights) - total * weight) <= 2 * sum(weights)
        for part, weight in zip(parts, weights, strict=True)
    )


@given(amounts=AMOUNTS, sum_off=st.integers(0, 50_000_000))
def test_a_flat_sum_is_taken_once_from_the_whole_cart(amounts: list[int], sum_off: int) -> None:
    off = flat_off(amounts, sum_off)

    assert sum(off) == min(sum_off, sum(amounts))
    assert all(part <= amount for part, amount in zip(off, amounts, strict=True))


@given(amounts=AMOUNTS, basis_points=st.integers(1, 10_000), most=st.none() | st.integers(0, 1_000_000))
def test_a_percentage_stops_at_its_cap(amounts: list[int], basis_points: int, most: int | None) -> None:
    off = percentage_off(amounts, basis_points, most=most)

    assert most is None or sum(off) <= most
    assert all(0 <= part <= amount for part, amount in zip(off, amounts, strict=True))


def test_uneven_parts_are_worked_out_by_hand() -> None:
    assert spread(100, [1, 1, 1]) == [33, 33, 34]
    assert flat_off([4900, 2000], 500) == [355, 145]
    assert percentage_off([4900, 2000], 1000) == [490, 200]
    assert percentage_off([4900, 2000], 1000, most=69) == [49, 20]
