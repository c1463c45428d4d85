"""The pure fold of the records view: the oracle that every other way must equal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from meshlog.core.event import DatasetId, Event
from meshlog.core.feed import FeedKind
from meshlog.core.lives import fold_quarantine
from meshlog.core.roster import fold
from meshlog.core.seniority import fold_decrees
from meshlog.views.fold import HeldEvents, Lineage, Told, fold_told, told_by
from meshlog.views.standing import Standings


def shown(
    events: Iterable[Event], dataset: DatasetId, horizon_ms: int
) -> dict[str, dict[str, Any]]:
    """Return the records that a set of events makes, counting what the control events let count.

    Pure, and the same for any order: what every live view must equal.

    Args:
        events: All events that are held, control events included.
        dataset: Whose genesis says who founded it.
        horizon_ms: The view's horizon, ms since 1970 UTC, inclusive.
    """
    events = list(events)
    control = [event for event in events if event.feed.kind is FeedKind.CONTROL]
    roster = fold(dataset, control)
    lineage = HeldEvents(events)
    decrees, quarantine = fold_decrees(roster, control), fold_quarantine(events)
    standings = Standings(decrees, roster, lineage, horizon_ms, quarantine)
    return _records(map(standings.placed, filter(standings.counts, events)), lineage)


def materialize(events: Iterable[Event]) -> dict[str, dict[str, Any]]:
    """Return the records that a set of events makes: ``{record_id: public dict}``.

    A pure function of the *set*: order and repetition do not matter, there is no horizon,
    and nothing is read but the arguments. Events that no view can read are skipped.

    Args:
        events: All events of a dataset, or some; branches of a forked feed that are not
            there in full imply nothing about what their author had seen.

    Returns:
        Visible records, sorted by id; see ``Record.public`` for the keys.

    Cost: O(n log n).

    Example:
        >>> made = Event.from_parts("ann", 1, (7, 0), "field.set",
        ...                         {"record_id": "r1", "field": "name", "value": "Nia"})
        >>> materialize([made])["r1"]["fields"]
        {'name': 'Nia'}
    """
    events = list(events)
    return _records(events, HeldEvents(events))


def _records(counted: Iterable[Event], lineage: Lineage) -> dict[str, dict[str, Any]]:
    touched: dict[str, list[Told]] = defaultdict(list)
    for item in told_by(counted):
        touched[item.change.record_id].append(item)
    records = (fold_told(record_id, touched[record_id], lineage) for record_id in sorted(touched))
    return {record.record_id: record.public() for record in records if record.visible}
