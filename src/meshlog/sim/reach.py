"""Who hears whom: from places, or as a trace says. Functions of time, so devices may move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

Reach: TypeAlias = Callable[[str, str, int], float | None]
"""``reach(src, dst, now_ms)``: how strongly ``dst`` hears ``src``, in dB against any common
level; None where it does not hear it. Also asked of a station and itself: the answer is ignored."""

Place: TypeAlias = tuple[float, float]
"""East and north of anywhere, in kilometres."""

Places: TypeAlias = Callable[[str, int], Place | None]
"""``places(name, now_ms)``: where a station is; None while it is switched off."""

LOSS_EXPONENT = 2.7
"""How fast a signal fades with distance: 2 in free space, 3 to 4 in towns. A guess for open
country with trees; it only matters for who outshouts whom."""


def everybody(src: str, dst: str, now_ms: int) -> float | None:
    """Let everybody hear everybody alike: one cell."""
    del src, dst, now_ms
    return 0.0


def heard_if(hears: Callable[[str, str, int], bool]) -> Reach:
    """Return a reach from a trace that says yes or no."""
    return lambda src, dst, now_ms: 0.0 if hears(src, dst, now_ms) else None


def islands(groups: Iterable[Iterable[str]]) -> Reach:
    """Return a reach within groups; who is in two is their bridge, who is in none is alone."""
    sets = [frozenset(group) for group in groups]
    return heard_if(lambda src, dst, _: any(src in one and dst in one for one in sets))


def chain(names: Iterable[str]) -> Reach:
    """Return a reach in which everybody hears the one before and the one after."""
    order = {name: index for index, name in enumerate(names)}
    return heard_if(lambda src, dst, _: abs(order[src] - order[dst]) == 1)


def within(range_km: float, places: Places) -> Reach:
    """Return a reach by distance: heard up to ``range_km``, the nearer the stronger."""

    def reach(src: str, dst: str, now_ms: int) -> float | None:
        one, other = places(src, now_ms), places(dst, now_ms)
        if one is None or other is None:
            return None
        distance_km = math.dist(one, other)
        if distance_km > range_km:
            return None
        return -10 * LOSS_EXPONENT * math.log10(max(distance_km, 0.001))

    return reach


def standing(places: Mapping[str, Place]) -> Places:
    """Return places that do not change."""
    return lambda name, _: places.get(name)
