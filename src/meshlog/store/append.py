"""Writing events: each goes to the next position, and with its neighbours into a run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import count, takewhile
from typing import NamedTuple

from meshlog.core.chain import Chain
from meshlog.core.event import NO_PREV, Event
from meshlog.core.feed import FeedKind
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX
from meshlog.errors import StoreError
from meshlog.store.file import StoreFile
from meshlog.store.heads import Heads, Tip
from meshlog.store.index import Index
from meshlog.store.lots import LOT_EVENTS_MAX
from meshlog.store.meta import read_meta, write_meta
from meshlog.store.numbers import FeedNumbers
from meshlog.store.reading import RunReader
from meshlog.store.runs import pack_runs

ON_TIME_KEY = "store.on_time_ms"
"""Meta key, the store's own: see ``Tail.on_time_ms``."""

SEQ_FOLLOWS = "an event stands in its prev's feed, one seq further"


class Tail(NamedTuple):
    """The end of the log."""

    position: int
    """Of the last event, so the number of events held."""
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
        self.heads = Heads()
        for position, feed, seq, event_id in file.run("SELECT position, feed, seq, id FROM head"):
            self.heads.load(self.feeds.feed(feed), event_id, Tip(seq, position))
        self.tail = self._durable = self._load_tail()
        self.index = Index(file, self.tail.position)

    def _load_tail(self) -> Tail:
        sql = "SELECT position + length(ids) / 32 - 1 FROM run ORDER BY position DESC LIMIT 1"
        last = self.file.first(sql)
        if last is None:
            return Tail(0, -1)
        if last[0] is None:  # a damaged row may lack what no row lacks
            raise self.file.damaged()
        try:
            value = read_meta(self.file, ON_TIME_KEY)
        except StoreError:  # damage is fsck's to tell
            on_time_ms = WALL_MS_MAX
        else:
            on_time_ms = -1 if value is None else int.from_bytes(value, "big", signed=True)
        return Tail(last[0], on_time_ms)

    def add(self, chain: Chain, arrived_ms: int) -> None:
        """See EventLog.add. Cost: a row per run."""
        self.follow()
        feed, is_data = chain.feed, chain.feed.kind is FeedKind.DATA
        tips = self.heads.edit(feed)
        position, base = self.tail.position + 1, self._base(chain, tips)
        rows = pack_runs(chain, position, self.feeds.make(feed), base, arrived_ms)
        self.file.write_many("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        cuts = [(position + at, signature) for at, signature in chain.signatures.items()]
        self.file.write_many("INSERT INTO cut VALUES (?, ?)", cuts)
        on_time_ms = self.tail.on_time_ms
        if is_data:
            on_time_ms = max(on_time_ms, self._note_ahead(chain.stamps, position, arrived_ms))
        self.index.take(position, b"".join(chain.ids), chain.bodies if is_data else [])
        self.tail = Tail(position + len(chain) - 1, on_time_ms)
        tips.pop(chain.prev, None)
        tips[chain.ids[-1]] = Tip(chain.last_seq, self.tail.position)

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

    def flush(self) -> None:
        """Write heads that changed, and a lot that is full, just before the commit."""
        gone, new = self.heads.changes()
        self.file.write_many("DELETE FROM head WHERE position = ?", [(at,) for at in gone])
        rows = [(tip.position, self.feeds.make(feed), tip.seq, id_) for feed, id_, tip in new]
        self.file.write_many("INSERT INTO head VALUES (?, ?, ?, ?)", rows)
        if self.tail.on_time_ms != self._durable.on_time_ms:
            value = self.tail.on_time_ms.to_bytes(8, "big", signed=True)
            write_meta(self.file, ON_TIME_KEY, value)
        self.index.write_lots()

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
