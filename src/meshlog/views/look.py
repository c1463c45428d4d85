"""What records are at one moment: each from its row in the store and the events that came since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from meshlog.core.cbor import decode_cbor, decode_kept
from meshlog.errors import MalformedError
from meshlog.ports.log import Arrival
from meshlog.ports.records import KeptRow, RecordRow
from meshlog.views.changes import Change, feed_ref, read_change, read_changes
from meshlog.views.fold import Told, fold_state
from meshlog.views.incremental import grown
from meshlog.views.lineage import StoreLineage
from meshlog.views.lot import Came
from meshlog.views.plainrow import plain_rows
from meshlog.views.recordlots import RowStore
from meshlog.views.records import Record, decode, record_of
from meshlog.views.rowstate import RowState, pack, unpack
from meshlog.views.standing import Standings

T = TypeVar("T")

NOTHING = KeptRow(None, 0)
"""What is kept of a record of which nothing is."""

_DAMAGE = (MalformedError, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What comes of a row in which any byte may have been flipped."""


class Look:
    """What records are at one moment."""

    def __init__(self, store: RowStore, standings: Standings, stale: AbstractSet[str]) -> None:
        """Look at what ``store`` holds now: make a new one after every change.

        Args:
            store: Stays the caller's.
            standings: What counts now.
            stale: Records that are made anew, beside those that are marked so.
        """
        self._store = store
        self.standings = standings
        self._stale = stale
        self._lineage = StoreLineage(store)
        self._forked = {feed_ref(feed) for feed in standings.lineage.forked}

    def record(self, record_id: str) -> Record | None:
        """Return a record as it is now: what ``row`` says of it, mostly without making that."""
        kept = self._store.get_record(record_id) or NOTHING
        row = kept.row
        if record_id in self._stale or kept.position is None:
            row = self.fold(record_id)
        elif told := self._told(
            record_id, self._store.touching(record_id, kept.position), is_frozen=True
        ):
            found = self._onto(record_id, row, told, decode_cbor, record_of)
            if found is not None:
                return found
            row = self.fold(record_id)
        return decode(row) if row else None

    def row(
        self, record_id: str, kept: KeptRow | None = None, *, is_settled: bool = False
    ) -> RecordRow | None:
        """Return a record's row as it is now.

        Args:
            record_id: The record.
            kept: What the store has of it, where that is known.
            is_settled: Whether nothing touched it since.
        """
        kept = kept or self._store.get_record(record_id) or NOTHING
        if record_id in self._stale or kept.position is None:
            return self.fold(record_id)
        if is_settled:
            return kept.row
        told = self._told(record_id, self._store.touching(record_id, kept.position))
        return self._with(record_id, kept.row, told)

    def grown(
        self, some: Sequence[tuple[str, KeptRow, Came]]
    ) -> Iterator[tuple[str, RecordRow | None]]:
        """Yield records and their rows with what came, which is not in them yet."""
        new = [(record_id, came) for record_id, kept, came in some if kept.row is None]
        made = dict(zip([name for name, _ in new], plain_rows(new, self._forked), strict=True))
        for record_id, kept, came in some:
            row = made.get(record_id)
            if row is None:
                told = came.doing_to(record_id, came.changes())
                row = self._with(record_id, kept.row, told, came.last)
            yield record_id, row

    def made(self, some: Sequence[tuple[str, Came]]) -> Iterator[tuple[str, RecordRow | None]]:
        """Yield records and their rows made anew, of all that touches each; some of one lot."""
        plain = plain_rows(some, self._forked)
        for (record_id, came), found in zip(some, plain, strict=True):
            row = found
            if row is None:
                told = came.doing_to(record_id, came.changes())
                row = self._folded(record_id, told)
            yield record_id, row

    def _with(
        self,
        record_id: str,
        row: RecordRow | None,
        told: Sequence[Told],
        until: int | None = None,
    ) -> RecordRow | None:
        """Return a record's row with these on top, which are all up to a position."""
        if not told:
            return row
        made = self._onto(record_id, row, told, decode_kept, pack)
        return made or self.fold(record_id, until)

    def _onto(
        self,
        record_id: str,
        row: RecordRow | None,
        told: Sequence[Told],
        read: Callable[[bytes], Any],
        made: Callable[[RowState], T],
    ) -> T | None:
        """Return what is made of a row with these on top; None where only a fold can tell.

        A damaged row can hold anything.
        """
        try:
            state = RowState(record_id) if row is None else unpack(row, read)
            if all(grown(state, item, self._forked) for item in told):
                return made(state)
        except _DAMAGE:
            pass
        return None

    def fold(self, record_id: str, until: int | None = None) -> RecordRow | None:
        """Return a record's row made anew, from the events up to a position, or from all."""
        told = self._told(
            record_id,
            (
                arrival
                for arrival in self._store.touching(record_id)
                if until is None or arrival.position <= until
            ),
        )
        return self._folded(record_id, told)

    def _folded(self, record_id: str, told: Sequence[Told]) -> RecordRow | None:
        return pack(fold_state(record_id, told, self._lineage)) if told else None

    def _told(
        self,
        record_id: str,
        arrivals: Iterable[Arrival],
        *,
        is_frozen: bool = False,
    ) -> list[Told]:
        """Return those that touch the record and count, as they are placed.

        Args:
            record_id: The record.
            arrivals: What may touch it.
            is_frozen: Where people see the values that come out.
        """
        standings = self.standings
        events = [arrival.event for arrival in arrivals if standings.counts(arrival.event)]
        changes = (
            map(read_change, events)
            if is_frozen
            else read_changes([event.body for event in events])
        )
        return [
            Told.of(standings.placed(event), change)
            for event, change in zip(events, changes, strict=True)
            if isinstance(change, Change) and change.record_id == record_id
        ]
