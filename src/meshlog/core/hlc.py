"""Hybrid logical time: order that respects cause, close to the wall clock.

Source: Kulkarni et al., Logical Physical Clocks, OPODIS 2014, figure 5. Pure: the caller
tells the time and keeps the latest stamp.
"""

from __future__ import annotations

from typing import NamedTuple

from meshlog.errors import InputError

COUNTER_MAX = 0xFFFF
"""The counter has 16 bits on the wire."""

WALL_MS_MAX = 2**47 - 1
"""Year 6429. One bit under the wire's 48, so that a packed stamp is a signed 64-bit integer."""

SKEW_MS_MAX = 15 * 60_000
"""A remote stamp further ahead than this never moves our clock and is held from the view.
A choice: phones off the net drift seconds a day, wrong time zones are caught as hours."""


class Stamp(NamedTuple):
    """Hybrid time: milliseconds since 1970 UTC, and a counter within the millisecond."""

    wall_ms: int
    counter: int

    def packed(self) -> int:
        """Return one integer with the same order, below 2**63."""
        return self.wall_ms << 16 | self.counter

    @classmethod
    def unpacked(cls, value: int) -> Stamp:
        """Return the stamp that ``packed`` made."""
        return cls(value >> 16, value & COUNTER_MAX)


ZERO = Stamp(0, 0)
"""The earliest stamp."""

BEFORE_ALL = Stamp(-1, 0)
"""Less than every stamp: what a first event's is held against. No event carries it."""

LAST = Stamp(WALL_MS_MAX, COUNTER_MAX)
"""After every stamp."""

_LAST_PACKED = LAST.packed()


NO_STAMP_LEFT = "no stamp is later than the latest one here: set this device's clock"


def check_stamp(value: object) -> Stamp:
    """Return the stamp that others describe as wall milliseconds and counter.

    Raises:
        InputError: It is not two whole numbers in range. A truth value is no number.
    """
    match value:
        case (wall_ms, counter):
            pass
        case _:
            raise InputError("a stamp is two whole numbers: wall_ms and counter")
    if type(wall_ms) is not int or not 0 <= wall_ms <= WALL_MS_MAX:
        raise InputError(f"wall_ms is a whole number from 0 to {WALL_MS_MAX}")
    if type(counter) is not int or not 0 <= counter <= COUNTER_MAX:
        raise InputError(f"counter is a whole number from 0 to {COUNTER_MAX}")
    return Stamp(wall_ms, counter)


def tick(latest: Stamp, now_ms: int) -> Stamp:
    """Return a stamp later than ``latest`` and not before ``now_ms``; a full counter carries.

    Args:
        latest: The greatest stamp seen or made so far.
        now_ms: Wall time, ms since 1970 UTC. May run backwards; is clamped to the wire's range.

    Raises:
        InputError: ``latest`` is the last stamp that there is.

    Example:
        >>> tick(Stamp(5, 0), 5), tick(Stamp(5, COUNTER_MAX), 3)
        (Stamp(wall_ms=5, counter=1), Stamp(wall_ms=6, counter=0))
    """
    return Stamp.unpacked(ticks(latest, now_ms, 1)[0])


def ticks(latest: Stamp, now_ms: int, count: int) -> range:
    """Return the stamps, packed, of ``count`` events that are made together: see ``tick``.

    Raises:
        InputError: There are not so many stamps left.

    Example:
        >>> [*map(Stamp.unpacked, ticks(Stamp(5, COUNTER_MAX - 1), 5, 2))]
        [Stamp(wall_ms=5, counter=65535), Stamp(wall_ms=6, counter=0)]
    """
    wall_ms, counter = latest
    now_ms = min(max(now_ms, 0), WALL_MS_MAX)
    first = max(now_ms << 16, (wall_ms << 16 | counter) + 1)
    if first + count - 1 > _LAST_PACKED:
        raise InputError(NO_STAMP_LEFT)
    return range(first, first + count)


def observe(latest: Stamp, remote: Stamp, now_ms: int) -> Stamp:
    """Return the latest stamp after a *verified* remote one; a far-future one moves nothing.

    Args:
        latest: The greatest stamp seen or made so far.
        remote: The stamp of an event whose signature held.
        now_ms: Wall time, ms since 1970 UTC.
    """
    if remote.wall_ms > now_ms + SKEW_MS_MAX:
        return latest
    return max(latest, remote)
