"""Writing events: each goes to the next position, and with its neighbours into a run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import count, takewhile

from meshlog.core.chain import Chain
from meshlog.core.event import ID_SIZE, NO_PREV, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import COUNTER_MAX
from meshlog.errors import MalformedError, StoreError
from meshlog.store.checkpoint import (
    CHECKPOINT_EVENTS,
    Checkpoint,
    Tail,
    read_checkpoint,
    sum_of_heads,
)
from meshlog.store.file import StoreFile
from meshlog.store.heads import Heads, Tip
from meshlog.store.index import Index
from meshlog.store.lots import LOT_EVENTS_MAX
from meshlog.store.numbers import FeedNumbers
from meshlog.store.places import Places, RunPlace
from meshlog.store.reading import RunReader
from meshlog.store.runs import RunRow, crc_of_run, pack_runs, times_told_by

_PUT_RUN = "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

SEQ_FOLLOWS = "an event stands in its prev's feed, one seq further"


_START = Tail(0, -1)
"""Of an empty log."""

_LAST_AT_MOST = "SELECT max(position + coalesce(length(ids) / 32, 1) - 1) FROM run"

_RUNS_SINCE = """
    SELECT position, feed, seq, base, crc, places, length(ids), substr(ids, -32) FROM run
    WHERE position > ? ORDER BY position
