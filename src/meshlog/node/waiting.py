"""Where events that a program hands over wait for the one before them, or for a signature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from meshlog.core.event import NO_PREV
from meshlog.core.event import Event as CoreEvent
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import BEFORE_ALL
from meshlog.core.segment import encode_segment, stamps_rise
from meshlog.errors import InputError, StoreError
from meshlog.node.event import Event
from meshlog.node.names import signer
from meshlog.replica import Replica
from meshlog.sync.holdings import Verdict

WAITING_MAX = 4_096
"""Events that may wait; the oldest gives way."""

BATCH_EVENTS = 1_024
"""Events taken in at once: one transaction."""


class WaitingRoom:
    """Turns single events into what a replica takes: runs of a feed that end at a signature."""

    def __init__(self, replica: Replica) -> None:
        """Take the replica that events go to; the caller holds its lock."""
        self._replica = replica
        self._events: dict[bytes, CoreEvent] = {}
        self._openings: dict[FeedKey, bytes] = {}

    def take_in(self, events: Iterable[Event | CoreEvent], now_ms: int) -> int:
        """Store what can be stored of these and of those that wait; return how many were.

        Raises:
            StoreError: The disk refused; what was not stored waits no more.
        """
        admitted = sorted(self._admitted(events), key=lambda core: (core.feed, core.seq))
        stored = 0
        for start in range(0, len(admitted), BATCH_EVENTS):
            self._events.update({core.id: core for core in admitted[start : start + BATCH_EVENTS]})
            stored += self._store(now_ms)
            for surplus in list(self._events)[: max(len(self._events) - WAITING_MAX, 0)]:
                del self._events[surplus]
        waiting = {core.feed for core in self._events.values()}
        self._openings = {feed: self._openings[feed] for feed in self._openings.keys() & waiting}
        return stored

    def forget(self, event_id: bytes) -> None:
        """Let an event wait no longer."""
        self._events.pop(event_id, None)

    def _admitted(self, events: Iterable[Event | CoreEvent]) -> list[CoreEvent]:
        """Return the events that are what their ids say and not held; keep what introduces them."""
        admitted: list[CoreEvent] = []
        for event in events:
            try:
                core = event.core if isinstance(event, Event) else event
            except InputError:
                continue
            if core.is_authentic(self._replica.dataset) and not self._holds(core.id):
                admitted.append(core)
                if isinstance(event, Event) and event.opening:
                    self._openings[core.feed] = event.opening
        return admitted

    def _store(self, now_ms: int) -> int:
        """Hand all complete runs to the replica, their authors' openings first."""
        openings = [opening for feed in self._strangers() if (opening := self._opening(feed))]
        if openings:
            self._replica.ingest(openings, now_ms)
        runs = self._runs()
        if not runs:
            return 0
        ingested = self._replica.ingest([encode_segment(run) for run in runs], now_ms)
        for run, verdict in zip(runs, ingested.verdicts, strict=True):
            if verdict is not Verdict.GAP:
                for core in run:
                    self.forget(core.id)
        if Verdict.BUSY in ingested.verdicts:
            raise StoreError("the disk refused: nothing was stored")
        return ingested.events

    def _strangers(self) -> list[FeedKey]:
        """Return the feeds that wait for their author's opening."""
        members = self._replica.ledger.roster.members
        return sorted(
            {
                core.feed
                for core in self._events.values()
                if core.author not in members
                or core.feed.incarnation not in members[core.author].feeds
            }
        )

    def _opening(self, feed: FeedKey) -> bytes:
        who = signer(feed.author)
        of_this_process = who.opening if who is not None and who.feed == feed else b""
        return self._openings.get(feed, of_this_process)

    def _runs(self) -> list[list[CoreEvent]]:
        """Return the chains that start at a held event, cut at every signature: each is kept."""
        followers: dict[tuple[FeedKey, bytes], list[CoreEvent]] = defaultdict(list)
        for core in self._events.values():
            followers[core.feed, core.prev].append(core)
        starts = [
            core for core in self._events.values() if core.prev == NO_PREV or self._holds(core.prev)
        ]
        runs: list[list[CoreEvent]] = []
        while starts:
            run: list[CoreEvent] = []
            at: CoreEvent | None = starts.pop()
            while at is not None:
                run.append(at)
                if at.signature:
                    runs.append(run)
                    run = []
                nexts = followers.get((at.feed, at.id), [])
                starts += nexts[1:]
                at = nexts[0] if nexts else None
        return [run for run in runs if self._rises(run)]

    def _rises(self, run: list[CoreEvent]) -> bool:
        """Say whether a run's stamps rise; where they do not, it is forgotten."""
        rises = stamps_rise([core.stamp.packed() for core in run], BEFORE_ALL)
        for core in () if rises else run:
            self.forget(core.id)
        return rises

    def _holds(self, event_id: bytes) -> bool:
        return self._replica.store.get(event_id) is not None
