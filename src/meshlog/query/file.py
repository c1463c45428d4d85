"""The query file beside a store: opened, brought up to date, made anew where it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from meshlog.core.identity import AuthorId
from meshlog.errors import InputError, StoreError
from meshlog.ports.records import RecordRow
from meshlog.query.formviews import drop_form_views, make_form_views
from meshlog.query.projection import PLACES_MAX, places_of, values_of, words_of
from meshlog.query.search import Found, Query, count, find
from meshlog.store.passphrase import is_encrypted
from meshlog.views.records import decode
from meshlog.views.watch import CHUNK_CHANGES, Cursor, WatchedStore, resumed

SCHEMA = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")

VERSION = 6
"""Of the schema: a file of another one is made anew."""

MEMORY = ":memory:"
BUSY_WAIT_S = 10.0
VALUE_SIZE_MAX = 16 * 1024 * 1024
"""Bytes of one value that a statement of a person's may make."""

SELECT_TIME_S = 60.0
"""How long a statement of a person's may take."""


Label = Callable[[AuthorId], str]
Unsettled = Iterable[tuple[str, RecordRow | None]]


def query_path(store: str | Path) -> str:
    """Return where the query file of a store lies: beside it; in memory for one in memory.

    In memory, too, for an encrypted one: what it holds would be readable beside it.
    """
    return MEMORY if str(store) == MEMORY or is_encrypted(store) else f"{store}.query"


class OvertakenError(StoreError):
    """The file is of a later moment than the snapshot of the store: look at the store again."""


