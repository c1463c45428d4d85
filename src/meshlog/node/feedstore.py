"""The seed's event store: a face on the one replica, with its method names and its manners."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping

from meshlog.core.event import NO_PREV, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity, named_by_author
from meshlog.core.roster import label
from meshlog.core.segment import encode_segment
from meshlog.errors import InputError
from meshlog.node.clock import wall_ms
from meshlog.replica import Replica, join_open
from meshlog.store.sqlite import SqliteStore
from meshlog.sync.difference import common_seq
from meshlog.sync.holdings import Verdict

PENDING_MAX = 4_096
"""Events that may wait for the one before them, or for the signature after them."""


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

    def __init__(self, persist_path: str | None = None, *, replica: Replica | None = None) -> None:
        """Open a store of the open dataset.

        Args:
            persist_path: The store's file; None keeps everything in memory.
            replica: Be the face of this replica instead, which stays the caller's.

        Raises:
            StoreError: As ``SqliteStore``.
        """
        self._replica = replica or _bare_replica(persist_path)
        self._pending: dict[bytes, Event] = {}

    def frontier(self) -> dict[str, int]:
        """Return how many data events are held of each author."""
        roster = self._replica.ledger.roster
        return {
            label(roster, author): count for author, count in event_counts(self._replica).items()
        }

    def has(self, event_id: bytes | str) -> bool:
        """Say whether the event with this id (bytes or hex) is held."""
        return self._replica.store.get(_raw(event_id)) is not None

    def all_events(self) -> list[Event]:
        """Return every data event held, in order of arrival; each feed ends with a signature."""
        self._replica.root()
        return [a.event for a in self._replica.store.scan() if a.event.feed.kind is FeedKind.DATA]

    def event_count(self) -> int:
        """Return how many data events are held."""
        return sum(event_counts(self._replica).values())

    def last_id(self, author: str) -> str:
        """Return the hex id of an author's last event; empty where none is held."""
        feed = self._feed_of(author)
        return self._replica.ledger.frontier[feed][-1].id.hex() if feed else ""

    def next_seq(self, author: str) -> int:
        """Return the seq of the event that an author's feed would take next."""
        feed = self._feed_of(author)
        return self._replica.ledger.frontier[feed][-1].seq + 1 if feed else 1

    def delta_for(self, remote: Mapping[str, int], limit: int | None = None) -> list[Event]:
        """Return the events that a store with this frontier lacks, by author and seq."""
        roster = self._replica.ledger.roster
        lacking = sorted(
            (label(roster, event.author), event.seq, event.id, event)
            for event in self.all_events()
            if event.seq > remote.get(label(roster, event.author), 0)
        )
        return [event for *_, event in lacking][:limit]

    def append_local(self, event: Event) -> None:
        """Store an event made in this process.

        Raises:
            InputError: It does not follow its feed, or is not signed by its author.
        """
        if not self.ingest(event):
            raise InputError(
                f"event {event.id.hex()[:8]} does not follow its feed, or is not signed"
            )

    def ingest(self, event: Event) -> bool:
        """Store one event; return whether anything was stored.

        An event whose predecessor is missing, or which no signature covers yet, waits in
        memory (at most 4096 do). Never raises for a bad event.
        """
        return self.ingest_many([event]) > 0

    def ingest_many(self, events: Iterable[Event]) -> int:
        """Store events in any order; return how many were stored. See ``ingest``."""
        for event in events:
            if event.is_authentic() and not self.has(event.id) and len(self._pending) < PENDING_MAX:
                self._pending[event.id] = event
        self._introduce()
        runs = self._runs()
        if not runs:
            return 0
        ingested = self._replica.ingest([encode_segment(run) for run in runs], wall_ms())
        for run, verdict in zip(runs, ingested.verdicts, strict=True):
            if verdict is not Verdict.GAP:
                for event in run:
                    self._pending.pop(event.id, None)
        return ingested.events

    def _introduce(self) -> None:
        """Let in authors of this process whose events came without their control feed."""
        members = self._replica.ledger.roster.members
        strangers = {
            event.feed
            for event in self._pending.values()
            if event.author not in members
            or event.feed.incarnation not in members[event.author].feeds
        }
        openings = [
            opening for feed in sorted(strangers) if (opening := _opening(feed)) is not None
        ]
        if openings:
            self._replica.ingest([encode_segment([opening]) for opening in openings], wall_ms())

    def _runs(self) -> list[list[Event]]:
        """Return the longest waiting chains that start at a held event and end at a signature."""
        followers: dict[bytes, list[Event]] = defaultdict(list)
        for event in self._pending.values():
            followers[event.feed.packed() + event.prev].append(event)
        runs: list[list[Event]] = []
        starts = [
            event
            for event in self._pending.values()
            if event.prev == NO_PREV or self.has(event.prev)
        ]
        while starts:
            run = [starts.pop()]
            while children := followers.get(run[-1].feed.packed() + run[-1].id, []):
                starts += children[1:]
                run.append(children[0])
            while run and not run[-1].signature:
                run.pop()
            if run:
                runs.append(run)
        return runs

    def _feed_of(self, author: str) -> FeedKey | None:
        """Return the author's data feed with the latest head; None where nothing is held."""
        ledger = self._replica.ledger
        feeds = [
            (heads[-1].seq, feed)
            for feed, heads in ledger.frontier.items()
            if feed.kind is FeedKind.DATA
            and author in (label(ledger.roster, feed.author), feed.author.hex())
        ]
        return max(feeds)[1] if feeds else None


def event_counts(replica: Replica) -> dict[AuthorId, int]:
    """Return how many data events are held of each author; O(feeds) but for forked ones."""
    counts: dict[AuthorId, int] = defaultdict(int)
    for feed, heads in sorted(replica.ledger.frontier.items()):
        if feed.kind is FeedKind.DATA:
            for index, head in enumerate(heads):
                shared = max(
                    (common_seq(replica, feed, head, other) for other in heads[:index]), default=0
                )
                counts[feed.author] += head.seq - shared
    return dict(counts)


def _bare_replica(persist_path: str | None) -> Replica:
    """Return a replica whose own author writes nothing but its name."""
    system = random.SystemRandom()
    store = SqliteStore(persist_path or ":memory:")
    private = store.get_meta("feedstore")
    identity = Identity(private or system.randbytes(64))
    if private is None:
        with store.transaction():
            store.set_meta("feedstore", identity.private)
        join_open(store, identity, "store")
    return Replica(store, identity, wall_ms(), system)


def _opening(feed: FeedKey) -> Event | None:
    who = named_by_author(feed.author)
    if who is None:
        return None
    name, identity = who
    body = encode_body("feed.open", {"keys": identity.keys, "name": name, "data": feed.incarnation})
    control = FeedKey(feed.author, FeedKind.CONTROL, feed.incarnation)
    return Event.make(control, 1, Stamp(0, 0), NO_PREV, body).signed(identity)


def _raw(event_id: bytes | str) -> bytes:
    try:
        return bytes.fromhex(event_id) if isinstance(event_id, str) else event_id
    except ValueError:
        return b""
