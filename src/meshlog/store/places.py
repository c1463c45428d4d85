"""Which runs stand where in a feed. A table tells it as of the checkpoint, memory since then."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

from meshlog.store.file import StoreFile

_WRITTEN = """
    SELECT place.seq, position, coalesce(length(ids), 0) / 32,
        run.feed IS place.feed AND run.seq IS place.seq
    FROM place LEFT JOIN run USING (position)
    WHERE place.feed = ? AND place.seq BETWEEN ? AND ? AND position <= ? ORDER BY place.seq
"""

_RUNS_SINCE = """
    SELECT feed, seq, position, coalesce(length(ids), 0) / 32 FROM run
    WHERE position > ? ORDER BY position
"""

_WRITE = (
    "INSERT INTO place SELECT feed, seq, position FROM run WHERE position > ? AND position <= ?"
)


class RunPlace(NamedTuple):
    """Where a run stands."""

    seq: int
    """Of its first event."""
    position: int
    """Of its first event."""
    events: int
    """How many events it has."""


class Places:
    """The runs of every feed by their seqs. What the table lacks is read when somebody asks."""

    def __init__(self, file: StoreFile, written: int) -> None:
        """Read nothing yet.

        Args:
            file: Of the store.
            written: Position up to which the table goes; 0 where nothing in it is to be believed.
        """
        self._file = file
        self._written = self._known = written
        self._since: dict[int, list[RunPlace]] = {}
        """Of each feed the runs between the two, sorted."""

    def between(self, feed: int, first_seq: int, last_seq: int, last: int) -> list[RunPlace]:
        """Return the runs of a feed that begin between two seqs, inclusive, sorted.

        Args:
            feed: Its number.
            first_seq: From here.
            last_seq: To here.
            last: Position of the last event of the log.

        Raises:
            StoreError: The table is damaged.

        Cost: O(log runs + result); and what came since somebody asked last.
        """
        found = []
        values = (feed, first_seq, last_seq, self._written)
        for seq, position, count, is_run in self._file.run(_WRITTEN, values):
            if not is_run:
                raise self._file.damaged()
            found.append(RunPlace(seq, position, count))
        if self._known < last:
            self._follow()
        since = self._since.get(feed)
        if not since:
            return found
        start, end = bisect_left(since, (first_seq,)), bisect_left(since, (last_seq + 1,))
        return sorted(found + since[start:end])

    def _follow(self) -> None:
        for rows in self._file.chunks(_RUNS_SINCE, (self._known,)):
            for feed, seq, position, count in rows:
                if not (type(feed) is int and type(seq) is int and count):
                    raise self._file.damaged()
                insort(self._since.setdefault(feed, []), RunPlace(seq, position, count))
                self._known = position + count - 1

    def write(self, last: int) -> None:
        """Bring the table up to the log's last position, inside the open transaction."""
        if not self._written:
            self._file.write("DELETE FROM place")
        self._file.write(_WRITE, (self._written, last))

    def write_anew(self) -> None:
        """Write again what the table has, inside the open transaction."""
        self._file.write("DELETE FROM place")
        self._file.write(_WRITE, (0, self._written))

    def forget(self, written: int) -> None:
        """Forget what is in memory; the table goes up to ``written``."""
        self._written = self._known = written
        self._since.clear()


def check_places(file: StoreFile, written: int) -> int:
    """Return how many rows the table has too many or too few, given up to where it goes."""
    strays = """
        SELECT count(*) FROM place WHERE position > ?1 OR NOT EXISTS (
            SELECT 1 FROM run
            WHERE position = place.position AND run.feed = place.feed AND run.seq = place.seq)
    """
    lacking = (
        "SELECT (SELECT count(*) FROM run WHERE position <= ?1) - (SELECT count(*) FROM place)"
    )
    [(too_many,)], [(too_few,)] = file.run(strays, (written,)), file.run(lacking, (written,))
    return int(too_many) + abs(int(too_few))
