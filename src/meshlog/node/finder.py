"""A node's queries: over the file beside its store, or in memory."""

from __future__ import annotations

from pathlib import Path

from meshlog.core.roster import labels
from meshlog.query.file import MEMORY, QueryFile, query_path
from meshlog.query.search import Found, Query
from meshlog.replica import Replica


class Finder:
    """Opens a query file when the first query comes, and keeps it."""

    def __init__(self, replica: Replica, store: str | Path | None) -> None:
        """Find records of ``replica``.

        Args:
            replica: Guarded by whoever calls.
            store: Where the store lies that the replica lives in; None for one in memory.
        """
        self._replica = replica
        self._path = query_path(store or MEMORY)
        self._file: QueryFile | None = None

    def find(self, query: Query) -> Found:
        """Return the records that a query finds."""
        if self._file is None:
            self._file = QueryFile(self._path)
        roster = self._replica.ledger.roster
        self._replica.settle()
        self._file.catch_up(
            self._replica.store,
            labels(roster),
            self._replica.view.unsettled(),
        )
        return self._file.find(query)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None
