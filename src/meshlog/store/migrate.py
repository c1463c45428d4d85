"""Is this file ours, and is its schema ours? Numbered SQL files bring it up to date."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from meshlog.core.hlc import Stamp
from meshlog.errors import CHECK_IT, StoreError, StoreUnavailableError
from meshlog.store.checksums import teach
from meshlog.store.passphrase import SALT_MAGIC
from meshlog.store.runs import crc_of_run, places_of

APPLICATION_ID = 0x6D65736C
"""``mesl``: what ``file(1)`` and SQLite see in byte 68 of the header."""

SCHEMA_VERSION = 9
"""Number of the last file in ``migrations/``; ``user_version`` of a store.

Each of them changes a table's text, if only a comment: so a flipped bit of the number is found.
"""

SQLITE_VERSION_MIN = (3, 37, 0)
"""STRICT tables. Source: SQLite release notes, 2021-11-27."""

_MAGIC = b"SQLite format 3\x00"
_FOLDER = Path(__file__).parent / "migrations"

SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name, tbl_name, sql"
"""What a file's tables are, to the letter."""


def check_first_bytes(path: Path) -> None:
    """Refuse, before anything is touched, a file that SQLite cannot have written.

    Args:
        path: May be missing or empty: that is a store to be. With a journal beside it, a power
            cut came while it was made, and SQLite takes back what was half written.

    Raises:
        StoreError: Another kind of file, or it cannot be read.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file in it")
    try:
        with path.open("rb") as file:
            first = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): check who owns it") from error
    if first in (b"", _MAGIC) or first.startswith(SALT_MAGIC):
        return
    if path.with_name(f"{path.name}-journal").exists():  # then the first bytes may be any
        return
    if first.startswith(b"{"):
        raise StoreError(f"{path} is an old meshlogd log: bring it in with `meshlog import {path}`")
    raise StoreError(f"{path} is not a meshlog store: name another file")


def schema_version(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of a store's schema, 0 for one that is still empty.

    Raises:
        StoreUnavailableError: The file belongs to a newer meshlog.
        StoreError: It belongs to another program, or says a version that its tables are not of.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise StoreError(f"{path} belongs to another program: name another file")
    if version != SCHEMA_VERSION and connection.execute(SCHEMA).fetchall() == expected_schema():
        # a bit of the number flipped
        raise StoreError(f"{path}: the store is damaged{CHECK_IT}")
    if version > SCHEMA_VERSION:
        raise StoreUnavailableError(f"{path} was written by a newer meshlog: update this one")
    return int(version)


def expected_schema() -> list[tuple[object, ...]]:
    """Return the rows of ``SCHEMA`` of a store of ``SCHEMA_VERSION``."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        teach(fresh)
        migrate(fresh, 0)
        return fresh.execute(SCHEMA).fetchall()


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Apply every migration after ``version``, each in one transaction."""
    connection.create_function("crc_of_run", 5, crc_of_run, deterministic=True)
    connection.create_aggregate("places_of", 4, _Places)  # type: ignore[arg-type] # says one argument
    connection.create_aggregate("joined", 2, _Joined)  # type: ignore[arg-type] # says one argument
    for number in range(version + 1, SCHEMA_VERSION + 1):
        sql = (_FOLDER / f"{number:04}.sql").read_text(encoding="utf-8")
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{sql}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
        )


class _Places:
    """The ``places`` of a run, for SQL, from the events' rows of schema 4."""

    def __init__(self) -> None:
        self._events: list[tuple[int, int, int, int]] = []

    def step(self, position: int, stamp: int, delay_ms: int, size: int) -> None:
        """Take one event."""
        self._events.append((position, stamp, Stamp.unpacked(stamp).wall_ms + delay_ms, size))

    def finalize(self) -> bytes:
        """Return the column."""
        _, stamps, arrivals_ms, sizes = zip(*sorted(self._events), strict=True)
        return places_of(stamps, sizes, arrivals_ms)


class _Joined:
    """Values one after the other by position, for SQL."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, bytes]] = []

    def step(self, position: int, part: bytes) -> None:
        """Take one value."""
        self._parts.append((position, part))

    def finalize(self) -> bytes:
        """Return them joined."""
        return b"".join(part for _, part in sorted(self._parts))
