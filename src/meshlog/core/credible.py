"""Whether a device's clock can be right. It only ever warns: nothing adjusts a clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from statistics import median_low
from typing import NamedTuple

from meshlog.core.hlc import SKEW_MS_MAX

EARLIEST_MS = 1_735_689_600_000
"""2025-01-01 UTC: meshlog, and the Reticulum that it needs, are younger. A clock that shows less
was never set: a board without a battery for its clock starts in 1970."""

LATEST_MS = 2_840_140_800_000
"""2060-01-01 UTC. A guess at what no device that runs this will live to see."""

LEAP_MS_MAX = 2 * 366 * 86_400_000
"""Two years. A choice: nobody's dataset rests longer, and dead clocks err by decades."""

NOTICE_MS = 120_000
"""An offset from the neighbours below this is slow air and drift, and not worth a word."""

NEIGHBOURS_SURE = 3
"""With this many neighbours, one wrong clock among them does not make the median."""


class Offset(NamedTuple):
    """How far this clock is ahead of its neighbours' (negative: behind)."""

    ahead_ms: int
    neighbours: int
    """How many it is the median of; at least one."""


def median_offset(offsets_ms: Iterable[int]) -> Offset | None:
    """Return the median of offsets, one per neighbour; None without any."""
    known = list(offsets_ms)
    return Offset(median_low(known), len(known)) if known else None


def disagreement(offset: Offset | None) -> str:
    """Return what the neighbours' clocks say against ours, in words; empty where nothing.

    Example:
        >>> disagreement(Offset(25_200_000, 4))
        "this device's clock is 7.0 h ahead of the median of 4 neighbours': check it"
        >>> disagreement(Offset(-25_200_000, 1))
        "this device's clock is 7.0 h behind its only neighbour's: one of the two is wrong"
    """
    if offset is None or abs(offset.ahead_ms) < NOTICE_MS:
        return ""
    side = "ahead of" if offset.ahead_ms > 0 else "behind"
    far = f"this device's clock is {span(abs(offset.ahead_ms))} {side}"
    if offset.neighbours >= NEIGHBOURS_SURE:
        return f"{far} the median of {offset.neighbours} neighbours': check it"
    if offset.neighbours == 1:
        return f"{far} its only neighbour's: one of the two is wrong"
    return f"{far} its {offset.neighbours} neighbours': check it, and theirs"


def incredible(now_ms: int, latest_ms: int = 0, offset: Offset | None = None) -> str:
    """Return why a clock that shows ``now_ms`` cannot be right, in words; empty where it can.

    Args:
        now_ms: Wall time, ms since 1970 UTC.
        latest_ms: Of the greatest stamp that this device made, or saw and believed; 0 for none.
        offset: What the neighbours say, where there are any.
    """
    shows = f"this device's clock shows {day(now_ms)}"
    if now_ms < EARLIEST_MS:
        return f"{shows}, when meshlog was not made yet"
    if now_ms > LATEST_MS:
        return f"{shows}, which is too far in the future"
    if latest_ms > now_ms + SKEW_MS_MAX:
        return f"{shows}, {span(latest_ms - now_ms)} before the latest event that it holds"
    if offset and offset.neighbours >= NEIGHBOURS_SURE and abs(offset.ahead_ms) > SKEW_MS_MAX:
        return disagreement(offset).partition(":")[0]
    if EARLIEST_MS < latest_ms < now_ms - LEAP_MS_MAX:
        return f"{shows}, {span(now_ms - latest_ms)} after the latest event that it holds"
    return ""


def day(wall_ms: int) -> str:
    """Return a wall time for a sentence; any number of ms, and never raises.

    Example:
        >>> day(0), day(2**47), day(2**60)
        ('1970-01-01 00:00 UTC', '6429-10-17 02:45 UTC', 'a day after the year 9999')
    """
    try:
        return f"{datetime.fromtimestamp(wall_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "a day before the year 1" if wall_ms < 0 else "a day after the year 9999"


def span(length_ms: int) -> str:
    """Return a length of time in its greatest fitting unit: ``"7.0 h"``."""
    for unit, size_ms in (("years", 365.25 * 86_400_000), ("days", 86_400_000), ("h", 3_600_000)):
        if length_ms >= size_ms:
            return f"{length_ms / size_ms:.1f} {unit}"
    return f"{max(length_ms // 60_000, 1)} min"
