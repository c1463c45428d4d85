"""When a device says that its clock cannot be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.credible import Offset, disagreement, incredible, median_offset

NOW_MS = 1_795_000_000_000
"""November 2026."""

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


@pytest.mark.parametrize(
    ("now_ms", "latest_ms", "says"),
    [
        (60_000, 0, "1970-01-01 00:01 UTC, when meshlog was not made yet"),
        (4_070_908_800_000, 0, "2099-01-01 00:00 UTC, which is too far in the future"),
        (NOW_MS, NOW_MS + 30 * HOUR_MS, "1.2 days before the latest event that it holds"),
        (NOW_MS + 9 * YEAR_MS, NOW_MS, "9.0 years after the latest event that it holds"),
        (NOW_MS, NOW_MS, ""),
        (NOW_MS, 0, ""),
        (NOW_MS, NOW_MS + HOUR_MS // 5, ""),
        (NOW_MS + YEAR_MS, NOW_MS, ""),
    ],
)
def test_a_clock_is_held_against_the_calendar_and_the_events(
    now_ms: int, latest_ms: int, says: str
):
    doubt = incredible(now_ms, latest_ms)

    assert doubt.endswith(says)
    assert bool(doubt) == bool(says)


def test_three_neighbours_that_agree_make_a_doubt_and_two_do_not():
    ahead_ms = 7 * HOUR_MS

    assert incredible(NOW_MS, NOW_MS, Offset(ahead_ms, 2)) == ""
    assert "7.0 h ahead of the median of 3 neighbours'" in incredible(
        NOW_MS, NOW_MS, Offset(ahead_ms, 3)
    )
    assert "one of the two is wrong" in disagreement(Offset(-ahead_ms, 1))
    assert disagreement(Offset(30_000, 9)) == ""
    assert disagreement(None) == ""


@given(st.lists(st.integers(-(2**50), 2**50)), st.integers(-(2**70), 2**70))
def test_any_clock_and_any_neighbours_get_words(offsets_ms: list[int], now_ms: int):
    offset = median_offset(offsets_ms)

    assert (offset is None) == (not offsets_ms)
    assert isinstance(incredible(now_ms, 0, offset), str)


@given(st.lists(st.integers(-1_000, 1_000), min_size=3), st.data())
def test_fewer_than_half_of_the_neighbours_cannot_move_the_median_far(
    honest: list[int], data: st.DataObject
):
    liars = data.draw(st.lists(st.integers(-(2**50), 2**50), max_size=(len(honest) - 1) // 2))

    offset = median_offset(honest + liars)

    assert offset is not None
    assert abs(offset.ahead_ms) <= 1_000
