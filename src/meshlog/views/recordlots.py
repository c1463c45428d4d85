"""All data events of a log by the records that they touch: a lot of records after the other.

Each lot is a pass over the log, the first the way through it that somebody makes anyway. Asking
the index for the events of each record reads most of the log once for each that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Protocol, TypeVar

from meshlog.core.feed import FeedKind
from meshlog.ports.log import EventLog, LogIndex, Stretch
from meshlog.ports.records import RecordTable
from meshlog.views.lot import NO_RECORD, Lot, RecordNumbers
from meshlog.views.standing import Standings

T = TypeVar("T")

LOT_EVENTS = 1_048_576
"""Events that one pass brings together; in memory at once, some 160 MB. A choice."""

LOT_SIZE = 67_108_864
"""…and bytes of their bodies, as they came, so that large ones do not fill the memory."""

LOTS_MAX = 255
"""Passes at most: a lot's number is one byte. Of more than 66 million events lots are larger."""

_NO_LOT = LOTS_MAX


class RowStore(EventLog, LogIndex, RecordTable, Protocol):
    """A store with what the view's rows are made of, and the rows."""


class RecordLots:
    """The lots of a log: takes the whole log first, then tells each of them once.

    Memory: one lot, the names of all records, and one byte for each event where there are several.
    """

    def __init__(self, store: RowStore, standings: Standings) -> None:
        """Begin; records of which a row is kept come first, in the order of the table."""
        self._store = store
        self._standings = standings
        self._number_of = RecordNumbers()
        for record_id in store.record_ids():
            _ = self._number_of[record_id.encode()]
        self._lots = bytearray()
        """By place in the log; where there is one alone, nothing."""
        lots = max(store.event_count() // LOT_EVENTS, store.log_size() // LOT_SIZE) + 1
        self._count = min(lots, LOTS_MAX)
        self._first = Lot(standings)

    def take(self, stretch: Stretch) -> Sequence[int]:
        """Take the next stretch of the log; return which of its data events name no record."""
        size, count = len(stretch), self._count
        if stretch.feed.kind is not FeedKind.DATA:
            self._lots += bytes((_NO_LOT,)) * size if count > 1 else b""
            return ()
        bodies = stretch.all_bodies()
        numbers = list(map(self._number_of.__getitem__, stretch.names()))
        if count == 1 and NO_RECORD not in numbers:
            self._first.take(stretch, bodies, numbers)
            return ()
        lots = bytes([number % count if number else _NO_LOT for number in numbers])
        self._lots += lots if count > 1 else b""
        chosen = _which(lots, 0)
        self._first.take(stretch, _of(bodies, chosen), _of(numbers, chosen), chosen)
        return [at for at, lot in enumerate(lots) if lot == _NO_LOT] if _NO_LOT in lots else ()

    def names(self) -> list[bytes]:
        """Return the name of each record by its number, from 1, once the whole log was taken."""
        return list(self._number_of)

    def number_of(self, record_id: str) -> int:
        """Return the number of a record that has a row."""
        return self._number_of.get(record_id.encode(), NO_RECORD)

    def lot_of(self, number: int) -> int:
        """Return which lot a record belongs to, from 0."""
        return number % self._count

    def lots(self) -> Iterator[Lot]:
        """Yield each lot, once the whole log was taken. Cost: a pass for each but the first."""
        yield self._first
        self._first = Lot(self._standings)  # the memory of one is enough
        for number in range(1, self._count):
            yield self._gather(number)

    def _gather(self, number: int) -> Lot:
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


def _which(lots: bytes | bytearray, number: int) -> Sequence[int]:
    """Return 1 for each that is of a lot and 0 for the others; nothing where all are."""
    if lots.count(number) == len(lots):
        return ()
    return lots.translate(bytes(number) + b"\x01" + bytes(255 - number))


def _of(items: Sequence[T], chosen: Sequence[int]) -> Sequence[T]:
    """Return those that are chosen; all where nothing says which."""
    return list(compress(items, chosen)) if chosen else items
