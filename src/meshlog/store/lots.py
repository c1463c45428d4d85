"""Keys and positions, sorted in lots: what the indices of events have in the file.

A lot holds the pairs of some thousand events that follow one another. The last lots are merged
where together they are large, so a million events are about a dozen lots, and each pair is
written twice. Work is done for all pairs of a lot at once.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

from meshlog.core.codec import numbers_of
from meshlog.errors import StoreError
from meshlog.store.checksums import crc_of_row
from meshlog.store.file import Row as FileRow
from meshlog.store.file import StoreFile

TABLES = ("event_id", "touch")
"""A pair per event in the one, per event that may touch a record in the other."""

KEY_SIZE = 4
"""Bytes of an id, or of a mark of a record's name, in a table; whoever finds an event compares
the rest. Of a million ids some hundred share them by chance; making one that does costs 2**32
hashes and gains a longer look."""

LOT_EVENTS_MAX = 65_536
"""Events in a lot that is written for the first time. A choice."""

MERGED_EVENTS = (16_384, 131_072)
"""When lots smaller than this are together as large, they become one; the smallest are made
on closing (``store/index``). The last bounds how long a transaction takes, and what it has in
memory: 60 ms and some 10 MB. A choice."""

ROW_PAIRS = 141
"""Pairs of a row: four rows fill a page of 4 KiB. Those of one key are in one row, however many."""

_OFFSET_SIZE = 3
"""Bytes of a position: the last ones; a lot has fewer events than they tell apart."""

_PAIR_SIZE = KEY_SIZE + _OFFSET_SIZE
_KEY_BITS, _KEY_MAX = 8 * KEY_SIZE, (1 << 8 * KEY_SIZE) - 1
_OFFSET_MAX = (1 << 8 * _OFFSET_SIZE) - 1

LOTS_AT_ONCE = 16
"""Lots that one statement looks in. SQLite takes up to 500, and keeps statements. A guess."""

_LOT_MAX = (1 << 31) - 1
"""Beyond every number of a lot; places have 64 bits, one of them a sign."""

_STRAY = "place < ? OR place >= ?"

_NO_ROW = (None, None, b"", None)

_ENDS = struct.Struct(">qq").pack

Row = tuple[int, int, bytes, int]
"""Place (number of the lot, and the first key that would be in it), last such key, pairs, crc."""


Remake = Callable[[str, int, int], bytes]
"""Makes the sorted pairs of a table between two positions, inclusive, from the log."""


def pairs_of(keys: bytes, positions: Iterable[int]) -> bytes:
    """Return sorted pairs: four bytes of each key and the last three of each position.

    Args:
        keys: Joined.
        positions: As many.
    """
    numbers = array("Q", positions)
    if sys.byteorder == "little":
        numbers.byteswap()
    ends = numbers.tobytes()
    columns = [keys[at::KEY_SIZE] for at in range(KEY_SIZE)]
    return _sorted(columns + [ends[at::8] for at in range(8 - _OFFSET_SIZE, 8)])


def merged(pairs: bytes) -> bytes:
    """Return pairs, which stand one lot after the other, sorted."""
    return _sorted([pairs[at::_PAIR_SIZE] for at in range(_PAIR_SIZE)])


def _sorted(columns: Sequence[bytes]) -> bytes:
    """Return pairs sorted, given the first byte of each, the second, and so on.

    As positive floating-point numbers, which are ordered as their bits are (IEEE 754 §5.10) and
    which Python sorts twice as fast as whole numbers of this size; what is sorted in parts, it
    merges.
    """
    count = len(columns[0])
    whole = bytearray(8 * count)
    whole[::8] = b"\x3f" * count
    for at, column in enumerate(columns, 1):
        whole[at::8] = column
    numbers = array("d", bytes(whole))
    if sys.byteorder == "little":
        numbers.byteswap()
    numbers = array("d", sorted(numbers))
    if sys.byteorder == "little":
        numbers.byteswap()
    found = numbers.tobytes()
    pairs = bytearray(_PAIR_SIZE * count)
    for at in range(_PAIR_SIZE):
        pairs[at::_PAIR_SIZE] = found[at + 1 :: 8]
    return bytes(pairs)


def rows_of(lot: int, pairs: bytes) -> Iterator[Row]:
    """Yield the rows of a lot: together, all keys that there can be would be in one of them."""
    start, first = 0, lot << _KEY_BITS
    while (end := start + ROW_PAIRS * _PAIR_SIZE) < len(pairs):
        last = pairs[end - _PAIR_SIZE : end - _OFFSET_SIZE]
        if pairs[end : end + KEY_SIZE] == last:
            end = _span(pairs, last)[1] * _PAIR_SIZE
        until = int.from_bytes(last, "big")
        yield _row(first, until, pairs[start:end])
        start, first = end, (lot << _KEY_BITS | until) + 1
    if first >> _KEY_BITS == lot:
        yield _row(first, _KEY_MAX, pairs[start:])


def _row(place: int, until: int, pairs: bytes) -> Row:
    return place, until, pairs, _crc(place, until, pairs)


def _crc(place: int, until: int, pairs: bytes) -> int:
    return crc32(pairs, crc32(_ENDS(place, until)))


def _span(pairs: bytes, key: bytes) -> tuple[int, int]:
    """Return how many pairs have a smaller key, and how many a smaller one or this."""
    each = range(len(pairs) // _PAIR_SIZE)

    def key_at(index: int) -> bytes:
        return pairs[index * _PAIR_SIZE : index * _PAIR_SIZE + KEY_SIZE]

    return bisect_left(each, key, key=key_at), bisect_right(each, key, key=key_at)


@lru_cache(maxsize=64)
def _row_of_each(table: str, first: int, last: int) -> str:
    """Return SQL for the row of each of some lots in which a key would be, in their order."""
    row = f"SELECT * FROM {table} WHERE place <= ?1 + {{}} ORDER BY place DESC LIMIT 1"  # noqa: S608 - names of ours
    rows = [row.format(lot << _KEY_BITS) for lot in range(first, last + 1)]
    return " UNION ALL ".join([f"SELECT * FROM ({row})" for row in rows])  # noqa: S608 - as above


def is_row(row: FileRow) -> bool:
    """Say whether values are a row of a lot: its checksum fits."""
    place, until, pairs, crc = row
    try:
        return bool(crc32(pairs, crc32(_ENDS(place, until))) == crc)
    except (TypeError, struct.error):  # a damaged column may be of any type, and no row of none
        return False


def is_lot(row: FileRow) -> bool:
    """Say whether values are a row of ``lot``: its checksum fits."""
    lot, last, crc = row
    return bool(crc_of_row(lot, last) == crc)


class Lots:
    """The lots of a file. They cover all positions from 1 up to ``last``.

    Memory that ``restore`` can undo: it is as the file was before the open transaction.
    """

    def __init__(self, file: StoreFile, last: int = 1 << 62, remake: Remake | None = None) -> None:
        """Read where the lots end. O(lots).

        Args:
            file: Of the store.
            last: They do not end after this position.
            remake: Makes what a damaged row hides; without it, that is an error.
        """
        self._file = file
        self._remake = remake
        self._remade: dict[tuple[str, int], bytes] = {}
        """Pairs of lots in which a row is damaged: table, and number of the lot."""
        self.is_mended = False
        """Whether the open transaction writes what was damaged anew."""
        lasts = _lasts(file)
        self.is_sound = lasts is not None and max(lasts, default=0) <= last
        """Whether it can be told where they end; if not, ``clear`` mends it, and till then all of
        them are remade."""
        self._lasts = (lasts or ()) if self.is_sound else ()
        if not self.is_sound and remake is not None:
            self._lasts = tuple(range(LOT_EVENTS_MAX, last + 1, LOT_EVENTS_MAX))
        self._durable = self._lasts, self.is_sound

    @property
    def last(self) -> int:
        """Position up to which they go; 0 where there are none."""
        return self._lasts[-1] if self._lasts else 0

    def positions(self, table: str, key: bytes, after: int) -> list[int]:
        """Return the positions of a key after a position, rising.

        Raises:
            StoreError: A row that could tell is damaged or missing, and nothing remakes it.

        Cost: a row of each lot that goes on after that position; where one is damaged, the events
        of its lot are read, once.
        """
        self._file.check_open()
        if not self.is_sound and self._remake is None:
            raise self._file.damaged()
        found: list[int] = []
        skipped = bisect_right(self._lasts, after)
        if skipped == len(self._lasts):
            return found
        wanted = int.from_bytes(key, "big")
        for first in range(skipped + 1, len(self._lasts) + 1, LOTS_AT_ONCE):
            last = min(first + LOTS_AT_ONCE - 1, len(self._lasts))
            rows: list[FileRow] = []
            if self.is_sound:
                rows = self._file.run(_row_of_each(table, first, last), (wanted,))
            lacking = last - first + 1 - len(rows)  # of the first lots: others find one of those
            for lot, row in enumerate([*[_NO_ROW] * lacking, *rows], first):
                place, until, pairs, _ = row
                if not is_row(row) or place >> _KEY_BITS != lot or wanted > until:
                    pairs = self._made_anew(table, lot)
                if key in pairs:
                    found += self._decoded(lot, pairs, key, after)
        return found

    def _made_anew(self, table: str, lot: int) -> bytes:
        """Return the pairs of a lot in which a row is damaged, as the log has them."""
        if self._remake is None:
            raise self._file.damaged()
        pairs = self._remade.get((table, lot))
        if pairs is None:
            first = self._lasts[lot - 2] + 1 if lot > 1 else 1
            pairs = self._remake(table, first, self._lasts[lot - 1])
            self._remade[table, lot] = pairs
        return pairs

    def mend(self) -> None:
        """Write lots in which a damaged row was met anew, inside the open transaction."""
        for (table, lot), pairs in self._remade.items() if self.is_sound else ():
            self._file.write(f"DELETE FROM {table} WHERE {_STRAY}", self._bounds())  # noqa: S608 - names of ours
            self._put(table, lot, pairs, lot + 1)
            self.is_mended = True

    def _decoded(self, lot: int, pairs: bytes, key: bytes, after: int) -> list[int]:
        start, end = _span(pairs, key)
        some = pairs[start * _PAIR_SIZE : end * _PAIR_SIZE]
        ends = bytearray(4 * (end - start))
        for at in range(_OFFSET_SIZE):
            ends[at + 1 :: 4] = some[KEY_SIZE + at :: _PAIR_SIZE]
        first = self._lasts[lot - 2] + 1 if lot > 1 else 1
        positions = [first + (number - first & _OFFSET_MAX) for number in numbers_of(bytes(ends))]
        return sorted(position for position in positions if position > after)

    def add(self, last: int, pairs: Mapping[str, bytes]) -> None:
        """Write the lot after the last one, or merge it with the last ones; in a transaction.

        Args:
            last: Position of its last event.
            pairs: Of each table, sorted.
        """
        kept = self._kept(last)
        lot = kept + 1
        for table in TABLES:
            new = pairs[table]
            if kept < len(self._lasts):
                old = [self._pairs(table, number) for number in range(lot, len(self._lasts) + 1)]
                new = merged(b"".join([*old, new]))
            self._put(table, lot, new, _LOT_MAX)
        self._file.write("DELETE FROM lot WHERE lot >= ?", (lot,))
        self._file.write("INSERT INTO lot VALUES (?, ?, ?)", (lot, last, crc_of_row(lot, last)))
        self._lasts = (*self._lasts[:kept], last)
        self._remade = {key: pairs for key, pairs in self._remade.items() if key[1] < lot}

    def _kept(self, last: int) -> int:
        """Return how many lots stay as they are when one is added that goes up to ``last``."""
        firsts = [0, *self._lasts]  # each one too small, as ``last`` is not
        kept = len(self._lasts)
        for events in MERGED_EVENTS:
            small = kept
            while small and firsts[small] - firsts[small - 1] < events:
                small -= 1
            if last - firsts[small] < events:
                break
            kept = small
        return kept

    def _put(self, table: str, lot: int, pairs: bytes, end: int) -> None:
        """Write the rows of a lot instead of those of all lots from it up to ``end``."""
        places = lot << _KEY_BITS, end << _KEY_BITS
        self._file.write(f"DELETE FROM {table} WHERE place >= ? AND place < ?", places)  # noqa: S608 - names of ours
        self._file.write_many(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows_of(lot, pairs))  # noqa: S608 - names of ours

    def _pairs(self, table: str, lot: int) -> bytes:
        """Return the pairs of a lot, for a transaction that writes them anew.

        Raises:
            StoreError: A row is damaged or missing, and nothing remakes it.
        """
        try:
            return b"".join([row[2] for row in self._rows(table, lot)])
        except StoreError:
            pairs = self._made_anew(table, lot)
            self.is_mended = True
            return pairs

    def _rows(self, table: str, lot: int) -> Iterator[Row]:
        sql = f"SELECT * FROM {table} WHERE place >= ? AND place < ? ORDER BY place"  # noqa: S608 - names of ours
        place, end = lot << _KEY_BITS, lot + 1 << _KEY_BITS
        for row in self._file.run(sql, (place, end)):
            if row[0] != place or not is_row(row):
                raise self._file.damaged()
            place = (lot << _KEY_BITS | row[1]) + 1
            yield row
        if place != end:
            raise self._file.damaged()

    def clear(self) -> None:
        """Forget all lots, in a transaction."""
        for table in (*TABLES, "lot"):
            self._file.write(f"DELETE FROM {table}")  # noqa: S608 - names of ours
        self._lasts, self.is_sound = (), True
        self._remade.clear()

    def accept(self) -> None:
        """Keep what changed in memory: it is durable."""
        if self.is_mended:
            self._remade.clear()
            self.is_mended = False
        self._durable = self._lasts, self.is_sound

    def restore(self) -> None:
        """Undo what changed in memory: the transaction never was."""
        self._lasts, self.is_sound = self._durable
        self.is_mended = False

    def ends(self) -> Iterator[tuple[int, int]]:
        """Yield each lot's number, and the position of its last event."""
        return iter(tuple(enumerate(self._lasts, 1)))

    def is_as(self, table: str, lot: int, pairs: bytes) -> bool:
        """Say whether a lot is, byte by byte, what these pairs make."""
        try:
            return list(self._rows(table, lot)) == list(rows_of(lot, pairs))
        except StoreError:
            return False

    def strays(self, table: str) -> int:
        """Return how many rows of a table are of no lot."""
        sql = f"SELECT count(*) FROM {table} WHERE {_STRAY}"  # noqa: S608 - names of ours
        return int(self._file.run(sql, self._bounds())[0][0])

    def _bounds(self) -> tuple[int, int]:
        return 1 << _KEY_BITS, len(self._lasts) + 1 << _KEY_BITS


def _lasts(file: StoreFile) -> tuple[int, ...] | None:
    """Return where each lot ends; None where that cannot be told."""
    try:
        rows = file.run("SELECT lot, last, crc FROM lot ORDER BY lot")
    except StoreError:  # damage is fsck's to tell
        return None
    lasts = tuple(last for _, last, _ in rows)
    holds = (
        all(map(is_lot, rows))
        and [lot for lot, _, _ in rows] == list(range(1, len(rows) + 1))
        and all(type(last) is int for last in lasts)
        and all(before < last for before, last in pairwise((0, *lasts)))
    )
    return lasts if holds else None
