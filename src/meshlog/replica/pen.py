"""How this device writes: its own feeds, its stamps, its cuts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from meshlog.core.chain import Chain, Events
from meshlog.core.event import (
    CUT_DOMAIN,
    NO_PREV,
    DatasetId,
    Event,
    chained_ids,
    feed_prefix,
    write_bodies,
)
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import Stamp, ticks
from meshlog.core.identity import Identity
from meshlog.core.segment import CUT_EVENTS_MAX, CUT_SIZE_MAX
from meshlog.errors import InputError
from meshlog.ports.store import Store
from meshlog.replica.ledger import READ_CHUNK, Ledger
from meshlog.views.changes import why_unreadable
from meshlog.views.recent import Recent


@dataclass(frozen=True, slots=True)
class Pen:
    """Appends to the feeds of one identity, inside the caller's transactions.

    What is written together ends in a cut, so all of it may leave once it is durable.
    """

    store: Store
    identity: Identity
    dataset: DatasetId

    def write(
        self,
        ledger: Ledger,
        feed: FeedKey,
        items: Sequence[tuple[str, Mapping[str, Any]]],
        now_ms: int,
        recent: Recent | None = None,
    ) -> Sequence[Event]:
        """Append events to one of our feeds; ``ledger`` is a copy.

        Args:
            ledger: Follows what is written.
            feed: Ours.
            items: Kind and payload of each, in order.
            now_ms: Wall time.
            recent: Writing to this feed: fills in what each write says that it saw.

        Returns:
            The events.

        Raises:
            InputError: A kind or payload cannot be carried, or no view could read it; the caller
                rolls back.
        """
        if not items:
            return []
        seq, prev = own_head(ledger, feed)
        stamps = ticks(ledger.clock, now_ms, len(items))
        said = items if recent is None else recent.seen(items, seq + 1, stamps)
        is_data, bodies = feed.kind is FeedKind.DATA, []
        for body, content in write_bodies(said):
            if is_data and (reason := why_unreadable(content)):
                raise InputError(reason)
            bodies.append(body)
        ledger.clock = Stamp.unpacked(stamps[-1])
        ids = chained_ids(feed_prefix(self.dataset, feed), seq + 1, prev, stamps, bodies)
        sign = self.identity.sign
        signatures = {at: sign(CUT_DOMAIN + ids[at]) for at in _cut_ends([*map(len, bodies)])}
        chain = Chain(feed, seq + 1, prev, [*stamps], bodies, ids, signatures)
        self._put(ledger, chain, now_ms)
        return Events(chain)

    def add(self, ledger: Ledger, event: Event, now_ms: int) -> None:
        """Sign and write an event of our own."""
        self._put(ledger, Chain.of([event.signed(self.identity)]), now_ms)

    def _put(self, ledger: Ledger, chain: Chain, now_ms: int) -> None:
        self.store.add(chain, now_ms)
        ledger.advance(chain, self.store)
        ledger.believe(chain, self.store)
        ledger.save(self.store)

    def unsigned(self, feed: FeedKey, head: Head) -> list[Event]:
        """Return what no cut covers at the end of a branch of ours.

        Earlier versions signed later than they wrote; a damaged file may have lost a signature.
        """
        found: list[Event] = []
        reached = head.seq
        while reached and not self.store.branch(head, feed, reached - 1, 1)[0].signature:
            start = max(reached - READ_CHUNK, 0)
            events = self.store.branch(head, feed, start, reached - start)
            reached = max((event.seq for event in events if event.signature), default=start)
            found[:0] = events[reached - start :]
        return found

    def sign(self, events: Sequence[Event]) -> None:
        """Sign events of ours that are written and follow each other."""
        for at in _cut_ends([len(event.body) for event in events]):
            self.store.sign(events[at].signed(self.identity))


def own_head(ledger: Ledger, feed: FeedKey) -> Head:
    """Return the head that we extend: of a forked feed, the longest branch."""
    heads = ledger.frontier.get(feed, ())
    return heads[-1] if heads else Head(0, NO_PREV)


def _cut_ends(sizes: Sequence[int]) -> list[int]:
    """Return which of events that follow one another end in a cut: full segments, and the last.

    Args:
        sizes: Bytes of their bodies, of the first on.
    """
    at, events = 0, len(sizes)
    if 0 < events <= CUT_EVENTS_MAX and sum(sizes) <= CUT_SIZE_MAX:
        return [events - 1]
    ends, reached = [], [0, *accumulate(sizes)]
    while at < events:
        full = bisect_left(reached, reached[at] + CUT_SIZE_MAX, at + 1)
        at = min(full, at + CUT_EVENTS_MAX, events)
        ends.append(at - 1)
    return ends
