"""The SQLite file: opened, locked, written in transactions; its errors in our words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from meshlog.errors import CHECK_IT, InputError, StoreError, StoreUnavailableError
from meshlog.store import cipher
from meshlog.store.checksums import teach
from meshlog.store.lock import ProcessLock
from meshlog.store.migrate import (
    SCHEMA_VERSION,
    SQLITE_VERSION_MIN,
    check_first_bytes,
    migrate,
    schema_version,
)
from meshlog.store.passphrase import is_encrypted, passphrase_for

MEMORY = ":memory:"
"""The path of a store that dies with its process."""

BUSY_WAIT_S = 5.0
"""Longest wait for a tool that holds SQLite's own lock in spite of ours. A guess."""

CHUNK_ROWS = 4_096
"""Rows that ``chunks`` holds at once."""

CACHE_SIZE_KIB = 8_192
"""Pages in memory: an eighth of the 64 MB that a node may take. A choice."""

_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # NORMAL loses acknowledged rows in a power cut (ADR 4)
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 4194304",
)

_ADVICE = {
    "SQLITE_FULL": "the disk is full: nothing was written, free some space",
    "SQLITE_IOERR_SHMSIZE": "the disk is full: free some space, reading needs a little, too",
    "SQLITE_IOERR": "the disk reported an error: nothing was written, check the disk",
    "SQLITE_CORRUPT": f"the store is damaged{CHECK_IT}",
    "SQLITE_NOTADB": f"the store is damaged{CHECK_IT}",
    "SQLITE_READONLY": "the file or its folder is write-protected: check who owns it",
    "SQLITE_CANTOPEN": "the file or its folder cannot be opened: check who owns it",
    "SQLITE_BUSY": "another program has locked the file: close it",
}

