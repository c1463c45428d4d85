"""The seed's clock: hybrid stamps from a wall clock. The rules are ``core.hlc``'s."""

from __future__ import annotations

import time
from collections.abc import Callable

from meshlog.core.hlc import ZERO, Stamp, observe, tick


def wall_ms() -> int:
    """Return the wall clock of this machine, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


class HLC:
    """A hybrid logical clock that reads the time itself.

    Example:
        >>> clock = HLC(clock=lambda: 1000)
        >>> clock.now(), clock.now(), clock.update((1500, 7))
        ((1000, 0), (1000, 1), (1500, 8))
    """

    def __init__(self, wall: int = 0, counter: int = 0, clock: Callable[[], int] = wall_ms) -> None:
        """Start at a stamp.

        Args:
            wall: Milliseconds since 1970 UTC of the latest stamp seen.
            counter: Its counter.
            clock: Tells the wall time in ms; replaceable in tests.
        """
        self.latest = Stamp(wall, counter) if (wall, counter) != (0, 0) else ZERO
        self.clock = clock

    @property
    def wall(self) -> int:
        """Milliseconds of the latest stamp."""
        return self.latest.wall_ms

    @property
    def counter(self) -> int:
        """Counter of the latest stamp."""
        return self.latest.counter

    def now(self) -> tuple[int, int]:
        """Return a stamp for a new event: later than every one made or seen."""
        self.latest = (
            tick(self.latest, self.clock()) if self.latest != ZERO else Stamp(self.clock(), 0)
        )
        return self.latest.wall_ms, self.latest.counter

    def update(self, remote: tuple[int, int]) -> tuple[int, int]:
        """Take in a remote stamp and return one later than it; a far-future one moves nothing."""
        self.latest = observe(self.latest, Stamp(*remote), self.clock())
        return self.now()
