"""Whether the rows of the live view are what their events make: all rows, in passes over the log.

A pass brings the events of a lot of records together. Asking the index for the events of each
record reads most of the log once for each record that it is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol, TypeAlias

from meshlog.core.event import Event
from meshlog.core.feed import FeedKind
from meshlog.core.touch import touched
from meshlog.ports import EventLog, KeptRow, LogIndex, RecordTable
from meshlog.views.changes import Change, Unreadable, read_quickly
from meshlog.views.fold import Told, fold_state
from meshlog.views.lineage import StoreLineage
from meshlog.views.rowstate import pack
from meshlog.views.standing import Standing, Standings

LOT_EVENTS = 131_072
"""Events that one pass brings together; in memory at once, some 60 MB. A choice."""

LOT_SIZE = 16_777_216
"""…and bytes of their bodies as the store keeps them, so that large ones do not fill the memory."""

LOTS_MAX = 255
"""Passes at most: a lot's number is one byte. Of more than 33 million events lots are larger."""

_NO_LOT = LOTS_MAX

_READ_RECORDS = 256
"""Rows read at once."""

Witness: TypeAlias = Callable[[int, Event, Standing, Change | Unreadable | None], None]
"""Told of every data event once, in any order: its position, standing, and what it does."""

Places = list[tuple[int, Event]]
"""Events with their positions, in the order of the log."""


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
        witness: Told of every data event that is read on the way.

    Cost: a decoding of each event and a fold of each record; one pass over the log for each
    ``LOT_EVENTS`` or ``LOT_SIZE``. Memory for those, the names of all records, and one byte for
    each event.
    """
    return _RowCheck(store, standings, settled, witness or _nobody).run()


def _nobody(*_: object) -> None:
    pass


class _RowCheck:
    def __init__(
        self, store: CheckedStore, standings: Standings, settled: int, witness: Witness
    ) -> None:
        self._store = store
        self._standings = standings
        self._settled = settled
        self._witness = witness
        self._lineage = StoreLineage(store)
        self._lot_of: dict[bytes, int] = {}
        """By name."""
        self._lots = bytearray()
        """By place in the log."""
        lots = max(store.event_count() // LOT_EVENTS, store.log_size() // LOT_SIZE) + 1
        self._count = min(lots, LOTS_MAX)

    def run(self) -> list[str]:
        """See ``check_rows``."""
        found = self._check(self._deal())
        astray = [
            f"record {row.record_id!r} has a row, and no counted event touches it"
            for row in self._store.records()
            if self._lot_of.get(row.record_id.encode(), _NO_LOT) == _NO_LOT
        ]
        for lot in range(1, self._count):
            found += self._check(self._gather(lot))
        return astray + [sentence for _, sentence in sorted(found)]

    def _deal(self) -> dict[bytes, Places]:
        """Deal the records to lots; return the events of the first one."""
        first: dict[bytes, Places] = defaultdict(list)
        for stretch in self._store.stretches():
            if stretch.feed.kind is not FeedKind.DATA:
                self._lots += bytes((_NO_LOT,)) * len(stretch)
                continue
            for position, event in enumerate(stretch.events(), stretch.position):
                name = touched(event.body)
                lot = self._lot_of.get(name)
                if lot is None:
                    lot = self._lot_of[name] = self._new_lot(name)
                self._lots.append(lot)
                if lot == 0:
                    first[name].append((position, event))
                elif lot == _NO_LOT:
                    self._read(position, event)
        return first

    def _new_lot(self, name: bytes) -> int:
        try:
            return len(self._lot_of) % self._count if name.decode() else _NO_LOT
        except UnicodeDecodeError:  # no record can have it
            return _NO_LOT

    def _gather(self, lot: int) -> dict[bytes, Places]:
        """Return the events of a lot, by record."""
        found: dict[bytes, Places] = defaultdict(list)
        at = 0
        for stretch in self._store.stretches():
            lots = self._lots[at : at + len(stretch)]
            at += len(stretch)
            index = lots.find(lot)
            if index < 0:
                continue
            while index >= 0:
                event = stretch.event(index)
                found[touched(event.body)].append((stretch.position + index, event))
                index = lots.find(lot, index + 1)
        return found

    def _check(self, lot: dict[bytes, Places]) -> list[tuple[str, str]]:
        """Return record id and sentence of each wrong row of a lot."""
        found = []
        names = sorted(lot)
        for at in range(0, len(names), _READ_RECORDS):
            some = {name.decode(): lot.pop(name) for name in names[at : at + _READ_RECORDS]}
            kept = self._store.get_records(some)
            for record_id, places in some.items():
                wrong = self._wrong(record_id, kept.get(record_id), places)
                if wrong:
                    found.append((record_id, f"record {record_id!r}: {wrong}"))
        return found

    def _wrong(self, record_id: str, kept: KeptRow | None, places: Places) -> str:
        """Return what is wrong with a record's row; empty where nothing is."""
        until = self._settled if kept is None else kept.position
        is_fresh = until is None or (kept is None and places[0][0] > self._settled)
        told: list[Told] = []
        lacks = False
        for position, event in places:
            standing, change = self._read(position, event)
            if until is None or position > until:
                lacks = lacks or position <= self._settled
            elif (
                standing is Standing.COUNTS
                and type(change) is Change
                and change.record_id == record_id
            ):
                told.append(Told(self._standings.placed(event), change))
        if is_fresh:  # made when it is looked at
            return ""
        if lacks:
            return "its row lacks an event"
        made = pack(fold_state(record_id, told, self._lineage)) if told else None
        row = kept.row if kept else None
        return "" if row == made else "its row differs from what its events make"

    def _read(self, position: int, event: Event) -> tuple[Standing, Change | Unreadable | None]:
        """Return how an event stands and what it does; the witness hears of it."""
        standing, change = self._standings.of(event), read_quickly(event)
        self._witness(position, event, standing, change)
        return standing, change
