"""The seed's clock: hybrid stamps from a wall clock. The rules are ``core.hlc``'s."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import cast

from meshlog.core.hlc import WALL_MS_MAX, Stamp, check_stamp, observe, tick
from meshlog.errors import InputError


def wall_ms() -> int:
    """Return the wall clock of this machine, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


class HLC:
    """A hybrid logical clock that reads the time itself. Equal to another at the same stamp.

    Example:
        >>> clock = HLC(clock=lambda: 1000)
        >>> clock.now(), clock.now(), clock.update((1500, 7))
        ((1000, 0), (1000, 1), (1500, 8))
    """

    def __init__(
        self,
        wall: int = 0,
        counter: int = 0,
        clock: Callable[[], int] = wall_ms,
        *,
        _phys: Callable[[], int] | None = None,
    ) -> None:
        """Start at a stamp.

        Args:
            wall: Milliseconds since 1970 UTC of the latest stamp made or seen.
            counter: Its counter.
            clock: Tells the wall time in ms; replaceable in tests.
            _phys: ``clock`` under the seed's name.

        Raises:
            InputError: ``wall`` or ``counter`` is no whole number in range.
        """
        self.wall, self.counter = check_stamp((wall, counter))
        self._tell = _phys or clock

    def clock(self) -> int:
        """Return the wall time, ms since 1970 UTC.

        Raises:
            InputError: What tells it says no number.
        """
        told: object = self._tell()
        is_number = type(told) is int or (type(told) is float and not math.isnan(told))
        if not is_number:
            raise InputError("a clock tells the time in milliseconds since 1970, as a number")
        return int(min(max(cast(float, told), 0), WALL_MS_MAX))

    @property
    def latest(self) -> Stamp:
        """The latest stamp made or seen."""
        return check_stamp((self.wall, self.counter))

    @latest.setter
    def latest(self, stamp: Stamp) -> None:
        self.wall, self.counter = stamp

    def now(self) -> tuple[int, int]:
        """Return a stamp for a new event: later than every one made or seen."""
        self.latest = tick(self.latest, self.clock())
        return self.wall, self.counter

    def update(self, remote: tuple[int, int]) -> tuple[int, int]:
        """Take in a remote stamp and return one later than it; a far-future one moves nothing.

        Raises:
            InputError: ``remote`` is no stamp; nothing moved.
        """
        self.latest = observe(self.latest, check_stamp(remote), self.clock())
        return self.now()

    def __eq__(self, other: object) -> bool:
        return self.latest == other.latest if isinstance(other, HLC) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"HLC({self.wall}, {self.counter})"


def checked_clock(hlc: object) -> HLC:
    """Return a caller's clock, or a new one where it gave none.

    Raises:
        InputError: It is none.
    """
    if hlc is None:
        return HLC()
    if not isinstance(hlc, HLC):
        raise InputError("hlc is an HLC, or None")
    return hlc


def time_of(clock: HLC) -> Callable[[], int]:
    """Return what tells a clock's time, now and later; it holds no node, so that one can go."""

    def now_ms() -> int:
        return clock.clock()

    return now_ms
