"""The log of a store: every event held, and what it sums up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from meshlog.core.chain import Chain
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import Stamp


class Arrival(NamedTuple):
    """An event as the log holds it."""

    position: int
    """Rises with arrival on this device; means nothing elsewhere."""
    event: Event
    arrived_ms: int
    """Wall time of this device when it was stored."""


class Stretch(Protocol):
    """Events that follow one another in the log and in their feed, as the log keeps them.

    For whoever reads all of it: an object for each event costs more than what is asked of most.
    """

    position: int
    """Of the first; the others follow."""
    feed: FeedKey
    seq: int
    """Of the first."""
    prev: bytes
    """Id of the event before the first; zeros at seq 1."""
    stamps: list[int]
    """Packed."""
    arrivals_ms: list[int]
    """Wall time of this device when each was stored."""
    ids: bytes
    """All of them, joined."""
    cuts: dict[int, bytes]
    """Signatures by position."""

    def __len__(self) -> int:
        """Return how many events there are."""

    def all_bodies(self) -> list[bytes]:
        """Return the body of each event. Cost: nothing where it was asked for before."""

    def names(self) -> list[bytes]:
        """Return ``touched`` of each event of a data feed; of a control feed none.

        Cost: nothing where it was asked for before.
        """

    def event(self, index: int) -> Event:
        """Return an event, from 0."""

    def events(self) -> list[Event]:
        """Return all of them."""


class EventLog(Protocol):
    """Every event held, append-only. Reads see what the open transaction wrote."""

    def add(self, chain: Chain, arrived_ms: int) -> None:
        """Write events whose prev is held; none of them is held yet."""

    def sign(self, event: Event) -> None:
        """Keep ``event.signature`` for the held event with its id."""

    def get(self, event_id: bytes) -> Arrival | None:
        """Return the event with this 32-byte id, or None."""

    def at(self, feed: FeedKey, seq: int) -> list[Event]:
        """Return the events at one place of a feed: several where it forked, by id."""

    def branch(self, tip: Head, feed: FeedKey, after_seq: int, limit: int) -> list[Event]:
        """Return up to ``limit`` events of a branch, those just after ``after_seq``, by seq.

        Args:
            tip: The head that the branch ends in.
            feed: The feed it is a branch of.
            after_seq: 0 for the start.
            limit: At most this many.

        Cost: O(result) in a feed without forks, O(branch) with.
        """

    def scan(self, after_position: int = 0) -> Iterator[Arrival]:
        """Yield everything held in arrival order, from just after a position."""

    def stretches(self, kind: FeedKind | None = None, after_position: int = 0) -> Iterator[Stretch]:
        """Yield what is held in arrival order, of one kind of feed or of all. Read only.

        The first may begin before what follows ``after_position``.
        """

    def arrivals(self, positions: Iterable[int]) -> list[Arrival]:
        """Return what is held at these positions, in their order."""


class LogIndex(Protocol):
    """What the log sums up."""

    def heads(self) -> dict[FeedKey, tuple[Head, ...]]:
        """Return the last events of all branches, sorted within a feed."""

    def event_count(self) -> int:
        """Return how many events are held. O(1)."""

    def log_size(self) -> int:
        """Return how many bytes all bodies have, as they came. O(events), and reads none."""

    def fork_seq(self, feed: FeedKey) -> int | None:
        """Return the seq of the last event before the first fork of a feed; None without one.

        0 where its first events differ already. Cost: O(the feed's length / 64).
        """

    def touching(self, record_id: str, after_position: int = 0) -> list[Arrival]:
        """Return the data events after a position whose body names a record, as they arrived.

        All that touch it are among them, and some that no view can read.
        """

    def untouched(self, record_ids: Sequence[str], after_position: int) -> set[str]:
        """Return which of these no data event after a position names, as far as memory tells.

        Raises:
            InputError: One is no name that a record can have.
        """

    def touches(self, after_position: int = 0) -> Iterator[tuple[str, Arrival]]:
        """Yield the events after a position, each with the id of the record that it touches.

        The id is empty where the body names none; see ``touching``.
        """

    def touched_between(self, after_ms: int, until_ms: int) -> list[str]:
        """Return ids of records touched by events with after_ms < stamp.wall_ms <= until_ms."""

    def latest_between(self, after_ms: int, until_ms: int) -> Stamp:
        """Return the greatest stamp of data events with after_ms < its wall_ms <= until_ms.

        ``ZERO`` where there is none; whether they touch a record does not matter.
        """

    def latest_stamp(self, until_ms: int, after_position: int = 0) -> Stamp:
        """Return the greatest stamp that an event carries with wall_ms <= until_ms, or ``ZERO``.

        Args:
            until_ms: Latest wall time that is asked for.
            after_position: The events up to here are left out; 0, or a ``checkpoint``.
        """

    def checkpoint(self) -> int:
        """Return the position as of which values that were set later are told to who opens it."""

    def records_of(self, feeds: Iterable[FeedKey]) -> list[str]:
        """Return ids of records that events of these feeds touch, sorted; each once."""
