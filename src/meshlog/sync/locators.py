"""Locators: where the branches of a forked feed part, ours and a peer's.

A LOC names points of a feed; whoever holds some of them knows from where on to answer.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import NamedTuple

from meshlog.core.feed import FeedKey, Head
from meshlog.sync.difference import Push
from meshlog.sync.hints import POINT_HINT_SIZE, Point, PointTable
from meshlog.sync.holdings import Holdings
from meshlog.sync.statements import HEADS_MAX, POINTS_MAX, Loc

BRACKET_MAX = 64
"""How far from a fork an answer may begin: two cuts' worth of events that the peer holds."""


class Bracket(NamedTuple):
    """Where a branch of ours and a peer's points part: shared at ``low``, not at ``high``."""

    low: int
    high: int


def locate(holdings: Holdings, feed: FeedKey, theirs: Loc | None = None) -> Loc:
    """Return our points of a feed: all heads, then 1, 2, 4, … before the longest ones.

    Args:
        holdings: Ours.
        feed: Which feed forked.
        theirs: The peer's points, where it sent some: ours then repeat those that we hold, and
            stand close where ours and theirs part, so that an answer soon begins near the fork.
    """
    heads = holdings.frontier().get(feed, ())
    known = _held_points(holdings, theirs) if theirs else frozenset()
    points = dict.fromkeys([*map(_point, heads), *sorted(known, reverse=True)])
    for tip in reversed(heads[-HEADS_MAX:]):
        seqs = _spaced(tip.seq)
        if theirs is not None:
            seqs = _even(_bracket(holdings, theirs, known, tip)) + seqs
        for seq in seqs[: max(POINTS_MAX - len(points), 0)]:
            points[Point(seq, holdings.id_on_branch(feed, tip, seq)[:POINT_HINT_SIZE])] = None
    return Loc(feed, PointTable(islice(points, POINTS_MAX)))


def _held_points(holdings: Holdings, loc: Loc) -> frozenset[Point]:
    return frozenset(point for point in loc.points if holdings.holds(loc.feed, *point))


def _bracket(holdings: Holdings, loc: Loc, known: Collection[Point], tip: Head) -> Bracket:
    """Return where our branch and a peer's points part."""
    low = 0
    for seq in sorted({point.seq for point in known if 1 <= point.seq <= tip.seq}, reverse=True):
        if (seq, holdings.id_on_branch(loc.feed, tip, seq)[:POINT_HINT_SIZE]) in known:
            low = seq
            break
    above = min((point.seq for point in loc.points if point.seq > low), default=low + 1)
    return Bracket(low, min(above, tip.seq + 1))


def _even(bracket: Bracket) -> list[int]:
    """Return at most ``BRACKET_MAX`` places inside a bracket, evenly, its lower end included."""
    low, high = max(bracket.low, 1), bracket.high
    step = -(-(high - low) // BRACKET_MAX) or 1
    return list(range(low, high, step))


def _spaced(last_seq: int) -> list[int]:
    """Return ``last_seq`` and the places 1, 2, 4, … before it, down to 1.

    Example:
        >>> _spaced(10)
        [10, 9, 8, 6, 2, 1]
    """
    places, back = [last_seq], 1
    while last_seq - back > 1:
        places.append(last_seq - back)
        back *= 2
    return places if last_seq == 1 else [*places, 1]


def answer_loc(holdings: Holdings, loc: Loc) -> list[Push]:
    """Return what a peer with these points lacks: each branch from the last common place.

    A branch whose last common place is not known to within ``BRACKET_MAX`` events waits for
    closer points: the peer would get what it holds, and small batches would never pass it.
    """
    known = _held_points(holdings, loc)
    shown = set(loc.points)
    pushes: list[Push] = []
    lacking = [tip for tip in holdings.frontier().get(loc.feed, ()) if _point(tip) not in shown]
    for tip in lacking[:HEADS_MAX]:
        bracket = _bracket(holdings, loc, known, tip)
        if bracket.high - bracket.low > BRACKET_MAX:
            continue
        after = bracket.low
        for earlier in pushes[-1:]:
            after = max(after, common_seq(holdings, loc.feed, tip, earlier.tip))
        pushes.append(Push(loc.feed, tip, after))
    return pushes


def _point(head: Head) -> Point:
    return Point(head.seq, head.id[:POINT_HINT_SIZE])


def common_seq(holdings: Holdings, feed: FeedKey, one: Head, other: Head) -> int:
    """Return the last seq that two branches of a feed share; 0 where they share nothing."""
    low, high = 0, min(one.seq, other.seq)
    while low < high:
        middle = (low + high + 1) // 2
        if holdings.id_on_branch(feed, one, middle) == holdings.id_on_branch(feed, other, middle):
            low = middle
        else:
            high = middle - 1
    return low
