"""Segments from a file on their way in: batches of bounded size, and what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId
from meshlog.core.segment import decode_segment
from meshlog.errors import MalformedError, StoreError
from meshlog.sync.holdings import Verdict

BATCH_SEGMENTS_MAX = 64
BATCH_SIZE_MAX = 1_048_576
"""Bytes of segments in one transaction: a few thousand small events, below a second on a card."""

REFUSALS_KEPT_MAX = 100
"""Refusals kept word for word; beyond them, they are only counted."""

REASONS = {
    Verdict.MALFORMED: "is not in our format",
    Verdict.STRANGER: "is by somebody whom nobody let in",
    Verdict.FORGED: "is not what its author signed",
    Verdict.GAP: "follows events that are not here yet",
}


class Taken(NamedTuple):
    """What became of one batch."""

    events: int
    """New, and durable."""
    verdicts: Sequence[Verdict]


Ingest: TypeAlias = Callable[[Sequence[bytes]], Taken]
"""Verifies and stores segments in one transaction, as if they had come by radio."""

NameOf: TypeAlias = Callable[[AuthorId], str]
"""What people call an author."""


class Refusal(NamedTuple):
    """A segment that was not taken."""

    where: str
    """Which part of the file."""
    what: str
    """Whose events, and why they were refused, for a person."""


@dataclass(slots=True)
class Intake:
    """Collects segments, hands them over in batches, and counts."""

    ingest: Ingest
    name_of: NameOf
    events: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    _waiting: list[tuple[str, bytes]] = field(default_factory=list)
    _size_bytes: int = 0

    def add(self, where: str, data: bytes) -> None:
        """Take one segment; a full batch goes in at once. StoreError where the disk refuses."""
        if self._waiting and (
            len(self._waiting) >= BATCH_SEGMENTS_MAX
            or self._size_bytes + len(data) > BATCH_SIZE_MAX
        ):
            self.flush()
        self._waiting.append((where, data))
        self._size_bytes += len(data)

    def flush(self) -> None:
        """Hand over what waits.

        Raises:
            StoreError: The disk refused; what earlier batches brought stays.
        """
        batch, self._waiting, self._size_bytes = self._waiting, [], 0
        if not batch:
            return
        taken = self.ingest([data for _, data in batch])
        if Verdict.BUSY in taken.verdicts:
            raise StoreError("the disk refused: free some space, then bring the same file again")
        self.events += taken.events
        for (where, data), verdict in zip(batch, taken.verdicts, strict=True):
            self.verdicts[verdict] += 1
            reason = REASONS.get(verdict)
            if reason is not None and len(self.refusals) < REFUSALS_KEPT_MAX:
                self.refusals.append(Refusal(where, f"{_what(data, self.name_of)} {reason}"))

    @property
    def refused(self) -> int:
        """Segments that will never be taken as they are."""
        kinds = (Verdict.MALFORMED, Verdict.STRANGER, Verdict.FORGED)
        return sum(self.verdicts[verdict] for verdict in kinds)


def _what(data: bytes, name_of: NameOf) -> str:
    """Return the name of the events that a segment says it carries."""
    try:
        segment = decode_segment(data)
    except MalformedError:
        return "what it carries"
    events = f"{segment.first_seq}–{segment.last_seq}"
    return f"events {events} of {feed_name(segment.feed, name_of)}"


def feed_name(feed: FeedKey, name_of: NameOf) -> str:
    """Return what people call a feed."""
    kind = "data" if feed.kind is FeedKind.DATA else "control"
    return f"the {kind} feed {feed.incarnation:08x} of {name_of(feed.author)}"
