"""Reading events: by id, by place, along a branch, by record, in arrival order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from meshlog.core.event import SEQ_MAX, Event, EventId
from meshlog.core.feed import FeedKey, Head
from meshlog.core.hlc import WALL_MS_MAX, Stamp
from meshlog.ports import Arrival, LogEntry
from meshlog.store.append import RUN_EVENTS_MAX, Appender
from meshlog.store.file import Row, StoreFile

CHUNK_EVENTS = 256
"""Events read at once by ``scan``: at most 16 MB of bodies in memory."""

_ENTRY = "SELECT position, feed, seq, stamp, prev, body, id, signature, delay_ms FROM entry"

_RUNS_AROUND = """
    SELECT position, seq, (SELECT min(position) FROM run AS next WHERE next.position > run.position)
    FROM run WHERE feed = ? AND seq BETWEEN ? AND ? ORDER BY seq
"""

_RUN_OF = "SELECT position, seq, base FROM run WHERE position <= ? ORDER BY position DESC LIMIT 1"

_TOUCHED = """
    SELECT DISTINCT record_id FROM event JOIN record USING (record) WHERE stamp > ? AND stamp <= ?
"""

_RECORDS_OF = """
    SELECT DISTINCT record_id
    FROM run
    CROSS JOIN event ON event.position >= run.position AND event.position < coalesce(
        (SELECT min(position) FROM run AS next WHERE next.position > run.position), 1 << 62)
    CROSS JOIN record ON record.record = event.record
    WHERE feed = ?
