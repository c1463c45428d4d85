"""A float as a whole number of tenths, hundredths, …, where that gives it back exactly.

docs/protocol.md §5 is normative.
"""

from __future__ import annotations

SCALE_MAX = 15
WHOLE_MAX = 2**53 - 1
"""Up to here a double holds every whole number, and k / 10**scale is rounded once."""

POWERS: tuple[int, ...] = tuple(10**scale for scale in range(SCALE_MAX + 1))
"""Units in one, by scale."""


def whole_units(value: float, scale: int) -> int | None:
    """Return how many units of 10**-scale a float is, where that gives it back exactly."""
    power = POWERS[scale]
    if not abs(value) * power <= WHOLE_MAX:
        return None
    units = round(value * power)
    if units / power != value or (units == 0 and repr(value) != "0.0"):
        return None
    return units


def from_units(units: int, scale: int) -> float:
    """Return a number of units of 10**-scale as the float nearest to it."""
    return units / POWERS[scale]
