"""The live view: the rows of the store, refolded record by record as events arrive.

Every method that writes is called inside the transaction that wrote the events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, Head
from meshlog.core.hlc import WALL_MS_MAX, ZERO, Stamp
from meshlog.errors import MalformedError
from meshlog.ports import EventLog, LogIndex, Meta, RecordRow, RecordTable
from meshlog.views.changes import record_of
from meshlog.views.fold import Told, fold_record
from meshlog.views.incremental import grown
from meshlog.views.records import Conflict, Record, decode, encode, feed_ref
from meshlog.views.rowstate import RowState, pack, unpack
from meshlog.views.standing import Standings

_DAMAGE = (MalformedError, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What comes of a row in which any byte may have been flipped."""


ROWS_KEY, ROWS_FORM = "view.rows", b"\x02"
"""Meta key, and how rows are written now; what an older meshlog wrote is folded anew once."""


class ViewStore(EventLog, LogIndex, RecordTable, Meta, Protocol):
    """What the live view needs of a store."""


class StoreLineage:
    """The lineage in a store at one moment; heads are read once, and only when somebody asks."""

    def __init__(self, store: ViewStore, forked: AbstractSet[FeedKey] | None = None) -> None:
        """Answer for what ``store`` holds now: make a new one after every change.

        Args:
            store: Stays the caller's.
            forked: The feeds with several branches, where the caller knows them.
        """
        self._store = store
        self._forked = forked
        self._held: dict[tuple[FeedKey, Head], bool] = {}
        self._stamps: dict[tuple[FeedKey, int], Stamp] = {}

    @property
    def forked(self) -> AbstractSet[FeedKey]:
        """See Lineage.forked."""
        if self._forked is None:
            heads = self._store.heads()
            self._forked = {key for key, tips in heads.items() if len(tips) > 1}
        return self._forked

    def prev(self, event_id: bytes) -> bytes | None:
        """See Lineage.prev."""
        arrival = self._store.get(event_id)
        return arrival.event.prev if arrival else None

    def ancestor(self, feed: FeedKey, tip: Head, seq: int) -> bytes | None:
        """See Ancestry.ancestor. Cost: see EventLog.at; in a fork, EventLog.branch."""
        held = self._held.get((feed, tip))
        if held is None:
            arrival = self._store.get(tip.id)
            held = arrival is not None and arrival.event.feed == feed
            held = held and arrival is not None and arrival.event.seq == tip.seq
            self._held[feed, tip] = held
        if not held:
            return None
        events = self._store.at(feed, seq)
        if len(events) > 1:
            events = self._store.branch(tip, feed, seq - 1, 1)
        return events[0].id if events else None

    def stamp_at(self, event: Event, seq: int) -> Stamp:
        """See Lineage.stamp_at. Cost: as ``ancestor``, once per place without a fork."""
        known = self._stamps.get((event.feed, seq))
        if known is not None:
            return known
        events = self._store.at(event.feed, seq)
        if len(events) > 1:
            events = self._store.branch(Head(event.seq, event.id), event.feed, seq - 1, 1)
        elif events:
            self._stamps[event.feed, seq] = events[0].stamp
        return events[0].stamp if events else ZERO


def conflicts(store: RecordTable, record_id: str | None = None) -> list[Conflict]:
    """Return the fields in conflict of visible records, by record id and field.

    Args:
        store: Read only.
        record_id: Of this record alone; an unknown one has none.

    Cost: O(records).
    """
    rows = store.records() if record_id is None else [store.get_record(record_id)]
    return [
        conflict
        for row in rows
        if row is not None and row.conflicts and row.visible
        for conflict in decode(row).disputed()
    ]


