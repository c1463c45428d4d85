"""Where an event stands, by its id and by the record that it touches.

Two tables of two small numbers per event. They follow the log in lots: a lot that is sorted
first writes each page of a table once, where single events would write a page each. What they
lack is looked up in memory.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, compress, count

from meshlog.core.codec import numbers_of
from meshlog.core.event import ID_SIZE
from meshlog.core.feed import FeedKind
from meshlog.core.touch import touch_keys, touched
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

ROWS_AT_ONCE = 64
"""Rows that one statement writes: one each costs half as much again. Of 8 to 256 the best."""

Pairs = list[tuple[int, int]]
"""Hint or key, and position."""


def hints_of(ids: bytes) -> array[int]:
    """Return what the table of ids holds of each of these ids, which are joined."""
    return numbers_of(ids)[:: ID_SIZE // HINT_SIZE]


def touches_of(bodies: Iterable[bytes], position: int) -> tuple[array[int], Iterator[int]]:
    """Return keys and positions of the data events from a position on that touch a record."""
    names = list(map(touched, bodies))
    return touch_keys(filter(None, names)), compress(count(position), names)


def _bodies_of_data(run: Run) -> list[bytes]:
    return run.all_bodies() if run.feed.kind is FeedKind.DATA else []


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

    def take(self, keys: array[int], positions: Iterable[int]) -> None:
        """Add the key and the position of each event."""
        self._keys.extend(keys)
        self._positions.extend(positions)

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
            self.take(run.position, run.ids, _bodies_of_data(run))

    def take(self, position: int, ids: bytes, bodies: Iterable[bytes]) -> None:
        """Take the events after ``known``.

        Args:
            position: Of the first.
            ids: Of all, joined.
            bodies: Of all, where they are data events; else none.
        """
        self.known = position + len(ids) // ID_SIZE - 1
        self._ids.take(hints_of(ids), range(position, self.known + 1))
        self._touches.take(*touches_of(bodies, position))

    def with_hint(self, event_id: bytes) -> list[int]:
        """Return the positions of the events whose ids begin like this one."""
        if len(event_id) < HINT_SIZE:
            return []
        [hint] = numbers_of(event_id[:HINT_SIZE])
        sql = "SELECT position FROM event_id WHERE hint = ? AND position <= ?"
        rows = self._file.run(sql, (hint, self.indexed))
        return [row[0] for row in rows] + self._ids.positions(hint)

    def touching(self, name: bytes, after_position: int) -> list[int]:
        """Return the positions of events after a position that may touch a record, rising."""
        [key] = touch_keys([name])
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
            for pairs in recent.lots():
                self._write(table, pairs)
            recent.cut(0)
        self.indexed = self.known
        self._lengths = None
        write_meta(self._file, INDEXED_KEY, self.indexed.to_bytes(8, "big"))

    def _write(self, table: str, pairs: Pairs) -> None:
        """Write pairs, and what fills no statement of many rows one by one."""
        row, whole = "(?, ?)", len(pairs) - len(pairs) % ROWS_AT_ONCE
        rows = ", ".join([row] * ROWS_AT_ONCE)
        together = zip(*[chain.from_iterable(pairs)] * 2 * ROWS_AT_ONCE, strict=False)
        self._file.write_many(f"INSERT INTO {table} VALUES {rows}", together)  # noqa: S608 - names of ours
        self._file.write_many(f"INSERT INTO {table} VALUES {row}", pairs[whole:])  # noqa: S608 - as above

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
        wanted["ahead"] += _sum(ahead_pairs(run))
        if run.position <= indexed:
            wanted["event_id"] += _sum(zip(hints_of(run.ids), count(run.position), strict=False))
            wanted["touch"] += _sum(
                zip(*touches_of(_bodies_of_data(run), run.position), strict=True)
            )
    return [
        f"its index {table} is not that of its events"
        for table in ("event_id", "touch", "ahead")
        if sum(map(_sum, file.chunks(f"SELECT * FROM {table}"))) != wanted[table]  # noqa: S608 - names of ours
    ]


def _sum(pairs: Iterable[object]) -> int:
    return sum(map(hash, pairs))
