"""The live view's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from meshlog.ports import RecordChange, RecordRow
from meshlog.store.file import StoreFile

CHUNK_RECORDS = 256
"""Rows read at once by ``records``."""

_ROW = "SELECT record_id, form, visible, conflicts, state FROM record "

_PUT = """
    INSERT INTO record (record_id, form, visible, conflicts, state, changed)
    VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(changed), 0) + 1 FROM record))
    ON CONFLICT (record_id) DO UPDATE SET
        form = excluded.form, visible = excluded.visible, conflicts = excluded.conflicts,
        state = excluded.state, changed = excluded.changed
    WHERE (form, visible, conflicts, state)
        IS NOT (excluded.form, excluded.visible, excluded.conflicts, excluded.state)
"""

_DROP = """
    UPDATE record
    SET form = NULL, visible = NULL, conflicts = NULL, state = NULL,
        changed = (SELECT coalesce(max(changed), 0) + 1 FROM record)
    WHERE record_id = ? AND form IS NOT NULL
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
    """RecordTable over a store's file. A record's name outlives its row: events refer to it."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def put_record(self, row: RecordRow) -> None:
        """See RecordTable.put_record."""
        self._file.write(_PUT, row)

    def get_record(self, record_id: str) -> RecordRow | None:
        """See RecordTable.get_record."""
        row = self._file.first(f"{_ROW} WHERE record_id = ? AND form IS NOT NULL", (record_id,))
        return None if row is None else _record_row(row)

    def records(self, form: str | None = None) -> Iterator[RecordRow]:
        """See RecordTable.records. O(records), whatever the form."""
        of_form = "form IS NOT NULL" if form is None else "form = ?2"
        where = f"WHERE record_id {{}} ?1 AND {of_form}"
        sql = f"{_ROW} {where} ORDER BY record_id LIMIT {CHUNK_RECORDS}"
        values = () if form is None else (form,)
        rows = self._file.run(sql.format(">="), ("", *values))
        while rows:
            yield from map(_record_row, rows)
            rows = self._file.run(sql.format(">"), (rows[-1][0], *values))

    def drop_record(self, record_id: str) -> None:
        """See RecordTable.drop_record."""
        self._file.write(_DROP, (record_id,))

    def changes(self, after: int, limit: int) -> list[RecordChange]:
        """See RecordTable.changes."""
        return [_change(*row) for row in self._file.run(_CHANGES, (after, limit))]

    def left(self, form: str, after: int, limit: int) -> list[RecordChange]:
        """See RecordTable.left."""
        return [_change(*row) for row in self._file.run(_LEFT, (form, after, limit))]

    def last_change(self) -> int:
        """See RecordTable.last_change."""
        row = self._file.first("SELECT coalesce(max(changed), 0) FROM record")
        return int(row[0]) if row else 0


def _change(number: int, *row: Any) -> RecordChange:
    return RecordChange(number, row[0], None if row[1] is None else _record_row(row))


def _record_row(row: Sequence[Any]) -> RecordRow:
    record_id, form, visible, conflicts, state = row
    return RecordRow(record_id, form, bool(visible), conflicts, state)
