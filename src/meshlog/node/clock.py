"""The seed's clock: hybrid stamps from a wall clock. The rules are ``core.hlc``'s."""

from __future__ import annotations

import time
from collections.abc import Callable

from meshlog.core.hlc import Stamp, observe, tick


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
        """
        self.wall = wall
        self.counter = counter
        self.clock = _phys or clock

    @property
    def latest(self) -> Stamp:
        """The latest stamp made or seen."""
        return Stamp(self.wall, self.counter)

    @latest.setter
    def latest(self, stamp: Stamp) -> None:
        self.wall, self.counter = stamp

    def now(self) -> tuple[int, int]:
        """Return a stamp for a new event: later than every one made or seen."""
        self.latest = tick(self.latest, self.clock())
        return self.wall, self.counter

    def update(self, remote: tuple[int, int]) -> tuple[int, int]:
        """Take in a remote stamp and return one later than it; a far-future one moves nothing."""
        self.latest = observe(self.latest, Stamp(*remote), self.clock())
        return self.now()

    def __eq__(self, other: object) -> bool:
        return self.latest == other.latest if isinstance(other, HLC) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"HLC({self.wall}, {self.counter})"
