"""Our side: one job per process, named on the command line, told in JSON.

Everything is what a node does with what a peer sends: replicas of a dataset with a roster,
stores in files with synchronous=FULL, every signature checked, the view up to date when the
clock stops.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset, identity, segments, written
from bench.data.survey import survey
from bench.data.timing import measured, resident_bytes
from bench.data.workload import AUTHORS, T0_MS, payloads
from meshlog import Node
from meshlog.core.event import DatasetId, Event, EventId
from meshlog.core.segment import encode_segment
from meshlog.replica import Replica
from meshlog.replica.ledger import Ledger
from meshlog.store import SqliteStore, passphrase
from meshlog.tools.fsck.feeds import FeedCheck
from meshlog.tools.fsck.fsck import Problems, fsck


def receive(
    events: int, folder: Path, *, size: int, batch: int, encrypt: bool = False
) -> dict[str, Any]:
    """Time taking segments of ``size`` events in, ``batch`` of them in one transaction.

    The view shows all of it then; beside stands what it takes to write its rows.
    """
    dataset = Dataset()
    coded = segments(dataset, events, size, min(size, 64))
    base = dataset.joined(SqliteStore(folder / "base", encrypt=encrypt), "receiver")
    dataset.introduce(base)
    before = base.event_count()
    with measured() as spent:
        for at in range(0, len(coded), batch):
            base.ingest(coded[at : at + batch], T0_MS + events)
    assert base.event_count() - before == events // AUTHORS * AUTHORS, base.refused
    with measured() as settled:
        base.settle()
    base.store.close()
    with measured() as again:
        SqliteStore(folder / "base").close()
    told = {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "open_cpu_s": again.cpu_s}
    return told | {"settle_cpu_s": settled.cpu_s}


def emit(
    events: int, folder: Path, *, many: int, sync: bool = True, held: int = 0
) -> dict[str, Any]:
    """Time writing, ``many`` in one transaction; without ``sync`` a power cut may take the last.

    The device holds ``held`` events of others about the same records, which each write looks for.
    """
    dataset = Dataset()
    author = dataset.joined(SqliteStore(folder / "own"), "writer")
    if held:
        dataset.introduce(author)
        author.ingest(segments(dataset, held, 64, 64), T0_MS)
        author.settle()
    if not sync:
        author.store._file.run("PRAGMA synchronous = OFF")  # type: ignore[attr-defined] # noqa: SLF001
    items = list(payloads(events * AUTHORS, 0))
    with measured() as spent:
        for at in range(0, len(items), many):
            author.append_many(items[at : at + many], T0_MS + at)  # signed: it could leave now
    return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s}


def least(events: int, folder: Path) -> dict[str, Any]:
    """Time what no durable, signed write can do without: a signature, and a small file synced.

    The file is as long as it will be, and on the disk: one that grows has a journal to write, too,
    which costs half as much again.
    """
    who, size_bytes = identity("writer"), 200
    file = os.open(folder / "file", os.O_WRONLY | os.O_CREAT)
    os.write(file, bytes(events * size_bytes))
    os.fsync(file)
    with measured() as spent:
        for number in range(events):
            body = who.sign(number.to_bytes(8, "big")).ljust(size_bytes)
            os.pwrite(file, body, number * size_bytes)
            os.fdatasync(file)
    os.close(file)
    return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s}


def emit_beside(events: int, folder: Path, *, threads: int) -> dict[str, Any]:
    """Time a node's writing, durable, one by one in each of several threads."""
    dataset = Dataset()
    replica = dataset.joined(SqliteStore(folder / "own"), "writer")
    items = list(payloads(events * AUTHORS, 0))
    with (
        Node.over(replica.store, replica.identity) as node,
        ThreadPoolExecutor(threads) as pool,
        measured() as spent,
    ):
        for done in [pool.submit(node.emit, *item) for item in items]:
            done.result()
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
    base.settle()
    count = base.event_count()
    store.close()
    return {"events": count, "disk_bytes": Path(path).stat().st_size}


