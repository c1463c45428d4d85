"""What can still be read of a damaged store: rows of any page, whatever became of the others.

SQLite finds a row through the pages above it, so one bad page hides many good rows. Here
every page of the file and of its WAL is looked at by itself. Nothing of this is trusted, and
what a row means is not known here: whoever can tell that one is damaged asks for what it was
before a bit of it flipped. Source: https://www.sqlite.org/fileformat2.html (2024).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

PAGE_SIZE = 4_096
"""What stores are made with: SQLite's default since 2016; for a file whose header is damaged."""

FLIPPED_SIZE_MAX = 4_096
"""Bytes of a row, from its cell's first, of which each bit is tried: a run of several events has
no more."""

_HEADER_SIZE = 100
_WAL_HEADER_SIZE = 32
_WAL_FRAME_SIZE = 24
_LEAF_HEADER_SIZE = 8
_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER = 0x0D, 0x0A, 0x02
_POINTER_SIZE = 4
_PAYLOAD_MAX = 131_072
"""Bytes of one row: a body of 64 KiB and what stands beside it."""

_COLUMNS_MAX = 9
_INT_SIZES = (0, 1, 2, 3, 4, 6, 8)

Value: TypeAlias = int | bytes | str | None


class Place(NamedTuple):
    """Where a cell is."""

    offset: int
    """Of its page in the file, or in the WAL."""
    in_wal: bool
    at: int
    """Of the cell in the page."""
    is_table: bool
    """Whether a rowid is to be read in it."""


class Found(NamedTuple):
    """One row of one page."""

    place: Place
    rowid: int | None
    """None in a table without rowids."""
    values: tuple[Value, ...]
    """Empty where the page says that there is a cell, and none can be read."""
    fits: bool
    """Whether the sizes of its values add up to that of the row."""
    is_counted: bool
    """Whether the page counts it among its cells; others were deleted, or never were."""
    overflows: bool
    """Whether it goes on on other pages."""


