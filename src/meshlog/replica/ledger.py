"""What a replica holds in memory: heads, roster, clock, horizon. Changes only after a commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from meshlog.core.event import DatasetId, Event
from meshlog.core.feed import ROOT_DOMAIN, ROSTER_DOMAIN, FeedKey, FeedKind, Head, digest
from meshlog.core.hlc import SKEW_MS_MAX, ZERO, Stamp, observe
from meshlog.core.roster import Roster, data_feeds, enrol, fold
from meshlog.ports import Store


@dataclass(slots=True)
class Ledger:
    """The sums of one replica's log. ``copy``, change, and keep the copy once it is durable."""

    roster: Roster
    frontier: dict[FeedKey, tuple[Head, ...]]
    clock: Stamp
    """The greatest stamp made, or seen and believed."""
    horizon_ms: int
    root: bytes = b""
    roster_digest: bytes = b""
    indexed: list[FeedKey] = field(default_factory=list)

    @classmethod
    def load(cls, store: Store, dataset: DatasetId) -> Ledger:
        """Read the sums from a store. Cost: O(feeds + control events)."""
        frontier = store.heads()
        clock = store.get_meta("clock")
        horizon = store.get_meta("horizon")
        ledger = cls(
            _fold_roster(store, frontier, dataset),
            frontier,
            Stamp.unpacked(int.from_bytes(clock, "big")) if clock else ZERO,
            int.from_bytes(horizon, "big") if horizon else 0,
        )
        ledger.sum_up()
        return ledger

    def copy(self) -> Ledger:
        """Return a copy whose changes do not show here."""
        return replace(self, frontier=dict(self.frontier))

    def advance(self, events: Iterable[Event], store: Store) -> None:
        """Take in events of one branch that were written to ``store``, in order."""
        for event in events:
            heads = [head for head in self.frontier.get(event.feed, ()) if head.id != event.prev]
            self.frontier[event.feed] = tuple(sorted([*heads, Head(event.seq, event.id)]))
            if event.feed.kind is FeedKind.CONTROL:
                self.roster = enrol(self.roster, event)
            if event.id == self.roster.dataset:
                self.roster = _fold_roster(store, self.frontier, self.roster.dataset)

    def believe(self, events: Iterable[Event], now_ms: int) -> None:
        """Let the clock follow verified stamps; far-future ones move nothing."""
        for event in events:
            self.clock = observe(self.clock, event.stamp, now_ms)

    def sum_up(self) -> None:
        """Work out root, roster digest and indices anew. Cost: O(feeds · log feeds)."""
        self.root = digest(ROOT_DOMAIN, self.frontier.items())
        control = [
            (key, heads) for key, heads in self.frontier.items() if key.kind is FeedKind.CONTROL
        ]
        self.roster_digest = digest(ROSTER_DOMAIN, control)
        self.indexed = data_feeds(self.roster)

    def save(self, store: Store) -> None:
        """Write clock and horizon, inside the caller's transaction."""
        store.set_meta("clock", self.clock.packed().to_bytes(8, "big"))
        store.set_meta("horizon", self.horizon_ms.to_bytes(8, "big"))


def horizon_for(now_ms: int) -> int:
    """Return the horizon that a clock showing ``now_ms`` allows."""
    return max(now_ms, 0) + SKEW_MS_MAX


def _fold_roster(
    store: Store, frontier: Mapping[FeedKey, tuple[Head, ...]], dataset: DatasetId
) -> Roster:
    """Fold all control events: at start, and when the genesis comes after feeds that it lets in."""
    control = [
        (key, tip) for key, tips in frontier.items() if key.kind is FeedKind.CONTROL for tip in tips
    ]
    return fold(
        dataset, (event for key, tip in control for event in store.branch(tip, key, 0, tip.seq))
    )
