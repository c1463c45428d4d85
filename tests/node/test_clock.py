"""The seed's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog import HLC

QUARTER_MS = 15 * 60_000


class Wall:
    """A wall clock that a test sets."""

    def __init__(self, *times_ms: int) -> None:
        self.times_ms = list(times_ms)

    def __call__(self) -> int:
        return self.times_ms.pop(0) if len(self.times_ms) > 1 else self.times_ms[0]


def test_counts_within_a_millisecond_and_follows_the_wall():
    clock = HLC(clock=Wall(1_000, 1_000, 1_001, 900))

    stamps = [clock.now() for _ in range(4)]

    assert stamps == [(1_000, 0), (1_000, 1), (1_001, 0), (1_001, 1)]
    assert (clock.wall, clock.counter) == (1_001, 1)


def test_goes_on_from_the_stamp_that_it_is_given():
    assert HLC(5_000, 3, lambda: 1_000).now() == (5_000, 4)
    assert HLC(wall=5_000, counter=3, clock=lambda: 9_000).now() == (9_000, 0)


def test_tells_the_time_of_this_machine_by_default():
    first, second = HLC().now(), HLC().now()

    assert first[0] > 1_600_000_000_000
    assert second >= first


@pytest.mark.parametrize(
    ("remote", "after"),
    [
        ((1_000, 7), (1_000, 8)),
        ((2_000, 3), (2_000, 4)),
        ((10, 65_535), (1_000, 1)),
        ((2_000, 65_535), (2_001, 0)),
    ],
)
def test_an_update_lands_after_the_stamp_that_came_in(
    remote: tuple[int, int], after: tuple[int, int]
):
    clock = HLC(clock=lambda: 1_000)
    clock.now()

    assert clock.update(remote) == after
    assert clock.now() > after


def test_a_stamp_from_the_far_future_moves_nothing():
    """One wrong clock in the field must not drag all others along (the seed let it)."""
    clock = HLC(clock=lambda: 1_000)

    assert clock.update((1_000 + QUARTER_MS + 1, 0)) < (2_000, 0)
    assert clock.update((1_000 + QUARTER_MS, 0)) == (1_000 + QUARTER_MS, 1)


def test_rises_even_where_the_machine_thinks_it_is_1970():
    clock = HLC(clock=lambda: 0)

    first, second, third = clock.now(), clock.now(), clock.now()

    assert first < second < third


@given(
    times_ms=st.lists(st.integers(-1_000, 5_000), min_size=1, max_size=40),
    remotes=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 65_535)) | st.none()),
)
def test_every_stamp_is_later_than_all_before(
    times_ms: list[int], remotes: list[tuple[int, int] | None]
):
    clock = HLC(1, 0, Wall(*times_ms))
    latest = (1, 0)
    for remote in (*remotes, None, None):
        stamp = clock.now() if remote is None else clock.update(remote)
        assert stamp > latest
        assert remote is None or stamp > remote
        latest = stamp


def test_clocks_at_one_stamp_are_equal_and_say_what_they_are():
    assert HLC(10, 2) == HLC(wall=10, counter=2)
    assert HLC(10, 2) != HLC(10, 3)
    assert HLC(10, 2) != (10, 2)
    assert repr(HLC(10, 2)) == "HLC(10, 2)"


def test_takes_the_wall_clock_under_the_seeds_name():
    assert HLC(_phys=lambda: 7_000).now() == (7_000, 0)
