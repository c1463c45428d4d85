"""A station's own brake: no more air in any hour than a share of it, as RNode firmware has."""

from __future__ import annotations

from collections import deque

HOUR_MS = 3_600_000


class AirLimit:
    """Says when a packet may go, so that every sliding hour stays within ``duty_cycle``.

    It never drops: who sends waits. A packet still partly inside the hour counts whole.

    Example:
        >>> limit = AirLimit(0.01)
        >>> limit.note(0, 30_000)
        >>> limit.allows_ms(50_000, 6_000), limit.allows_ms(50_000, 6_001)
        (50000, 3623999)
    """

    def __init__(self, duty_cycle: float) -> None:
        """Allow ``duty_cycle`` of each hour, more than 0 and at most 1."""
        assert 0 < duty_cycle <= 1, "a duty cycle is a share of time"
        self.most_ms = int(duty_cycle * HOUR_MS)
        self._sent: deque[tuple[int, int]] = deque()
        self._sum_ms = 0

    def note(self, start_ms: int, end_ms: int) -> None:
        """Count air that was used, in order of time."""
        self._forget(start_ms)
        self._sent.append((start_ms, end_ms))
        self._sum_ms += end_ms - start_ms

    def allows_ms(self, now_ms: int, airtime_ms: int) -> int:
        """Return the earliest time from ``now_ms`` on at which such a packet may start."""
        assert airtime_ms <= self.most_ms, "a packet fits the hour's air"
        self._forget(now_ms)
        left_ms = self._sum_ms + airtime_ms - self.most_ms
        when_ms = now_ms
        for start_ms, end_ms in self._sent:
            if left_ms <= 0:
                break
            left_ms -= end_ms - start_ms
            when_ms = max(when_ms, end_ms + HOUR_MS - airtime_ms)
        return when_ms

    def _forget(self, now_ms: int) -> None:
        while self._sent and self._sent[0][1] <= now_ms - HOUR_MS:
            start_ms, end_ms = self._sent.popleft()
            self._sum_ms -= end_ms - start_ms
