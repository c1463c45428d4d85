"""The live view's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from meshlog.ports.records import KeptRow, RecordChange, RecordRow
from meshlog.store.file import StoreFile

CHUNK_RECORDS = 256
"""Rows read at once."""

_ROW = "SELECT record_id, form, visible, conflicts, state, folded FROM record "

_ROW_AND_NUMBER = "SELECT record_id, form, visible, conflicts, state, folded, record FROM record "

_PUT = """
    INSERT INTO record (record_id, form, visible, conflicts, state, changed, folded)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (record_id) DO UPDATE SET
        form = excluded.form, visible = excluded.visible, conflicts = excluded.conflicts,
        state = excluded.state, folded = excluded.folded,
        changed = CASE
            WHEN (record.form, record.visible, record.conflicts, record.state)
                IS (excluded.form, excluded.visible, excluded.conflicts, excluded.state)
            THEN coalesce(record.changed, excluded.changed) ELSE excluded.changed END
"""

_NAME_ONLY = """
    INSERT INTO record (record_id, folded) VALUES (?, ?)
    ON CONFLICT (record_id) DO UPDATE SET
        changed = CASE WHEN form IS NULL THEN changed ELSE ? END,
        form = NULL, visible = NULL, conflicts = NULL, state = NULL, folded = excluded.folded
"""

CHANGE_MAX = 1 << 60
"""Number that no change reaches: greater ones are damage, and the next follows none of them."""

_ALL_STALE = f"""
    UPDATE record SET folded = NULL, changed = CASE
        WHEN changed BETWEEN 1 AND {CHANGE_MAX} AND NOT EXISTS (
            SELECT 1 FROM record AS other
            WHERE other.changed = record.changed AND other.record < record.record)
        THEN changed END
    WHERE typeof(record_id) = 'text'
"""  # noqa: S608 - a number of ours

_STALE = """
    INSERT INTO record (record_id) VALUES (?) ON CONFLICT (record_id) DO UPDATE SET folded = NULL
"""

_CHANGES = """
    SELECT changed, record_id, form, visible, conflicts, state FROM record
    WHERE changed > ? ORDER BY changed LIMIT ?
"""

_LEFT = """
    SELECT left_form.changed, record_id, record.form, visible, conflicts, state
    FROM left_form JOIN record USING (record)
    WHERE left_form.form = ?1 AND left_form.changed > ?2 AND record.form IS NOT ?1
    ORDER BY left_form.changed LIMIT ?3
"""


class RecordRows:
    """RecordTable over a store's file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def put_records(self, rows: Sequence[tuple[str, RecordRow | None]], position: int) -> None:
        """See RecordTable.put_records."""
        first = self.last_change() + 1
        numbered = list(enumerate(rows, first))
        self._file.write_many(
            _PUT,
            [(*row, number, position) for number, (_, row) in numbered if row is not None],
        )
        self._file.write_many(
            _NAME_ONLY,
            [(name, position, number) for number, (name, row) in numbered if row is None],
        )

    def get_record(self, record_id: str) -> KeptRow | None:
        """See RecordTable.get_record."""
        row = self._file.first(f"{_ROW} WHERE record_id = ?", (record_id,))
        return None if row is None else _kept(row)

    def get_records(self, record_ids: Iterable[str]) -> dict[str, KeptRow]:
        """See RecordTable.get_records."""
        names = list(record_ids)
        found: dict[str, KeptRow] = {}
        for at in range(0, len(names), CHUNK_RECORDS):
            some = names[at : at + CHUNK_RECORDS]
            # parameters, no JSON: SQLite before 3.45 ends a text from JSON at a NUL
            sql = f"{_ROW} WHERE record_id IN ({','.join('?' * len(some))})"
            found.update((row[0], _kept(row)) for row in self._file.run(sql, some))
        return found

    def records(self) -> Iterator[RecordRow]:
        """See RecordTable.records. O(records)."""
        sql = f"{_ROW} WHERE record_id {{}} ? AND form IS NOT NULL ORDER BY record_id LIMIT ?"
        rows = self._file.run(sql.format(">="), ("", CHUNK_RECORDS))
        while rows:
            yield from (_record_row(row[:5]) for row in rows)
            rows = self._file.run(sql.format(">"), (rows[-1][0], CHUNK_RECORDS))

    def record_ids(self) -> Iterator[str]:
        """See RecordTable.record_ids. O(records)."""
        for rows in self._file.chunks("SELECT record_id FROM record ORDER BY record"):
            yield from (row[0] for row in rows if type(row[0]) is str)

    def kept_records(self) -> Iterator[tuple[str, KeptRow]]:
        """See RecordTable.kept_records. O(records)."""
        after = -1 << 63
        sql = f"{_ROW_AND_NUMBER} WHERE record > ? ORDER BY record LIMIT ?"
        while rows := self._file.run(sql, (after, CHUNK_RECORDS)):
            yield from ((row[0], _kept(row)) for row in rows if type(row[0]) is str)
            after = rows[-1][6]

    def mark_stale(self, record_ids: Iterable[str] | None) -> None:
        """See RecordTable.mark_stale."""
        if record_ids is None:
            self._file.write(_ALL_STALE)
        else:
            self._file.write_many(_STALE, [(record_id,) for record_id in record_ids])

    def stale_records(self, limit: int | None = None) -> list[str]:
        """See RecordTable.stale_records."""
        sql = "SELECT record_id FROM record WHERE folded IS NULL LIMIT ?"
        return [row[0] for row in self._file.run(sql, (-1 if limit is None else limit,))]

    def changes(self, after: int, limit: int) -> list[RecordChange]:
        """See RecordTable.changes."""
        return [_change(*row) for row in self._file.run(_CHANGES, (after, limit))]

    def left(self, form: str, after: int, limit: int) -> list[RecordChange]:
        """See RecordTable.left."""
        return [_change(*row) for row in self._file.run(_LEFT, (form, after, limit))]

    def last_change(self) -> int:
        """See RecordTable.last_change."""
        sql = "SELECT coalesce(max(changed), 0) FROM record WHERE changed <= ?"
        row = self._file.first(sql, (CHANGE_MAX,))
        return max(int(row[0]), 0) if row else 0


def _change(number: int, *row: Any) -> RecordChange:
    return RecordChange(number, row[0], None if row[1] is None else _record_row(row))


def _kept(row: Sequence[Any]) -> KeptRow:
    return KeptRow(None if row[1] is None else _record_row(row[:5]), row[5])


def _record_row(row: Sequence[Any]) -> RecordRow:
    record_id, form, visible, conflicts, state = row
    return RecordRow(record_id, form, bool(visible), conflicts, state)
