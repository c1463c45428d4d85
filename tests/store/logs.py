"""Events for the store's tests: real ids and chains, signatures that nobody checks."""

from __future__ import annotations

from collections.abc import Iterable

from meshlog.core.event import NO_PREV, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.ports import LogEntry, Store

T0_MS = 1_750_000_000_000


def feed(name: str, kind: FeedKind = FeedKind.DATA, incarnation: int = 7) -> FeedKey:
    return FeedKey(AuthorId(name.encode().ljust(16, b".")), kind, incarnation)


ANN, BOB = feed("ann"), feed("bob")


def child(
    parent: Event | None, key: FeedKey, body: bytes = b"body", wall_ms: int | None = None
) -> Event:
    """Return an event after ``parent``, or the first of ``key``."""
    if parent is None:
        return Event.make(key, 1, Stamp(T0_MS if wall_ms is None else wall_ms, 0), NO_PREV, body)
    stamp = Stamp(parent.stamp.wall_ms + 1 if wall_ms is None else wall_ms, parent.stamp.counter)
    return Event.make(key, parent.seq + 1, stamp, parent.id, body)


def chain(key: FeedKey, length: int, after: Event | None = None, word: str = "") -> list[Event]:
    """Return ``length`` events in a row; another ``word`` makes another branch."""
    events: list[Event] = []
    for number in range(length):
        after = child(after, key, f"{word}{number}".encode())
        events.append(after)
    return events


def signed(event: Event, byte: int = 1) -> Event:
    return event._replace(signature=bytes([byte]) * 64)


def add(
    store: Store, events: Iterable[Event], record_id: str | None = None, arrived_ms: int = T0_MS
) -> None:
    """Add events in a transaction of their own."""
    with store.transaction():
        store.add([LogEntry(event, record_id) for event in events], arrived_ms)
