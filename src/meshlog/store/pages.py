"""What can still be read of a damaged store: rows of any page, whatever became of the others.

SQLite finds a row through the pages above it, so one bad page hides many good rows. Here
every page of the file and of its WAL is looked at by itself. Nothing of this is trusted: an
event counts where its hash holds. Source: https://www.sqlite.org/fileformat2.html (2024).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

PAGE_SIZE = 4_096
"""What stores are made with: SQLite's default since 2016; for a file whose header is damaged."""

_HEADER_SIZE = 100
_WAL_HEADER_SIZE = 32
_WAL_FRAME_SIZE = 24
_LEAF_HEADER_SIZE = 8
_TABLE_LEAF = 0x0D
_PAYLOAD_MAX = 131_072
"""Bytes of one row: a body of 64 KiB and what stands beside it."""

_COLUMNS_MAX = 8
_INT_SIZES = (0, 1, 2, 3, 4, 6, 8)

Value: TypeAlias = int | bytes | str | None


class Found(NamedTuple):
    """One row of one page."""

    rowid: int | None
    """None in a table without rowids."""
    values: tuple[Value, ...]


def found_rows(path: Path) -> Iterator[Found]:
    """Yield everything that looks like a row, in the file and then in its WAL; some repeatedly.

    Cost: the whole of both files, a page at a time in memory.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = _page_size(file)
        pages = _File(file, size)
        for number in range(1, pages.count + 1):
            yield from _rows(pages.page(number), pages, is_first=number == 1)
        wal = path.with_name(path.name + "-wal")
        if wal.exists():
            with wal.open("rb") as log:
                for page, number in _wal_pages(log, size):
                    yield from _rows(page, pages, is_first=number == 1)


class _File:
    """The pages of the main file, for rows that go on elsewhere."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self.count = -(-os.fstat(file.fileno()).st_size // size)

    def page(self, number: int) -> bytes:
        """Return a page; zeros where the file ends."""
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size).ljust(self.size, b"\x00")

    def overflow(self, number: int, wanted: int) -> bytes:
        """Return the bytes that a row has beyond its page; fewer where the chain breaks."""
        out = bytearray()
        for _ in range(_PAYLOAD_MAX // self.size + 2):
            if not 1 <= number <= self.count or len(out) >= wanted:
                break
            page = self.page(number)
            number = int.from_bytes(page[:4], "big")
            out += page[4:]
        return bytes(out[:wanted])


def _page_size(file: BinaryIO) -> int:
    file.seek(16)
    size = int.from_bytes(file.read(2), "big")
    return size if size >= 512 and size & (size - 1) == 0 else PAGE_SIZE  # noqa: PLR2004 - SQLite's least


def _wal_pages(log: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the pages of a WAL and their numbers, up to the last commit under its salt."""
    head = log.read(_WAL_HEADER_SIZE)
    salt = head[16:24]
    committed = at = 0
    while len(frame := log.read(_WAL_FRAME_SIZE)) == _WAL_FRAME_SIZE:
        at += 1
        if frame[8:16] == salt and frame[4:8] != bytes(4):
            committed = at
        log.seek(size, os.SEEK_CUR)
    for number in range(committed):
        log.seek(_WAL_HEADER_SIZE + number * (_WAL_FRAME_SIZE + size))
        frame = log.read(_WAL_FRAME_SIZE)
        if frame[8:16] == salt:
            yield log.read(size).ljust(size, b"\x00"), int.from_bytes(frame[:4], "big")


def _rows(page: bytes, pages: _File, *, is_first: bool) -> Iterator[Found]:
    """Yield the rows of a page, read as a leaf of a table and as one of an index.

    Its count of cells is not believed: pointers are followed as far as there is room for any.
    """
    start = _HEADER_SIZE if is_first else 0
    if not any(page[start : start + _LEAF_HEADER_SIZE]):
        return
    is_leaf = page[start] == _TABLE_LEAF
    pointers = start + _LEAF_HEADER_SIZE
    end, count = len(page), int.from_bytes(page[start + 3 : start + 5], "big")
    misses, index, seen = 0, 0, set()
    while pointers + 2 * index + 2 <= end:
        at = pointers + 2 * index
        place = int.from_bytes(page[at : at + 2], "big")
        index += 1
        found = False
        if pointers <= place < len(page):
            for is_table in (True, False):
                row = _cell(page, place, is_table=is_table, pages=pages)
                if row is not None:
                    found = True
                    seen.add(place)
                    yield row
        if found:
            end = min(end, place)
        elif index <= count:
            misses += 1
        if not found and index > count:
            break
    if is_leaf and misses:
        for place in range(pointers, len(page)):
            if place not in seen:
                row = _cell(page, place, is_table=True, pages=pages)
                if row is not None:
                    yield row


def _cell(page: bytes, at: int, *, is_table: bool, pages: _File) -> Found | None:
    """Return the row of a cell. What it says of its own size is not believed."""
    size, at = _varint(page, at)
    rowid = None
    if is_table:
        rowid, at = _varint(page, at)
    header_size, body = _varint(page, at)
    types: list[int] = []
    end = at + header_size
    if not 1 < header_size <= 3 * _COLUMNS_MAX + 3 or end > len(page):
        return None
    while body < end:
        type_, body = _varint(page, body)
        types.append(type_)
    if body != end or not 1 < len(types) <= _COLUMNS_MAX:
        return None
    sizes = [_size_of(type_) for type_ in types]
    if -1 in sizes:
        return None
    total = header_size + sum(sizes)
    if total > _PAYLOAD_MAX:
        return None
    payload = page[at : at + total]
    usable = pages.size
    local_max = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
    if total > local_max:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (total - least) % (usable - 4)
        local = local if local <= local_max else least
        where = int.from_bytes(page[at + local : at + local + 4], "big")
        payload = page[at : at + local] + pages.overflow(where, total - local)
    if len(payload) < total:
        return None
    del size
    return Found(rowid, _values(payload[header_size:], types, sizes))


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
