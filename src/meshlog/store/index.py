"""Where an event stands, by its id and by the record that it touches.

The tables (``store/lots``) follow the log in lots; what they lack is looked up in memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, count, takewhile

from meshlog.core.event import ID_SIZE
from meshlog.core.feed import FeedKind
from meshlog.core.touch import touch_marks, touched_each
from meshlog.ports.log import Stretch
from meshlog.store.file import StoreFile
from meshlog.store.lots import KEY_SIZE, LOT_EVENTS_MAX, TABLES, Lots, pairs_of
from meshlog.store.runs import Run

LOT_EVENTS = 16_384
"""Events in memory at most; writing a lot takes some 10 ms. A choice: of 4,096, merged later, each
pair would be written three times."""

CLOSING_LOT_EVENTS = 4_096
"""…and on closing, for whoever opens the store next would read them in the log. A choice."""

NEW_SIZE_MAX = 131_072
"""Bytes of ids and bodies that are kept before they are looked at, and one more chain. A choice."""

Pairs = list[tuple[int, int]]
"""Stamp, and position."""


def keys_of(ids: bytes) -> bytearray:
    """Return what a table holds of each of these ids, or marks of names, which are joined."""
    keys = bytearray(len(ids) // ID_SIZE * KEY_SIZE)
    for at in range(KEY_SIZE):
        keys[at::KEY_SIZE] = ids[at::ID_SIZE]
    return keys


def _bodies_of_data(run: Run) -> list[bytes]:
    return run.all_bodies() if run.feed.kind is FeedKind.DATA else []


def ahead_pairs(run: Stretch) -> Pairs:
    """Return stamp and position of the data events of a run that were ahead when they came."""
    if run.feed.kind is not FeedKind.DATA or max(run.stamps) >> 16 <= min(run.arrivals_ms):
        return []
    pairs = zip(run.stamps, run.arrivals_ms, count(run.position), strict=False)
    return [(stamp, position) for stamp, came_ms, position in pairs if stamp >> 16 > came_ms]


class _Recent:
    """What a table lacks, in the order of positions: twelve bytes an event.

    Where each key is, is noted when somebody looks: of the first ``_noted``.
    """

    def __init__(self) -> None:
        self._keys = bytearray()
        self._positions = array("Q")
        self._places: dict[bytes, list[int]] = {}
        self._noted = 0

    def take(self, keys: bytearray, positions: Iterable[int]) -> None:
        """Add the key and the position of each event."""
        self._keys += keys
        self._positions.extend(positions)

    def pairs(self, last: int) -> bytes:
        """Return those up to a position, sorted."""
        end = bisect_right(self._positions, last)
        return pairs_of(bytes(self._keys[: end * KEY_SIZE]), self._positions[:end])

    def places(self) -> dict[bytes, list[int]]:
        """Return the positions of each key, rising; read only."""
        for index in range(self._noted, len(self._positions)):
            known = bytes(self._keys[index * KEY_SIZE : (index + 1) * KEY_SIZE])
            self._places.setdefault(known, []).append(self._positions[index])
        self._noted = len(self._positions)
        return self._places

    def forget(self, last: int) -> None:
        """Forget the pairs up to a position."""
        end = bisect_right(self._positions, last)
        del self._keys[: end * KEY_SIZE], self._positions[:end]
        self._places, self._noted = {}, 0

    def cut(self, last: int) -> None:
        """Forget the pairs after a position."""
        end = bisect_right(self._positions, last)
        del self._keys[end * KEY_SIZE :], self._positions[end:]
        if end < self._noted:
            self._places, self._noted = {}, 0


class _Lacking:
    """What the two tables lack.

    What came last is looked at when somebody asks, or when it is much: some hundred events at
    once cost a third of what as many alone do.
    """

    def __init__(self) -> None:
        self._of = {table: _Recent() for table in TABLES}
        self._new: list[tuple[int, bytes, Sequence[bytes]]] = []
        self._new_size = 0

    def take(self, position: int, ids: bytes, bodies: Sequence[bytes]) -> None:
        """Take events that follow. See ``Index.take``."""
        self._new.append((position, ids, bodies))
        self._new_size += len(ids) + sum(map(len, bodies))
        if self._new_size >= NEW_SIZE_MAX:
            self._look()

    def _look(self) -> None:
        new, self._new, self._new_size = self._new, [], 0
        ids = b"".join([ids for _, ids, _ in new])
        first = new[0][0]
        self._of["event_id"].take(keys_of(ids), range(first, first + len(ids) // ID_SIZE))
        names = touched_each(list(chain.from_iterable([bodies for _, _, bodies in new])))
        places = chain.from_iterable([range(at, at + len(bodies)) for at, _, bodies in new])
        keys = keys_of(touch_marks(filter(None, names)))
        self._of["touch"].take(keys, compress(places, names))

    def places(self, table: str) -> dict[bytes, list[int]]:
        """Return the positions of each key, rising; read only."""
        if self._new:
            self._look()
        return self._of[table].places()

    def pairs(self, last: int) -> dict[str, bytes]:
        """Return the pairs up to a position, sorted."""
        if self._new:
            self._look()
        return {table: recent.pairs(last) for table, recent in self._of.items()}

    def forget(self, last: int) -> None:
        """Forget the pairs up to a position, which were asked for."""
        for recent in self._of.values():
            recent.forget(last)

    def cut(self, last: int) -> None:
        """Forget the events after a position."""
        self._new = [new for new in self._new if new[0] <= last]
        for recent in self._of.values():
            recent.cut(last)


class Index:
    """The two tables, and in memory what they lack.

    Memory that ``restore`` can undo: it is as the file was before the open transaction.
    """

    def __init__(self, file: StoreFile, last: int, runs: Callable[[int], Iterable[Run]]) -> None:
        """Read how far the tables go, and nothing else.

        Args:
            file: Of the store.
            last: Position of the last event; tables that go further are another log's.
            runs: Reads the log from a position on, for what a damaged row hides.
        """
        self._file = file
        self._runs = runs
        self._lots = Lots(file, last, self._pairs_between)
        self._lacking = _Lacking()
        self.known = self._lots.last
        """Position up to which tables and memory go together."""
        self._before: int | None = self.known
        """What is durable of ``known``; None where a lot was written since."""

    @property
    def is_sound(self) -> bool:
        """Whether it can be told how far the tables go; if not, ``clear`` mends them."""
        return self._lots.is_sound

    @property
    def is_mended(self) -> bool:
        """Whether the open transaction writes lots anew in which a row was damaged."""
        return self._lots.is_mended

    def _pairs_between(self, table: str, first: int, last: int) -> bytes:
        """Return the pairs of a table between two positions, inclusive, sorted, from the log."""
        lacking = _Lacking()
        for run in takewhile(lambda run: run.position <= last, self._runs(first)):
            start, end = max(first - run.position, 0), last + 1 - run.position
            ids = run.ids[start * ID_SIZE : max(end, 0) * ID_SIZE]
            lacking.take(run.position + start, ids, _bodies_of_data(run)[start:end])
        return lacking.pairs(last)[table]

    def follow(self, runs: Iterable[Run]) -> None:
        """Take the runs after ``known``, in order; the first may begin before it."""
        for run in runs:
            known = max(self.known + 1 - run.position, 0)  # a lot may end within a run
            first = run.position + known
            self.take(first, run.ids[known * ID_SIZE :], _bodies_of_data(run)[known:])

    def take(self, position: int, ids: bytes, bodies: Sequence[bytes]) -> None:
        """Take the events after ``known``.

        Args:
            position: Of the first.
            ids: Of all, joined.
            bodies: Of all, where they are data events; else none.
        """
        self.known = position + len(ids) // ID_SIZE - 1
        self._lacking.take(position, ids, bodies)

    def with_hint(self, event_id: bytes) -> list[int]:
        """Return the positions of the events whose ids begin like this one.

        Raises:
            StoreError: The log is damaged, or the disk refused.
        """
        key = event_id[:KEY_SIZE]
        return self._positions("event_id", key, 0) if len(key) == KEY_SIZE else []

    def touching(self, name: bytes, after_position: int) -> list[int]:
        """Return the positions of events after a position that may touch a record, rising.

        Raises:
            StoreError: The log is damaged, or the disk refused.
        """
        return self._positions("touch", touch_marks([name])[:KEY_SIZE], after_position)

    def untouched(self, names: Sequence[bytes], after_position: int) -> list[bool]:
        """Say of each record whether memory tells that no event after a position touches it."""
        if self._lots.last > after_position or not self._lots.is_sound:
            return [False] * len(names)
        marks, places = touch_marks(names), self._lacking.places("touch")
        ends = range(0, len(marks), ID_SIZE)
        return [marks[at : at + KEY_SIZE] not in places for at in ends]

    def _positions(self, table: str, key: bytes, after: int) -> list[int]:
        recent = self._lacking.places(table).get(key, ())
        return self._lots.positions(table, key, after) + [at for at in recent if at > after]

    def is_due(self, last: int, *, is_closing: bool = False) -> bool:
        """Say whether a lot is full, with ``last`` the last position of the log."""
        full = CLOSING_LOT_EVENTS if is_closing else LOT_EVENTS
        return self._lots.is_sound and last - self._lots.last >= full

    def write_lots(self, *, is_closing: bool = False) -> None:
        """Where a lot is full, bring the tables up to ``known``, inside the open transaction.

        And write anew what a look-up found damaged.
        """
        self._lots.mend()
        while self.is_due(self.known, is_closing=is_closing):
            last = min(self.known, self._lots.last + LOT_EVENTS_MAX)
            self._lots.add(last, self._lacking.pairs(last))
            self._lacking.forget(last)
            self._before = None

    def clear(self) -> None:
        """Forget everything, inside the open transaction."""
        self._lots.clear()
        self._lacking.cut(0)
        self.known = 0
        self._before = None

    def accept(self) -> None:
        """Keep what changed in memory: it is durable."""
        self._lots.accept()
        self._before = self.known

    def restore(self) -> None:
        """Undo what changed in memory: the transaction never was."""
        self._lots.restore()
        if self._before is None:
            self._lacking.cut(0)
            self._before = self._lots.last
        self.known = self._before
        self._lacking.cut(self.known)
