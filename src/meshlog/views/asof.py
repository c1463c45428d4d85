"""The records as they were: a fold of what counts now, up to a stamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshlog.core.hlc import WALL_MS_MAX, Stamp
from meshlog.views.changes import record_of
from meshlog.views.fold import fold_record
from meshlog.views.lineage import StoreLineage
from meshlog.views.live import ViewStore
from meshlog.views.records import Record
from meshlog.views.standing import Standings


def record_as_of(
    store: ViewStore, record_id: str, stamp: Stamp, standings: Standings
) -> Record | None:
    """Return a record as the events up to ``stamp`` make it, hidden ones included.

    Args:
        store: Read only.
        record_id: A record.
        stamp: The last stamp that counts, inclusive; of an event whose clock was fixed, the
            fixed one is compared.
        standings: What counts by all that is known now: who was revoked since wrote nothing
            then either, beyond its cut.

    Returns:
        None where nothing that counts had touched the record yet.

    Cost: O(events of the record).
    """
    counted = [
        placed
        for arrival in store.touching(record_id)
        if standings.counts(arrival.event)
        for placed in [standings.placed(arrival.event)]
        if placed.stamp <= stamp and record_of(placed) == record_id
    ]
    return fold_record(record_id, counted, StoreLineage(store)) if counted else None


def records_as_of(
    store: ViewStore,
    stamp: Stamp,
    standings: Standings,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Record]:
    """Yield every visible record as it was at ``stamp``, by id. See ``record_as_of``.

    Args:
        store: Read only.
        stamp: The last stamp that counts, inclusive.
        standings: What counts by all that is known now.
        progress: Called with how many records were looked at, and how many there are.

    Cost: O(events).
    """
    names = store.touched_between(-1, WALL_MS_MAX)
    for done, record_id in enumerate(names):
        if progress is not None:
            progress(done, len(names))
        record = record_as_of(store, record_id, stamp, standings)
        if record is not None and record.visible:
            yield record
