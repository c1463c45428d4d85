"""What the caller's own reducers have come to: rows, entries in order, checkpoints."""

from __future__ import annotations

from collections.abc import Iterable

from meshlog.ports.reductions import ReductionEntry, ReductionRow
from meshlog.store.checksums import crc_of, crc_of_row
from meshlog.store.file import StoreFile

_PUT = """
    INSERT INTO reduction (name, version, position, judgement, horizon_ms, crc)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        version = excluded.version, position = excluded.position,
        judgement = excluded.judgement, horizon_ms = excluded.horizon_ms, crc = excluded.crc
"""

_ENTRIES = """
    SELECT stamp, position, counts, why FROM reduction_entry
    WHERE reduction = ? AND stamp > ? ORDER BY stamp, position LIMIT ?
"""


class ReductionRows:
    """ReductionTable and CheckpointTable over a store's file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def get_reduction(self, name: str) -> ReductionRow | None:
        """See ReductionTable.get_reduction."""
        row = self._file.first("SELECT * FROM reduction WHERE name = ?", (name,))
        if row is None or crc_of_row(*row[1:-1]) != row[-1]:
            return None
        return ReductionRow(*row[1:-1])

    def put_reduction(self, row: ReductionRow) -> None:
        """See ReductionTable.put_reduction."""
        self._file.write(_PUT, (*row, crc_of_row(*row)))

    def drop_reduction(self, name: str) -> None:
        """See ReductionTable.drop_reduction."""
        number = (self._number(name),)
        self._file.write("DELETE FROM checkpoint WHERE reduction = ?", number)
        self._file.write("DELETE FROM reduction_entry WHERE reduction = ?", number)
        self._file.write("DELETE FROM reduction WHERE reduction = ?", number)

    def put_entries(self, name: str, entries: Iterable[ReductionEntry]) -> None:
        """See ReductionTable.put_entries."""
        number = self._number(name)
        rows = ((number, *entry, _crc(entry)) for entry in entries)
        sql = "INSERT OR REPLACE INTO reduction_entry VALUES (?, ?, ?, ?, ?, ?)"
        self._file.write_many(sql, rows)

    def drop_entries(self, name: str, entries: Iterable[ReductionEntry]) -> None:
        """See ReductionTable.drop_entries."""
        number = self._number(name)
        sql = "DELETE FROM reduction_entry WHERE reduction = ? AND stamp = ? AND position = ?"
        self._file.write_many(sql, ((number, entry.stamp, entry.position) for entry in entries))

    def entries(self, name: str, after: int, limit: int) -> list[ReductionEntry]:
        """See ReductionTable.entries. O(result)."""
        rows = self._file.run(_ENTRIES, (self._number(name), after, limit))
        return [ReductionEntry(stamp, at, bool(counts), why) for stamp, at, counts, why in rows]

    def checkpoints(self, name: str) -> list[tuple[int, int]]:
        """See CheckpointTable.checkpoints."""
        sql = "SELECT stamp, events FROM checkpoint WHERE reduction = ? ORDER BY stamp"
        return [(stamp, events) for stamp, events in self._file.run(sql, (self._number(name),))]

    def get_checkpoint(self, name: str, stamp: int) -> bytes | None:
        """See CheckpointTable.get_checkpoint."""
        sql = "SELECT state, crc FROM checkpoint WHERE reduction = ? AND stamp = ?"
        row = self._file.first(sql, (self._number(name), stamp))
        if row is None:
            return None
        state = bytes(row[0])
        return state if crc_of(name, state) == row[1] else None

    def put_checkpoint(self, name: str, stamp: int, events: int, state: bytes) -> None:
        """See CheckpointTable.put_checkpoint."""
        values = (self._number(name), stamp, events, state, crc_of(name, state))
        self._file.write("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", values)

    def drop_checkpoints(self, name: str, stamps: Iterable[int]) -> None:
        """See CheckpointTable.drop_checkpoints."""
        number = self._number(name)
        sql = "DELETE FROM checkpoint WHERE reduction = ? AND stamp = ?"
        self._file.write_many(sql, ((number, stamp) for stamp in stamps))

    def _number(self, name: str) -> int:
        row = self._file.first("SELECT reduction FROM reduction WHERE name = ?", (name,))
        return -1 if row is None else int(row[0])


def _crc(entry: ReductionEntry) -> int:
    return crc_of_row(entry.stamp, entry.position, int(entry.counts), entry.why)
