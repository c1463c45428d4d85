"""Writing events: each goes to the next position, and mostly into the run before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meshlog.core.event import NO_PREV, Event
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.errors import StoreError
from meshlog.ports import LogEntry
from meshlog.store.checksums import TALLY_KEY, tally, tally_bytes
from meshlog.store.file import Row, StoreFile
from meshlog.store.heads import Heads, Tip
from meshlog.store.meta import read_meta, write_meta
from meshlog.store.numbers import FeedNumbers, RecordNumbers

RUN_EVENTS_MAX = 64
"""Longest run: whoever looks for a place in a feed reads at most this many runs per branch
around it, and a run costs 25 bytes, so 0.4 per event. A choice."""

ON_TIME_KEY = "store.on_time_ms"
"""Meta key, the store's own: see ``Tail.on_time_ms``."""

SEQ_FOLLOWS = "an event stands in its prev's feed, one seq further"

POSITION_OF_ID = "SELECT position FROM event WHERE substr(id, 1, 6) = substr(?1, 1, 6) AND id = ?1"

NOWHERE = Tip(-1, -1)
"""Stands for the head that should have been there."""


class Tail(NamedTuple):
    """The end of the log."""

    position: int
    """Of the last event, so the number of events held."""
    event_id: bytes
    """Of the last event; empty when there is none."""
    run_position: int
    """Where the last run begins."""
    on_time_ms: int
    """Latest wall time of an event that touches a record and was not stamped ahead of its
    arrival; -1 when there is none."""
    tally: int
    """Checksum of what the ids of all events do not cover."""


class Appender:
    """The writing half of the event log, and what it remembers of it.

    Memory that ``restore`` can undo: it is as the file was before the open transaction.
    """

    def __init__(self, file: StoreFile) -> None:
        """Load heads, feeds and the tail. O(feeds), whatever the number of events."""
        self.file = file
        self.feeds = FeedNumbers(file)
        self.records = RecordNumbers(file)
        self.heads = Heads()
        for position, feed, seq, event_id in file.run("SELECT position, feed, seq, id FROM head"):
            self.heads.load(self.feeds.feed(feed), event_id, Tip(seq, position))
        self.tail = self._durable = self._load_tail()

    def _load_tail(self) -> Tail:
        last = self.file.first("SELECT position, id FROM event ORDER BY position DESC LIMIT 1")
        run = self.file.first("SELECT position FROM run ORDER BY position DESC LIMIT 1")
        if last is None or run is None:
            return Tail(0, b"", 0, -1, 0)
        on_time_ms = self._own_number(ON_TIME_KEY, -1, if_damaged=WALL_MS_MAX)
        return Tail(last[0], last[1], run[0], on_time_ms, self._own_number(TALLY_KEY, 0))

    def _own_number(self, key: str, if_missing: int, if_damaged: int = 0) -> int:
        """Return a number that the store keeps for itself; damage is fsck's to tell."""
        try:
            value = read_meta(self.file, key)
        except StoreError:
            return if_damaged
        return if_missing if value is None else int.from_bytes(value, "big", signed=True)

    def add(self, entries: Sequence[LogEntry], arrived_ms: int) -> None:
        """See EventLog.add. Cost: four small index entries per event, one row per run."""
        events: list[Row] = []
        cuts: list[Row] = []
        position, last_id, run_position, on_time_ms, sum_ = self.tail
        feed: FeedKey | None = None
        tips: dict[bytes, Tip] = {}
        for event, record_id in entries:
            if event.feed is not feed:
                feed = event.feed
                tips = self.heads.edit(feed)
            if event.prev != last_id or position - run_position + 1 >= RUN_EVENTS_MAX:
                self._write_events(events)
                run_position = position + 1
                self._write_run(run_position, event, tips)
            else:
                assert tips.get(last_id, NOWHERE).seq + 1 == event.seq, SEQ_FOLLOWS
            tips.pop(event.prev, None)
            position += 1
            last_id = event.id
            tips[last_id] = Tip(event.seq, position)
            stamp = event.stamp.packed()
            delay_ms = arrived_ms - event.stamp.wall_ms
            record = None
            if record_id is not None:
                record = self.records.make(record_id)
                if delay_ms >= 0 and event.stamp.wall_ms > on_time_ms:
                    on_time_ms = event.stamp.wall_ms
            events.append((position, stamp, delay_ms, record, last_id, event.body))
            sum_ ^= tally(position, delay_ms, record)
            if event.signature:
                cuts.append((position, event.signature))
        self._write_events(events)
        self.file.write_many("INSERT INTO cut VALUES (?, ?)", cuts)
        self.tail = Tail(position, last_id, run_position, on_time_ms, sum_)

    def _write_events(self, rows: list[Row]) -> None:
        if rows:
            self.file.write_many("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
            rows.clear()

    def _write_run(self, position: int, event: Event, tips: dict[bytes, Tip]) -> None:
        base = self._base(event, tips)
        values = (position, self.feeds.make(event.feed), event.seq, base)
        self.file.write("INSERT INTO run VALUES (?, ?, ?, ?)", values)

    def _base(self, event: Event, tips: dict[bytes, Tip]) -> int | None:
        """Return the position of ``event.prev``, None at seq 1; everything before is written."""
        tip = tips.get(event.prev)
        if tip is not None:
            assert event.seq == tip.seq + 1, SEQ_FOLLOWS
            return tip.position
        if tips:  # a fork, or our own mistake
            assert self.position(event.id) is None, "an event is added once"
        if event.prev == NO_PREV:
            assert event.seq == 1, "only seq 1 has no prev"
            return None
        base = self.position(event.prev)
        assert base is not None, "an event is added after its prev"
        place = self.file.first("SELECT feed, seq FROM entry WHERE position = ?", (base,))
        assert place == (self.feeds.find(event.feed), event.seq - 1), SEQ_FOLLOWS
        return base

    def position(self, event_id: bytes) -> int | None:
        """Return where the event with this id is held, or None. O(log events)."""
        row = self.file.first(POSITION_OF_ID, (event_id,))
        return None if row is None else int(row[0])

    def sign(self, event: Event) -> None:
        """See EventLog.sign."""
        position = self.position(event.id)
        assert position is not None, "a cut is made at a held event"
        self.file.write("INSERT OR REPLACE INTO cut VALUES (?, ?)", (position, event.signature))

    def flush(self) -> None:
        """Write the heads that changed, just before the commit. O(feeds changed)."""
        gone, new = self.heads.changes()
        self.file.write_many("DELETE FROM head WHERE position = ?", [(at,) for at in gone])
        rows = [(tip.position, self.feeds.make(feed), tip.seq, id_) for feed, id_, tip in new]
        self.file.write_many("INSERT INTO head VALUES (?, ?, ?, ?)", rows)
        if self.tail.on_time_ms != self._durable.on_time_ms:
            value = self.tail.on_time_ms.to_bytes(8, "big", signed=True)
            write_meta(self.file, ON_TIME_KEY, value)
        if self.tail.tally != self._durable.tally:
            write_meta(self.file, TALLY_KEY, tally_bytes(self.tail.tally))

    def accept(self) -> None:
        """Keep what changed in memory: it is durable."""
        self._durable = self.tail
        self.heads.accept()
        self.feeds.accept()

    def restore(self) -> None:
        """Undo what changed in memory: the transaction never was."""
        self.tail = self._durable
        self.heads.restore()
        self.feeds.restore()
        self.records.restore()
