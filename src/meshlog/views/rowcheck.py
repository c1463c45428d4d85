"""Whether the rows of the live view are what their events make: all rows, in passes over the log.

A pass brings the events of a lot of records together. Asking the index for the events of each
record reads most of the log once for each record that it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from meshlog.views.plainrow import plain_rows
from meshlog.views.rowstate import pack
from meshlog.views.standing import Standings

T = TypeVar("T")

LOT_EVENTS = 1_048_576
"""Events that one pass brings together; in memory at once, some 160 MB. A choice."""

LOT_SIZE = 67_108_864
"""…and bytes of their bodies, as they came, so that large ones do not fill the memory."""

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

    Cost: at most a decoding of each event and a fold of each record; one pass over the log and the
    rows for each ``LOT_EVENTS`` or ``LOT_SIZE``. Memory for those, the names of all records, and
    one byte for each event where there are several passes.
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
        for record_id in store.record_ids():
            _ = self._number_of[record_id.encode()]
        self._lots = bytearray()
        """By place in the log; where there is one alone, nothing."""
        lots = max(store.event_count() // LOT_EVENTS, store.log_size() // LOT_SIZE) + 1
        self._count = min(lots, LOTS_MAX)
        self._first = Lot(standings)
        """The first lot of records."""
        self.rows = self.conflicts = 0
        """Rows in the store, and those of them with a field in conflict; known when finished."""

    def take(self, stretch: Stretch) -> None:
        """Deal the records that the next stretch of the log touches to lots."""
        size, count = len(stretch), self._count
        if stretch.feed.kind is not FeedKind.DATA:
            self._lots += bytes((_NO_LOT,)) * size if count > 1 else b""
            return
        bodies = stretch.all_bodies()
        numbers = list(map(self._number_of.__getitem__, stretch.names()))
        if count == 1 and NO_RECORD not in numbers:
            self._first.take(stretch, bodies, numbers)
            return
        lots = bytes([number % count if number else _NO_LOT for number in numbers])
        self._lots += lots if count > 1 else b""
        chosen = _which(lots, 0)
        self._first.take(stretch, _of(bodies, chosen), _of(numbers, chosen), chosen)
        if _NO_LOT in lots:
            self._witness_those(stretch, bodies, _which(lots, _NO_LOT))

    def finish(self) -> list[str]:
        """Return what is wrong; see ``check_rows``."""
        found = self._check(self._first, 0)
        self._first = Lot(self._standings)  # the memory of one is enough
        for number in range(1, self._count):
            found += self._check(self._gather(number), number)
        return [sentence for _, _, sentence in sorted(found)]

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
                records = list(map(self._number_of.__getitem__, _of(stretch.names(), chosen)))
                found.take(stretch, bodies, records, chosen)
        return found

    def _check(self, lot: Lot, number: int) -> list[_Found]:
        """Return what is wrong with the rows of a lot of records."""
        found: list[_Found] = []
        rows, read_to = self._rows(number), NO_RECORD
        waiting: dict[int, tuple[str, KeptRow]] = {}
        """Rows that were read, by the numbers of their records, which rise."""
        names = list(self._number_of)
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
            record = self._number_of.get(record_id.encode(), NO_RECORD)
            if record % self._count != number:
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
