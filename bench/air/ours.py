"""Our side of the rows: what meshlog itself needs for the same.

Every function takes a seed and returns a number in its row's unit; all of them run the code that a
device runs. A row without a function shows a dash: there is no such thing here, or it is too
long for a quick run.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.air import ether, ourcell, ourcoding
from bench.air.onair import HOUR_MS
from bench.air.rows import LOSS, MANY, SLICE_LOSS, slice_events

Ours = Callable[[int], float]

AUTHORS = 50
EVENTS_EACH = 1_000
EVENTS_EACH_QUICK = 100
AUTHORS_MANY = 1_000
EVENTS_EACH_MANY = 1
"""A thousand authors are here for the beacon, whose size knows no counts."""


def ours(*, quick: bool) -> dict[str, Ours]:
    """Return what measures our side of a row, by its key."""
    events_each = EVENTS_EACH_QUICK if quick else EVENTS_EACH

    def find(missing: int, *, remembered: bool) -> Ours:
        return lambda seed: ether.find_bytes(
            seed, missing, AUTHORS, events_each, remembered=remembered
        )

    def hours(seed: int) -> float:
        return ourcell.to_new_device(seed, slice_events(quick=quick)) * MANY / HOUR_MS

    def ratio(seed: int) -> float:
        return ourcell.new_events(seed, LOSS)[0] / ourcell.new_events(seed)[0]

    def pair_ratio(seed: int) -> float:
        lossy = ourcell.to_new_device(seed, SLICE_LOSS, LOSS)
        return lossy / ourcell.to_new_device(seed, SLICE_LOSS)

    found: dict[str, Ours] = {
        "idle-50": lambda seed: ether.beacon_bytes(seed, AUTHORS, events_each),
        "idle-1000": lambda seed: ether.beacon_bytes(seed, AUTHORS_MANY, EVENTS_EACH_MANY),
        "edits-16": ourcoding.survey_edits,
        "edits-16-packed": ourcoding.survey_edits,
        "edits-1": lambda seed: ourcoding.survey_edits(seed, 1),
        "survey": ourcoding.survey_records,
        "cell-hour": lambda seed: ourcell.idle_bytes(seed) / 1_000,
        "cell-duty": lambda seed: ourcell.new_events(seed, 0.0, ourcell.DUTY_CYCLE)[1] * 100,
        "cell-new": lambda seed: ourcell.new_events(seed)[0] / 1_000,
        "cell-loss": ratio,
        "many": hours,
        "many-loss": pair_ratio,
    }
    for missing in (1, 10, 1_000):
        found[f"find-{missing}"] = find(missing, remembered=False)
        found[f"find-based-{missing}"] = find(missing, remembered=True)
    if quick:
        del found["idle-1000"]  # a thousand authors take a while to join
    return found
