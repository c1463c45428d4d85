"""Whether the rows of the live view are what their events make: all rows, in passes over the log.

A pass brings the events of a lot of records together. Asking the index for the events of each
record reads most of the log once for each record that it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress, repeat
from typing import Protocol, TypeAlias, TypeVar

from meshlog.core.event import ID_SIZE
from meshlog.core.feed import FeedKind
from meshlog.ports.log import EventLog, LogIndex, Stretch
from meshlog.ports.records import KeptRow, RecordTable
from meshlog.views.changes import Change, Unreadable, feed_ref, read_changes
from meshlog.views.fold import fold_state
from meshlog.views.lineage import StoreLineage
from meshlog.views.lot import NO_RECORD, Came, Lot, RecordNumbers
from meshlog.views.plainrow import plain_row
from meshlog.views.rowstate import pack
from meshlog.views.standing import Standings

T = TypeVar("T")

LOT_EVENTS = 262_144
"""Events that one pass brings together; in memory at once, some 80 MB. A choice."""

LOT_SIZE = 16_777_216
"""…and bytes of their bodies as the store keeps them, so that large ones do not fill the memory."""

LOTS_MAX = 255
"""Passes at most: a lot's number is one byte. Of more than 66 million events lots are larger."""

_NO_LOT = LOTS_MAX

Witness: TypeAlias = Callable[[int, bytes, str], None]
"""Told of every data event that no view can read once, in any order: its position and id, and
why."""


class CheckedStore(EventLog, LogIndex, RecordTable, Protocol):
    """What the check needs of a store."""


def check_rows(
    store: CheckedStore, standings: Standings, settled: int, witness: Witness | None = None
) -> list[str]:
    """Return what is wrong with the rows, one sentence each, by record id; empty when nothing is.

    Args:
        store: Read only.
        standings: Tells what counts now.
        settled: Up to where the log is in the rows.
        witness: Told of every data event that cannot be read.

    Cost: at most a decoding of each event and a fold of each record; one pass over the log for each
    ``LOT_EVENTS`` or ``LOT_SIZE``. Memory for those, the names of all records, and one byte for
    each event.
    """
    check = RowCheck(store, standings, settled, witness)
    for stretch in store.stretches():
        check.take(stretch)
    return check.finish()


def _nobody(*_: object) -> None:
    pass


class RowCheck:
    """A check under way: takes the whole log first, for whoever reads it anyway."""

    def __init__(
        self,
        store: CheckedStore,
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
        self._number_of = RecordNumbers()
        self._lots = bytearray()
        """By place in the log."""
        lots = max(store.event_count() // LOT_EVENTS, store.log_size() // LOT_SIZE) + 1
        self._count = min(lots, LOTS_MAX)
        self._first = Lot(standings)
        """The first lot of records."""
        self.rows = self.conflicts = 0
        """Rows in the store, and those of them with a field in conflict; known when finished."""

    def take(self, stretch: Stretch) -> None:
        """Deal the records that the next stretch of the log touches to lots."""
        if stretch.feed.kind is not FeedKind.DATA:
            self._lots += bytes((_NO_LOT,)) * len(stretch)
            return
        bodies = stretch.all_bodies()
        numbers = list(map(self._number_of.__getitem__, stretch.names()))
        count = self._count
        if count == 1 and NO_RECORD not in numbers:
            lots = bytes(len(numbers))
        else:
            lots = bytes([number % count if number else _NO_LOT for number in numbers])
        self._lots += lots
        chosen = _which(lots, 0)
        self._first.take(stretch, _of(bodies, chosen), _of(numbers, chosen), chosen)
        if _NO_LOT in lots:
            self._witness_those(stretch, bodies, _which(lots, _NO_LOT))

    def finish(self) -> list[str]:
        """Return what is wrong; see ``check_rows``."""
        names = self._number_of.names()
        found = self._check(self._first, names)
        self._first = Lot(self._standings)  # the memory of one is enough
        astray = []
        for row in self._store.records():
            self.rows += 1
            self.conflicts += row.conflicts > 0
            if row.record_id.encode() not in self._number_of:
                astray.append(
                    f"record {row.record_id!r} has a row, and no counted event touches it"
                )
        for number in range(1, self._count):
            found += self._check(self._gather(number), names)
        return astray + [sentence for _, sentence in sorted(found)]

    def _gather(self, number: int) -> Lot:
        """Return the events of a lot of records."""
        found = Lot(self._standings)
        at = 0
        for stretch in self._store.stretches():
            lots = self._lots[at : at + len(stretch)]
            at += len(stretch)
            if number in lots:
                chosen = _which(lots, number)
                bodies = _of(stretch.all_bodies(), chosen)
                records = map(self._number_of.__getitem__, _of(stretch.names(), chosen))
                found.take(stretch, bodies, records, chosen)
        return found

    def _check(self, lot: Lot, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return record id and sentence of each wrong row of a lot."""
        found = []
        for some in lot.by_record():
            kept = self._store.get_records([names[came.record - 1] for came in some])
            for came in some:
                record_id = names[came.record - 1]
                wrong = self._wrong(record_id, kept.get(record_id), came)
                if wrong:
                    found.append((record_id, f"record {record_id!r}: {wrong}"))
        return found

    def _wrong(self, record_id: str, kept: KeptRow | None, came: Came) -> str:
        """Return what is wrong with a record's row; empty where nothing is."""
        until = self._settled if kept is None else kept.position
        row = kept.row if kept else None
        within = came if until is None else came.between(0, until)
        if row is not None and within is came and row == plain_row(record_id, came, self._forked):
            return ""
        changes = read_changes([body for *_, body in came.said])
        self._tell(came.places(), changes)
        if until is None or (kept is None and came.first > self._settled):
            return ""  # made when it is looked at
        if len(within) < len(came) and came.places()[len(within)][0] <= self._settled:
            return "its row lacks an event"
        told = within.doing_to(record_id, changes[: len(within)])
        made = pack(fold_state(record_id, told, self._lineage)) if told else None
        return "" if row == made else "its row differs from what its events make"

    def _witness_those(
        self, stretch: Stretch, bodies: Sequence[bytes], chosen: Sequence[int]
    ) -> None:
        """Tell of the events of a stretch that name no record."""
        found = list(compress(range(len(stretch)), chosen or repeat(1)))
        places = [
            (stretch.position + at, stretch.ids[at * ID_SIZE : (at + 1) * ID_SIZE]) for at in found
        ]
        self._tell(places, read_changes([bodies[at] for at in found]))

    def _tell(
        self,
        places: Iterable[tuple[int, bytes]],
        changes: Iterable[Change | Unreadable | None],
    ) -> None:
        for (position, event_id), change in zip(places, changes, strict=True):
            if type(change) is Unreadable:
                self._witness(position, event_id, change.reason)


def _which(lots: bytes | bytearray, number: int) -> Sequence[int]:
    """Return 1 for each that is of a lot and 0 for the others; nothing where all are."""
    if lots.count(number) == len(lots):
        return ()
    return lots.translate(bytes(number) + b"\x01" + bytes(255 - number))


def _of(items: Sequence[T], chosen: Sequence[int]) -> Sequence[T]:
    """Return those that are chosen; all where nothing says which."""
    return list(compress(items, chosen)) if chosen else items
