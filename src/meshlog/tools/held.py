"""Which events a view holds because of their stamps, feed by feed, and how far off they are."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from meshlog.core.event import Event
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.replica.ledger import Ledger
from meshlog.store import SqliteStore
from meshlog.views.standing import Standing


class HeldEvents(NamedTuple):
    """Events of one feed that are stamped ahead."""

    feed: FeedKey
    first_seq: int
    last_seq: int
    events: int
    first_ms: int
    """Effective wall time of the first."""
    last_ms: int
    to_arrival_ms: int
    """What to add so that all of them were written by the time they came: zero or less."""


def held_events(store: SqliteStore, ledger: Ledger) -> list[HeldEvents]:
    """Return what is held, by feed. Cost: O(events of the records that are waiting)."""
    standings = ledger.standings(store)
    records = [
        *store.touched_between(ledger.horizon_ms, WALL_MS_MAX),
        *store.records_of(ledger.fixed_feeds()),
    ]
    found: dict[FeedKey, list[Event]] = defaultdict(list)
    for record_id in dict.fromkeys(records):
        for arrival in store.touching(record_id):
            event = arrival.event
            if standings.of(event) is Standing.HELD:
                found[event.feed].append(event)
    return [_summed(store, ledger, feed, events) for feed, events in sorted(found.items())]


def _summed(store: SqliteStore, ledger: Ledger, feed: FeedKey, events: list[Event]) -> HeldEvents:
    standings = ledger.standings(store)
    stamps_ms = [standings.stamp(event).wall_ms for event in events]
    seqs = [event.seq for event in events]
    return HeldEvents(
        feed,
        min(seqs),
        max(seqs),
        len(events),
        min(stamps_ms),
        max(stamps_ms),
        to_arrival_ms(store, events),
    )


def to_arrival_ms(store: SqliteStore, events: list[Event]) -> int:
    """Return what moves the stamps that events carry to when they came, or before."""
    offsets = [
        arrival.arrived_ms - event.stamp.wall_ms
        for event in events
        if (arrival := store.get(event.id)) is not None
    ]
    return min(offsets, default=0)
