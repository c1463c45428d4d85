"""Events for the store's tests: real ids and chains, signatures that nobody checks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from meshlog.core.chain import Chain
from meshlog.core.event import NO_PREV, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.ports.store import Store
from meshlog.store.runs import crc_of_run, places_of, unpack_run

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


def about(record_id: str, text: str = "") -> bytes:
    """Return a body that touches a record."""
    return encode_body("note.add", {"record_id": record_id, "text": text})


def chain(
    key: FeedKey,
    length: int,
    after: Event | None = None,
    word: str = "",
    records: Sequence[str] = (),
) -> list[Event]:
    """Return ``length`` events in a row; another ``word`` makes another branch.

    They touch ``records`` in turn, or none.
    """
    events: list[Event] = []
    for number in range(length):
        text = f"{word}{number}"
        body = about(records[number % len(records)], text) if records else text.encode()
        after = child(after, key, body)
        events.append(after)
    return events


def signed(event: Event, byte: int = 1) -> Event:
    return event._replace(signature=bytes([byte]) * 64)


def tamper(
    path: Path,
    position: int,
    *,
    body: Callable[[bytes], bytes] = bytes,
    event_id: Callable[[bytes], bytes] = bytes,
    stamp: Callable[[int], int] = int,
) -> None:
    """Change an event behind the store's back; the checksum of its run is made to fit."""
    with closing(sqlite3.connect(path)) as connection, connection:
        at, feed_number, seq, base, *columns = connection.execute(
            "SELECT position, feed, seq, base, places, ids, bodies FROM run"
            " WHERE position <= ? ORDER BY position DESC LIMIT 1",
            (position,),
        ).fetchone()
        run = unpack_run(at, ANN, seq, bytes(32), *columns)
        index = position - at
        stamps, ids = list(run.stamps), [run.id_at(n) for n in range(len(run))]
        bodies = [run.body_at(n) for n in range(len(run))]
        stamps[index] = stamp(stamps[index])
        ids[index] = event_id(ids[index])
        bodies[index] = body(bodies[index])
        places = places_of(stamps, list(map(len, bodies)), run.arrivals_ms)
        crc = crc_of_run(at, feed_number, seq, base, places)
        connection.execute(
            "UPDATE run SET crc = ?, places = ?, ids = ?, bodies = ? WHERE position = ?",
            (crc, places, b"".join(ids), b"".join(bodies), at),
        )


def add(store: Store, events: Iterable[Event], arrived_ms: int = T0_MS) -> None:
    """Add events in a transaction of their own."""
    with store.transaction():
        for stretch in chains(list(events)):
            store.add(stretch, arrived_ms)


def chains(events: Sequence[Event]) -> list[Chain]:
    """Return events in stretches that are each of one branch, in order."""
    ends = [at for at, (one, later) in enumerate(pairwise(events), 1) if later.prev != one.id]
    bounds = pairwise((0, *ends, len(events)))
    return [Chain.of(events[start:end]) for start, end in bounds if start < end]
