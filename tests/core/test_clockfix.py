"""Effective stamps: moved by fixes, and rising along every branch."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.clockfix import SHIFTS_MAX, Shift, effective, timeline
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp

OFFSETS = st.one_of(st.integers(-20, 20), st.integers(-(2**47), 2**47))
SHIFTS = st.lists(
    st.builds(
        lambda first, length, offset: Shift(first, first + length, offset),
        st.integers(1, 12),
        st.integers(0, 12),
        OFFSETS,
    ),
    max_size=6,
)
STAMPS = st.builds(
    Stamp,
    st.one_of(st.integers(0, 40), st.integers(WALL_MS_MAX - 40, WALL_MS_MAX)),
    st.sampled_from([0, 1, COUNTER_MAX]),
)
CHAINS = st.sets(STAMPS, min_size=1, max_size=12).map(sorted)


def stepwise(chain: list[Stamp], shifts: list[Shift]) -> list[int]:
    """The rule as one would explain it: move, and stay later than the one before."""
    found: list[int] = []
    for seq, raw in enumerate(chain, 1):
        winner = [s for s in shifts if s.first_seq <= seq <= s.last_seq][-1:]
        packed = raw.packed()
        if winner:
            packed += winner[0].offset_ms << 16
            packed = min(max(packed, seq), 2**63 - 1 - (2**32 - 1 - seq))
        found.append(max(packed, found[-1] + 1) if found else packed)
    return found


@given(CHAINS, SHIFTS)
def test_equals_the_rule_said_step_by_step(chain: list[Stamp], shifts: list[Shift]):
    line = timeline(shifts)
    found = [
        effective(seq, raw, line, lambda at: chain[at - 1]) for seq, raw in enumerate(chain, 1)
    ]

    assert [stamp.packed() for stamp in found] == stepwise(chain, shifts)
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(0 <= stamp.packed() < 2**63 for stamp in found)


@given(SHIFTS)
def test_a_timeline_has_no_overlaps_and_says_what_the_highest_fix_says(shifts: list[Shift]):
    line = timeline(shifts)

    assert all(one.last_seq < other.first_seq for one, other in pairwise(line))
    for seq in range(1, 30):
        said = [s.offset_ms for s in shifts if s.first_seq <= seq <= s.last_seq][-1:]
        assert [s.offset_ms for s in line if s.first_seq <= seq <= s.last_seq] == said


def test_a_flood_of_fixes_is_cut():
    line = timeline([Shift(n, n, n) for n in range(1, 1_000)])

    assert len(line) == SHIFTS_MAX
    assert line[-1] == Shift(999, 999, 999)