"""

Stretch = tuple[int, int, int]
"""Seq of the first event, its position, and how many follow one another in the log."""


class EventTable:
    """EventLog and LogIndex over a store's file."""

    def __init__(self, file: StoreFile) -> None:
        """Load what stays in memory. O(feeds)."""
        self._file = file
        self._log = Appender(file)

    # ── EventLog ──

    def add(self, entries: Sequence[LogEntry], arrived_ms: int) -> None:
        """See EventLog.add. Cost: four small index entries per event."""
        self._log.add(entries, arrived_ms)

    def sign(self, event: Event) -> None:
        """See EventLog.sign."""
        self._log.sign(event)

    def get(self, event_id: bytes) -> Arrival | None:
        """See EventLog.get. O(log events)."""
        position = self._log.position(event_id)
        return None if position is None else self._between(position, position)[0]

    def at(self, feed: FeedKey, seq: int) -> list[Event]:
        """See EventLog.at. O(branches · RUN_EVENTS_MAX)."""
        found = self._stretches(feed, seq, seq)
        events = [self._between(position, position)[0].event for _, position, _ in found]
        return sorted(events, key=lambda event: event.id)

    def branch(self, tip: Head, feed: FeedKey, after_seq: int, limit: int) -> list[Event]:
        """See EventLog.branch; empty where ``tip`` is not held in ``feed``.

        Where only one event stands at every seq that is asked for, they are the branch's,
        forks elsewhere or not; else the branch is walked back from above the fork.
        """
        until = min(tip.seq, after_seq + limit)
        end = self._position_of(tip, feed)
        if end is None or until <= after_seq:
            return []
        found = self._stretches(feed, after_seq + 1, until)
        if sum(length for _, _, length in found) != until - after_seq:
            found = self._walk(self._neck(tip, feed, until) or end, after_seq + 1, until)
        arrivals = (self._between(at, at + length - 1) for _, at, length in found)
        return [arrival.event for some in arrivals for arrival in some]

    def scan(self, after_position: int = 0) -> Iterator[Arrival]:
        """See EventLog.scan. Sees what is added while it runs."""
        sql = f"{_ENTRY} WHERE position > ? ORDER BY position LIMIT {CHUNK_EVENTS}"
        while rows := self._file.run(sql, (after_position,)):
            yield from map(self._arrival, rows)
            after_position = rows[-1][0]

    def arrivals(self, positions: Iterable[int]) -> list[Arrival]:
        """See EventLog.arrivals. One look-up for each stretch of neighbours."""
        found: list[Arrival] = []
        first = last = -1
        for position in positions:
            if position != last + 1 or last < 0:
                if last >= 0:
                    found += self._between(first, last)
                first = position
            last = position
        return found + self._between(first, last) if last >= 0 else found

    # ── LogIndex ──

    def heads(self) -> dict[FeedKey, tuple[Head, ...]]:
        """See LogIndex.heads. O(feeds), from memory."""
        return self._log.heads.summary()

    def event_count(self) -> int:
        """See LogIndex.event_count."""
        return self._log.tail.position

    def fork_seq(self, feed: FeedKey) -> int | None:
        """See LogIndex.fork_seq. Where two runs stand at one seq, the feed has forked."""
        last_seq = 0
        for seq, _, length in self._stretches(feed, 1, SEQ_MAX):
            if seq <= last_seq:
                return seq - 1
            last_seq = max(last_seq, seq + length - 1)
        return None

    def touching(self, record_id: str, horizon_ms: int) -> list[Event]:
        """See LogIndex.touching; in arrival order. O(result)."""
        record = self._log.records.find(record_id)
        sql = f"{_ENTRY} WHERE record = ? AND stamp <= ? ORDER BY position"
        rows = self._file.run(sql, (record, _last_stamp(horizon_ms)))
        return [self._arrival(row).event for row in rows]

    def touched_between(self, after_ms: int, until_ms: int) -> list[str]:
        """See LogIndex.touched_between; sorted.

        O(result) for a stretch of time after everything that arrived when it was due, as when
        a horizon moves on; O(events) for one that reaches further back.
        """
        sql = _TOUCHED
        if after_ms >= self._log.tail.on_time_ms:
            sql += " AND delay_ms < 0 AND record IS NOT NULL"
        stamps = (_last_stamp(after_ms), _last_stamp(until_ms))
        return sorted(row[0] for row in self._file.run(sql, stamps))

    def latest_stamp(self, until_ms: int) -> Stamp:
        """See LogIndex.latest_stamp. O(events)."""
        sql = "SELECT coalesce(max(stamp), 0) FROM event WHERE stamp <= ?"
        row = self._file.first(sql, (_last_stamp(until_ms),))
        return Stamp.unpacked(row[0] if row else 0)

    def records_of(self, feeds: Iterable[FeedKey]) -> list[str]:
        """See LogIndex.records_of. O(events of the feeds)."""
        found: set[str] = set()
        for feed in feeds:
            number = self._log.feeds.find(feed)
            found.update(row[0] for row in self._file.run(_RECORDS_OF, (number,)))
        return sorted(found)

    # ── Places ──

    def _position_of(self, tip: Head, feed: FeedKey) -> int | None:
        known = self._log.heads.tips(feed).get(tip.id)
        if known is not None:
            return known.position if known.seq == tip.seq else None
        arrival = self.get(tip.id)
        if arrival is None or (arrival.event.feed, arrival.event.seq) != (feed, tip.seq):
            return None
        return arrival.position

    def _neck(self, tip: Head, feed: FeedKey, from_seq: int) -> int | None:
        """Return where, from a seq on, ``tip``'s branch first stands above all the others."""
        tips = self._log.heads.tips(feed)
        others = (other.seq for event_id, other in tips.items() if event_id != tip.id)
        seq = max(from_seq, max(others, default=0) + 1)
        found = self._stretches(feed, seq, seq) if seq <= tip.seq else []
        return found[0][1] if found else None

    def _stretches(self, feed: FeedKey, first_seq: int, last_seq: int) -> list[Stretch]:
        """Return what is held of a feed between two seqs, forks included, in seq order."""
        number = self._log.feeds.find(feed)
        found = []
        around = (number, first_seq - RUN_EVENTS_MAX + 1, last_seq)
        for position, seq, next_position in self._file.run(_RUNS_AROUND, around):
            end = (next_position or self.event_count() + 1) - position + seq
            first, after = max(first_seq, seq), min(last_seq + 1, end)
            if first < after:
                found.append((first, position + first - seq, after - first))
        return found

    def _walk(self, position: int, first_seq: int, last_seq: int) -> list[Stretch]:
        """Return the branch that ends at ``position``, between two seqs, in seq order."""
        found = []
        at: int | None = position
        while at is not None:
            run = self._file.first(_RUN_OF, (at,))
            if run is None:
                raise self._file.damaged()
            start, seq, base = run
            first, last = max(first_seq, seq), min(last_seq, seq + at - start)
            if first <= last:
                found.append((first, start + first - seq, last - first + 1))
            at = base if seq > first_seq else None
        return found[::-1]

    # ── Rows ──

    def _between(self, first: int, last: int) -> list[Arrival]:
        sql = f"{_ENTRY} WHERE position BETWEEN ? AND ? ORDER BY position"
        return [self._arrival(row) for row in self._file.run(sql, (first, last))]

    def _arrival(self, row: Row) -> Arrival:
        position, feed, seq, packed, prev, body, event_id, signature, delay_ms = row
        if prev is None:
            raise self._file.damaged()
        stamp = Stamp.unpacked(packed)
        key = self._log.feeds.feed(feed)
        event = Event(key, seq, stamp, prev, body, EventId(event_id), signature or b"")
        return Arrival(position, event, stamp.wall_ms + delay_ms)


def _last_stamp(wall_ms: int) -> int:
    """Return the greatest packed stamp of a millisecond, clamped to what a stamp can be."""
    return (min(max(wall_ms, -1), WALL_MS_MAX) + 1 << 16) - 1
