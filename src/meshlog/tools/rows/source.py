"""What a file's rows are to an import, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from meshlog.core.event import NO_PREV, Content, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import ZERO
from meshlog.core.identity import AuthorId
from meshlog.tools.rows.report import RowError
from meshlog.views.changes import unreadable

RECORD_ID = "record_id"
"""The column (or key) that names a record where nobody says otherwise; exports write it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says about one record."""

    line: int
    """Physical line where it starts, from 1."""
    record_id: str
    derived: bool
    """Whether the id was made from the row's content: then the id alone says that the row
    has been imported before, whatever became of the record since."""
    form: str | None
    values: Mapping[str, Any]
    by: str | None = None
    """Who made the record, where the file says so."""
    notes: tuple[str, ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()


class Source(Protocol):
    """A file as rows; can be read from the start any number of times."""

    def rows(self) -> Iterator[Row | RowError]:
        """Yield every row that says something, broken ones as their error, in file order."""

    def named_ids(self) -> Iterator[str]:
        """Yield the ids that rows have of their own, in file order, some of broken rows too."""

    def done_bytes(self) -> int:
        """Return how far the last ``rows`` has read, in bytes, rounded up to what is buffered."""

    def same(self, held: object, said: object) -> bool:
        """Say whether a held value is what the file says."""


_ANY_EVENT = Event.make(FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 0), 1, ZERO, NO_PREV, b"")


def why_unreadable(kind: str, payload: Mapping[str, Any]) -> str | None:
    """Return why the views would skip an event of this kind and payload, or None."""
    return unreadable(_ANY_EVENT, Content(kind, payload))
