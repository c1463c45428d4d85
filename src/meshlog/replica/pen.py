"""How this device writes: its own feeds, its stamps, its cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshlog.core.compact.run import RunWriter
from meshlog.core.event import NO_PREV, DatasetId, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import tick
from meshlog.core.identity import Identity
from meshlog.core.rangecoder import Meter
from meshlog.core.segment import CUT_EVENTS_MAX, CUT_SIZE_MAX, SEGMENT_PACKET_MAX
from meshlog.errors import InputError
from meshlog.ports import LogEntry, Store
from meshlog.replica.ledger import Ledger
from meshlog.views.changes import Change, Unreadable, read_change
from meshlog.views.fold import Told, told_by

_READ_CHUNK = 1_024


def write(
    store: Store,
    ledger: Ledger,
    feed: FeedKey,
    dataset: DatasetId,
    items: Sequence[tuple[str, Mapping[str, Any]]],
    now_ms: int,
) -> tuple[list[Event], list[Told]]:
    """Append events to one of our feeds inside the caller's transaction; ``ledger`` is a copy.

    Returns:
        The events, unsigned, and what they do to records.

    Raises:
        InputError: A kind or payload cannot be carried, or no view could read it; the caller
            rolls back.
    """
    head = own_head(ledger, feed)
    events: list[Event] = []
    told: list[Told] = []
    for kind, payload in items:
        ledger.clock = tick(ledger.clock, now_ms)
        event = Event.make(
            feed, head.seq + 1, ledger.clock, head.id, encode_body(kind, payload), dataset
        )
        change = read_change(event)
        if isinstance(change, Unreadable):
            raise InputError(f"{kind}: {change.reason}")
        if isinstance(change, Change):
            told.append(Told(event, change))
        events.append(event)
        head = Head(event.seq, event.id)
    _put(store, ledger, events, told, now_ms)
    return events, told


def add(store: Store, ledger: Ledger, events: Sequence[Event], now_ms: int) -> list[Told]:
    """Write our own events; return what they do to records."""
    told = told_by(events)
    _put(store, ledger, events, told, now_ms)
    return told


def _put(
    store: Store, ledger: Ledger, events: Sequence[Event], told: Sequence[Told], now_ms: int
) -> None:
    """Write events of which it is known what they do to records."""
    touches = {item.event.id: item.change.record_id for item in told}
    store.add([LogEntry(event, touches.get(event.id)) for event in events], now_ms)
    if events:
        ledger.advance(events, store)
        ledger.believe(events, store)
        ledger.save(store)


def own_head(ledger: Ledger, feed: FeedKey) -> Head:
    """Return the head that we extend: of a forked feed, the longest branch."""
    heads = ledger.frontier.get(feed, ())
    return heads[-1] if heads else Head(0, NO_PREV)


def sign_cuts(store: Store, ledger: Ledger, identity: Identity, feed: FeedKey) -> None:
    """Sign our events that no cut covers yet, inside the caller's transaction.

    A cut falls at the latest every 64 events or 16 KiB, where the next event would not fit the
    radio packet, and on the head. Cost: one compact coding of each event, spelling aside.
    """
    head = own_head(ledger, feed)
    signed = last_cut(store, feed)
    latest = store.branch(head, feed, signed - 1, 1)[0] if 0 < signed < head.seq else None
    run: RunWriter | None = None
    since_events = since_bytes = 0
    while signed < head.seq:
        events = store.branch(head, feed, signed, _READ_CHUNK)
        for event in events:
            base = latest.stamp if latest else None
            if run is None:
                run = RunWriter(event, ledger.codebook, base, Meter())
                since_events = since_bytes = 0
            run.add(event)
            if since_events and run.size_bytes > SEGMENT_PACKET_MAX:
                assert latest is not None, "the run has an event before this one"
                store.sign(latest.signed(identity))
                run = RunWriter(event, ledger.codebook, base, Meter())
                since_events = since_bytes = 0
                run.add(event)
            since_events += 1
            since_bytes += len(event.body)
            latest = event
            if (
                since_events >= CUT_EVENTS_MAX
                or since_bytes >= CUT_SIZE_MAX
                or event.seq == head.seq
            ):
                store.sign(event.signed(identity))
                run = None
        signed = events[-1].seq
    note_cut(store, feed, head.seq)


def is_unsigned(store: Store, ledger: Ledger, feed: FeedKey) -> bool:
    """Say whether the end of one of our feeds waits for a signature."""
    return last_cut(store, feed) < own_head(ledger, feed).seq


def last_cut(store: Store, feed: FeedKey) -> int:
    """Return the seq of our last cut in a feed; 0 before the first."""
    value = store.get_meta(_cut_key(feed))
    return int.from_bytes(value, "big") if value else 0


def note_cut(store: Store, feed: FeedKey, seq: int) -> None:
    """Remember up to where one of our feeds is signed, inside the caller's transaction."""
    store.set_meta(_cut_key(feed), seq.to_bytes(4, "big"))


def _cut_key(feed: FeedKey) -> str:
    return f"cut:{'data' if feed.kind is FeedKind.DATA else 'control'}:{feed.incarnation:08x}"
