"""The live view in a store: a row for each record, and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol


class RecordRow(NamedTuple):
    """One record of the live view, as the store keeps it."""

    record_id: str
    form: str
    visible: bool
    """False where a delete hides it."""
    conflicts: int
    """Fields with more than one live value."""
    state: bytes
    """Everything else, in the encoding of ``views.records``."""


class RecordChange(NamedTuple):
    """The last change of a record's row."""

    number: int
    """Rises from change to change of any row; each number is given once."""
    record_id: str
    row: RecordRow | None
    """As it is now; None where it was dropped."""


class KeptRow(NamedTuple):
    """What the store keeps of a record."""

    row: RecordRow | None
    """None where nothing that counted touched it."""
    position: int | None
    """Up to where the log is in the row; None where it is to be made anew."""


class RecordTable(Protocol):
    """The live view's rows: what the log made of each record, up to a position."""

    def put_records(self, rows: Sequence[tuple[str, RecordRow | None]], position: int) -> None:
        """Keep rows by record id, as the log up to ``position`` makes them; None drops one.

        One that is equal to what was kept is no change.
        """

    def get_record(self, record_id: str) -> KeptRow | None:
        """Return what is kept of a record, or None."""

    def get_records(self, record_ids: Iterable[str]) -> dict[str, KeptRow]:
        """Return what is kept of each of these records."""

    def records(self) -> Iterator[RecordRow]:
        """Yield all rows in order of the record id's UTF-8 bytes, hidden ones included."""

    def record_ids(self) -> Iterator[str]:
        """Yield the ids of all records of which anything is kept, in some order.

        A row whose id is no text is damaged: the check of the file tells it, and it is left out.
        """

    def kept_records(self) -> Iterator[tuple[str, KeptRow]]:
        """Yield what is kept of each record, in the order of ``record_ids``.

        Cost: a third of asking for each.
        """

    def mark_stale(self, record_ids: Iterable[str] | None) -> None:
        """Note that these records, or all that have a row, are to be made anew."""

    def stale_records(self, limit: int | None = None) -> list[str]:
        """Return ids of records that are to be made anew; at most ``limit``."""

    def changes(self, after: int, limit: int) -> list[RecordChange]:
        """Return up to ``limit`` last changes with a number above ``after``, lowest first.

        A row that changed twice is there once, with its later number. Cost: O(result).
        """

    def left(self, form: str, after: int, limit: int) -> list[RecordChange]:
        """Return up to ``limit`` records that left a form by a change numbered above ``after``.

        Each is there once, as it is now, with the number of the change by which it last left,
        lowest first; not where it has that form again. Cost: O(result + those).
        """

    def last_change(self) -> int:
        """Return the number of the latest change; 0 before the first. Cost: one index look-up."""
