"""Our side's dataset: a founder, four authors, and what they would send to others."""

from __future__ import annotations

import random
from collections.abc import Iterator

from bench.data.workload import AUTHORS, T0_MS, payloads
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.core.segment import encode_segment
from meshlog.replica import Replica, found, join
from meshlog.store import SqliteStore


def identity(name: str) -> Identity:
    """Return the same identity for the same name."""
    return Identity(random.Random(name).randbytes(64))  # noqa: S311 - a seed must repeat


class Dataset:
    """A founder and four authors, in memory."""

    def __init__(self) -> None:
        """Found it and invite them."""
        store, who = SqliteStore(), identity("base")
        found(store, who, "base", "bench", T0_MS, random.Random(1))  # noqa: S311
        self.founder = Replica(store, who, T0_MS, random.Random(1))  # noqa: S311
        self.authors = [self.joined(SqliteStore(), f"author {n}") for n in range(AUTHORS)]

    def joined(self, store: SqliteStore, name: str) -> Replica:
        """Return a new member's device."""
        join(store, identity(name), name, self.founder.invite(Role.WRITER))
        return Replica(store, identity(name), T0_MS, random.Random(name))  # noqa: S311

    def introduce(self, to: Replica) -> None:
        """Let a device have everybody's control feed."""
        for replica in (self.founder, *self.authors):
            replica.root()
            for feed, [head] in replica.frontier().items():
                if feed.kind is FeedKind.CONTROL:
                    to.ingest(replica.segments(feed, head, 0, 1_000_000)[0], T0_MS)


def written(author: Replica, number: int, events: int, group: int) -> list[Event]:
    """Let an author write its share, signed every ``group`` events; return its events."""
    items = list(payloads(events, number))
    now_ms = T0_MS
    for at in range(0, len(items), group):
        now_ms += group
        author.append_many(items[at : at + group], now_ms)
        author.root()
    return list(feed_of(author, author.data_feed))


def feed_of(replica: Replica, feed: FeedKey) -> Iterator[Event]:
    """Yield the events of a feed without forks."""
    [head] = replica.frontier()[feed]
    seq = 0
    while seq < head.seq:
        some = replica.store.branch(head, feed, seq, 1_024)
        yield from some
        seq = some[-1].seq


def segments(dataset: Dataset, events: int, size: int, group: int) -> list[bytes]:
    """Return what peers send: segments of ``size`` events, the authors in turn."""
    feeds = [written(a, n, events, group) for n, a in enumerate(dataset.authors)]
    return [
        encode_segment(feed[at : at + size])
        for at in range(0, max(map(len, feeds)), size)
        for feed in feeds
        if feed[at : at + size]
    ]
