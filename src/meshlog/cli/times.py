"""Times as people type them: a date, or a span from now."""

from __future__ import annotations

import datetime as dt
import re

from meshlog.errors import InputError

_SPAN = re.compile(r"(\d{1,5})([smhdw])", re.ASCII)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def time_ms(words: str, now_ms: int, *, ahead: bool) -> int:
    """Return the time that ``2026-05-01``, ``2026-05-01 14:30`` or ``3d`` mean, ms since 1970 UTC.

    Args:
        words: A date and time in the device's own zone, or a number and one of s, m, h, d, w.
        now_ms: Wall time.
        ahead: Whether a span lies ahead of now, or behind.

    Raises:
        InputError: None of these.

    Example:
        >>> time_ms("1h", 10_000_000, ahead=True), time_ms("2m", 10_000_000, ahead=False)
        (13600000, 9880000)
    """
    words = words.strip()
    span = _SPAN.fullmatch(words)
    if span:
        span_ms = int(span[1]) * _UNIT_MS[span[2]]
        return now_ms + span_ms if ahead else now_ms - span_ms
    try:
        return int(dt.datetime.fromisoformat(words).astimezone().timestamp() * 1_000)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{words!r} is no time: write it like 2026-05-01, '2026-05-01 14:30' or 3d"
        ) from error