class Pages:
    """The pages of a store's file and of its WAL. Close it.

    Raises:
        OSError: The file cannot be read; from every method.
    """

    def __init__(self, path: Path) -> None:
        """Open, and look through the WAL."""
        self._open = ExitStack()
        self._file = self._open.enter_context(path.open("rb"))
        self._size = _page_size(self._file)
        self._count = -(-os.fstat(self._file.fileno()).st_size // self._size)
        wal = path.with_name(path.name + "-wal")
        self._log = self._open.enter_context(wal.open("rb")) if wal.exists() else None
        self._frames = list(_frames(self._log, self._size)) if self._log else []
        self._latest = dict(self._frames)
        """By number of page: where the WAL has it last."""

    def close(self) -> None:
        """Close the files."""
        self._open.close()

    def rows(self) -> Iterator[Found]:
        """Yield everything that looks like a row, in the file and then in its WAL; some repeatedly.

        Cost: the whole of both files, a page at a time in memory.
        """
        for number in range(self._count):
            yield from self._rows_of(number * self._size, in_wal=False)
        for _, offset in self._frames:
            yield from self._rows_of(offset, in_wal=True)

    def flipped(self, place: Place) -> Iterator[Found]:
        """Yield what a row is with one bit of it flipped, for each bit of its first bytes.

        Cost: up to ``8 * FLIPPED_SIZE_MAX`` readings of a cell.
        """
        page = self._page_at(place)
        for bit in range(8 * min(FLIPPED_SIZE_MAX, len(page) - place.at)):
            cell = _cell_of(_with_flipped(page, 8 * place.at + bit), place, self._size)
            if cell is not None:
                yield from self._whole(cell, place)
        cell = _cell_of(page, place, self._size)
        if cell is not None and cell.local < min(cell.total, FLIPPED_SIZE_MAX):
            payload = self._payload(cell)
            for bit in range(8 * cell.local, 8 * min(len(payload), FLIPPED_SIZE_MAX)):
                yield from _found(cell, place, _with_flipped(payload, bit))

    def rerouted(self, place: Place) -> Iterator[Found]:
        """Yield what a row is with one bit flipped in where its other pages are.

        Cost: 32 readings of the row for each of its other pages.
        """
        cell = _cell_of(self._page_at(place), place, self._size)
        if cell is None:
            return
        for index in range(-(-(cell.total - cell.local) // (self._size - _POINTER_SIZE))):
            for bit in range(8 * _POINTER_SIZE):
                yield from _found(cell, place, self._payload(cell, (index, 1 << bit)))

    def elsewhere(self, place: Place) -> Iterator[Found]:
        """Yield all that looks like a row of a table on the same page, whatever points there."""
        page = self._page_at(place)
        for at in range(_LEAF_HEADER_SIZE, len(page)):
            yield from self._read(page, place._replace(at=at))

    # ── pages ──

    def _rows_of(self, offset: int, *, in_wal: bool) -> Iterator[Found]:
        """Yield the rows of a page, read as a leaf of a table or of an index, or as both.

        Its count of cells is not believed: pointers are followed as far as there is room for any.
        """
        page = self._page_at(Place(offset, in_wal, 0, is_table=True))
        start = _HEADER_SIZE if page.startswith(b"SQLite") or (offset == 0 and not in_wal) else 0
        if not any(page[start : start + _LEAF_HEADER_SIZE]):
            return
        flag = page[start]
        pointers = start + _LEAF_HEADER_SIZE
        end, count = len(page), int.from_bytes(page[start + 3 : start + 5], "big")
        index = 0
        while pointers + 2 * index + 2 <= end:
            at = pointers + 2 * index
            cell = int.from_bytes(page[at : at + 2], "big")
            index += 1
            rows: list[Found] = []
            if pointers <= cell < len(page):
                for place in _places(flag, offset, cell, in_wal=in_wal):
                    rows += self._read(page, place, is_counted=index <= count)
            yield from rows
            if rows:
                end = min(end, cell)
            elif index > count:
                break
            elif flag in (_TABLE_LEAF, _INDEX_LEAF):
                place = Place(offset, in_wal, min(cell, len(page)), flag == _TABLE_LEAF)
                yield Found(place, None, (), fits=False, is_counted=True, overflows=False)

    def _page_at(self, place: Place) -> bytes:
        file = self._log if place.in_wal else self._file
        assert file is not None, "a place in a WAL was found there"
        file.seek(place.offset)
        return file.read(self._size).ljust(self._size, b"\x00")

    def _page(self, number: int) -> bytes:
        """Return a page as SQLite would read it; zeros where the file ends."""
        offset = self._latest.get(number)
        if offset is not None:
            return self._page_at(Place(offset, True, 0, is_table=True))  # noqa: FBT003 - a field
        return self._page_at(Place((number - 1) * self._size, False, 0, is_table=True))  # noqa: FBT003

    # ── cells ──

    def _read(self, page: bytes, place: Place, *, is_counted: bool = False) -> Iterator[Found]:
        cell = _cell_of(page, place, self._size)
        if cell is not None:
            yield from self._whole(cell, place, is_counted=is_counted)

    def _whole(self, cell: _Cell, place: Place, *, is_counted: bool = False) -> Iterator[Found]:
        yield from _found(cell, place, self._payload(cell), is_counted=is_counted)

    def _payload(self, cell: _Cell, flip: tuple[int, int] = (-1, 0)) -> bytes:
        """Return header and values; fewer bytes where the chain of pages breaks.

        Args:
            cell: Of which row.
            flip: Which of its pointers to flip, and by what.
        """
        out = bytearray(cell.data[: cell.local])
        link = cell.data[cell.local : cell.local + _POINTER_SIZE]
        index = 0
        most = self._count + len(self._latest)
        while len(out) < cell.total:
            number = int.from_bytes(link, "big") ^ (flip[1] if index == flip[0] else 0)
            if not 1 <= number <= most:
                break
            page = self._page(number)
            link = page[:_POINTER_SIZE]
            out += page[_POINTER_SIZE:]
            index += 1
        return bytes(out[: cell.total])


class _Cell(NamedTuple):
    """A row's beginning on its page. What it says of its own size is not believed."""

    rowid: int | None
    size: int
    """Of the whole, as it says."""
    header_size: int
    types: list[int]
    sizes: list[int]
    total: int
    """Of the whole, by its values."""
    local: int
    """How much of it is on this page."""
    data: bytes
    """From its header on."""


def _cell_of(page: bytes, place: Place, page_size: int) -> _Cell | None:
    """Return the row at a place; None where none can be there."""
    size, at = _varint(page, place.at)
    rowid = None
    if place.is_table:
        rowid, at = _varint(page, at)
    header_size, body = _varint(page, at)
    end = at + header_size
    if not 1 < header_size <= 3 * _COLUMNS_MAX + 3 or end > len(page):
        return None
    types: list[int] = []
    while body < end:
        type_, body = _varint(page, body)
        types.append(type_)
    if body != end or not 1 < len(types) <= _COLUMNS_MAX:
        return None
    sizes = [_size_of(type_) for type_ in types]
    total = header_size + sum(sizes)
    if -1 in sizes or total > _PAYLOAD_MAX:
        return None
    local_max = page_size - 35 if place.is_table else (page_size - 12) * 64 // 255 - 23
    local = total
    if total > local_max:
        least = (page_size - 12) * 32 // 255 - 23
        local = least + (total - least) % (page_size - _POINTER_SIZE)
        local = local if local <= local_max else least
    return _Cell(rowid, size, header_size, types, sizes, total, local, page[at:])


def _found(
    cell: _Cell, place: Place, payload: bytes, *, is_counted: bool = False
) -> Iterator[Found]:
    if len(payload) == cell.total:
        values = _values(payload[cell.header_size :], cell.types, cell.sizes)
        fits, overflows = cell.size == cell.total, cell.local < cell.total
        yield Found(place, cell.rowid, values, fits, is_counted, overflows)


def _places(flag: int, offset: int, at: int, *, in_wal: bool) -> Iterator[Place]:
    """Yield how a cell may be read, by what its page says that it is."""
    if flag != _INDEX_LEAF:
        yield Place(offset, in_wal, at, is_table=True)
    if flag != _TABLE_LEAF:
        yield Place(offset, in_wal, at, is_table=False)
    if flag == _INDEX_INNER:
        yield Place(offset, in_wal, at + _POINTER_SIZE, is_table=False)


def _with_flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes((data[at] ^ 1 << bit % 8,)) + data[at + 1 :]


def _page_size(file: BinaryIO) -> int:
    file.seek(16)
    size = int.from_bytes(file.read(2), "big")
    return size if size >= 512 and size & (size - 1) == 0 else PAGE_SIZE  # noqa: PLR2004 - SQLite's least


def _frames(log: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield number and place of the pages of a WAL, up to the last commit under its salt."""
    heads: list[tuple[bytes, int]] = []
    salts = [log.read(_WAL_HEADER_SIZE)[16:24]]
    while len(frame := log.read(_WAL_FRAME_SIZE)) == _WAL_FRAME_SIZE:
        heads.append((frame, log.tell()))
        log.seek(size, os.SEEK_CUR)
    salts += [frame[8:16] for frame, _ in heads[:3]]  # the header's own may be what is damaged
    ((salt, _),) = Counter(salts).most_common(1)
    ours = [(frame, offset) for frame, offset in heads if frame[8:16] == salt]
    while ours and ours[-1][0][4:8] == bytes(4):
        ours.pop()
    for frame, offset in ours:
        yield int.from_bytes(frame[:4], "big"), offset


def _values(data: bytes, types: list[int], sizes: list[int]) -> tuple[Value, ...]:
    values: list[Value] = []
    at = 0
    for type_, size in zip(types, sizes, strict=True):
        raw = data[at : at + size]
        at += size
        if type_ == 0:
            values.append(None)
        elif type_ in (8, 9):
            values.append(type_ - 8)
        elif type_ < 7:  # noqa: PLR2004 - SQLite's serial types
            values.append(int.from_bytes(raw, "big", signed=True))
        elif type_ % 2 == 0:
            values.append(raw)
        else:
            values.append(raw.decode(errors="replace"))
    return tuple(values)


def _size_of(type_: int) -> int:
    """Return the bytes of a value of a serial type; -1 for one that no store has."""
    if type_ < len(_INT_SIZES):
        return _INT_SIZES[type_]
    if type_ in (8, 9):
        return 0
    return (type_ - 12) // 2 if type_ >= 12 else -1  # noqa: PLR2004 - SQLite's serial types


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return SQLite's varint (big-endian, 1 to 9 bytes) and where it ends."""
    value = 0
    for index in range(9):
        if at >= len(data):
            return 0, at + 1
        byte = data[at]
        at += 1
        if index == 8:  # noqa: PLR2004 - the ninth byte counts whole
            return value << 8 | byte, at
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the bits of a varint
            break
    return value, at
