"""The air budget: a token bucket filled by rate and duty cycle, drained by priority class."""

from __future__ import annotations

from enum import IntEnum

from meshlog.ports.links import SHOUT_SIZE_MAX

WINDOW_MS = 3_600_000
"""A duty cycle is counted over every sliding hour (ETSI EN 300 220)."""

PLAIN_HEADER_SIZE = 19
"""Reticulum's, on every broadcast packet."""

SYMBOL_FACTOR = 1.2
FRAME_OVERHEAD_BYTES = 56
FRAME_SIZE = 254
"""A bound on LoRa's time on air from SF7 to SF12 at CR 4/5, given only the raw bit rate:
preamble, header and low-data-rate symbols included. Source: bench/air, against the formula
of ``core.air``."""

BURST_SHARE = 0.1
"""Of the hour's air, what may be sent in one go. Burst plus refill never pass the hour's."""


class Urgency(IntEnum):
    """Priority classes, most urgent first."""

    CONTROL = 0
    URGENT = 1
    NEWEST = 2
    REST = 3
    BACKFILL = 4


_RESERVE = {
    Urgency.CONTROL: 0.0,
    Urgency.URGENT: 0.0,
    Urgency.NEWEST: 0.1,
    Urgency.REST: 0.3,
    Urgency.BACKFILL: 0.5,
}
"""Share of the burst that a class leaves for those above it."""


def air_ms(packet_size_bytes: int, rate_bps: float) -> float:
    """Return what a broadcast packet takes on the air at most, in milliseconds.

    Args:
        packet_size_bytes: Of our payload; Reticulum's header is added.
        rate_bps: Raw bit rate of the medium, more than 0.
    """
    size = packet_size_bytes + PLAIN_HEADER_SIZE
    frames = -(-size // FRAME_SIZE)
    return (size * SYMBOL_FACTOR + frames * FRAME_OVERHEAD_BYTES) * 8_000 / rate_bps


class Budget:
    """How much may be sent when. Starts empty: whoever restarts often sends no more for it."""

    def __init__(self, duty_cycle: float) -> None:
        """Take the share of time that we may transmit, above 0; from 1.0 on there is no limit."""
        self._duty = duty_cycle
        self._tokens_ms = 0.0
        self._filled_ms: int | None = None

    def wait_ms(self, cost_ms: float, urgency: Urgency, rate_bps: float, now_ms: int) -> int:
        """Return how long until something of this cost and class may be sent; 0 for now."""
        if self._duty >= 1.0:
            return 0
        burst_ms, refill = self._measure(rate_bps)
        self._fill(burst_ms, refill, now_ms)
        needed_ms = min(cost_ms + _RESERVE[urgency] * burst_ms, burst_ms)
        lacking_ms = needed_ms - self._tokens_ms
        return 0 if lacking_ms <= 0 else int(lacking_ms / refill) + 1

    def spend(self, cost_ms: float) -> None:
        """Count what was sent."""
        self._tokens_ms = max(self._tokens_ms - cost_ms, 0.0)

    def _measure(self, rate_bps: float) -> tuple[float, float]:
        """Return the bucket's size in ms of air, and what flows in per ms of time."""
        hour_ms = self._duty * WINDOW_MS
        burst_ms = min(max(BURST_SHARE * hour_ms, air_ms(SHOUT_SIZE_MAX, rate_bps)), hour_ms * 0.9)
        return burst_ms, (hour_ms - burst_ms) / WINDOW_MS

    def _fill(self, burst_ms: float, refill: float, now_ms: int) -> None:
        passed_ms = 0 if self._filled_ms is None else max(now_ms - self._filled_ms, 0)
        self._filled_ms = now_ms
        self._tokens_ms = min(self._tokens_ms + passed_ms * refill, burst_ms)
