"""Reading runs: by position, from a position on; the latest stay in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import ID_SIZE, NO_PREV
from meshlog.core.feed import FeedKind
from meshlog.errors import MalformedError, StoreError
from meshlog.ports.log import Arrival
from meshlog.store.file import Row, StoreFile
from meshlog.store.numbers import FeedNumbers
from meshlog.store.runs import Run, unpack_run

CACHE_SIZE = 65_536
"""Bytes of runs in memory; the last one may be beyond. A choice."""

CHUNK_RUNS = 16
"""Runs read at once: at most 1 MB of bodies, mostly 32 kB."""

_RUN_OF = """
    SELECT position, feed, seq, base, places, ids, bodies, signature FROM run
    WHERE position <= ? ORDER BY position DESC LIMIT 1
"""

_RUNS_FROM = """
    SELECT position, feed, seq, base, places, ids, bodies, signature FROM run
    WHERE position >= coalesce((SELECT max(position) FROM run WHERE position <= ?), 0)
    ORDER BY position LIMIT ?
"""

_ID_AT = """
    SELECT substr(ids, 32 * (?1 - position) + 1, 32)
    FROM run WHERE position <= ?1 ORDER BY position DESC LIMIT 1
"""


class RunReader:
    """The runs of a store's file. Call ``forget`` where a row or a signature changed."""

    def __init__(self, file: StoreFile, feeds: FeedNumbers) -> None:
        """Read from ``file``; ``feeds`` knows their names."""
        self._file = file
        self._feeds = feeds
        self._cache: OrderedDict[int, Run] = OrderedDict()
        """By position of the first event, the latest used last."""
        self._size_bytes = 0
        self._latest: Run | None = None

    def at(self, position: int) -> Run:
        """Return the run that holds a position.

        Raises:
            StoreError: None does, or it is damaged.
        """
        latest = self._latest
        if latest is not None and 0 <= position - latest.position < len(latest):
            return latest
        row = self._file.first(_RUN_OF, (position,))
        if row is None:
            raise self._file.damaged()
        run = self._cache.get(row[0])
        if run is None:
            run = self._keep(self._run(row))
        else:
            self._cache.move_to_end(run.position)
        if not 0 <= position - run.position < len(run):
            raise self._file.damaged()
        self._latest = run
        return run

    def arrival(self, position: int) -> Arrival:
        """Return the event at a position. See ``at``."""
        run = self.at(position)
        return run.arrival(position - run.position)

    def between(self, first: int, last: int) -> Iterator[Arrival]:
        """Yield the events at positions, inclusive."""
        while first <= last:
            run = self.at(first)
            start = first - run.position
            end = min(last - run.position, len(run) - 1)
            yield from run.arrivals(start, end)
            first = run.position + end + 1

    def runs(self, position: int = 1, kind: FeedKind | None = None) -> Iterator[Run]:
        """Yield the runs from the one that holds a position on. Sees what is added meanwhile.

        Args:
            position: Of an event.
            kind: Of their feeds; any, without it.
        """
        prev, after = b"", -1
        while rows := self._file.run(_RUNS_FROM, (position, CHUNK_RUNS)):
            new = [row for row in rows if row[0] >= position or after < 0]
            if not new:
                return
            try:
                cuts = self._cuts(new[0][0], self._last_of(new[-1]))
            except StoreError:  # the runs before the damage can be read
                cuts = None
            for row in new:
                if kind is None or self._feeds.feed(row[1]).kind is kind:
                    yield self._run(row, prev if row[3] == after else None, cuts)
                after = self._last_of(row)
                prev = row[5][-ID_SIZE:]
            position = after + 1

    def _last_of(self, row: Row) -> int:
        """Return the position of a run's last event."""
        position, *_, ids, _, _ = row
        if type(ids) is not bytes or len(ids) < ID_SIZE:  # who reads on would stay here
            raise self._file.damaged()
        return int(position) + len(ids) // ID_SIZE - 1

    def id_at(self, position: int) -> bytes:
        """Return the id of the event at a position.

        Raises:
            StoreError: There is none, or its row is damaged.
        """
        row = self._file.first(_ID_AT, (position,))
        if row is None or type(row[0]) is not bytes or len(row[0]) != ID_SIZE:
            raise self._file.damaged()
        return row[0]

    def forget(self) -> None:
        """Forget what is in memory."""
        self._cache.clear()
        self._size_bytes = 0
        self._latest = None

    def _keep(self, run: Run) -> Run:
        self._cache[run.position] = run
        self._size_bytes += run.size_bytes
        while self._size_bytes > CACHE_SIZE and len(self._cache) > 1:
            self._size_bytes -= self._cache.popitem(last=False)[1].size_bytes
        return run

    def _run(
        self, row: Row, prev: bytes | None = None, cuts: Mapping[int, bytes] | None = None
    ) -> Run:
        position, feed, seq, base, places, ids, bodies, signature = row
        if prev is None:
            prev = NO_PREV if base is None else self.id_at(base)
        try:
            run = unpack_run(position, self._feeds.feed(feed), seq, prev, places, ids, bodies)
        except MalformedError as error:
            raise self._file.damaged() from error
        last = position + len(run) - 1
        if signature is not None:
            run.cuts[last] = signature
        if cuts is None:
            run.cuts.update(self._cuts(position, last))
        elif cuts:
            run.cuts.update((at, cuts[at]) for at in range(position, last + 1) if at in cuts)
        for signed in run.cuts.values():
            if type(signed) is not bytes or len(signed) != SIGNATURE_SIZE:
                raise self._file.damaged()
        return run

    def _cuts(self, first: int, last: int) -> dict[int, bytes]:
        sql = "SELECT position, signature FROM cut WHERE position BETWEEN ? AND ?"
        return dict(self._file.run(sql, (first, last)))
