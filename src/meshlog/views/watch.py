"""What changed in the view since a reader last looked: each record once, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from meshlog.errors import InputError
from meshlog.ports.records import RecordChange, RecordTable
from meshlog.ports.store import Meta
from meshlog.views.records import decode

ERA_KEY = "changes"
"""Meta key of the era that change numbers belong to: the life that began when the store was made,
copied or restored, because two copies of one store number different changes alike."""

ERA_SIZE = 4

CHUNK_CHANGES = 256
"""Changes read at once: a choice."""


class Cursor(NamedTuple):
    """How far a reader has come; as text it is kept wherever the reader likes."""

    era: bytes
    number: int
    """Of the last change that was read."""

    def __str__(self) -> str:
        """Return the text that ``parse`` reads."""
        return f"{self.era.hex()}-{self.number}"

    @classmethod
    def parse(cls, text: object) -> Cursor:
        """Read a cursor's text.

        Raises:
            InputError: It is none.
        """
        if not isinstance(text, str):
            raise InputError("a cursor is text: give one that a change came with")
        era, _, number = text.strip().partition("-")
        try:
            found = cls(bytes.fromhex(era), int(number))
        except ValueError:
            found = cls(b"", -1)
        if str(found) != text.strip() or len(found.era) != ERA_SIZE or found.number < 0:
            raise InputError(f"{text[:40]!r} is no cursor: give one that a change came with")
        return found


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A record that is not as it was."""

    cursor: str
    """Give it to go on after this change."""
    record_id: str
    record: dict[str, Any] | None
    """As the view shows it now (see ``Record.public``); None where it is deleted, or where
    nothing that counts touches it any more."""
    left: bool = False
    """Whether it has another form now than the one that is watched: see it off."""


class WatchedStore(RecordTable, Meta, Protocol):
    """What a watch needs of a store."""


def cursor_now(store: WatchedStore) -> Cursor:
    """Return the cursor after which only changes come that are not made yet."""
    return Cursor(_era(store), store.last_change())


def resumed(store: WatchedStore, cursor: Cursor | None) -> tuple[Cursor, bool]:
    """Return where a reader goes on that came to ``cursor``, and whether that is where it was.

    It is not where the cursor comes from another store, or from this one before it was restored
    from a backup: nobody knows then what the reader has seen, and all of it is told again.
    """
    start = Cursor(_era(store), 0)
    if cursor is None:
        return start, True
    known = cursor.era == start.era and 0 <= cursor.number <= store.last_change()
    return (cursor, True) if known else (start, False)


def changes_after(
    store: WatchedStore, cursor: Cursor, form: str | None = None
) -> tuple[list[ViewChange], Cursor]:
    """Return the next changes, lowest number first, and the cursor behind them.

    A record that changed several times is there once, as it is now. With a form, one that left
    it, or has no row any more, is there for that, too.

    Args:
        store: Read only.
        cursor: Of this store's era: see ``resumed``.
        form: Only records of this form, and those that had it.

    Returns:
        At most twice ``CHUNK_CHANGES``; none, and the same cursor, where nothing is new.
    """
    changes = store.changes(cursor.number, CHUNK_CHANGES)
    end = changes[-1].number if changes else cursor.number
    if form is not None:
        left = store.left(form, cursor.number, CHUNK_CHANGES)
        if len(left) == CHUNK_CHANGES:
            end = min(end, left[-1].number)
        changes = [change for change in changes if change.row and change.row.form == form] + left
        changes.sort(key=lambda change: change.number)
    found = [_told(cursor, form, change) for change in changes if change.number <= end]
    return found, cursor._replace(number=end)


def _told(cursor: Cursor, form: str | None, change: RecordChange) -> ViewChange:
    place, row = str(cursor._replace(number=change.number)), change.row
    if row is None:
        return ViewChange(place, change.record_id, None)
    record = decode(row).public() if row.visible else None
    return ViewChange(place, change.record_id, record, left=form not in (None, row.form))


def _era(store: WatchedStore) -> bytes:
    return store.get_meta(ERA_KEY) or bytes(ERA_SIZE)
