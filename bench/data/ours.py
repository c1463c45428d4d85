"""Our side: one job per process, named on the command line, told in JSON.

Everything is what a node does with what a peer sends: replicas of a dataset with a roster,
stores in files with synchronous=FULL, every signature checked, the view up to date when the
clock stops.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.data.timing import measured, resident_bytes
from bench.data.workload import AUTHORS, T0_MS, payloads
from meshlog.core.event import DatasetId, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.core.segment import encode_segment
from meshlog.replica import Replica, found, join
from meshlog.store import SqliteStore
from meshlog.tools.fsck.fsck import fsck


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


def receive(events: int, folder: Path, *, size: int, batch: int) -> dict[str, Any]:
    """Time taking segments of ``size`` events in, ``batch`` of them in one transaction."""
    dataset = Dataset()
    coded = segments(dataset, events, size, min(size, 64))
    base = dataset.joined(SqliteStore(folder / "base"), "receiver")
    dataset.introduce(base)
    before = base.event_count()
    with measured() as spent:
        for at in range(0, len(coded), batch):
            base.ingest(coded[at : at + batch], T0_MS + events)
    assert base.event_count() - before == events // AUTHORS * AUTHORS, base.refused
    return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s}


def emit(events: int, folder: Path, *, many: int) -> dict[str, Any]:
    """Time writing, ``many`` in one transaction."""
    dataset = Dataset()
    author = dataset.joined(SqliteStore(folder / "own"), "writer")
    items = list(payloads(events * AUTHORS, 0))
    with measured() as spent:
        for at in range(0, len(items), many):
            author.append_many(items[at : at + many], T0_MS + at)
            author.root()  # signed: it could leave now
    return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s}


def make(events: int, path: str) -> dict[str, Any]:
    """Make a store of so many events, as a bootstrap does."""
    dataset = Dataset()
    coded = segments(dataset, events, 256, 64)
    store = SqliteStore(path)
    base = dataset.joined(store, "receiver")
    dataset.introduce(base)
    for at in range(0, len(coded), 64):
        base.ingest(coded[at : at + 64], T0_MS + events)
    base.root()
    count = base.event_count()
    store.close()
    return {"events": count, "disk_bytes": Path(path).stat().st_size}


def opening(path: str) -> dict[str, Any]:
    """Time opening a store and its replica, and weigh what is in memory then."""
    _warm()
    before = resident_bytes()
    with measured() as spent:
        store = SqliteStore(path)
    with measured() as whole:
        replica = Replica(store, identity("receiver"), T0_MS * 2, random.Random(1))  # noqa: S311
    memory_bytes = resident_bytes() - before
    told = {"cpu_s": spent.cpu_s, "replica_cpu_s": whole.cpu_s, "memory_bytes": memory_bytes}
    return told | {"events": replica.event_count(), "disk_bytes": Path(path).stat().st_size}


def look(path: str) -> dict[str, Any]:
    """Time reading one record after one more event, and writing that event."""
    store = SqliteStore(path)
    replica = Replica(store, identity("receiver"), T0_MS * 2, random.Random(1))  # noqa: S311
    writes, reads = [], []
    for number in range(100):
        record = f"R-{number}"
        payload = {"record_id": record, "field": "depth_m", "value": number}
        with measured() as spent:
            replica.append("field.set", payload, T0_MS * 2 + number)
        writes.append(spent.cpu_s)
        with measured() as spent:
            shown = replica.record(record)
            assert shown is not None
            shown.public()
        reads.append(spent.cpu_s)
    store.close()
    return {"cpu_s": sorted(reads)[50], "write_cpu_s": sorted(writes)[50]}


def check(path: str) -> dict[str, Any]:
    """Time fsck."""
    store = SqliteStore(path, read_only=True)
    dataset = DatasetId(EventId(store.get_meta("dataset") or b""))
    with measured() as spent:
        report = fsck(store, dataset)
    assert not report.problems, report
    return {"cpu_s": spent.cpu_s}


def hostile(events: int, folder: Path, *, order: str) -> dict[str, Any]:
    """Time one author's segments of one event each in a hostile order, in one batch."""
    dataset = Dataset()
    author = dataset.authors[0]
    own = written(author, 0, events * AUTHORS, 1)
    coded = [encode_segment([event]) for event in own]
    if order == "reversed":
        coded.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(coded)  # noqa: S311
    base = dataset.joined(SqliteStore(folder / "base"), "receiver")
    dataset.introduce(base)
    with measured() as spent:
        base.ingest(coded, T0_MS + events)
    assert base.event_count() >= events, base.refused
    return {"cpu_s": spent.cpu_s}


def _warm() -> None:
    """Load and run what the first opening of any store loads."""
    with tempfile.TemporaryDirectory() as folder:
        emit(8, Path(folder), many=8)


def main() -> None:
    """Do the job in the first argument."""
    job = json.loads(sys.argv[1])
    name = job.pop("do")
    on_path = {"make": make, "open": opening, "look": look, "check": check}
    if name in on_path:
        print(json.dumps(on_path[name](**job)))  # type: ignore[operator]
        return
    done = {"receive": receive, "emit": emit, "hostile": hostile}[name]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(done(folder=Path(folder), **job)))  # type: ignore[operator]


if __name__ == "__main__":
    main()