"""


class Appender:
    """The writing half of the event log, and what it remembers of it.

    Memory that ``restore`` can undo: it is as the file was before the open transaction.
    """

    def __init__(self, file: StoreFile, *, for_check: bool = False) -> None:
        """Load feeds, heads and the tail. O(feeds + CHECKPOINT_EVENTS), however many events.

        Args:
            file: Of the store.
            for_check: Whether heads that a damaged row hides may lack, which else is an error.
        """
        self.file = file
        self.feeds = FeedNumbers(file)
        self.reader = RunReader(file, self.feeds)
        self.heads = Heads()
        self._checkpoint: Checkpoint | None = None
        """What the file has; None where it has none that holds."""
        self._new_checkpoint: Checkpoint | None = None
        """Of the open transaction."""
        self.tail = self._durable = self._load_for_check() if for_check else self._load()
        self._was_left = not self.is_checkpointed
        """Whether whoever wrote last was killed, and no checkpoint followed."""
        self.places = Places(file, self.checkpoint)
        self.index = Index(file, self.tail.position, self.reader.runs)

    def _load(self) -> Tail:
        """Load the heads; return the tail."""
        last = self._last_position()
        known, heads = read_checkpoint(self.file), self.file.run("SELECT * FROM head")
        tail = _START
        self.is_checkpoint_damaged = bool(known or heads)
        """Whether what the file has of its heads is not to be believed."""
        if known and known.tail.position <= last and known.heads_sum == sum_of_heads(heads):
            self._checkpoint, tail, self.is_checkpoint_damaged = known, known.tail, False
            for position, feed, seq, event_id in heads:
                self.heads.load(self.feeds.feed(feed), event_id, Tip(seq, position))
        if tail.position < last:
            tail = self._replayed(tail)
        self.heads.accept(is_checkpoint=False)
        return tail

    def _load_for_check(self) -> Tail:
        """Load what there is of the heads; return the tail."""
        try:
            return self._load()
        except StoreError:  # who reads the log tells why
            last = self.file.first(_LAST_AT_MOST)
            return Tail((last and last[0]) or 0, -1)

    def _last_position(self) -> int:
        sql = "SELECT position + length(ids) / 32 - 1 FROM run ORDER BY position DESC LIMIT 1"
        last = self.file.first(sql)
        if last is not None and last[0] is None:  # a damaged row may lack what no row lacks
            raise self.file.damaged()
        return last[0] if last else 0

    def _replayed(self, tail: Tail) -> Tail:
        """Return the tail, and let the heads follow, after the runs that come after ``tail``."""
        position, on_time_ms = tail
        for rows in self.file.chunks(_RUNS_SINCE, (position,)):
            for first, number, seq, base, crc, places, size, last_id in rows:
                events, rest = divmod(size or 0, ID_SIZE)
                is_whole = events and not rest and type(last_id) is bytes
                if not is_whole or crc != crc_of_run(first, number, seq, base, places):
                    raise self.file.damaged()
                position, feed = first + events - 1, self.feeds.feed(number)
                self.heads.extend(feed, base, last_id, Tip(seq + events - 1, position))
                if feed.kind is FeedKind.DATA:
                    on_time_ms = max(on_time_ms, self._on_time_ms(places))
        return Tail(position, on_time_ms)

    def _on_time_ms(self, places: bytes) -> int:
        try:
            stamps, arrivals_ms = times_told_by(places)
        except MalformedError as error:
            raise self.file.damaged() from error
        pairs = zip(stamps, arrivals_ms, strict=True)
        return max((stamp >> 16 for stamp, came_ms in pairs if stamp >> 16 <= came_ms), default=-1)

    def add(self, chain: Chain, arrived_ms: int) -> None:
        """See EventLog.add. Cost: a row per run."""
        self.follow()
        feed, is_data = chain.feed, chain.feed.kind is FeedKind.DATA
        tips = self.heads.edit(feed)
        position, base = self.tail.position + 1, self._base(chain, tips)
        rows = pack_runs(chain, position, self.feeds.make(feed), base, arrived_ms)
        self.file.write_many(_PUT_RUN, rows)
        if len(chain.signatures) > sum(row[8] is not None for row in rows):
            self._put_cuts(chain, position, rows)
        on_time_ms = self.tail.on_time_ms
        if is_data:
            on_time_ms = max(on_time_ms, self._note_ahead(chain.stamps, position, arrived_ms))
        self.index.take(position, b"".join(chain.ids), chain.bodies if is_data else [])
        self.tail = Tail(position + len(chain) - 1, on_time_ms)
        tips.pop(chain.prev, None)
        tips[chain.ids[-1]] = Tip(chain.last_seq, self.tail.position)

    def _put_cuts(self, chain: Chain, position: int, rows: Sequence[RunRow]) -> None:
        """Write the signatures that no row holds."""
        cuts = {position + at: signature for at, signature in chain.signatures.items()}
        for row in rows:
            cuts.pop(row[0] + len(row[6]) // ID_SIZE - 1, None)
        self.file.write_many("INSERT INTO cut VALUES (?, ?)", cuts.items())

    def _note_ahead(self, stamps: Sequence[int], position: int, arrived_ms: int) -> int:
        """Write down what was ahead of its arrival; return the latest wall time of the rest.

        -1 where there is none.
        """
        on_time = bisect_right(stamps, arrived_ms << 16 | COUNTER_MAX)  # they rise
        if on_time < len(stamps):
            rows = list(zip(stamps[on_time:], count(position + on_time), strict=False))
            self.file.write_many("INSERT INTO ahead VALUES (?, ?)", rows)
        return stamps[on_time - 1] >> 16 if on_time else -1

    def _base(self, chain: Chain, tips: dict[bytes, Tip]) -> int | None:
        """Return the position of the event before a chain, None at seq 1."""
        tip = tips.get(chain.prev)
        if tip is not None:
            assert chain.first_seq == tip.seq + 1, SEQ_FOLLOWS
            return tip.position
        if tips:  # a fork, or our own mistake
            assert self.position(chain.ids[0]) is None, "an event is added once"
        if chain.prev == NO_PREV:
            assert chain.first_seq == 1, "only seq 1 has no prev"
            return None
        base = self.position(chain.prev)
        assert base is not None, "an event is added after its prev"
        before = self.reader.arrival(base).event
        assert (before.feed, before.seq) == (chain.feed, chain.first_seq - 1), SEQ_FOLLOWS
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

    def index_more(self) -> None:
        """Let the index know more of what is written, as much as a lot has."""
        lot = self.index.known + LOT_EVENTS_MAX
        runs = self.reader.runs(self.index.known + 1)
        self.index.follow(takewhile(lambda run: run.position <= lot, runs))

    def sign(self, event: Event) -> None:
        """See EventLog.sign."""
        tip = self.heads.tips(event.feed).get(event.id)
        position = self.position(event.id) if tip is None else tip.position
        assert position is not None, "a cut is made at a held event"
        self.file.write("INSERT OR REPLACE INTO cut VALUES (?, ?)", (position, event.signature))
        self.reader.forget()

    def runs_between(self, feed: FeedKey, first_seq: int, last_seq: int) -> list[RunPlace]:
        """Return the runs of a feed that begin between two seqs, inclusive, sorted."""
        number = self.feeds.find(feed)
        if number is None:
            return []
        return self.places.between(number, first_seq, last_seq, self.tail.position)

    @property
    def checkpoint(self) -> int:
        """Position up to which heads and later values are written."""
        return self._checkpoint.tail.position if self._checkpoint else 0

    @property
    def is_checkpointed(self) -> bool:
        """Whether nothing came since the checkpoint."""
        return self.checkpoint == self.tail.position

    def is_due(self) -> bool:
        """Say whether a checkpoint is to be written."""
        return self._was_left or self.tail.position - self.checkpoint >= CHECKPOINT_EVENTS

    def write_checkpoint(self) -> None:
        """Write heads that changed, places of runs and the tail, inside the open transaction."""
        before = self._checkpoint
        gone, new = (
            [(tip.position, self.feeds.make(feed), tip.seq, id_) for feed, id_, tip in some]
            for some in self.heads.changes()
        )
        if before is None:
            self.file.write("DELETE FROM head")
        self.file.write_many("DELETE FROM head WHERE position = ?", [row[:1] for row in gone])
        self.file.write_many("INSERT INTO head VALUES (?, ?, ?, ?)", new)
        self.places.write(self.tail.position)
        heads_sum = sum_of_heads(new, before.heads_sum if before else 0, gone)
        self._new_checkpoint = Checkpoint(self.tail, heads_sum)
        self._new_checkpoint.write(self.file)

    def accept(self) -> None:
        """Keep what changed in memory: it is durable."""
        self._durable = self.tail
        is_checkpoint = self._new_checkpoint is not None
        self.heads.accept(is_checkpoint=is_checkpoint)
        if is_checkpoint:
            self._checkpoint, self._new_checkpoint = self._new_checkpoint, None
            self._was_left = False
            self.places.forget(self.checkpoint)
        self.feeds.accept()
        self.index.accept()

    def restore(self) -> None:
        """Undo what changed in memory: the transaction never was."""
        self.tail, self._new_checkpoint = self._durable, None
        self.places.forget(self.checkpoint)
        self.heads.restore()
        self.feeds.restore()
        self.index.restore()
        self.reader.forget()
