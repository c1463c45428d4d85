"""What an import says about itself, and how it counts while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

ERRORS_KEPT_MAX = 100
"""Reasons kept word for word; beyond them, rows that failed are only counted."""


class RowError(NamedTuple):
    """A row (or a line) that was not imported."""

    line: int
    """Physical line of the file where the row starts, from 1."""
    reason: str
    """What is wrong and what to do, for a person."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of a file. Rows are counted, except for an old log: there, events."""

    added: int
    """Rows that made a new record; events of an old log that were brought in."""
    changed: int
    """Rows that wrote at least one field of a record that was there."""
    unchanged: int
    """Rows whose record says the same already; events that are held already."""
    repeated: int
    """Rows whose id an earlier row of the file has; the later row wrote last."""
    deleted: int
    """Rows left out because their record was deleted here; it stays so."""
    failed: tuple[RowError, ...]
    """The first reasons, at most 100, by line."""
    failed_count: int
    """All rows that were not imported."""
    notes: tuple[str, ...] = ()
    """Other things worth knowing, one sentence each."""


@dataclass(slots=True)
class Tally:
    """The counts of a running import."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    repeated: int = 0
    deleted: int = 0
    failed_count: int = 0
    failed: list[RowError] = field(default_factory=list)

    def fail(self, line: int, reason: str) -> None:
        """Count a row that is not imported."""
        self.failed_count += 1
        if len(self.failed) < ERRORS_KEPT_MAX:
            self.failed.append(RowError(line, reason))

    def report(self, *notes: str) -> ImportReport:
        """Return the counts as they are now."""
        return ImportReport(
            self.added,
            self.changed,
            self.unchanged,
            self.repeated,
            self.deleted,
            tuple(sorted(self.failed)),
            self.failed_count,
            notes,
        )
