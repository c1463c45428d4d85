"""Effective stamps: what ``clock.fix`` makes of the stamps that a wrong clock gave.

docs/protocol.md §7.9 is normative. A fix never changes an event: it says by how much the stamps of
a stretch of a data feed are off, and views order and hold by what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from meshlog.core.event import SEQ_MAX
from meshlog.core.hlc import WALL_MS_MAX, Stamp

SHIFTS_MAX = 64
"""Fixes of one feed that are looked at, the highest first. A choice: a clock is wrong once or
twice in a device's life, and each costs a look-up per event."""

_PACKED_MAX = (WALL_MS_MAX + 1 << 16) - 1


class Shift(NamedTuple):
    """A stretch of a feed, both ends included, and what is added to its stamps."""

    first_seq: int
    last_seq: int
    offset_ms: int


def timeline(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    """Return stretches that do not overlap, ascending: where several fixes meet, the last wins.

    Args:
        shifts: The lowest first; of more than ``SHIFTS_MAX`` the lowest are left aside.

    Example:
        >>> timeline([Shift(1, 9, 5), Shift(4, 6, 7)])[1]
        Shift(first_seq=4, last_seq=6, offset_ms=7)
    """
    kept = shifts[-SHIFTS_MAX:]
    edges = sorted({edge for shift in kept for edge in (shift.first_seq, shift.last_seq + 1)})
    found: list[Shift] = []
    for first, after in pairwise(edges):
        winner = next((s for s in reversed(kept) if s.first_seq <= first <= s.last_seq), None)
        if winner is None:
            continue
        if found and found[-1].last_seq == first - 1 and found[-1].offset_ms == winner.offset_ms:
            found[-1] = found[-1]._replace(last_seq=after - 1)
        else:
            found.append(Shift(first, after - 1, winner.offset_ms))
    return tuple(found)


def effective(
    seq: int, raw: Stamp, shifts: Sequence[Shift], raw_at: Callable[[int], Stamp]
) -> Stamp:
    """Return the stamp by which an event is ordered and held; later than its predecessor's.

    Args:
        seq: Place of the event in its feed.
        raw: The stamp that it carries.
        shifts: Of its feed, as ``timeline`` made them.
        raw_at: Returns the stamp carried at an earlier place of the event's branch.

    Cost: two calls of ``raw_at`` per stretch that begins before the event.
    """
    best = _shifted(seq, raw, _offset_ms(seq, shifts))
    for edge in _edges_before(seq, shifts):
        before = _shifted(edge, raw_at(edge), _offset_ms(edge, shifts))
        best = max(best, before + seq - edge)
    return Stamp.unpacked(best)


def _edges_before(seq: int, shifts: Iterable[Shift]) -> Iterator[int]:
    """Yield the last place of every stretch, fixed or not, that ends before ``seq``.

    Within a stretch stamps rise by one at least, so its last event says the most.
    """
    before = 0
    for shift in shifts:
        if shift.first_seq > seq:
            break
        if before < shift.first_seq - 1:
            yield shift.first_seq - 1
        if shift.last_seq >= seq:
            break
        yield shift.last_seq
        before = shift.last_seq


def _offset_ms(seq: int, shifts: Iterable[Shift]) -> int | None:
    return next((s.offset_ms for s in shifts if s.first_seq <= seq <= s.last_seq), None)


def _shifted(seq: int, raw: Stamp, offset_ms: int | None) -> int:
    """Return a packed stamp, moved; both ends of the range leave every event its own place."""
    if offset_ms is None:
        return raw.packed()
    moved = raw.packed() + (offset_ms << 16)
    return min(max(moved, seq), _PACKED_MAX - (SEQ_MAX - seq))
