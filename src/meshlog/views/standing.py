"""What counts in a view, and why: the one place that knows the horizon."""

from __future__ import annotations

from enum import StrEnum

from meshlog.core.event import Event
from meshlog.core.feed import FeedKind


class Standing(StrEnum):
    """How an event stands in a view. Every standing keeps the event in the log."""

    COUNTS = "counts"
    """Shown."""
    HELD = "held"
    """Stamped beyond the horizon; counts as soon as the horizon passes it."""
    EXCLUDED = "excluded"
    """After a revocation's cut, or quarantined."""
    PARKED = "parked"
    """Waits for a form or a base."""


def standing(event: Event, horizon_ms: int) -> Standing:
    """Return how ``event`` stands in a view with this horizon.

    Args:
        event: Any event of the dataset; control events are never held.
        horizon_ms: The latest wall time that the view counts, ms since 1970 UTC, inclusive.
    """
    if event.feed.kind is not FeedKind.CONTROL and event.stamp.wall_ms > horizon_ms:
        return Standing.HELD
    return Standing.COUNTS
