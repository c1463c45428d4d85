"""Where an event stands, by its id and by the record that it touches.

Two tables of two small numbers per event. They follow the log in lots: a lot that is sorted
first writes each page of a table once, where single events would write a page each. What they
lack is looked up in memory.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count

from meshlog.core.event import ID_SIZE
from meshlog.core.feed import FeedKind
from meshlog.core.touch import touch_key, touched
from meshlog.errors import StoreError
from meshlog.store.file import StoreFile
from meshlog.store.meta import read_meta, write_meta
from meshlog.store.runs import Run

LOT_EVENTS = 4_096
"""Events in memory at most; writing a lot takes some 20 ms. A choice."""

LOT_PAIRS_MAX = 65_536
"""Pairs that are sorted at once: a store of an earlier schema has none in its tables. A choice."""

INDEXED_KEY = "store.indexed"
"""Meta key, the store's own: position up to which the tables go."""

HINT_SIZE = 4
"""Bytes of an id in the table; whoever finds an event compares the rest. Of a million events some
hundred share them by chance; making one that does costs 2**32 hashes and gains a longer look."""

Pairs = list[tuple[int, int]]
"""Hint or key, and position."""


def id_pairs(ids: bytes, position: int) -> Pairs:
    """Return what the table of ids holds of events from a position on; ``ids`` are joined."""
    return [
        (_hint(ids[at : at + HINT_SIZE]), position + at // ID_SIZE)
        for at in range(0, len(ids), ID_SIZE)
    ]


def _hint(id_or_less: bytes) -> int:
    return int.from_bytes(id_or_less[:HINT_SIZE], "big", signed=True)  # four bytes on the disk


def touch_pairs(bodies: Iterable[bytes], position: int) -> Pairs:
    """Return what the table of touches holds of data events from a position on."""
    names = map(touched, bodies)
    return [(touch_key(name), at) for at, name in enumerate(names, position) if name]


def _touch_pairs(run: Run) -> Pairs:
    return touch_pairs(run.all_bodies(), run.position) if run.feed.kind is FeedKind.DATA else []


def ahead_pairs(run: Run) -> Pairs:
    """Return stamp and position of the data events of a run that were ahead when they came."""
    if run.feed.kind is not FeedKind.DATA or max(run.stamps) >> 16 <= min(run.arrivals_ms):
        return []
    pairs = zip(run.stamps, run.arrivals_ms, count(run.position), strict=False)
    return [(stamp, position) for stamp, came_ms, position in pairs if stamp >> 16 > came_ms]


class _Recent:
    """What a table lacks, in the order of positions: twelve bytes an event."""

    def __init__(self) -> None:
        self._keys = array("i")
        self._positions = array("q")

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self._keys)

    def take(self, pairs: Pairs) -> None:
        """Add pairs."""
        for key, position in pairs:
            self._keys.append(key)
            self._positions.append(position)

    def lots(self) -> Iterator[Pairs]:
        """Yield all pairs by their keys: in one lot, or in several where somebody waited long."""
        for at in range(0, len(self), LOT_PAIRS_MAX):
            end = at + LOT_PAIRS_MAX
            yield sorted(zip(self._keys[at:end], self._positions[at:end], strict=True))

    def positions(self, key: int) -> list[int]:
        """Return the positions of a key, rising."""
        size, found = self._keys.itemsize, []
        keys, wanted = self._keys.tobytes(), array("i", [key]).tobytes()
        at = keys.find(wanted)
        while at >= 0:
            if at % size == 0:
                found.append(self._positions[at // size])
            at = keys.find(wanted, at + 1)
        return found

    def cut(self, length: int) -> None:
        """Forget all pairs after the first ``length``."""
        del self._keys[length:], self._positions[length:]


class Index:
    """The two tables, and in memory what they lack.

    Memory that ``restore`` can undo: it is as the file was before the open transaction.
    """

    def __init__(self, file: StoreFile) -> None:
        """Read how far the tables go, and nothing else."""
        self._file = file
        self._durable = self.indexed = self._number()
        """Position up to which the tables go."""
        self.known = self.indexed
        """Position up to which tables and memory go together."""
        self._ids, self._touches = _Recent(), _Recent()
        self._lengths: tuple[int, int, int] | None = (self.known, 0, 0)
        """What is durable of ``known`` and of the pairs; None where a lot was written since."""

    def _number(self) -> int:
        try:
            value = read_meta(self._file, INDEXED_KEY)
        except StoreError:  # damage is fsck's to tell; nothing is looked up in vain
            value = None
        return int.from_bytes(value or b"", "big")

    def follow(self, runs: Iterable[Run]) -> None:
        """Take the runs that begin after ``known``, in order."""
        for run in runs:
            self.take(id_pairs(run.ids, run.position), _touch_pairs(run))

    def take(self, ids: Pairs, touches: Pairs) -> None:
        """Take the pairs of the events after ``known``."""
        self._ids.take(ids)
        self._touches.take(touches)
        self.known = ids[-1][1]

    def with_hint(self, event_id: bytes) -> list[int]:
        """Return the positions of the events whose ids begin like this one."""
        hint = _hint(event_id)
        sql = "SELECT position FROM event_id WHERE hint = ? AND position <= ?"
        rows = self._file.run(sql, (hint, self.indexed))
        return [row[0] for row in rows] + self._ids.positions(hint)

    def touching(self, name: bytes, after_position: int) -> list[int]:
        """Return the positions of events after a position that may touch a record, rising."""
        key = touch_key(name)
        found: list[int] = []
        if after_position < self.indexed:
            sql = "SELECT position FROM touch WHERE record = ? AND position > ? AND position <= ?"
            rows = self._file.run(sql, (key, after_position, self.indexed))
            found = [row[0] for row in rows]
        return found + [at for at in self._touches.positions(key) if at > after_position]

    def is_due(self, last: int) -> bool:
        """Say whether a lot is full, with ``last`` the last position of the log."""
        return last - self.indexed >= LOT_EVENTS

    def write_lot(self) -> None:
        """Where a lot is full, bring the tables up to ``known``, inside the open transaction."""
        if not self.is_due(self.known):
            return
        for table, recent in (("event_id", self._ids), ("touch", self._touches)):
            sql = f"INSERT INTO {table} VALUES (?, ?)"  # noqa: S608 - names of ours
            for pairs in recent.lots():
                self._file.write_many(sql, pairs)
            recent.cut(0)
        self.indexed = self.known
        self._lengths = None
        write_meta(self._file, INDEXED_KEY, self.indexed.to_bytes(8, "big"))

    def accept(self) -> None:
        """Keep what changed in memory: it is durable."""
        self._durable = self.indexed
        self._lengths = (self.known, len(self._ids), len(self._touches))

    def restore(self) -> None:
        """Undo what changed in memory: the transaction never was."""
        if self._lengths is None:
            self._lengths = (self._durable, 0, 0)
        self.indexed = self._durable
        self.known, ids, touches = self._lengths
        self._ids.cut(ids)
        self._touches.cut(touches)


def check_index(file: StoreFile, runs: Iterator[Run]) -> list[str]:
    """Return what is wrong with the tables, a sentence each.

    Args:
        file: Of a store whose runs can be read.
        runs: All of them.

    Cost: O(events).
    """
    try:
        indexed = int.from_bytes(read_meta(file, INDEXED_KEY) or b"", "big")
    except StoreError:
        return []  # said with the other small values
    wanted = Counter[str]()
    for run in runs:
        wanted["ahead"] += sum(map(hash, ahead_pairs(run)))
        if run.position <= indexed:
            wanted["event_id"] += sum(map(hash, id_pairs(run.ids, run.position)))
            wanted["touch"] += sum(map(hash, _touch_pairs(run)))
    return [
        f"its index {table} is not that of its events"
        for table in ("event_id", "touch", "ahead")
        if _sum(file, f"SELECT * FROM {table}") != wanted[table]  # noqa: S608 - names of ours
    ]


def _sum(file: StoreFile, sql: str) -> int:
    return sum(sum(map(hash, rows)) for rows in file.chunks(sql))
