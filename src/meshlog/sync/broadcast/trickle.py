"""When to send a beacon: Trickle (RFC 6206), fast after news, slow and mostly silent without."""

from __future__ import annotations

import random

LONELY_BEACONS = 4
"""So many beacons within one of the longest intervals come from somebody who hears nobody: it
is answered, or it would go on for ever, and keep everybody else silent."""


class Trickle:
    """One Trickle timer. The caller tells the time and asks ``due``.

    Source: RFC 6206 §4.2. Differences: the longest interval may be changed at any time (alone,
    a node is found by those who come into range only through its beacons).
    """

    def __init__(self, rng: random.Random, redundancy: int) -> None:
        """Take luck, and k: how many like-minded beacons of others make ours needless."""
        self._rng = rng
        self._redundancy = redundancy
        self._interval_ms = 0
        self._end_ms = 0
        self._fire_ms: int | None = None
        self.heard = 0
        """Consistent beacons in this interval."""

    @property
    def next_ms(self) -> int:
        """When ``due`` may have something to say next."""
        return self._end_ms if self._fire_ms is None else self._fire_ms

    def set_back(self, by_ms: int) -> None:
        """Move with the wall clock."""
        self._end_ms -= by_ms
        if self._fire_ms is not None:
            self._fire_ms -= by_ms

    def reset(self, now_ms: int, interval_min_ms: int) -> None:
        """Begin again with the shortest interval, unless one that short is running."""
        if self._interval_ms > interval_min_ms or now_ms >= self._end_ms:
            self._begin(now_ms, interval_min_ms)

    def due(self, now_ms: int, interval_max_ms: int) -> bool:
        """Say whether to send a beacon now; an interval that ended is doubled."""
        sends = False
        if self._fire_ms is not None and now_ms >= self._fire_ms:
            settled = self._interval_ms >= interval_max_ms
            lonely = settled and self.heard >= LONELY_BEACONS
            sends = lonely or self.heard < self._redundancy
            self._fire_ms = None
        if now_ms >= self._end_ms:
            self._begin(now_ms, min(2 * self._interval_ms, interval_max_ms))
        return sends

    def _begin(self, now_ms: int, interval_ms: int) -> None:
        self._interval_ms = max(interval_ms, 1)
        self._end_ms = now_ms + self._interval_ms
        self._fire_ms = now_ms + int(self._interval_ms * self._rng.uniform(0.5, 1.0))
        self.heard = 0