def opening(path: str) -> dict[str, Any]:
    """Time opening a store and its replica."""
    _warm()
    with measured() as spent:
        store = SqliteStore(path)
    with measured() as whole:
        replica = Replica(store, identity("receiver"), T0_MS * 2, random.Random(1))  # noqa: S311
    told = {"cpu_s": spent.cpu_s, "replica_cpu_s": whole.cpu_s}
    return told | {"events": replica.event_count(), "disk_bytes": Path(path).stat().st_size}


def weigh(path: str) -> dict[str, Any]:
    """Weigh what an open replica adds to a process that has only imported; nothing ran before.

    What a warm-up leaves free in the heap would hide it.
    """
    before = resident_bytes()
    store = SqliteStore(path)
    replica = Replica(store, identity("receiver"), T0_MS * 2, random.Random(1))  # noqa: S311
    replica.record("R-0")
    return {"memory_bytes": resident_bytes() - before}


def look(path: str) -> dict[str, Any]:
    """Time reading one record after one more event, and writing that event."""
    store = SqliteStore(path)
    replica = Replica(store, identity("receiver"), T0_MS * 2, random.Random(1))  # noqa: S311
    writes, reads = [], []
    for number in range(100):
        record = f"R-{number}"
        payload = {"record_id": record, "field": "depth_m", "value": number}
        with measured(collects=False) as spent:
            replica.append("field.set", payload, T0_MS * 2 + number)
        writes.append(spent.cpu_s)
        with measured(collects=False) as spent:
            shown = replica.record(record)
            assert shown is not None
            shown.public()
        reads.append(spent.cpu_s)
    store.close()
    return {"cpu_s": sorted(reads)[50], "write_cpu_s": sorted(writes)[50]}


def check(path: str) -> dict[str, Any]:
    """Time fsck, and of it the part that follows chains and checks signatures."""
    store = SqliteStore(path, read_only=True)
    dataset = DatasetId(EventId(store.get_meta("dataset") or b""))
    with measured() as spent:
        report = fsck(store, dataset)
    assert not report.problems, report
    problems = Problems()
    feeds = FeedCheck(store, Ledger.load(store, dataset).roster, problems)
    with measured() as chains:
        for stretch in store.stretches():
            feeds.take_all(stretch)
        feeds.finish()
    assert not problems.count, problems
    assert feeds.cuts == report.cuts > 0, feeds.cuts
    return {"cpu_s": spent.cpu_s, "chains_cpu_s": chains.cpu_s}


def hostile(events: int, folder: Path, *, order: str) -> dict[str, Any]:
    """Time one author's segments of one event each in a hostile order, and the view's rows."""
    dataset = Dataset()
    own = _feed(dataset.authors[0], 0, events)
    if order == "twins":
        twin = dataset.joined(SqliteStore(), "author 0")  # a device restored from a copy
        own = [e for pair in zip(own, _feed(twin, 1, events), strict=True) for e in pair][:events]
        assert len({event.feed for event in own}) == 1, "no twins: their feeds differ"
    coded = [encode_segment([event]) for event in own]
    if order == "shuffled":
        random.Random(1).shuffle(coded)  # noqa: S311
    else:
        coded.reverse()
    base = dataset.joined(SqliteStore(folder / "base"), "receiver")
    dataset.introduce(base)
    before = base.event_count()
    with measured() as spent:
        base.ingest(coded, T0_MS + events)
        base.settle()
    assert base.event_count() - before == events, base.refused
    return {"cpu_s": spent.cpu_s}


def _feed(author: Replica, payload: int, events: int) -> list[Event]:
    return written(author, payload, events * AUTHORS, 1)


def _warm() -> None:
    """Load and run what the first opening of any store loads."""
    with tempfile.TemporaryDirectory() as folder:
        emit(8, Path(folder), many=8)


def main() -> None:
    """Do the job in the first argument."""
    job = json.loads(sys.argv[1])
    name = job.pop("do")
    passphrase.provide(lambda _: "correct horse battery staple")
    on_path = {"make": make, "open": opening, "weigh": weigh, "look": look, "check": check}
    if name in on_path:
        print(json.dumps(on_path[name](**job)))  # type: ignore[operator]
        return
    done = {
        "receive": receive,
        "emit": emit,
        "least": least,
        "emit_beside": emit_beside,
        "hostile": hostile,
        "survey": survey,
    }[name]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(done(folder=Path(folder), **job)))  # type: ignore[operator]


if __name__ == "__main__":
    main()
