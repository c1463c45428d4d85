"""Checksums over what neither an id nor a signature covers: small values, arrival times, places.

They find what a disk or a card got wrong. Against somebody who means it they do nothing: whoever
can write the file can write them, too.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib

TALLY_KEY = "store.tally"
"""Meta key, the store's own: all events' ``tally`` together."""

_PLACE = struct.Struct(">qqq")
_NO_RECORD = -1


def crc_of(key: str, value: bytes) -> int:
    """Return the checksum that stands beside a value of the store's meta, 32 bits."""
    return zlib.crc32(value, zlib.crc32(key.encode()))


def tally(position: int, delay_ms: int, record: int | None) -> int:
    """Return one event's share of the tally, 32 bits; shares are joined by exclusive or."""
    return zlib.crc32(_PLACE.pack(position, delay_ms, _NO_RECORD if record is None else record))


def crc_of_row(*values: object) -> int:
    """Return the checksum of a row of whole numbers, texts and bytes, 32 bits."""
    return zlib.crc32(repr(values).encode())


def tally_bytes(tally: int) -> bytes:
    """Return a tally as meta keeps it, 8 bytes; empty for that of no events."""
    return tally.to_bytes(8, "big", signed=True) if tally else b""


class _Tally:
    """The tally of many events, for SQL."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, position: int, delay_ms: int, record: int | None) -> None:
        """Take one event."""
        self._sum ^= tally(position, delay_ms, record)

    def finalize(self) -> bytes:
        """Return the sum as meta keeps it."""
        return tally_bytes(self._sum)


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection the functions ``crc_of``, ``crc_of_row`` and ``tally_of``."""
    connection.create_function("crc_of", 2, crc_of, deterministic=True)
    connection.create_function("crc_of_row", -1, crc_of_row, deterministic=True)
    connection.create_aggregate("tally_of", 3, _Tally)  # type: ignore[arg-type] # says one argument