class LiveView:
    """The records view over a store; always equal to the pure fold of what counts."""

    def __init__(self, store: ViewStore) -> None:
        """Serve the rows of ``store``, which stays the caller's."""
        self._store = store

    def applied(self, new: Iterable[Told], stale: Iterable[str], standings: Standings) -> None:
        """Bring the rows up to date with the log.

        Args:
            new: The events just added that touch a record, in the order in which they were;
                with the stamps that they carry.
            stale: Records whose events stand otherwise now; repeats are harmless.
            standings: What counts, by all that is held now.

        Cost: O(row) per record and O(what it writes) per event, where ``incremental.grown``
        can tell; else O(events of these records).
        """
        refolded = dict.fromkeys(stale)
        counted: dict[str, list[Told]] = defaultdict(list)
        for item in new:
            event = item.event
            if item.change.record_id not in refolded and standings.counts(event):
                placed = standings.placed(event)
                told = item if placed is event else Told(placed, item.change)
                counted[item.change.record_id].append(told)
        forked = {feed_ref(feed) for feed in standings.lineage.forked}
        for record_id, some in counted.items():
            row = self._grown(record_id, some, forked)
            if row is None:
                refolded[record_id] = None
            else:
                self._store.put_record(row)
        self.refold(refolded, standings)

    def _grown(self, record_id: str, new: list[Told], forked: set[bytes]) -> RecordRow | None:
        """Return a record's row with new events; None where only a fold can tell.

        A damaged row can hold anything, and is folded anew.
        """
        row = self._store.get_record(record_id)
        try:
            state = RowState(record_id) if row is None else unpack(row)
            return pack(state) if all(grown(state, told, forked) for told in new) else None
        except _DAMAGE:
            return None

    def refold(self, record_ids: Iterable[str], standings: Standings) -> None:
        """Make the rows of these records anew. Cost: O(events of these records)."""
        lineage = StoreLineage(self._store)
        for record_id in dict.fromkeys(record_ids):
            record = self._fold(record_id, standings, lineage)
            if record is None:
                self._store.drop_record(record_id)
            else:
                self._store.put_record(encode(record))

    def latest(self, record_ids: Iterable[str], standings: Standings) -> Stamp:
        """Return the greatest effective stamp in these records up to the horizon, or ``ZERO``.

        Also of what is excluded now: who is taken back in is beaten by what was written since.
        """
        stamps = (
            standings.stamp(event)
            for record_id in dict.fromkeys(record_ids)
            for event in self._store.touching(record_id, WALL_MS_MAX)
        )
        return max(
            (stamp for stamp in stamps if stamp.wall_ms <= standings.horizon_ms), default=ZERO
        )

    def advance(self, from_ms: int, standings: Standings) -> None:
        """Count what a horizon releases that moved from ``from_ms`` to that of ``standings``.

        A horizon that moves back takes ``rebuild``.
        """
        if standings.horizon_ms > from_ms:
            touched = self._store.touched_between(from_ms, standings.horizon_ms)
            self.refold(touched, standings)

    def get(self, record_id: str) -> Record | None:
        """Return a record, hidden ones included; None where no counted event touches it."""
        row = self._store.get_record(record_id)
        return decode(row) if row else None

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return what ``materialize`` returns for the counted events. Cost: O(records)."""
        rows = self._store.records()
        return {row.record_id: decode(row).public() for row in rows if row.visible}

    def rebuild(self, standings: Standings) -> None:
        """Fold all rows again, and drop what no event touches. Cost: O(events)."""
        touched = self._store.touched_between(-1, WALL_MS_MAX)
        known = set(touched)
        for row in [row for row in self._store.records() if row.record_id not in known]:
            self._store.drop_record(row.record_id)
        self.refold(touched, standings)
        self._store.set_meta(ROWS_KEY, ROWS_FORM)

    def is_current(self) -> bool:
        """Say whether the rows are written as now; else ``rebuild`` them before anything else."""
        return self._store.get_meta(ROWS_KEY) == ROWS_FORM

    def check(self, standings: Standings) -> list[str]:
        """Return what is wrong with the rows, one sentence each; empty when nothing is.

        Reads the whole log, trusts neither the index of touched records nor a row.
        Cost: O(events) time, O(records) memory.
        """
        counted: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for arrival in self._store.scan():
            event = arrival.event
            record_id = record_of(event)
            if record_id is not None and standings.counts(event):
                count, mixed = counted[record_id]
                counted[record_id] = (count + 1, mixed ^ int.from_bytes(event.id, "big"))
        wrong = [
            f"record {row.record_id!r} has a row, and no counted event touches it"
            for row in self._store.records()
            if row.record_id not in counted
        ]
        lineage = StoreLineage(self._store)
        for record_id in sorted(counted):
            indexed = self._counted(record_id, standings)
            mixed = 0
            for event in indexed:
                mixed ^= int.from_bytes(event.id, "big")
            if (len(indexed), mixed) != counted[record_id]:
                wrong.append(f"record {record_id!r}: the index of its events is wrong")
                continue
            record = self._fold(record_id, standings, lineage)
            if record is None or self._store.get_record(record_id) != encode(record):
                wrong.append(f"record {record_id!r}: its row differs from what its events make")
        return wrong

    def _counted(self, record_id: str, standings: Standings) -> list[Event]:
        touching = self._store.touching(record_id, WALL_MS_MAX)
        return [standings.placed(event) for event in touching if standings.counts(event)]

    def _fold(self, record_id: str, standings: Standings, lineage: StoreLineage) -> Record | None:
        counted = self._counted(record_id, standings)
        return fold_record(record_id, counted, lineage) if counted else None
