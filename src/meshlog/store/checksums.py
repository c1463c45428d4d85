"""Checksums over what neither an id nor a signature covers: small values, rows of reducers.

They find what a disk or a card got wrong. Against somebody who means it they do nothing: whoever
can write the file can write them, too.
"""

from __future__ import annotations

import sqlite3
import zlib


def crc_of(key: str, value: bytes) -> int:
    """Return the checksum that stands beside a value of the store's meta, 32 bits."""
    return zlib.crc32(value, zlib.crc32(key.encode()))


def crc_of_row(*values: object) -> int:
    """Return the checksum of a row of whole numbers, texts and bytes, 32 bits."""
    return zlib.crc32(repr(values).encode())


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection the functions ``crc_of`` and ``crc_of_row``."""
    connection.create_function("crc_of", 2, crc_of, deterministic=True)
    connection.create_function("crc_of_row", -1, crc_of_row, deterministic=True)
