"""The predecessor's side: one job per process, named on the command line, told in JSON.

Run with the interpreter of its own environment. All that is timed is its own code, in memory where
it keeps things in memory, and with its log where the job says ``persist``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from timing import measured, resident_bytes
from workload import AUTHORS, T0_MS, payloads

peer = importlib.import_module("meshlog")
SIGNS = "signer" in inspect.signature(peer.Node).parameters
BATCH = 32


class Seam:
    """Its Transport: nobody is in reach, messages are handed in."""

    def __init__(self, name: str) -> None:
        """Take the name."""
        self.node_id = name
        self.receive: Any = None

    def set_receive(self, cb: Any) -> None:
        """Keep whom to hand messages to."""
        self.receive = cb

    def reachable_peers(self) -> list[str]:
        """Return nobody."""
        return []

    def send(self, peer_id: str, message: bytes) -> None:
        """Drop it."""


class Host:
    """Nodes with identities, as its Reticulum layer makes them, signed where it can sign."""

    def __init__(self, *, signed: bool) -> None:
        """Keep the identities by name."""
        self.signed = signed and SIGNS
        self.identities: dict[str, Any] = {}
        self.now_ms = T0_MS

    def tick(self) -> int:
        """Return a wall time, a millisecond after the last."""
        self.now_ms += 1
        return self.now_ms

    def node(self, number: int, path: Path | None = None) -> Any:
        """Make a node; a reducer where the version takes one."""
        more: dict[str, Any] = {"hlc": peer.HLC(_phys=self.tick)}
        name = f"{number:032x}"
        if self.signed:
            rns = importlib.import_module("meshlog.rns_transport")
            identity = rns.RNS.Identity(create_keys=False)
            identity.load_private_key(random.Random(number).randbytes(64))  # noqa: S311
            name = identity.hash.hex()
            self.identities[name] = identity
            more["signer"] = rns.RNSSigner(identity)
            more["verifier"] = rns.RNSVerifier(self.identities.get)
        if "reducer" in inspect.signature(peer.Node).parameters:
            more["reducer"] = importlib.import_module("meshlog.reducer").RawReducer()
        return peer.Node(name, Seam(name), persist_path=path and str(path), **more)


def written(host: Host, events: int) -> list[list[Any]]:
    """Return the feeds of four authors."""
    feeds = []
    for author in range(AUTHORS):
        node = host.node(author + 1)
        feeds.append([node.emit(kind, payload) for kind, payload in payloads(events, author)])
    return feeds


def messages(feeds: list[list[Any]]) -> list[bytes]:
    """Return what peers would send: 32 events each, the authors in turn."""
    coded = []
    for at in range(0, max(map(len, feeds)), BATCH):
        for feed in feeds:
            chunk = [event.to_wire() for event in feed[at : at + BATCH]]
            if chunk:
                coded.append(
                    json.dumps({"t": "events", "e": chunk}, separators=(",", ":")).encode()
                )
    return coded


def receive(events: int, folder: Path, *, signed: bool, persist: bool) -> dict[str, Any]:
    """Time taking messages in."""
    host = Host(signed=signed)
    coded = messages(written(host, events))
    base = host.node(99, folder / "base.jsonl" if persist else None)
    with measured() as spent:
        for message in coded:
            base.transport.receive("peer", message)
    assert base.store.event_count() == events // AUTHORS * AUTHORS
    return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "signed": host.signed}


def emit(events: int, folder: Path) -> dict[str, Any]:
    """Time writing one by one, signed where it signs, into its log."""
    host = Host(signed=True)
    node = host.node(1, folder / "log.jsonl")
    items = list(payloads(events * AUTHORS, 0))
    with measured() as spent:
        for kind, payload in items:
            node.emit(kind, payload)
    return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "signed": host.signed}


def look(events: int, folder: Path) -> dict[str, Any]:
    """Time one view after one more event; unsigned, nothing persisted: the fold alone."""
    del folder
    host = Host(signed=False)
    base = host.node(99)
    for feed in written(host, events):
        for event in feed:
            base.store.append_local(event)
    times = []
    for _ in range(3):
        base.emit("field.set", {"record_id": "R-0", "field": "depth_m", "value": 1})
        with measured(collects=False) as spent:
            base.view()
        times.append(spent.cpu_s)
    return {"cpu_s": sorted(times)[1]}


def log(events: int, folder: Path) -> Path:
    """Write a log of its form, in one go."""
    path = folder / "log.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for feed in written(Host(signed=True), events):
            out.writelines(json.dumps(event.to_wire()) + "\n" for event in feed)
    return path


def opening(path: Path) -> dict[str, Any]:
    """Time opening a log, and weigh what is in memory then."""
    before = resident_bytes()
    with measured() as spent:
        store = peer.FeedStore(str(path))
    return {
        "cpu_s": spent.cpu_s,
        "wall_s": spent.wall_s,
        "memory_bytes": resident_bytes() - before,
        "disk_bytes": path.stat().st_size,
        "events": store.event_count(),
    }


def hostile(events: int, folder: Path, *, order: str) -> dict[str, Any]:
    """Time one batch of one author in a hostile order; of twins it keeps one branch."""
    del folder
    feed = _feed(0, events)
    if order == "twins":
        pairs = zip(feed, _feed(1, events), strict=True)
        feed = [event for pair in pairs for event in pair][:events]
    if order == "shuffled":
        random.Random(1).shuffle(feed)  # noqa: S311
    else:
        feed.reverse()
    store = peer.FeedStore()
    with measured() as spent:
        store.ingest_many(feed)
    kept = events // 2 if order == "twins" else events
    assert store.event_count() == kept, store.event_count()
    return {"cpu_s": spent.cpu_s}


def _feed(payload: int, events: int) -> list[Any]:
    node = Host(signed=False).node(1)
    return [node.emit(kind, value) for kind, value in payloads(events * AUTHORS, payload)]


def main() -> None:
    """Do the job in the first argument."""
    job = json.loads(sys.argv[1])
    name, events = job.pop("do"), job.pop("events")
    if name == "open":
        print(json.dumps(opening(Path(job["path"]))))
        return
    if name == "log":
        print(json.dumps({"path": str(log(events, Path(job["folder"])))}))
        return
    done = {"receive": receive, "emit": emit, "look": look, "hostile": hostile}[name]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(done(events, Path(folder), **job)))


if __name__ == "__main__":
    main()
