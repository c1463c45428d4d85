"""Who descends from whom, in a store: what a fold asks where feeds forked."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Protocol

from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, Head
from meshlog.core.hlc import ZERO, Stamp
from meshlog.ports.log import EventLog, LogIndex
from meshlog.views.branches import Branches

BRANCH_CHUNK = 1_024
"""Events of a forked feed read at once."""


class LineageStore(EventLog, LogIndex, Protocol):
    """What the lineage needs of a store."""


class StoreLineage:
    """The lineage in a store at one moment; heads are read once, and only when somebody asks."""

    def __init__(self, store: LineageStore, forked: AbstractSet[FeedKey] | None = None) -> None:
        """Answer for what ``store`` holds now: make a new one after every change.

        Args:
            store: Stays the caller's.
            forked: The feeds with several branches, where the caller knows them.
        """
        self._store = store
        self._forked = forked
        self._held: dict[tuple[FeedKey, Head], bool] = {}
        self._stamps: dict[tuple[FeedKey, int], Stamp] = {}
        self._branches: dict[FeedKey, Branches] = {}

    @property
    def forked(self) -> AbstractSet[FeedKey]:
        """See Lineage.forked."""
        if self._forked is None:
            heads = self._store.heads()
            self._forked = {key for key, tips in heads.items() if len(tips) > 1}
        return self._forked

    def holds(self, event_id: bytes) -> bool:
        """See Lineage.holds."""
        return self._store.get(event_id) is not None

    def branches(self, feed: FeedKey) -> Branches:
        """See Lineage.branches. Cost: O(events after the feed's first fork), once."""
        found = self._branches.get(feed)
        if found is None:
            found = self._branches[feed] = Branches(self._store.fork_seq(feed) or 0)
            for tip in self._store.heads().get(feed, ()):

                def read(after_seq: int, limit: int, tip: Head = tip) -> list[bytes]:
                    events = self._store.branch(tip, feed, after_seq, limit)
                    return [event.id for event in events]

                found.grow(tip.seq, tip.id, read, BRANCH_CHUNK)
        return found

    def ancestor(self, feed: FeedKey, tip: Head, seq: int) -> bytes | None:
        """See Ancestry.ancestor. Cost: see EventLog.at; in a fork, EventLog.branch."""
        held = self._held.get((feed, tip))
        if held is None:
            arrival = self._store.get(tip.id)
            held = arrival is not None and arrival.event.feed == feed
            held = held and arrival is not None and arrival.event.seq == tip.seq
            self._held[feed, tip] = held
        if not held:
            return None
        events = self._store.at(feed, seq)
        if len(events) > 1:
            events = self._store.branch(tip, feed, seq - 1, 1)
        return events[0].id if events else None

    def stamp_at(self, event: Event, seq: int) -> Stamp:
        """See Lineage.stamp_at. Cost: as ``ancestor``, once per place without a fork."""
        known = self._stamps.get((event.feed, seq))
        if known is not None:
            return known
        events = self._store.at(event.feed, seq)
        if len(events) > 1:
            events = self._store.branch(Head(event.seq, event.id), event.feed, seq - 1, 1)
        elif events:
            self._stamps[event.feed, seq] = events[0].stamp
        return events[0].stamp if events else ZERO
