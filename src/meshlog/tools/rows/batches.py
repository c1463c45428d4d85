"""Events on their way in: so many per transaction, and one bad event fails alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from meshlog.errors import InputError
from meshlog.tools.rows.report import Tally

BATCH_ITEMS_MAX = 512
"""Events per transaction: a sync of the disk costs about 5 ms on an SD card, 10 µs each."""

Item: TypeAlias = tuple[str, Mapping[str, Any]]
"""Kind and payload of an event to be."""

Append: TypeAlias = Callable[[Sequence[Item]], object]
"""Writes events in one transaction: all are durable when it returns, or none exists."""


class Outcome(Enum):
    """What an event does for its row."""

    ADDS = "adds"
    CHANGES = "changes"
    COMPLETES = "completes"
    """Belongs to a row that another event counts."""


class _Entry(NamedTuple):
    line: int
    outcome: Outcome
    item: Item


class Batches:
    """Collects events and appends them, at most 512 at a time; counts what was written."""

    def __init__(self, append: Append, tally: Tally, written: Callable[[], None]) -> None:
        """Begin with nothing.

        Args:
            append: Where the events go.
            tally: Counts what is durable, and what was refused.
            written: Called after every batch.
        """
        self._append = append
        self._tally = tally
        self._written = written
        self._waiting: list[_Entry] = []

    def add(self, line: int, outcome: Outcome, item: Item) -> None:
        """Take one event of the row at ``line``; StoreError where a full batch fails."""
        self._waiting.append(_Entry(line, outcome, item))
        if len(self._waiting) >= BATCH_ITEMS_MAX:
            self.flush()

    def flush(self) -> None:
        """Append what waits.

        Raises:
            StoreError: The disk refused. What earlier batches wrote stays written.
        """
        entries, self._waiting = self._waiting, []
        if entries:
            self._write(entries)
        self._written()

    def _write(self, entries: Sequence[_Entry]) -> None:
        """Append entries; where they are refused, halve until the bad one stands alone."""
        try:
            self._append([entry.item for entry in entries])
        except InputError as error:
            if len(entries) == 1:
                self._tally.fail(entries[0].line, str(error))
                return
            middle = len(entries) // 2
            self._write(entries[:middle])
            self._write(entries[middle:])
            return
        self._tally.added += sum(entry.outcome is Outcome.ADDS for entry in entries)
        self._tally.changed += sum(entry.outcome is Outcome.CHANGES for entry in entries)