class QueryFile:
    """An open query file; use it from one thread at a time."""

    def __init__(self, path: str) -> None:
        """Open it; make it anew where it is missing, of another version, or damaged.

        Where it cannot be written it is made in memory, for as long as it is open.

        Args:
            path: See ``query_path``.

        Raises:
            StoreError: SQLite here lacks FTS5 or R*Tree.
        """
        self.path = path
        self._connection = _opened(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Idempotent."""
        self._connection.close()

    def catch_up(
        self,
        store: WatchedStore,
        label: Label,
        unsettled: Unsettled = (),
        *,
        is_snapshot: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Bring the file up to date with the view; return how many records were written.

        Args:
            store: Read only.
            label: Names authors.
            unsettled: Id and row, None for none, of records whose rows in the store are behind.
            is_snapshot: Whether ``store`` shows a moment that may be past: a file of a later one
                is no reason to make it anew, then.
            progress: Called with how far it has come in the numbers of changes, and how far it has
                to go.

        Raises:
            OvertakenError: It is of a later one. Nothing was done, or some chunks of it.

        Cost: O(records that changed since the last time).
        """
        with self._guarded():
            return _caught_up(self._connection, store, label, unsettled, is_snapshot, progress)

    def clear(self) -> None:
        """Forget everything: the next ``catch_up`` makes it anew."""
        with self._guarded(), _transaction(self._connection):
            _empty(self._connection)

    def find(self, query: Query) -> Found:
        """Return the records that a query finds."""
        with self._guarded():
            return find(self._connection, query)

    def count(self, query: Query) -> int:
        """Return how many records a query finds, whatever page of them is asked for."""
        with self._guarded():
            return count(self._connection, query)

    def select(self, sql: str, rows_max: int) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return columns and rows of a statement that only reads.

        Args:
            sql: Whatever a person typed; it cannot write, attach, or take longer than 60 s.
            rows_max: Rows after these are left out.

        Raises:
            InputError: SQLite refused it, or it took too long.
            KeyboardInterrupt: A person stopped it.
        """
        connection = self._connection
        for table in ("words", "place"):  # SQLite connects to them now, before less is allowed
            connection.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - names of ours
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_SIZE_MAX)
        connection.set_authorizer(_reads_only)
        until_s = time.monotonic() + SELECT_TIME_S
        connection.set_progress_handler(lambda: time.monotonic() > until_s, 10_000)
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchmany(rows_max)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                if time.monotonic() <= until_s:  # SQLite swallows what the handler was stopped by
                    raise KeyboardInterrupt from error
                raise InputError(f"SQL: it took longer than {SELECT_TIME_S:.0f} s") from error
            raise InputError(f"SQL: {error}") from error
        finally:
            connection.set_progress_handler(None, 0)
            connection.set_authorizer(None)
            connection.execute("PRAGMA query_only = OFF")
        if cursor.description is None:
            raise InputError("SQL: there is no statement in it")
        return [column[0] for column in cursor.description], rows

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") in _DAMAGED and self.path != MEMORY:
                self.close()
                remove(self.path)
                raise StoreError(
                    f"{self.path} was damaged and is gone: ask again, it is made anew"
                ) from error
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise StoreError(
                    f"another program has locked {self.path} for long: let it come to its end"
                ) from error
            raise StoreError(f"{self.path}: {error}") from error


def _reads_only(action: int, what: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_PRAGMA and what == "data_version":  # full-text search asks so
        return sqlite3.SQLITE_OK
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION,
               sqlite3.SQLITE_RECURSIVE)  # fmt: skip
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_VTAB")


def remove(path: str) -> None:
    """Delete a query file; a missing one is as good."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        with contextlib.suppress(OSError):
            Path(name).unlink()


def _opened(path: str) -> sqlite3.Connection:
    try:
        try:
            return _ready(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # damaged, or of another version
            remove(path)
            return _ready(path)
    except (sqlite3.OperationalError, OSError):  # it cannot be written here
        pass
    try:
        return _ready(MEMORY)
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"the SQLite of this Python cannot search ({error}): use another Python"
        ) from error


def _ready(place: str) -> sqlite3.Connection:
    if place != MEMORY:
        os.close(os.open(place, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        place, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        if place == MEMORY:  # an encrypted store's: nothing of it goes to a temporary file
            connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA synchronous = NORMAL")  # a cache: what a cut takes comes again
        if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            _make(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables:  # another version's
            connection.execute("ROLLBACK")
            raise sqlite3.DatabaseError("another version")
        for statement in _statements():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _statements() -> Iterator[str]:
    whole = ""
    for line in SCHEMA.splitlines(keepends=True):
        whole += line
        if sqlite3.complete_statement(whole):
            yield whole
            whole = ""


def _caught_up(
    connection: sqlite3.Connection,
    store: WatchedStore,
    label: Label,
    unsettled: Unsettled,
    is_snapshot: bool,  # noqa: FBT001 - our own
    progress: Callable[[int, int], None] | None,
) -> int:
    """See ``QueryFile.catch_up``. A transaction per chunk: what is done stays done."""
    written, start = 0, 0
    while True:
        with _transaction(connection):
            kept = connection.execute("SELECT value FROM state WHERE key = 'cursor'").fetchone()
            known = Cursor.parse(kept[0]) if kept else None
            cursor, is_known = resumed(store, known)
            if not is_known and is_snapshot and known is not None and known.era == cursor.era:
                raise OvertakenError("somebody asks again and again: ask once more")
            if not is_known:
                _empty(connection)
            changes = store.changes(cursor.number, CHUNK_CHANGES)
            for number, record_id, row in changes:
                _write(connection, record_id, row)
                cursor = cursor._replace(number=number)
            if len(changes) < CHUNK_CHANGES:
                written += _write_unsettled(connection, store, unsettled)
                make_form_views(connection)
            _name_authors(connection, label)
            if changes or not kept or not is_known:
                connection.execute(
                    "INSERT OR REPLACE INTO state VALUES ('cursor', ?)", (str(cursor),)
                )
        written += len(changes)
        if len(changes) < CHUNK_CHANGES:
            return written
        if progress is not None:
            start = start or changes[0].number
            progress(cursor.number - start, store.last_change() - start)


def _write_unsettled(
    connection: sqlite3.Connection, store: WatchedStore, unsettled: Unsettled
) -> int:
    """Write rows that the store has not yet, and those again that it had not last time.

    A row that is settled as it was before is no change: only so what was shown meanwhile goes.
    """
    left = [record_id for (record_id,) in connection.execute("SELECT record_id FROM ahead")]
    connection.execute("DELETE FROM ahead")
    for record_id in left:
        kept = store.get_record(record_id)
        _write(connection, record_id, kept.row if kept else None)
    written = 0
    for record_id, row in unsettled:
        connection.execute("INSERT OR IGNORE INTO ahead VALUES (?)", (record_id,))
        _write(connection, record_id, row)
        written += 1
    return written + len(left)


def _name_authors(connection: sqlite3.Connection, label: Label) -> None:
    """Write what authors are called now, where it is something else: somebody may share a name."""
    known = connection.execute("SELECT author, label FROM author").fetchall()
    named = [(label(AuthorId(author)), author, old) for author, old in known]
    connection.executemany(
        "UPDATE author SET label = ? WHERE author = ?",
        [(new, author) for new, author, old in named if new != old],
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _empty(connection: sqlite3.Connection) -> None:
    drop_form_views(connection)
    for table in ("ahead", "record", "value", "note", "author", "words", "place", "shape", "state"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours


_MAYBE_GONE = """
    UPDATE shape SET shown = 0
    WHERE form = ?1 AND field = '' AND NOT EXISTS (SELECT 1 FROM record WHERE form = ?1)
"""
"""The view of a form that no record has any more may make room for another's."""


def _write(connection: sqlite3.Connection, record_id: str, row: RecordRow | None) -> None:
    """Write what is found of a record."""
    record = decode(row) if row is not None and row.visible else None
    run, many = connection.execute, connection.executemany
    sql = "SELECT record, places, form FROM record WHERE record_id = ?"
    old = run(sql, (record_id,)).fetchone()
    if old is not None:
        at = (old[0],)
        run("DELETE FROM value WHERE record = ?", at)
        run("DELETE FROM note WHERE record = ?", at)
        run("DELETE FROM words WHERE rowid = ?", at)
        many(
            "DELETE FROM place WHERE place = ?",
            [(old[0] * PLACES_MAX + index,) for index in range(old[1])],
        )
        run("DELETE FROM record WHERE record = ?", at)
        if record is None or record.form != old[2]:
            run(_MAYBE_GONE, (old[2],))
    if record is None:
        return
    places = places_of(record)
    (key,) = run("SELECT coalesce(?, max(record) + 1, 1) FROM record", (old and old[0],)).fetchone()
    values = (key, record_id, record.form, record.created_by, record.latest.wall_ms, len(places))
    run("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", values)
    found = [(key, *value) for value in values_of(record)]
    many("INSERT INTO value VALUES (?, ?, ?, ?, ?, ?, ?)", found)
    notes = [
        (key, index, note.text, note.origin.author, note.origin.stamp.wall_ms)
        for index, note in enumerate(record.notes)
    ]
    many("INSERT INTO note VALUES (?, ?, ?, ?, ?)", notes)
    authors = {one[-2] for one in (*found, *notes)}
    many("INSERT OR IGNORE INTO author VALUES (?, '')", [(author,) for author in authors])
    words = words_of(record)
    if words:
        run("INSERT INTO words (rowid, text) VALUES (?, ?)", (key, words))
    many("INSERT INTO place VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
         [(key * PLACES_MAX + index, lat, lat, lon, lon, key, field, lat, lon)
          for index, (field, lat, lon) in enumerate(places)])  # fmt: skip
    shape = "INSERT OR IGNORE INTO shape VALUES (?, ?, 0)"
    many(shape, [(record.form, name) for name in ("", *record.fields)])
