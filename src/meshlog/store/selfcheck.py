"""What the store can find wrong with its own file, beyond what the events themselves tell."""

from __future__ import annotations

from contextlib import closing

from meshlog.errors import StoreError, without_advice
from meshlog.ports.log import Stretch
from meshlog.store.checkpoint import read_checkpoint, sum_of_heads
from meshlog.store.file import MEMORY, StoreFile
from meshlog.store.indexcheck import IndexCheck
from meshlog.store.instance import FileGuard
from meshlog.store.meta import damaged_meta
from meshlog.store.migrate import SCHEMA, expected_schema
from meshlog.store.numbers import FeedNumbers
from meshlog.store.places import check_places
from meshlog.store.reading import RunReader
from meshlog.store.records import CHANGE_MAX
from meshlog.store.runs import crc_of_run

_ASTRAY = {
    "a head that is no event": """
        SELECT count(*) FROM head WHERE head.id IS NOT (
            SELECT substr(ids, 32 * (head.position - position) + 1, 32)
            FROM run WHERE position <= head.position ORDER BY position DESC LIMIT 1)
    """,
    "a signature of no event": """
        SELECT count(*) FROM cut WHERE position > (
            SELECT coalesce(max(position + length(ids) / 32 - 1), 0) FROM run) OR position < 1
    """,
    "an event ahead that is no event": """
        SELECT count(*) FROM ahead WHERE position > (
            SELECT coalesce(max(position + length(ids) / 32 - 1), 0) FROM run) OR position < 1
    """,
    "a row that says it is made of events to come": """
        SELECT count(*) FROM record WHERE folded > (
            SELECT coalesce(max(position + length(ids) / 32 - 1), 0) FROM run) OR folded < 0
    """,
    "a change of a row without a number of its own (`meshlog fsck --rebuild` gives it one)": f"""
        SELECT (SELECT count(*) FROM record
                WHERE form IS NOT NULL AND (changed BETWEEN 1 AND {CHANGE_MAX}) IS NOT 1)
             + (SELECT count(changed) - count(DISTINCT changed) FROM record)
    """,  # noqa: S608 - a number of ours
    "a damaged row of a reducer of yours (raise its version, and it is made again)": """
        SELECT (SELECT count(*) FROM reduction
                WHERE crc <> crc_of_row(name, version, position, judgement, horizon_ms))
             + (SELECT count(*) FROM reduction_entry
                WHERE crc <> crc_of_row(stamp, position, counts, why))
             + (SELECT count(*) FROM checkpoint JOIN reduction USING (reduction)
                WHERE checkpoint.crc <> crc_of(name, state))
             + (SELECT count(*) FROM checkpoint
                WHERE events <> (SELECT count(*) FROM reduction_entry AS entry
                                 WHERE entry.reduction = checkpoint.reduction
                                     AND entry.stamp <= checkpoint.stamp AND counts)
                    OR stamp NOT IN (SELECT stamp FROM reduction_entry AS entry
                                     WHERE entry.reduction = checkpoint.reduction AND counts))
    """,
    "a feed without events": """
        SELECT count(*) FROM feed WHERE feed NOT IN (SELECT feed FROM run)
    """,
}


class FileCheck:
    """A check of a file under way: takes the whole log, for whoever reads it anyway.

    Pages and indices as SQLite checks them, the schema, the checksums of small values and
    arrival times, and rows that belong to nothing.
    """

    def __init__(self, file: StoreFile, *, is_guarded: bool = True) -> None:
        """Check what is not the log.

        Args:
            file: All of it is read.
            is_guarded: Whether the guard beside it knows if it lost its end.

        Raises:
            StoreError: It cannot be read to its end.
        """
        self._wrong = _check_tables(file)
        if is_guarded:
            self._wrong += _set_back(file)
        self._index: IndexCheck | None = None
        try:
            self._wrong += _check_checkpoint(file)
            if not (damaged := _check_runs(file)):
                self._index = IndexCheck(file)
            self._wrong += damaged
        except StoreError as error:
            self._wrong.append(without_advice(error))

    def take(self, stretch: Stretch) -> None:
        """Take the next of the log."""
        if self._index is not None:
            self._index.take(stretch)

    def finish(self, *, is_whole: bool = True) -> list[str]:
        """Return what is wrong, one sentence each; empty where nothing is.

        Args:
            is_whole: Whether all of the log was taken; else nothing is told of the indices.
        """
        if self._index is not None and is_whole:
            try:
                self._wrong += self._index.finish()
            except StoreError as error:
                self._wrong.append(without_advice(error))
        return self._wrong


def check_file(file: StoreFile, *, is_guarded: bool = True) -> list[str]:
    """Return what is wrong, one sentence each; empty where nothing is. See ``FileCheck``."""
    check = FileCheck(file, is_guarded=is_guarded)
    try:
        for run in RunReader(file, FeedNumbers(file)).runs():
            check.take(run)
    except StoreError as error:
        return [*check.finish(is_whole=False), without_advice(error)]
    return check.finish()


def _check_tables(file: StoreFile) -> list[str]:
    found = [str(row[0]) for row in file.run("PRAGMA integrity_check")]
    wrong = [] if found == ["ok"] else found
    if file.run("PRAGMA foreign_key_check"):
        wrong.append("a row refers to a row that is not there")
    if file.run(SCHEMA) != expected_schema():
        wrong.append("its tables are not those of a store")
    damaged = damaged_meta(file)
    wrong += [f"its value {key!r} is damaged" for key in damaged]
    return wrong + [f"it holds {what}" for what, sql in _ASTRAY.items() if file.run(sql) != [(0,)]]


def _set_back(file: StoreFile) -> list[str]:
    """A flipped bit in the WAL takes away all that follows it; the guard beside knows better.

    It also knows what a writer beside us added since we opened the file, so that is looked at anew.
    """
    mark = FileGuard(file.path).read() if file.path != MEMORY else None
    held = _held(file)
    if mark is not None and mark.events > held and file.read_only:
        with closing(file.anew()) as now:
            held = _held(now)
    if mark is None or mark.events <= held:
        return []
    return [f"it held {mark.events} events, now it holds {held}: its end was lost or set back"]


def _held(file: StoreFile) -> int:
    sql = "SELECT coalesce(max(position + length(ids) / 32 - 1), 0) FROM run"
    return int(file.run(sql)[0][0])


def _check_checkpoint(file: StoreFile) -> list[str]:
    """Check what is kept as of the checkpoint; whoever opens the store goes by the log."""
    known = read_checkpoint(file)
    if known is None:
        return []
    mend = "(`meshlog fsck --rebuild` makes them anew)"
    found = []
    if known.heads_sum != sum_of_heads(file.run("SELECT * FROM head")):
        found.append(f"its heads are damaged {mend}")
    if check_places(file, known.tail.position):
        found.append(f"its places are not those of its runs {mend}")
    return found


def _check_runs(file: StoreFile) -> list[str]:
    """Check what ids do not cover: the places and times of runs."""
    damaged = sum(
        crc != crc_of_run(position, feed, seq, base, places)
        for rows in file.chunks("SELECT position, feed, seq, base, crc, places FROM run")
        for position, feed, seq, base, crc, places in rows
    )
    return ["the place or the time of arrival of an event is damaged"] if damaged else []
