"""What must hold in every run: asserted by whoever runs one, with the numbers in the message."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.radio import QUEUE_SIZE_MAX, Station, Transmission


class WorstHour(NamedTuple):
    """The hour in which a station used most air; the first of several."""

    airtime_ms: int
    end_ms: int
    """When that hour ended; 0 where nothing was sent."""


def worst_hour(log: Sequence[Transmission], window_ms: int = HOUR_MS) -> WorstHour:
    """Return the most air that one station used in any sliding hour.

    Exact: the air inside a sliding window rises only while its end is inside a transmission,
    so the fullest window ends with one. One that began before the window counts in part.

    Args:
        log: Of one station, in order of time; its transmissions do not overlap.
        window_ms: Length of the window.

    Cost: O(transmissions), two pointers.

    Example:
        >>> sent = [Transmission(at, at + 10_000, "ann", 0, "") for at in (0, 3_595_000)]
        >>> worst_hour(sent)
        WorstHour(airtime_ms=15000, end_ms=3605000)
    """
    worst = WorstHour(0, 0)
    oldest = inside_ms = 0
    for sent in log:
        inside_ms += sent.end_ms - sent.start_ms
        begins_ms = sent.end_ms - window_ms
        while log[oldest].end_ms <= begins_ms:
            inside_ms -= log[oldest].end_ms - log[oldest].start_ms
            oldest += 1
        cut_ms = max(begins_ms - log[oldest].start_ms, 0)
        if inside_ms - cut_ms > worst.airtime_ms:
            worst = WorstHour(inside_ms - cut_ms, sent.end_ms)
    return worst


def check_duty_cycle(stations: Mapping[str, Station], duty_cycle: float) -> None:
    """Assert that no station used more than ``duty_cycle`` of any sliding hour.

    Raises:
        AssertionError: One did; the message says who, how much and when.
    """
    most_ms = math.floor(duty_cycle * HOUR_MS)
    for station in stations.values():
        worst = worst_hour(station.log)
        assert worst.airtime_ms <= most_ms, (
            f"{station.name} used {worst.airtime_ms} ms of air in the hour before "
            f"{worst.end_ms}: {most_ms} ms are allowed"
        )


def check_queues(stations: Iterable[Station]) -> None:
    """Assert that no station ever held more than a modem can.

    Raises:
        AssertionError: One did.
    """
    for station in stations:
        assert station.queue_size_max <= QUEUE_SIZE_MAX, (
            f"{station.name} queued {station.queue_size_max} B, a modem has {QUEUE_SIZE_MAX} B"
        )


def check_converged(lacking: Mapping[str, int]) -> None:
    """Assert that nobody lacks anything.

    Args:
        lacking: Events that each node lacks of all that were written.

    Raises:
        AssertionError: Somebody does.
    """
    missing = {name: count for name, count in lacking.items() if count}
    assert not missing, f"events are still lacking: {missing}"


def check_views(views: Mapping[str, Mapping[str, Any]]) -> None:
    """Assert that all devices show the same; call it when they hold the same events.

    Raises:
        AssertionError: One shows something else.
    """
    first, *others = views
    for name in others:
        assert views[name] == views[first], f"{name} shows other values than {first}"
