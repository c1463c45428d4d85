"""What we owe the neighbourhood: stretches of feeds to broadcast, by class and due time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.sync.broadcast.budget import Urgency
from meshlog.sync.difference import Push, Span

ITEMS_MAX = 1_024
"""Stretches owed at once; more are asked for again."""

BACKFILL_EVENTS = 64
"""From so many events on, what a neighbour lacks is backfill: news goes first."""

FRESH_PACKETS = 4
"""Packets of our own news that go out unasked; a long import waits to be asked for."""


@dataclass(slots=True)
class Owed:
    """A stretch of one branch that somebody near us lacks."""

    push: Push
    urgency: Urgency
    due_ms: int
    fresh: bool
    """Our own news, which nobody asked for."""
    packets_left: int = FRESH_PACKETS


class Owing:
    """All that is owed, each branch once."""

    def __init__(self) -> None:
        """Owe nothing yet."""
        self._items: dict[tuple[FeedKey, bytes], Owed] = {}

    def __iter__(self) -> Iterator[Owed]:
        """Yield what is owed, the most urgent and the longest due first."""
        return iter(sorted(self._items.values(), key=lambda item: (item.urgency, item.due_ms)))

    def __len__(self) -> int:
        """Return how many stretches are owed."""
        return len(self._items)

    @property
    def events(self) -> int:
        """How many events are owed, at most."""
        return sum(item.push.tip.seq - item.push.after_seq for item in self._items.values())

    def due(self, now_ms: int) -> Owed | None:
        """Return the most urgent stretch whose time has come."""
        return next((item for item in self if item.due_ms <= now_ms), None)

    def next_ms(self) -> int | None:
        """Return when the next stretch is due; None where nothing is owed."""
        return min((item.due_ms for item in self._items.values()), default=None)

    def owe(self, push: Push, due_ms: int, *, urgent: bool = False, fresh: bool = False) -> None:
        """Owe one more stretch; one that continues an older tip of ours takes its place."""
        urgency = urgency_of(push, urgent=urgent, fresh=fresh)
        after_seq, skips = push.after_seq, push.skips
        for item in [item for item in self._items.values() if item.push.feed == push.feed]:
            if item.push.tip.seq <= after_seq or item.push.tip.id == push.tip.id or item.fresh:
                after_seq = min(after_seq, item.push.after_seq)
                skips = shared(skips, item.push.skips)
                due_ms, urgency = min(due_ms, item.due_ms), min(urgency, item.urgency)
                fresh = fresh and item.fresh
                del self._items[item.push.feed, item.push.tip.id]
        if len(self._items) < ITEMS_MAX and after_seq < push.tip.seq:
            item = Owed(Push(push.feed, push.tip, after_seq, skips), urgency, due_ms, fresh)
            self._items[push.feed, push.tip.id] = item
            self._advance(item, after_seq)

    def sent(self, item: Owed, reached: int) -> None:
        """Count what went out of a stretch."""
        item.packets_left -= item.fresh
        self._advance(item, reached)
        if item.packets_left <= 0:
            self.drop(item)

    def drop(self, item: Owed) -> None:
        """Owe a stretch no more."""
        self._items.pop((item.push.feed, item.push.tip.id), None)

    def overheard(self, feed: FeedKey, first: int, last: int, again_ms: int) -> None:
        """Owe no more what a neighbour said; what follows it waits, for the neighbour goes on."""
        for item in [item for item in self._items.values() if item.push.feed == feed]:
            if first - 1 <= item.push.after_seq < last:
                item.due_ms = max(item.due_ms, again_ms)
                self._advance(item, last)

    def set_back(self, by_ms: int) -> None:
        """Move with the wall clock."""
        for item in self._items.values():
            item.due_ms -= by_ms

    def postpone(self, until_ms: int) -> None:
        """Let everything that was asked for wait: a neighbour is speaking."""
        for item in self._items.values():
            if not item.fresh:
                item.due_ms = max(item.due_ms, until_ms)

    def forgive(self) -> None:
        """Owe nothing but our own news: the credit is used up."""
        self._items = {key: item for key, item in self._items.items() if item.fresh}

    def _advance(self, item: Owed, reached: int) -> None:
        skips = item.push.skips
        while skips and skips[0].first <= reached + 1:
            reached, skips = max(reached, skips[0].last), skips[1:]
        if reached >= item.push.tip.seq:
            self.drop(item)
        else:
            item.push = Push(item.push.feed, item.push.tip, reached, skips)


def urgency_of(push: Push, *, urgent: bool, fresh: bool) -> Urgency:
    """Return the class of a stretch."""
    if push.feed.kind is FeedKind.CONTROL:
        return Urgency.CONTROL
    if urgent:
        return Urgency.URGENT
    if fresh:
        return Urgency.NEWEST
    few = push.tip.seq - push.after_seq < BACKFILL_EVENTS
    return Urgency.REST if few else Urgency.BACKFILL


def shared(one: tuple[Span, ...], other: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return the seqs that are in both: what two neighbours hold.

    Example:
        >>> shared((Span(1, 5), Span(8, 9)), (Span(4, 8),))
        (Span(first=4, last=5), Span(first=8, last=8))
    """
    both = [Span(max(a.first, b.first), min(a.last, b.last)) for a in one for b in other]
    return tuple(sorted(span for span in both if span.first <= span.last))
