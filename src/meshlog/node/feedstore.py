"""The seed's event store: a face on the one replica, with its method names and its manners."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from meshlog.core.event import Event as CoreEvent
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId
from meshlog.core.roster import label
from meshlog.errors import InputError
from meshlog.node.clock import wall_ms
from meshlog.node.delta import delta, event_counts
from meshlog.node.event import Event
from meshlog.node.home import open_replica
from meshlog.node.names import Named, assign
from meshlog.node.opening import opening_of
from meshlog.node.seedreplica import SeedReplica
from meshlog.node.waiting import WaitingRoom
from meshlog.replica import Replica


class FeedStore:
    """Data events of all authors, each feed hash-linked and signed.

    Authors are named by their label: the display name where it is unique, else hex digits.

    Example:
        >>> from meshlog import Event
        >>> store = FeedStore()
        >>> first = Event.from_parts("ann", 1, (1, 0), "note.add", {"record_id": "r", "text": "hi"})
        >>> store.ingest(first), store.ingest(first), store.frontier()
        (True, False, {'ann': 1})
    """

    def __init__(
        self,
        persist_path: str | Path | None = None,
        *,
        replica: SeedReplica | None = None,
        lock: threading.RLock | None = None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        """Open a store of the open dataset, or the file that a node has closed.

        Args:
            persist_path: The store's file; None keeps everything in memory.
            replica: Be the face of this replica instead, which stays the caller's.
            lock: Held while the replica is touched.
            changed: Called after events came in by hand.

        Raises:
            StoreError: As ``SqliteStore``.
            IdentityError: The identity beside the file is damaged, missing or another's.
        """
        self._close: Callable[[], object] | None = None
        if replica is None:
            replica = open_replica(persist_path, None, None, wall_ms())
            self._close = weakref.finalize(self, replica.store.close)
        self._replica = replica
        self._lock = lock or threading.RLock()
        self._changed = changed
        self._waiting = WaitingRoom(replica)

    def close(self) -> None:
        """Release the file; a node's store is closed with the node. Idempotent."""
        if self._close is not None:
            with self._lock:
                self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── reading ─────────────────────────────────────────────────────────────────────

    def frontier(self) -> dict[str, int]:
        """Return how many data events are held of each author."""
        with self._lock:
            counts = event_counts(self._replica)
            return {self._label(author): count for author, count in counts.items()}

    def has(self, event_id: str | bytes) -> bool:
        """Say whether the event with this id (hex or bytes) is held."""
        with self._lock:
            return self._replica.store.get(_raw(event_id)) is not None

    def all_events(self) -> list[Event]:
        """Return every data event held, in order of arrival.

        Ours are signed one by one; those of others where their author signed, at the latest
        at the end of each feed.
        """
        with self._lock:
            self._replica.root()
            return self.shown(map(self._signed, self._data_events()))

    def event_count(self) -> int:
        """Return how many data events are held."""
        with self._lock:
            return sum(event_counts(self._replica).values())

    def last_id(self, author: str) -> str:
        """Return the id of an author's last event; empty where none is held."""
        with self._lock:
            feed = self._feed_of(author)
            heads = self._replica.frontier().get(feed, ()) if feed else ()
            return heads[-1].id.hex() if heads else ""

    def next_seq(self, author: str) -> int:
        """Return the seq of the event that an author's feed would take next."""
        with self._lock:
            feed = self._feed_of(author)
            heads = self._replica.frontier().get(feed, ()) if feed else ()
            return heads[-1].seq + 1 if heads else 1

    def delta_for(self, remote: Mapping[str, int], limit: int | None = None) -> list[Event]:
        """Return the events that a store with this frontier lacks, by author and seq.

        A frontier counts, so it is a hint: of an author with several feeds or branches,
        everything is returned unless the counts are equal.

        Args:
            remote: What ``frontier`` returned there.
            limit: About how many events to return: the last feed goes on to its next
                signature, at most 31 events later, because nobody takes an event without.

        Raises:
            InputError: No frontier, or no limit.
        """
        with self._lock:
            self._replica.root()
            labels = {author: self._label(author) for author in event_counts(self._replica)}
            lacking = delta(self._replica, labels, remote, limit)
            return self.shown(map(self._signed, lacking))

    # ── writing ─────────────────────────────────────────────────────────────────────

    def append_local(self, event: Event) -> None:
        """Store an event made in this process; durable when this returns.

        Raises:
            InputError: It does not follow its feed, or is not signed by its author; nothing
                was stored.
            StoreError: The disk refused; nothing was stored.
        """
        core = event.core
        with self._lock:
            if core.feed == self._replica.data_feed:
                self._replica.adopt(core, wall_ms())
            elif not self._extends(core) or not self._waiting.take_in([event], wall_ms()):
                self._waiting.forget(core.id)
                raise InputError(
                    f"event {core.id.hex()[:8]} does not follow its feed, or is not signed"
                )
        self._tell()

    def ingest(self, event: Event) -> bool:
        """Store one event; return whether anything was stored. See ``ingest_many``."""
        return self.ingest_many([event]) > 0

    def ingest_many(self, events: Iterable[Event]) -> int:
        """Store events in any order; return how many were stored.

        An event whose predecessor is missing, or which no signature covers yet, waits in
        memory (at most 4096 do). Never raises for a bad event.

        Raises:
            StoreError: The disk refused.
        """
        with self._lock:
            stored = self._waiting.take_in(events, wall_ms())
        if stored:
            self._tell()
        return stored

    # ── faces ───────────────────────────────────────────────────────────────────────

    def shown(self, cores: Iterable[CoreEvent]) -> list[Event]:
        """Return events of the replica as programs see them; hold the lock."""
        labels: dict[AuthorId, str] = {}
        faces: list[Event] = []
        for core in cores:
            if core.author not in labels:
                labels[core.author] = self._label(core.author)
            opening = opening_of(self._replica, core.feed) if core.seq == 1 else b""
            faces.append(
                Event.of(core, labels[core.author], opening=opening, dataset=self._replica.dataset)
            )
        return faces

    def _signed(self, core: CoreEvent) -> CoreEvent:
        own = self._replica.identity
        ours = core.author == own.author and not core.signature
        return core.signed(own) if ours else core

    def _label(self, author: AuthorId) -> str:
        return label(self._replica.ledger.roster, author)

    def _data_events(self) -> Iterator[CoreEvent]:
        for arrival in self._replica.store.scan():
            if arrival.event.feed.kind is FeedKind.DATA:
                yield arrival.event

    def _feed_of(self, author: str) -> FeedKey | None:
        """Return the author's data feed with the latest head; None where nothing is held.

        Our own name is our own feed even where others share it, and stands for us from now
        on: a program that asks here is about to make our next event by hand.
        """
        replica = self._replica
        if author == replica.seat.name:
            introduce(replica)
            return replica.data_feed
        feeds = [
            (heads[-1].seq, feed)
            for feed, heads in replica.frontier().items()
            if feed.kind is FeedKind.DATA
            and author in (self._label(feed.author), feed.author.hex())
        ]
        return max(feeds)[1] if feeds else None

    def _extends(self, core: CoreEvent) -> bool:
        """Say whether an event is signed and follows a head, or starts a feed."""
        heads = self._replica.frontier().get(core.feed, ())
        ends = [(head.seq, head.id) for head in heads] or [(0, bytes(32))]
        return bool(core.signature) and (core.seq - 1, core.prev) in ends

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()


def introduce(replica: Replica) -> None:
    """Let the name of a replica stand for it in this process, as it writes now."""
    replica.root()
    feed = replica.data_feed
    opening = opening_of(replica, feed)
    assign(Named(replica.seat.name, replica.identity, feed.incarnation, opening))


def _raw(event_id: str | bytes) -> bytes:
    try:
        return bytes.fromhex(event_id) if isinstance(event_id, str) else event_id
    except ValueError:
        return b""
