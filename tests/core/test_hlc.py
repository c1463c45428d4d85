"""Hybrid time: it never runs backwards, and nobody else's clock can drag it away."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshlog.core.hlc import (
    COUNTER_MAX,
    LAST,
    SKEW_MS_MAX,
    WALL_MS_MAX,
    ZERO,
    Stamp,
    observe,
    tick,
    ticks,
)
from meshlog.errors import InputError

NOW_MS = 1_750_000_000_000
stamps = st.builds(Stamp, st.integers(0, WALL_MS_MAX - 1), st.integers(0, COUNTER_MAX))
walls = st.integers(-(2**60), 2**60)


@given(stamps, walls)
def test_a_tick_is_later_than_all_before(latest: Stamp, now_ms: int):
    made = tick(latest, now_ms)

    assert made > latest
    assert made.wall_ms >= min(max(now_ms, 0), WALL_MS_MAX)
    assert made.wall_ms <= WALL_MS_MAX
    assert made.counter <= COUNTER_MAX


@given(stamps, stamps)
def test_packed_stamps_have_the_same_order(one: Stamp, other: Stamp):
    assert (one < other) == (one.packed() < other.packed())
    assert Stamp.unpacked(one.packed()) == one
    assert 0 <= one.packed() < 2**63


@given(stamps, stamps, st.integers(0, WALL_MS_MAX))
def test_a_clock_follows_the_latest_but_never_far_ahead(latest: Stamp, remote: Stamp, now_ms: int):
    seen = observe(latest, remote, now_ms)

    assert seen >= latest
    assert seen in (latest, remote)
    assert seen == latest or seen.wall_ms <= now_ms + SKEW_MS_MAX


@given(st.lists(stamps, max_size=6), st.integers(0, WALL_MS_MAX), st.randoms())
def test_the_order_of_what_is_seen_does_not_matter(seen: list[Stamp], now_ms: int, rng):
    one = other = ZERO
    for stamp in seen:
        one = observe(one, stamp, now_ms)
    rng.shuffle(seen)
    for stamp in seen:
        other = observe(other, stamp, now_ms)

    assert one == other


def test_a_full_counter_carries():
    assert tick(Stamp(NOW_MS, COUNTER_MAX), NOW_MS) == Stamp(NOW_MS + 1, 0)


def test_fifteen_minutes_ahead_is_believed_and_no_more():
    believed = Stamp(NOW_MS + SKEW_MS_MAX, 3)
    beyond = Stamp(NOW_MS + SKEW_MS_MAX + 1, 0)

    assert observe(ZERO, believed, NOW_MS) == believed
    assert observe(believed, beyond, NOW_MS) == believed


@given(stamps, walls, st.integers(1, 4))
@example(Stamp(NOW_MS, COUNTER_MAX - 1), NOW_MS, 4)
def test_stamps_made_together_are_those_made_one_by_one(latest: Stamp, now_ms: int, count: int):
    together = [*ticks(latest, now_ms, count)]

    made = []
    for _ in range(count):
        latest = tick(latest, now_ms)
        made.append(latest.packed())

    assert together == made


def test_no_stamp_is_made_after_the_last():
    before = Stamp(WALL_MS_MAX, COUNTER_MAX - 1)

    assert [*ticks(before, 0, 1)] == [LAST.packed()]
    with pytest.raises(InputError):
        ticks(before, 0, 2)
