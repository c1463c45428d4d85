"""Reading events: by id, by place, along a branch, by record, in arrival order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

from meshlog.core.chain import Chain
from meshlog.core.event import SEQ_MAX, Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import WALL_MS_MAX, ZERO, Stamp
from meshlog.core.touch import touched
from meshlog.errors import InputError, MalformedError
from meshlog.ports.log import Arrival
from meshlog.store.append import Appender
from meshlog.store.file import StoreFile
from meshlog.store.meta import LaterValues
from meshlog.store.runs import RUN_EVENTS_MAX, Run, size_told_by, times_told_by

_RUN_OF = "SELECT position, seq, base FROM run WHERE position <= ? ORDER BY position DESC LIMIT 1"

_HEADS_MENDED = "what it keeps of its heads was damaged, and the log tells it: check the disk"

Stretch = tuple[int, int, int]
"""Seq of the first event, its position, and how many follow one another in the log."""


class EventTable:
    """EventLog and LogIndex over a store's file."""

    def __init__(self, file: StoreFile, *, for_check: bool = False) -> None:
        """Load what stays in memory. O(feeds)."""
        self._file = file
        self._log = Appender(file, for_check=for_check)
        self._later = LaterValues(is_whole=self._log.is_checkpointed)
        self._mended = [f"{file.path}: {_HEADS_MENDED}"] if self._log.is_checkpoint_damaged else []

    # ── EventLog ──

    def add(self, chain: Chain, arrived_ms: int) -> None:
        """See EventLog.add. Cost: a row per run."""
        self._log.add(chain, arrived_ms)

    def sign(self, event: Event) -> None:
        """See EventLog.sign."""
        self._log.sign(event)

    def get(self, event_id: bytes) -> Arrival | None:
        """See EventLog.get. O(log events)."""
        position = self._log.position(event_id)
        return None if position is None else self._log.reader.arrival(position)

    def at(self, feed: FeedKey, seq: int) -> list[Event]:
        """See EventLog.at. O(branches · RUN_EVENTS_MAX)."""
        found = self._stretches(feed, seq, seq)
        events = [self._log.reader.arrival(position).event for _, position, _ in found]
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
        arrivals = (self._log.reader.between(at, at + length - 1) for _, at, length in found)
        return [arrival.event for some in arrivals for arrival in some]

    def scan(self, after_position: int = 0) -> Iterator[Arrival]:
        """See EventLog.scan. Sees what is added while it runs."""
        for run in self._log.reader.runs(after_position + 1):
            yield from run.arrivals(max(after_position + 1 - run.position, 0))

    def stretches(self, kind: FeedKind | None = None, after_position: int = 0) -> Iterator[Run]:
        """See EventLog.stretches."""
        return self._log.reader.runs(after_position + 1, kind)

    def arrivals(self, positions: Iterable[int]) -> list[Arrival]:
        """See EventLog.arrivals."""
        return [self._log.reader.arrival(position) for position in positions]

    # ── LogIndex ──

    def heads(self) -> dict[FeedKey, tuple[Head, ...]]:
        """See LogIndex.heads. O(feeds), from memory."""
        return self._log.heads.summary()

    def event_count(self) -> int:
        """See LogIndex.event_count."""
        return self._log.tail.position

    def log_size(self) -> int:
        """See LogIndex.log_size: those of several events in a run are perhaps compressed."""
        row = self._file.first("SELECT total(length(bodies)) FROM run WHERE length(ids) <= 32")
        some = self._file.chunks("SELECT places FROM run WHERE length(ids) > 32")
        alone = int(row[0]) if row else 0
        return alone + sum(size_told_by(places) for rows in some for (places,) in rows)

    def fork_seq(self, feed: FeedKey) -> int | None:
        """See LogIndex.fork_seq. Where two runs stand at one seq, the feed has forked."""
        last_seq = 0
        for seq, _, length in self._stretches(feed, 1, SEQ_MAX):
            if seq <= last_seq:
                return seq - 1
            last_seq = max(last_seq, seq + length - 1)
        return None

    def touching(self, record_id: str, after_position: int = 0) -> list[Arrival]:
        """See LogIndex.touching. O(result · RUN_EVENTS_MAX)."""
        name = _name_of(record_id)
        self._log.follow()
        arrivals = map(self._log.reader.arrival, self._log.index.touching(name, after_position))
        return [
            arrival
            for arrival in arrivals
            if arrival.event.feed.kind is FeedKind.DATA and touched(arrival.event.body) == name
        ]

    def untouched(self, record_ids: Sequence[str], after_position: int) -> set[str]:
        """See LogIndex.untouched: none while a lot goes on after that position."""
        self._log.follow()
        names = list(map(_name_of, record_ids))
        return set(compress(record_ids, self._log.index.untouched(names, after_position)))

    def touches(self, after_position: int = 0) -> Iterator[tuple[str, Arrival]]:
        """See LogIndex.touches."""
        for run in self._log.reader.runs(after_position + 1):
            first = max(after_position + 1 - run.position, 0)
            names = dict(_touches(run, first))
            for index, arrival in enumerate(run.arrivals(first), first):
                yield names.get(index, ""), arrival

    def touched_between(self, after_ms: int, until_ms: int) -> list[str]:
        """See LogIndex.touched_between; sorted.

        O(result) for a stretch of time after everything that arrived when it was due, as when
        a horizon moves on; O(events) for one that reaches further back.
        """
        after, until = _last_stamp(after_ms), _last_stamp(until_ms)
        if after_ms >= self._log.tail.on_time_ms:
            sql = "SELECT position FROM ahead WHERE stamp > ? AND stamp <= ? ORDER BY position"
            positions = [row[0] for row in self._file.run(sql, (after, until))]
            names = {touched(arrival.event.body) for arrival in self.arrivals(positions)}
            return sorted(filter(None, map(_text_of, names)))
        return sorted(
            {
                name
                for run in self._log.reader.runs()
                for index, name in _touches(run)
                if after < run.stamps[index] <= until
            }
        )

    def latest_between(self, after_ms: int, until_ms: int) -> Stamp:
        """See LogIndex.latest_between. Cost: as ``touched_between``, and no event is read."""
        after, until = _last_stamp(after_ms), _last_stamp(until_ms)
        if after_ms >= self._log.tail.on_time_ms:
            sql = "SELECT max(stamp) FROM ahead WHERE stamp > ? AND stamp <= ?"
            latest = self._file.run(sql, (after, until))[0][0]
        else:
            latest = max(
                (
                    stamp
                    for run in self._log.reader.runs()
                    if run.feed.kind is FeedKind.DATA
                    for stamp in run.stamps
                    if after < stamp <= until
                ),
                default=None,
            )
        return ZERO if latest is None else Stamp.unpacked(latest)

    def latest_stamp(self, until_ms: int, after_position: int = 0) -> Stamp:
        """See LogIndex.latest_stamp. O(events after the position)."""
        until, latest = _last_stamp(until_ms), 0
        sql = "SELECT places FROM run WHERE position > ?"
        for rows in self._file.chunks(sql, (after_position,)):
            for (places,) in rows:
                stamps, _ = self._times(places)
                latest = max(latest, max((one for one in stamps if one <= until), default=0))
        return Stamp.unpacked(latest)

    def _times(self, places: bytes) -> tuple[list[int], list[int]]:
        try:
            return times_told_by(places)
        except MalformedError as error:
            raise self._file.damaged() from error

    def checkpoint(self) -> int:
        """See LogIndex.checkpoint."""
        return self._log.checkpoint

    def records_of(self, feeds: Iterable[FeedKey]) -> list[str]:
        """See LogIndex.records_of. O(events of the feeds)."""
        found: set[str] = set()
        for feed in feeds:
            for place in self._log.runs_between(feed, 1, SEQ_MAX):
                found.update(name for _, name in _touches(self._log.reader.at(place.position)))
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
        found = []
        around = self._log.runs_between(feed, first_seq - RUN_EVENTS_MAX + 1, last_seq)
        for seq, position, count in around:
            first, after = max(first_seq, seq), min(last_seq + 1, seq + count)
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


def _touches(run: Run, first: int = 0) -> Iterator[tuple[int, str]]:
    """Yield index and record of the events of a run, from an index on, that may touch one."""
    if run.feed.kind is FeedKind.DATA:
        for index in range(first, len(run)):
            name = _text_of(touched(run.body_at(index)))
            if name:
                yield index, name


def _text_of(name: bytes) -> str:
    """Return a record's name; empty where no record can have it."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""


def _name_of(record_id: str) -> bytes:
    try:
        return record_id.encode()
    except UnicodeEncodeError as error:
        raise InputError("text holds a lone surrogate: no name in a store does") from error


def _last_stamp(wall_ms: int) -> int:
    """Return the greatest packed stamp of a millisecond, clamped to what a stamp can be."""
    return (min(max(wall_ms, -1), WALL_MS_MAX) + 1 << 16) - 1