_UNAVAILABLE = frozenset(
    {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY"}
)
"""What says nothing about the file's bytes."""

Row: TypeAlias = tuple[Any, ...]


class StoreFile:
    """One connection to a store's file; every failure of it is a StoreError.

    A failed write poisons its transaction: SQLite may have rolled back on its own, so
    nothing more is written until ``rollback``.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        read_only: bool,
        vfs: str | None = None,
        encrypt: bool = False,
    ) -> None:
        """Open, and for writing lock and migrate.

        Args:
            path: The file; its folder must exist. ``":memory:"`` keeps everything in memory.
            read_only: See one moment, that of the opening; no lock, no writes.
            vfs: Name of the SQLite file system; None is the platform's.
            encrypt: Whether a new file is encrypted; one that exists is known by its start.
        """
        self.path = str(path)
        self.read_only = read_only
        self._vfs = vfs
        self._is_new_secret = encrypt and not _holds_anything(path)
        self._is_secret = self._is_new_secret or is_encrypted(path)
        if encrypt and not self._is_secret:
            raise StoreError(f"{path} is there already, and not encrypted: name another file")
        self._sqlite: Any = cipher.driver(path) if self._is_secret else sqlite3
        """The module that speaks to the file: its errors are its own."""
        self._failure: StoreError | None = None
        self._lock: ProcessLock | None = None
        self._connection: sqlite3.Connection | None = None
        if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 is needed")
        try:
            if self.path == MEMORY:
                self._open_memory()
            elif read_only:
                self._open_reader(Path(path))
            else:
                self._open_writer(Path(path))
        except self._sqlite.Error as error:
            self.close()
            raise self._translated(error) from error
        except BaseException:
            self.close()
            raise

    def _open_memory(self) -> None:
        if self.read_only:
            raise StoreError("a store in memory is new: it cannot be opened read-only")
        self._connect("file::memory:")
        self.run("PRAGMA foreign_keys = ON")
        migrate(self._open, 0)

    def _open_reader(self, path: Path) -> None:
        check_first_bytes(path)
        if not path.exists():
            raise StoreError(f"{path} does not exist: make it with `meshlog init`")
        self._connect(self._uri(path, "ro"))
        self.run("PRAGMA query_only = ON")
        if schema_version(self._open, self.path) < SCHEMA_VERSION:
            raise StoreUnavailableError(
                f"{path} is from an older meshlog: open it once with `meshlog run`"
            )
        self.run("BEGIN")  # one snapshot from the first read on, so that memory and file agree

    def _open_writer(self, path: Path) -> None:
        if not path.absolute().parent.is_dir():
            raise StoreError(f"{path.parent} is not a folder: make it first")
        check_first_bytes(path)
        self._lock = ProcessLock(self.path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            reason = f"{path} cannot be written ({error.strerror}): check who owns it"
            raise StoreError(reason) from error
        self._connect(self._uri(path, "rw"))
        version = schema_version(self._open, self.path)
        for pragma in _WRITER_PRAGMAS:
            self.run(pragma)
        migrate(self._open, version)
        sync_folder(path)  # each time: the creator may have been killed before it could

    def _connect(self, uri: str) -> None:
        if self._is_secret:
            self._connection = cipher.connect(
                self.path,
                uri,
                passphrase_for(self.path),
                timeout_s=BUSY_WAIT_S,
                is_new=self._is_new_secret,
            )
        else:
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
            )
        teach(self._connection)
        self.run(f"PRAGMA cache_size = -{CACHE_SIZE_KIB}")
        self.run("PRAGMA trusted_schema = OFF")

    def _uri(self, path: Path, mode: str) -> str:
        vfs = f"&vfs={self._vfs}" if self._vfs else ""
        return f"{path.absolute().as_uri()}?mode={mode}{vfs}"

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path} is closed")
        return self._connection

    @property
    def is_writable(self) -> bool:
        """Whether it is open, and for writing."""
        return self._connection is not None and not self.read_only

    def anew(self) -> StoreFile:
        """Return the file opened for reading as it is now; the caller closes it.

        Raises:
            StoreError: It cannot be opened.
        """
        return StoreFile(self.path, read_only=True, vfs=self._vfs)

    # ── Statements ──

    def check_open(self) -> None:
        """Raise StoreError where it is closed, for who would answer from memory."""
        _ = self._open

    def run(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows of one statement."""
        try:
            return self._open.execute(sql, values).fetchall()
        except UnicodeEncodeError as error:
            raise InputError("text holds a lone surrogate: no name in a store does") from error
        except UnicodeDecodeError as error:
            raise self.damaged() from error
        except self._sqlite.Error as error:
            raise self._translated(error) from error

    def chunks(self, sql: str, values: Sequence[object] = ()) -> Iterator[list[Row]]:
        """Yield all rows of a query, some thousand at once."""
        try:
            cursor = self._open.execute(sql, values)
            while rows := cursor.fetchmany(CHUNK_ROWS):
                yield rows
        except self._sqlite.Error as error:
            raise self._translated(error) from error

    def first(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        rows = self.run(sql, values)
        return rows[0] if rows else None

    def write(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement of the open transaction; return the rowid that it made."""
        self._check_writable()
        try:
            return self._open.execute(sql, values).lastrowid or 0
        except self._sqlite.Error as error:
            self._failure = self._translated(error)
            raise self._failure from error

    def write_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement of the open transaction for each row."""
        self._check_writable()
        try:
            self._open.executemany(sql, rows)
        except self._sqlite.Error as error:
            self._failure = self._translated(error)
            raise self._failure from error

    def _check_writable(self) -> None:
        connection = self._connection
        is_open = connection is not None and connection.in_transaction
        if is_open and self._failure is None and not self.read_only:
            return
        self._refuse_reader()
        if self._failure is not None:
            raise self._failure
        assert self._open.in_transaction, "a write belongs into a transaction"

    def _refuse_reader(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.path} is open for reading only")

    # ── Transactions ──

    def begin(self) -> None:
        """Open the transaction; there is one at a time."""
        self._refuse_reader()
        assert not self._open.in_transaction, "transactions do not nest"
        self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make the open transaction durable."""
        self._check_writable()
        self.run("COMMIT")

    def rollback(self) -> None:
        """Forget the open transaction. Never raises: the cause is already on its way up."""
        self._failure = None
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(self._sqlite.Error):
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the WAL into the file, then release the lock. Idempotent."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except self._sqlite.Error as error:
            raise self._translated(error) from error
        finally:
            if self._lock is not None:
                self._lock.release()

    def damaged(self) -> StoreError:
        """Return the error for rows that cannot be."""
        return StoreError(f"{self.path}: {_ADVICE['SQLITE_CORRUPT']}")

    def _translated(self, error: Exception) -> StoreError:
        name = getattr(error, "sqlite_errorname", None) or ""
        primary = "_".join(name.split("_")[:2])
        kind = StoreUnavailableError if {name, primary} & _UNAVAILABLE else StoreError
        return kind(f"{self.path}: {_ADVICE.get(name) or _ADVICE.get(primary, error)}")


def _holds_anything(path: str | Path) -> bool:
    try:
        return Path(path).stat().st_size > 0
    except OSError:
        return False


def sync_folder(path: Path) -> None:
    """Make the names in the folder of ``path`` durable.

    Raises:
        StoreError: The disk refused.
    """
    try:
        fd = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreError(f"the folder of {path} cannot be synced ({error.strerror})") from error
