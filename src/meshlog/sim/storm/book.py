"""What was promised: every write that returned, every one that did not, and who may be blamed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshlog.core.event import Event
from meshlog.core.identity import AuthorId


@dataclass(slots=True)
class Book:
    """Kept by the world, read by the checkers."""

    acknowledged: dict[bytes, str] = field(default_factory=dict)
    """Id of every event whose append returned on an honest device: who wrote it."""
    refused: set[str] = field(default_factory=set)
    """Marks of writes that raised: their event is nowhere."""
    in_doubt: set[str] = field(default_factory=set)
    """Marks of writes during which the power went: there or not, but the same everywhere."""
    forbidden: dict[bytes, str] = field(default_factory=dict)
    """Ids of events that nobody may take: why not."""
    hostile: set[AuthorId] = field(default_factory=set)
    """Members who break the rules."""
    doubled: set[AuthorId] = field(default_factory=set)
    """Authors whose card was copied or put back: their feeds may fork."""
    forgiven: set[bytes] = field(default_factory=set)
    """Acknowledged events that existed only on a card that an older backup was written over."""
    leaving: set[AuthorId] = field(default_factory=set)
    """Whom the founder is going to revoke: what only they hold at the end is nowhere."""
    revoked: set[AuthorId] = field(default_factory=set)
    """Whom the founder revoked."""
    decree: bytes = b""
    """Id of the event that says so."""
    kept: frozenset[bytes] = frozenset()
    """Ids of the data of a revoked device that the founder held by then: they count."""
    ahead: set[str] = field(default_factory=set)
    """Devices whose clock was ever set far ahead."""

    def acknowledge(self, name: str, events: Iterable[Event]) -> None:
        """Note a write that returned."""
        for event in events:
            self.acknowledged[event.id] = name
