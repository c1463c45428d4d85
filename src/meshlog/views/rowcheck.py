"""Whether the rows of the live view are what their events make: all rows, in passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from meshlog.core.event import ID_SIZE
from meshlog.ports.log import Stretch
from meshlog.ports.records import KeptRow
from meshlog.views.changes import Change, Unreadable, feed_ref, read_changes
from meshlog.views.fold import fold_state
from meshlog.views.lineage import StoreLineage
from meshlog.views.lot import NO_RECORD, Came, Lot
from meshlog.views.plainrow import plain_rows
from meshlog.views.recordlots import RecordLots, RowStore
from meshlog.views.rowstate import pack
from meshlog.views.standing import Standings

Witness: TypeAlias = Callable[[int, bytes, str], None]
"""Told of every data event that no view can read once, in any order: its position and id, and
why."""


def check_rows(
    store: RowStore, standings: Standings, settled: int, witness: Witness | None = None
) -> list[str]:
    """Return what is wrong with the rows, one sentence each, by record id; empty when nothing is.

    Args:
        store: Read only.
        standings: Tells what counts now.
        settled: Up to where the log is in the rows.
        witness: Told of every data event that cannot be read.

    Cost: at most a decoding of each event and a fold of each record; one pass over the log and the
    rows for each lot of records. Memory: see ``recordlots.RecordLots``.
    """
    check = RowCheck(store, standings, settled, witness)
    for stretch in store.stretches():
        check.take(stretch)
    return check.finish()


_Found: TypeAlias = tuple[bool, str, str]
"""Whether any event touches a record, its id, and what is wrong with its row; as it is sorted."""


def _astray(some: Iterable[tuple[str, KeptRow]]) -> list[_Found]:
    """Return what is wrong with rows whose records nothing touches."""
    return [
        (False, record_id, f"record {record_id!r} has a row, and no counted event touches it")
        for record_id, kept in some
        if kept.row is not None
    ]


def _nobody(*_: object) -> None:
    pass


class RowCheck:
    """A check under way: takes the whole log first, for whoever reads it anyway."""

    def __init__(
        self,
        store: RowStore,
        standings: Standings,
        settled: int,
        witness: Witness | None = None,
    ) -> None:
        """Begin; see ``check_rows``."""
        self._store = store
        self._standings = standings
        self._settled = settled
        self._witness = witness or _nobody
        self._lineage = StoreLineage(store)
        self._forked = {feed_ref(feed) for feed in self._lineage.forked}
        self._lots = RecordLots(store, standings)
        self.rows = self.conflicts = 0
        """Rows in the store, and those of them with a field in conflict; known when finished."""

    def take(self, stretch: Stretch) -> None:
        """Take the next stretch of the log."""
        if strays := self._lots.take(stretch):
            bodies = stretch.all_bodies()
            places = [
                (stretch.position + at, stretch.ids[at * ID_SIZE : (at + 1) * ID_SIZE])
                for at in strays
            ]
            self._tell(places, read_changes([bodies[at] for at in strays]))

    def finish(self) -> list[str]:
        """Return what is wrong; see ``check_rows``."""
        found: list[_Found] = []
        for number, lot in enumerate(self._lots.lots()):
            found += self._check(lot, number)
        return [sentence for _, _, sentence in sorted(found)]

    def _check(self, lot: Lot, number: int) -> list[_Found]:
        """Return what is wrong with the rows of a lot of records."""
        found: list[_Found] = []
        rows, read_to = self._rows(number), NO_RECORD
        waiting: dict[int, tuple[str, KeptRow]] = {}
        """Rows that were read, by the numbers of their records, which rise."""
        names = self._lots.names()
        for some in lot.by_record():
            last = some[-1].record
            if read_to < last:
                for read_to, record_id, row in rows:
                    waiting[read_to] = record_id, row
                    if read_to >= last:
                        break
            kept = [waiting.pop(came.record, ("", None))[1] for came in some]
            ids = [names[came.record - 1].decode() for came in some]
            found += self._compare(list(zip(ids, some, kept, strict=True)))
            alone = [record for record in waiting if record < last]
            found += _astray([waiting.pop(record) for record in alone])
        return found + _astray([*waiting.values(), *(row[1:] for row in rows)])

    def _rows(self, number: int) -> Iterator[tuple[int, str, KeptRow]]:
        """Yield the rows of a lot of records, each after the number of its record."""
        for record_id, kept in self._store.kept_records():
            record = self._lots.number_of(record_id)
            if self._lots.lot_of(record) != number:
                continue
            if kept.row is not None:
                self.rows += 1
                self.conflicts += kept.row.conflicts > 0
            yield record, record_id, kept

    def _compare(self, some: Sequence[tuple[str, Came, KeptRow | None]]) -> Iterator[_Found]:
        """Yield what is wrong with the rows of records whose events came."""
        shown = [(record_id, came) for record_id, came, kept in some if kept and kept.row]
        plain = dict(zip([name for name, _ in shown], plain_rows(shown, self._forked), strict=True))
        for record_id, came, kept in some:
            made = plain.get(record_id)
            until = kept.position if kept else None
            if made and kept and made == kept.row and (until is None or came.last <= until):
                continue
            if wrong := self._wrong(record_id, kept, came):
                yield True, record_id, f"record {record_id!r}: {wrong}"

    def _wrong(self, record_id: str, kept: KeptRow | None, came: Came) -> str:
        """Return what is wrong with a record's row; empty where nothing is."""
        until = self._settled if kept is None else kept.position
        row = kept.row if kept else None
        within = came if until is None else came.between(0, until)
        changes = came.changes()
        self._tell(came.places(), changes)
        if until is None or (kept is None and came.first > self._settled):
            return ""  # made when it is looked at
        if len(within) < len(came) and came.places()[len(within)][0] <= self._settled:
            return "its row lacks an event"
        told = within.doing_to(record_id, changes[: len(within)])
        made = pack(fold_state(record_id, told, self._lineage)) if told else None
        return "" if row == made else "its row differs from what its events make"

    def _tell(
        self,
        places: Iterable[tuple[int, bytes]],
        changes: Iterable[Change | Unreadable | None],
    ) -> None:
        for (position, event_id), change in zip(places, changes, strict=True):
            if type(change) is Unreadable:
                self._witness(position, event_id, change.reason)
