"""How this device writes: its own feeds, its stamps, its cuts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, repeat
from typing import Any

from meshlog.core.chain import Chain
from meshlog.core.event import NO_PREV, DatasetId, Event, chained_ids, feed_prefix, write_body
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import Stamp, ticks
from meshlog.core.identity import Identity
from meshlog.core.segment import CUT_EVENTS_MAX, CUT_SIZE_MAX
from meshlog.errors import InputError
from meshlog.ports import Store
from meshlog.replica.ledger import Ledger
from meshlog.views.changes import Unreadable, read_content
from meshlog.views.recent import Recent

_READ_CHUNK = 1_024


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
    ) -> list[Event]:
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
        bodies = []
        for at, (kind, payload) in enumerate(items):
            if type(payload) is not dict and not isinstance(payload, Mapping):
                raise InputError("a payload is a mapping with text keys")
            said = payload if recent is None else recent.seen(kind, payload)
            body, content = write_body(kind, said)
            if feed.kind is FeedKind.DATA:
                change = read_content(content)
                if isinstance(change, Unreadable):
                    raise InputError(f"{kind}: {change.reason}")
                if recent is not None and change is not None and change.replaces:
                    recent.take(change, seq + 1 + at, stamps[at])
            bodies.append(body)
        ledger.clock = Stamp.unpacked(stamps[-1])
        ids = chained_ids(feed_prefix(self.dataset, feed), seq + 1, prev, stamps, bodies)
        said_at = map(Stamp.unpacked, stamps)
        events = map(Event, repeat(feed), count(seq + 1), said_at, [prev, *ids], bodies, ids)
        return self._put(ledger, [*events], now_ms)

    def add(self, ledger: Ledger, event: Event, now_ms: int) -> None:
        """Sign and write an event of our own."""
        self._put(ledger, [event], now_ms)

    def _put(self, ledger: Ledger, events: Sequence[Event], now_ms: int) -> list[Event]:
        """Sign and write events."""
        signed = _with_cuts(events, self.identity)
        if signed:
            chain = Chain.of(signed)
            self.store.add(chain, now_ms)
            ledger.advance(chain, self.store)
            ledger.believe(chain, self.store)
            ledger.save(self.store)
        return signed

    def unsigned(self, feed: FeedKey, head: Head) -> list[Event]:
        """Return what no cut covers at the end of a branch of ours.

        Earlier versions signed later than they wrote; a damaged file may have lost a signature.
        """
        found: list[Event] = []
        reached = head.seq
        while reached and not self.store.branch(head, feed, reached - 1, 1)[0].signature:
            start = max(reached - _READ_CHUNK, 0)
            events = self.store.branch(head, feed, start, reached - start)
            reached = max((event.seq for event in events if event.signature), default=start)
            found[:0] = events[reached - start :]
        return found

    def sign(self, events: Sequence[Event]) -> None:
        """Sign events of ours that are written and follow each other."""
        for event in _with_cuts(events, self.identity):
            if event.signature:
                self.store.sign(event)


def own_head(ledger: Ledger, feed: FeedKey) -> Head:
    """Return the head that we extend: of a forked feed, the longest branch."""
    heads = ledger.frontier.get(feed, ())
    return heads[-1] if heads else Head(0, NO_PREV)


def _with_cuts(events: Sequence[Event], identity: Identity) -> list[Event]:
    """Return events that follow each other, signed at the end and wherever a segment is full."""
    signed = list(events)
    sizes = [0, *accumulate(len(event.body) for event in events)]
    at, last = 0, len(signed) - 1
    while at <= last:
        full = bisect_left(sizes, sizes[at] + CUT_SIZE_MAX, at + 1) - 1
        end = min(full, at + CUT_EVENTS_MAX - 1, last)
        signed[end] = signed[end].signed(identity)
        at = end + 1
    return signed
