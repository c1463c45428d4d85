"""A check of what finds events: the indices are made from the log again, a lot at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import compress

from meshlog.core.touch import touch_marks
from meshlog.ports.log import Stretch
from meshlog.store.file import StoreFile
from meshlog.store.index import ahead_pairs, keys_of
from meshlog.store.lots import KEY_SIZE, TABLES, Lots, pairs_of


class IndexCheck:
    """Takes the whole log in order, and compares each lot byte by byte where it ends.

    Memory: of a lot, twelve bytes for each of its events in each table.
    """

    def __init__(self, file: StoreFile) -> None:
        """Begin.

        Raises:
            StoreError: The tables cannot be read.
        """
        self._file = file
        self._lots = lots = Lots(file)
        self._wrong = {table for table in TABLES if lots.strays(table) or not lots.is_sound}
        self._ends = lots.ends()
        self._lot = next(self._ends, None)
        self._keys = {table: bytearray() for table in TABLES}
        self._positions = {table: array("Q") for table in TABLES}
        self._ahead = 0

    def take(self, stretch: Stretch) -> None:
        """Take the next of the log."""
        self._ahead += _sum(ahead_pairs(stretch))
        if self._lot is None:
            return
        positions = range(stretch.position, stretch.position + len(stretch))
        names = stretch.names()
        self._put("event_id", stretch.ids, positions)
        self._put("touch", touch_marks(filter(None, names)), compress(positions, names))
        while self._lot is not None and self._lot[1] < positions.stop:
            number, last = self._lot
            self._wrong |= {table for table in TABLES if not self._is_as(table, number, last)}
            self._lot = next(self._ends, None)

    def _put(self, table: str, marks: bytes, positions: Iterable[int]) -> None:
        self._keys[table] += keys_of(marks)
        self._positions[table].extend(positions)

    def _is_as(self, table: str, number: int, last: int) -> bool:
        """Say whether a lot is what its events make, and forget them."""
        keys, positions = self._keys[table], self._positions[table]
        end = len(positions)
        while end and positions[end - 1] > last:  # a lot may end within a run
            end -= 1
        pairs = pairs_of(bytes(keys[: end * KEY_SIZE]), positions[:end])
        del keys[: end * KEY_SIZE], positions[:end]
        return self._lots.is_as(table, number, pairs)

    def finish(self) -> list[str]:
        """Return what is wrong with the indices, a sentence each.

        Raises:
            StoreError: They cannot be read.
        """
        if self._lot is not None:  # they go beyond the last event
            self._wrong.update(TABLES)
        found = [
            f"its index {table} is not that of its events (`meshlog fsck --rebuild` makes it anew)"
            for table in sorted(self._wrong)
        ]
        if sum(map(_sum, self._file.chunks("SELECT * FROM ahead"))) != self._ahead:
            found.append("its index ahead is not that of its events")
        return found


def _sum(pairs: Iterable[object]) -> int:
    return sum(map(hash, pairs))
