"""What the engine needs of a replica: its frontier, its segments, and a way in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from meshlog.core.feed import FeedKey, Frontier, Head
from meshlog.ports.links import Peer
from meshlog.sync.messages import Run


class Verdict(StrEnum):
    """What became of a segment. Nothing but ACCEPTED changes anything (docs/protocol.md)."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    GAP = "gap"
    """Its base is not held, or who wrote it is not known yet: comes again later."""
    MALFORMED = "malformed"
    STRANGER = "stranger"
    """No grant chain lets its author in, or its role does not write."""
    FORGED = "forged"
    """The signature or the chain does not hold, or a stamp runs backwards."""
    BUSY = "busy"
    """The disk did not take it: it exists nowhere here, and comes again later."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch of segments."""

    events: int
    """New events, durable now."""
    verdicts: tuple[Verdict, ...]
    """One per segment, in order."""
    gaps: frozenset[FeedKey]
    """Feeds of authors we know whose base was not held. Others wait for control feeds."""
    runs: tuple[Run | None, ...] = ()
    """What each segment covers, in order; None where that could not be read."""

    @property
    def refused(self) -> int:
        """Segments that will never be accepted as they are."""
        return sum(
            verdict in (Verdict.MALFORMED, Verdict.STRANGER, Verdict.FORGED)
            for verdict in self.verdicts
        )


class Holdings(Protocol):
    """A replica, as the engine sees it."""

    def may_hear(self, peer: Peer) -> bool:
        """Say whether ``peer`` is told data; who holds an older key only, control events alone."""

    def root(self) -> bytes:
        """Return the 32-byte root over every event held, own cuts signed first."""

    def roster_digest(self) -> bytes:
        """Return 32 bytes over the control feeds."""

    def event_count(self) -> int:
        """Return how many events are held."""

    def frontier(self) -> Frontier:
        """Return the heads of every feed held."""

    def genesis_feed(self) -> FeedKey | None:
        """Return the control feed without which no other is taken; None while none is known."""

    def awaits_genesis(self) -> bool:
        """Say whether that feed is not held yet, so that nothing else can be taken in."""

    def indexed_feeds(self) -> Sequence[FeedKey]:
        """Return the data feeds in roster order: the meaning of an index under a digest."""

    def id_on_branch(self, feed: FeedKey, tip: Head, seq: int) -> bytes:
        """Return the id at ``seq`` (1 … tip.seq) on the branch that ends in ``tip``."""

    def holds(self, feed: FeedKey, seq: int, hint: bytes) -> bool:
        """Say whether an event whose id begins with ``hint`` is held at a place of a feed."""

    def segments(
        self,
        feed: FeedKey,
        tip: Head,
        after_seq: int,
        budget_bytes: int,
        *,
        compact: bool = False,
        size_max: int | None = None,
    ) -> tuple[list[bytes], int]:
        """Return encoded segments of a branch from just after ``after_seq``, and the seq reached.

        Stops before the budget is passed, but returns at least one segment where there is one.

        Args:
            feed: Whose.
            tip: The head that the branch ends in.
            after_seq: 0 for the start.
            budget_bytes: Of all segments together.
            compact: Coded for slow air, at the cost of time.
            size_max: The most that one segment may hold; stops before one that holds more.
        """

    def ingest(self, segments: Sequence[bytes], now_ms: int) -> Ingested:
        """Verify and store a batch in one transaction. Never raises because of its content."""
