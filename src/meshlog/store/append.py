"""Writing events: each goes to the next position, and with its neighbours into a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meshlog.core.event import ID_SIZE, NO_PREV, Event
from meshlog.core.feed import FeedKind
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.errors import StoreError
from meshlog.store.file import Row, StoreFile
from meshlog.store.heads import Heads, Tip
from meshlog.store.index import Index, id_pairs, touch_pairs
from meshlog.store.meta import read_meta, write_meta
from meshlog.store.numbers import FeedNumbers
from meshlog.store.reading import RunReader
from meshlog.store.runs import crc_of_run, pack_run, split

ON_TIME_KEY = "store.on_time_ms"
"""Meta key, the store's own: see ``Tail.on_time_ms``."""

SEQ_FOLLOWS = "an event stands in its prev's feed, one seq further"


class Tail(NamedTuple):
    """The end of the log."""

    position: int
    """Of the last event, so the number of events held."""
    event_id: bytes
    """Of the last event; empty when there is none."""
    on_time_ms: int
    """Latest wall time of a data event that was not stamped ahead of its arrival; -1 when there
    is none."""


class Appender:
    """The writing half of the event log, and what it remembers of it.

    Memory that ``restore`` can undo: it is as the file was before the open transaction.
    """

    def __init__(self, file: StoreFile) -> None:
        """Load heads, feeds and the tail. O(feeds), whatever the number of events."""
        self.file = file
        self.feeds = FeedNumbers(file)
        self.reader = RunReader(file, self.feeds)
        self.index = Index(file)
        self.heads = Heads()
        for position, feed, seq, event_id in file.run("SELECT position, feed, seq, id FROM head"):
            self.heads.load(self.feeds.feed(feed), event_id, Tip(seq, position))
        self.tail = self._durable = self._load_tail()

    def _load_tail(self) -> Tail:
        last = self.file.first("SELECT position, ids FROM run ORDER BY position DESC LIMIT 1")
        if last is None:
            return Tail(0, b"", -1)
        position, ids = last
        try:
            value = read_meta(self.file, ON_TIME_KEY)
        except StoreError:  # damage is fsck's to tell
            on_time_ms = WALL_MS_MAX
        else:
            on_time_ms = -1 if value is None else int.from_bytes(value, "big", signed=True)
        return Tail(position + len(ids) // ID_SIZE - 1, ids[-ID_SIZE:], on_time_ms)

    def add(self, events: Sequence[Event], arrived_ms: int) -> None:
        """See EventLog.add. Cost: a row per run."""
        self.follow()
        rows: list[Row] = []
        cuts: list[Row] = []
        ahead: list[Row] = []
        position, last_id, on_time_ms = self.tail
        for run in split(events, last_id):
            first, last = run[0], run[-1]
            assert last.seq - first.seq == len(run) - 1, SEQ_FOLLOWS
            assert last.feed == first.feed, SEQ_FOLLOWS
            tips = self.heads.edit(first.feed)
            if tips and first.prev not in tips and rows:  # a fork: what it leaves must be readable
                self._write(rows, cuts)
            base = self._base(first, tips)
            feed = self.feeds.make(first.feed)
            places, ids, bodies = pack_run(run, arrived_ms)
            position += 1
            crc = crc_of_run(position, feed, first.seq, base, places)
            rows.append((position, feed, first.seq, base, crc, places, ids, bodies))
            is_data = first.feed.kind is FeedKind.DATA
            if is_data:
                on_time_ms = max(on_time_ms, _on_time(run, arrived_ms, position, ahead))
            cuts += [(position + at, event.signature)
                     for at, event in enumerate(run) if event.signature]  # fmt: skip
            bodies_of_data = [event.body for event in run] if is_data else []
            self.index.take(id_pairs(ids, position), touch_pairs(bodies_of_data, position))
            position += len(run) - 1
            last_id = last.id
            tips.pop(first.prev, None)
            tips[last_id] = Tip(last.seq, position)
        self._write(rows, cuts)
        if ahead:
            self.file.write_many("INSERT INTO ahead VALUES (?, ?)", ahead)
        self.tail = Tail(position, last_id, on_time_ms)

    def _write(self, rows: list[Row], cuts: list[Row]) -> None:
        """Write runs and their signatures, and forget them here."""
        self.file.write_many("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self.file.write_many("INSERT INTO cut VALUES (?, ?)", cuts)
        cuts.clear()
        if rows:
            position, *_, ids, _ = rows[-1]
            at = position + len(ids) // ID_SIZE - 1
            self.tail = self.tail._replace(position=at, event_id=ids[-ID_SIZE:])
        rows.clear()

    def _base(self, event: Event, tips: dict[bytes, Tip]) -> int | None:
        """Return the position of ``event.prev``, None at seq 1."""
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
        before = self.reader.arrival(base).event
        assert (before.feed, before.seq) == (event.feed, event.seq - 1), SEQ_FOLLOWS
        return base

    def position(self, event_id: bytes) -> int | None:
        """Return where the event with this id is held, or None. O(log events)."""
        self.follow()
        for position in self.index.with_hint(event_id):
            if self.reader.id_at(position) == event_id:
                return position
        return None

    def follow(self) -> None:
        """Let the index know all that is written."""
        if self.index.known < self.tail.position:
            self.index.follow(self.reader.runs(self.index.known + 1))

    def sign(self, event: Event) -> None:
        """See EventLog.sign."""
        tip = self.heads.tips(event.feed).get(event.id)
        position = self.position(event.id) if tip is None else tip.position
        assert position is not None, "a cut is made at a held event"
        self.file.write("INSERT OR REPLACE INTO cut VALUES (?, ?)", (position, event.signature))
        self.reader.forget()

    def flush(self) -> None:
        """Write heads that changed, and a lot that is full, just before the commit."""
        gone, new = self.heads.changes()
        self.file.write_many("DELETE FROM head WHERE position = ?", [(at,) for at in gone])
        rows = [(tip.position, self.feeds.make(feed), tip.seq, id_) for feed, id_, tip in new]
        self.file.write_many("INSERT INTO head VALUES (?, ?, ?, ?)", rows)
        if self.tail.on_time_ms != self._durable.on_time_ms:
            value = self.tail.on_time_ms.to_bytes(8, "big", signed=True)
            write_meta(self.file, ON_TIME_KEY, value)
        self.index.write_lot()

    def accept(self) -> None:
        """Keep what changed in memory: it is durable."""
        self._durable = self.tail
        self.heads.accept()
        self.feeds.accept()
        self.index.accept()

    def restore(self) -> None:
        """Undo what changed in memory: the transaction never was."""
        self.tail = self._durable
        self.heads.restore()
        self.feeds.restore()
        self.index.restore()
        self.reader.forget()


def _on_time(run: Sequence[Event], arrived_ms: int, position: int, ahead: list[Row]) -> int:
    """Return the latest wall time in a run that was not ahead, or -1; note what was."""
    if run[-1].stamp.wall_ms <= arrived_ms:  # stamps rise
        return run[-1].stamp.wall_ms
    on_time_ms = -1
    for at, event in enumerate(run):
        if event.stamp.wall_ms > arrived_ms:
            ahead.append((event.stamp.packed(), position + at))
        else:
            on_time_ms = max(on_time_ms, event.stamp.wall_ms)
    return on_time_ms
