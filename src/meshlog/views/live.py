"""The live view: what the events that are held make of each record, always.

A record is made when it is looked at, from its row in the store and the events that came since:
so taking events in costs nothing here, however many records they touch. ``settle`` brings the
rows up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, compress, islice
from typing import Any, Protocol

from meshlog.core.feed import FeedKind
from meshlog.core.hlc import ZERO, Stamp
from meshlog.core.touch import touched_each
from meshlog.ports.log import Stretch
from meshlog.ports.records import KeptRow, RecordRow
from meshlog.ports.store import Meta
from meshlog.views.collecting import collecting_less
from meshlog.views.look import NOTHING, Look
from meshlog.views.lot import NO_RECORD, Came, Lot, RecordNumbers
from meshlog.views.recordlots import RecordLots, RowStore
from meshlog.views.records import Conflict, Record, decode
from meshlog.views.rowcheck import RowCheck, Witness, check_rows
from meshlog.views.standing import Standings

ROWS_KEY, ROWS_FORM = "view.rows", b"\x03"
"""Meta key, and how rows are written now; what an older meshlog wrote is folded anew once."""

POSITION_KEY = "view.position"
"""Meta key of ``LiveView.position``."""

SETTLE_EVENTS = 131_072
"""Events that one transaction brings into the rows; in memory at once, some 50 MB. A choice: of
fewer, more records have some in several transactions, each of which writes their rows."""

READ_RECORDS = 256
"""Rows read at once."""

SETTLE_SIZE = 8_388_608
"""…and bytes of bodies, the last one beyond. A choice."""


class ViewStore(RowStore, Meta, Protocol):
    """What the live view needs of a store."""


class LiveView:
    """The records view over a store; always equal to the pure fold of what counts."""

    def __init__(
        self,
        store: ViewStore,
        standings: Callable[[], Standings],
        stale: AbstractSet[str] = frozenset(),
    ) -> None:
        """Show what ``store`` holds, which stays the caller's.

        Args:
            store: Rows in it are of this view alone.
            standings: Tells what counts now.
            stale: Records whose rows are to be made anew, beside those that are marked so.
        """
        self._store = store
        self._standings = standings
        self._stale = stale
        self.marks = 0
        """How often events came to stand otherwise: what was read before may not hold."""

    # ── reading ──

    def get(self, record_id: str) -> Record | None:
        """Return a record, hidden ones included; None where no counted event touches it.

        Cost: O(row + events since the row was settled).
        """
        return self._look().record(record_id)

    def row(self, record_id: str) -> RecordRow | None:
        """Return a record's row as it is now. Cost: as ``get``."""
        return self._look().row(record_id)

    def rows_of(self, record_ids: Sequence[str], since: int) -> list[RecordRow | None]:
        """Return the rows of some records as they are now.

        Args:
            record_ids: The records.
            since: Position after which none of them was written to, however great.

        Cost: as ``row``; of what nobody wrote to since rows were settled, two look-ups for all.
        """
        look, settled = self._look(), self.position
        kept, none = self._store.get_records(record_ids), KeptRow(None, settled)
        is_known = settled >= since
        untouched = () if is_known else self._store.untouched(record_ids, settled)
        return [
            look.row(name, kept.get(name, none), is_settled=is_known or name in untouched)
            for name in record_ids
        ]

    def rows(self) -> Iterator[RecordRow]:
        """Yield the row of every record by UTF-8 bytes of its id, hidden ones included.

        Cost: O(records + events since the rows were settled).
        """
        look, left = self._look(), iter(sorted(self._unsettled(), key=str.encode))
        name = next(left, None)
        kept = self._store.records()
        row = next(kept, None)
        while row is not None or name is not None:
            if name is None or (row is not None and row.record_id.encode() < name.encode()):
                assert row is not None, "one of the two is left"
                yield row
                row = next(kept, None)
                continue
            made = look.row(name)
            if made is not None:
                yield made
            if row is not None and row.record_id == name:
                row = next(kept, None)
            name = next(left, None)

    def unsettled(self) -> Iterator[tuple[str, RecordRow | None]]:
        """Yield id and row, None for none, of records whose rows in the store may be behind."""
        look = self._look()
        for name in self._unsettled():
            yield name, look.row(name)

    def _unsettled(self) -> dict[str, None]:
        names = dict.fromkeys([*self._store.stale_records(), *self._stale])
        touches = self._store.touches(self.position)
        names.update(dict.fromkeys(name for name, _ in touches if name))
        return names

    def conflicts(self, record_id: str | None = None) -> list[Conflict]:
        """Return the fields in conflict of visible records, by record id and field.

        Args:
            record_id: Of this record alone; an unknown one has none.

        Cost: O(records).
        """
        if record_id is None:
            shown = [decode(row) for row in self.rows() if row.conflicts and row.visible]
        else:
            record = self.get(record_id)
            shown = [record] if record is not None and record.visible else []
        return [conflict for record in shown for conflict in record.disputed()]

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return what ``materialize`` returns for the counted events. Cost: as ``rows``."""
        return {row.record_id: decode(row).public() for row in self.rows() if row.visible}

    def latest(self, record_ids: Iterable[str], standings: Standings) -> Stamp:
        """Return the greatest effective stamp in these records up to the horizon, or ``ZERO``.

        Also of what is excluded now: who is taken back in is beaten by what was written since.
        """
        stamps = (
            standings.stamp(arrival.event)
            for record_id in dict.fromkeys(record_ids)
            for arrival in self._store.touching(record_id)
        )
        return max(
            (stamp for stamp in stamps if stamp.wall_ms <= standings.horizon_ms), default=ZERO
        )

    # ── rows in the store ──

    @property
    def position(self) -> int:
        """Up to where the log is in the rows."""
        return int.from_bytes(self._store.get_meta(POSITION_KEY) or b"", "big")

    def is_settled(self) -> bool:
        """Say whether the rows are up to date. Cost: two look-ups."""
        return self.position == self._store.event_count() and not self._store.stale_records(1)

    @collecting_less()
    def settle(self, events: int = SETTLE_EVENTS) -> bool:
        """Bring rows up to date, inside a transaction of its own; return whether more is left.

        Args:
            events: At most so many that came since, and as many records that are made anew. Of
                those whose bodies are large fewer; whether they touch a record does not matter.

        Cost: O(these events + rows that they touch + what they write); a fold for a record that
        is made anew.
        """
        look, store = self._look(), self._store
        end = store.event_count()
        stale = store.stale_records(events)
        self._put(((name, look.fold(name)) for name in stale), end)
        start = self.position
        if start == end:
            return len(stale) == events
        lot, number_of = Lot(look.standings), RecordNumbers()
        until = self._gather(lot, number_of, start, min(start + events, end))
        self._put(self._grown(look, lot, number_of.names()), until)
        store.set_meta(POSITION_KEY, until.to_bytes(8, "big"))
        return until < end or len(stale) == events

    def _gather(self, lot: Lot, number_of: RecordNumbers, start: int, until: int) -> int:
        """Take what touches records between two positions; return the last one that was looked at.

        That is an earlier one where bodies are large.
        """
        size_bytes = 0
        for stretch in self._store.stretches(after_position=start):
            bodies, before = stretch.all_bodies(), stretch.position - 1
            first = max(start - before, 0)
            for size in map(len, bodies[first : until - before]):
                size_bytes += size
                first += 1
                if size_bytes >= SETTLE_SIZE:
                    until = before + first
                    break
            _take(lot, number_of, stretch, bodies, start - before, until - before)
            if before + len(stretch) >= until:
                break
        return until

    def _grown(
        self, look: Look, lot: Lot, names: Sequence[str]
    ) -> Iterator[tuple[str, RecordRow | None]]:
        """Yield the rows of records with what came, where they lack it.

        The last change last, as they are numbered.
        """
        came = iter(sorted(chain.from_iterable(lot.by_record()), key=_last))
        while some := list(islice(came, READ_RECORDS)):
            kept = self._store.get_records([names[each.record - 1] for each in some])
            due = []
            for each in some:
                name = names[each.record - 1]
                row = kept.get(name, NOTHING)
                # one that is to be made anew comes with the others of its kind
                if row.position is not None and row.position < each.last:
                    due.append((name, row, each.between(row.position, each.last)))
            yield from look.grown(due)

    def _put(self, rows: Iterable[tuple[str, RecordRow | None]], position: int) -> None:
        """Keep rows, not too many of them in memory."""
        some: list[tuple[str, RecordRow | None]] = []
        size_bytes = 0
        for name, row in rows:
            some.append((name, row))
            size_bytes += len(row.state) if row else 0
            if size_bytes >= SETTLE_SIZE:
                self._store.put_records(some, position)
                some, size_bytes = [], 0
        self._store.put_records(some, position)

    def mark(self, record_ids: Iterable[str]) -> None:
        """Have records made anew whose events stand otherwise, inside the open transaction."""
        if names := dict.fromkeys(record_ids):
            self._store.mark_stale(names)
            self.marks += 1

    def mark_all(self) -> None:
        """Have all rows made anew, inside the open transaction; ``settle`` does it, one by one."""
        self._store.mark_stale(None)
        self._note_remade(0)

    @collecting_less()
    def rebuild(self) -> None:
        """Make all rows anew from the log, inside the open transaction, and settle them.

        Cost: at most a decoding of each event and a fold of each record; a pass over the log for
        each lot of records. Memory: see ``recordlots.RecordLots``; some rows beside it.
        """
        look, store = self._look(), self._store
        lots = RecordLots(store, look.standings)
        for stretch in store.stretches():
            lots.take(stretch)
        names, end = [name.decode() for name in lots.names()], store.event_count()
        store.mark_stale(None)
        for lot in lots.lots():
            self._put(_remade(look, lot, names), end)
        self._put(((name, None) for name in store.stale_records()), end)  # nothing touches them
        self._note_remade(end)

    def _note_remade(self, position: int) -> None:
        self.marks += 1
        self._store.set_meta(POSITION_KEY, position.to_bytes(8, "big"))
        self._store.set_meta(ROWS_KEY, ROWS_FORM)

    def is_current(self) -> bool:
        """Say whether the rows are written as now; else ``mark_all`` before anything else."""
        return self._store.get_meta(ROWS_KEY) == ROWS_FORM

    def check(self, witness: Witness | None = None) -> list[str]:
        """Return what is wrong with the rows, one sentence each; see ``rowcheck.check_rows``."""
        return check_rows(self._store, self._standings(), self.position, witness)

    def checking(self, witness: Witness) -> RowCheck:
        """Begin what ``check`` does, for whoever reads the log anyway."""
        return RowCheck(self._store, self._standings(), self.position, witness)

    def _look(self) -> Look:
        return Look(self._store, self._standings(), self._stale)


def _take(
    lot: Lot,
    number_of: RecordNumbers,
    stretch: Stretch,
    bodies: Sequence[bytes],
    first: int,
    end: int,
) -> None:
    """Take the events of a stretch between two indices that touch records."""
    if stretch.feed.kind is not FeedKind.DATA:
        return
    first = max(first, 0)
    numbers = list(map(number_of.__getitem__, touched_each(bodies[first:end])))
    chosen: Sequence[int] = ()
    if len(numbers) < len(stretch) or NO_RECORD in numbers:
        after = len(stretch) - first - len(numbers)
        chosen = [0] * first + [number != NO_RECORD for number in numbers] + [0] * after
        bodies = list(compress(bodies, chosen))
    lot.take(stretch, bodies, list(filter(None, numbers)), chosen)


def _remade(look: Look, lot: Lot, names: Sequence[str]) -> Iterator[tuple[str, RecordRow | None]]:
    """Yield the rows of a lot of records, of all that touches each."""
    for some in lot.by_record():
        yield from look.made([(names[came.record - 1], came) for came in some])


def _last(came: Came) -> int:
    return came.last
