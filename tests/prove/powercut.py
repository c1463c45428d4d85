"""A replica at work on a disk that forgets, and what is found after each of many power cuts."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from meshlog.core.event import Event
from meshlog.core.grant import Invite, Role
from meshlog.core.identity import Identity
from meshlog.replica import Replica, found, join
from meshlog.replica.ledger import Ledger
from meshlog.replica.seat import load
from meshlog.sim.vfs import CrashDisk
from meshlog.store import SqliteStore
from meshlog.sync.holdings import Verdict
from meshlog.tools.fsck.fsck import fsck
from tests.prove.osfiles import listening

T0_MS = 1_750_000_000_000
FSCK_EVERY = 25
"""One image in so many gets the whole of fsck, the fold of the view and the integrity check."""

STORE = "ann.meshlog"


@dataclass(slots=True)
class Totals:
    """What a run of many cuts adds up to."""

    cuts: int = 0
    images: int = 0
    """Cuts that left something new."""
    deep: int = 0
    acknowledged: int = 0
    """Events acknowledged before a cut, over all cuts: each was looked for."""

    def add(self, other: Totals) -> None:
        """Take in another run."""
        self.cuts += other.cuts
        self.images += other.images
        self.deep += other.deep
        self.acknowledged += other.acknowledged


class Found(NamedTuple):
    """What one cut left, and what had been promised."""

    files: dict[str, bytes]
    promised: Promise


class Promise(NamedTuple):
    """What must be found: either as before the step in progress, or as after it."""

    before: State
    after: State


class State(NamedTuple):
    """A replica between two steps."""

    is_seated: bool = False
    root: bytes = b""
    event_count: int = 0
    last: bytes = b""
    """Id of the event that was written last."""
    signed: bytes = b""
    """Id of the event whose signature was served last."""


@dataclass
class Trial:
    """One workload on one disk: every operation is cut ``cuts_each`` times."""

    seed: int
    cuts_each: int
    body_size_bytes: int
    totals: Totals = field(default_factory=Totals)

    def run(self) -> Totals:
        """Work, cut, look; return the sums. Fails where anything acknowledged is lost."""
        folder = Path(tempfile.mkdtemp(prefix="cut", dir=fast_folder()))
        try:
            (disk_folder := folder / "disk").mkdir()
            self.luck, self.cut_luck = random.Random(self.seed), random.Random(self.seed + 1)
            self.look_in = folder / "found"
            self.identity = Identity(random.Random("ann").randbytes(64))
            self.state, self._seen = State(), set[tuple[object, ...]]()
            with CrashDisk(disk_folder, self.luck) as disk, listening(disk):
                self.disk, self.path = disk, disk_folder / STORE
                self._work()
        finally:
            shutil.rmtree(folder)
        return self.totals

    # ── the work ──

    def _work(self) -> None:
        base = Peer(self.seed)
        self._step(self._create, base.invite())
        for act in (self._one, self._sync, self._many, self._hear, self._serve, self._reopen):
            act(base)
        acts = [self._one, self._one, self._many, self._hear, self._serve, self._checkpoint]
        for _ in range(10):
            self.luck.choice(acts)(base)
        self._reopen(base)
        self._one(base)
        self._step(self.replica.store.close)
        base.store.close()

    def _step(self, work: Callable[..., object], *values: object) -> None:
        """Do one thing, draw images at each of its operations, and look at them afterwards."""
        drawn: list[dict[str, bytes]] = []
        self.disk.watch = lambda: drawn.extend(
            self.disk.image(self.cut_luck) for _ in range(self.cuts_each)
        )
        work(*values)
        self.disk.watch = lambda: None
        before, self.state = self.state, self._look_at_ourselves()
        for files in drawn:
            self._check(Found(files, Promise(before, self.state)))
        # What was acknowledged is there, whatever becomes of what is still on its way.
        for _ in range(self.cuts_each):
            self._check(Found(self.disk.image(self.cut_luck), Promise(self.state, self.state)))

    def _look_at_ourselves(self) -> State:
        replica, log = self.replica, self.replica.ledger
        return State(True, log.root, replica.event_count(), self.last, self.signed)

    def _create(self, invite: Invite) -> None:
        store = SqliteStore(self.path, vfs=self.disk.vfs)
        store._file.run("PRAGMA wal_autocheckpoint = 40")
        join(store, self.identity, "ann", invite)
        self.last = self.signed = b""
        self.replica = Replica(store, self.identity, T0_MS, self.luck)

    def _payload(self) -> tuple[str, dict[str, object]]:
        record = f"r{self.luck.randrange(9)}"
        text = self.luck.randbytes(self.body_size_bytes // 2).hex()
        if self.luck.random() < 0.5:
            return "note.add", {"record_id": record, "text": text}
        return "record.put", {"record_id": record, "form": "well", "fields": {"text": text}}

    def _one(self, _base: Peer) -> None:
        self._step(lambda: self._wrote([self.replica.append(*self._payload(), T0_MS)]))

    def _many(self, _base: Peer) -> None:
        items = [self._payload() for _ in range(self.luck.randint(2, 8))]
        self._step(lambda: self._wrote(self.replica.append_many(items, T0_MS)))

    def _wrote(self, events: Sequence[Event]) -> None:
        self.last = events[-1].id

    def _sync(self, base: Peer) -> None:
        """Let the base's control feed come first, so that its data can be verified."""
        self._step(self._take, base.everything())

    def _hear(self, base: Peer) -> None:
        base.write(self.luck.randint(1, 12), self.body_size_bytes // 4)
        self._step(self._take, base.everything())

    def _take(self, segments: list[bytes]) -> None:
        verdicts = self.replica.ingest(segments, T0_MS).verdicts
        assert set(verdicts) <= {Verdict.ACCEPTED, Verdict.DUPLICATE}, verdicts

    def _serve(self, _base: Peer) -> None:
        self._step(self._let_leave)

    def _let_leave(self) -> None:
        self.replica.root()
        head = self.replica.ledger.frontier[self.replica.data_feed][-1]
        self.signed = head.id

    def _checkpoint(self, _base: Peer) -> None:
        how = self.luck.choice(["PASSIVE", "FULL", "TRUNCATE"])
        self._step(lambda: self.replica.store._file.run(f"PRAGMA wal_checkpoint({how})"))  # type: ignore[attr-defined]

    def _reopen(self, _base: Peer) -> None:
        def again() -> None:
            self.replica.store.close()
            store = SqliteStore(self.path, vfs=self.disk.vfs)
            store._file.run("PRAGMA wal_autocheckpoint = 40")
            self.replica = Replica(store, self.identity, T0_MS, self.luck)

        self._step(again)

    # ── the look ──

    def _check(self, found: Found) -> None:
        self.totals.cuts += 1
        self.totals.acknowledged += found.promised.before.event_count
        key = (hash(tuple(sorted(found.files.items()))), found.promised)
        if key in self._seen:
            return
        self._seen.add(key)
        self.totals.images += 1
        shutil.rmtree(self.look_in, ignore_errors=True)
        self.look_in.mkdir()
        for name, content in found.files.items():
            (self.look_in / name).write_bytes(content)
        with closing(SqliteStore(self.look_in / STORE)) as store:
            self._check_store(store, found.promised)

    def _check_store(self, store: SqliteStore, promised: Promise) -> None:
        before, after = promised
        seat = load(store, self.identity)
        assert seat is not None or not before.is_seated, "the seat is lost"
        if seat is None:
            assert store.event_count() == 0
            return
        ledger = Ledger.load(store, seat.dataset)
        state = (ledger.root, store.event_count())
        if before.is_seated:
            assert state in {(s.root, s.event_count) for s in promised}, "neither before nor after"
        else:
            assert state[1] <= after.event_count
        if before.last:
            assert store.get(before.last) is not None, "an acknowledged event is lost"
        if before.signed:
            arrival = store.get(before.signed)
            assert arrival is not None
            assert arrival.event.signature, "a signature that left is lost"
        if self.totals.images % FSCK_EVERY == 0:
            self.totals.deep += 1
            Replica(store, self.identity, T0_MS, self.cut_luck)
            report = fsck(store, seat.dataset)
            assert report.is_clean, report.problems
        else:
            assert store._file.run("PRAGMA quick_check") == [("ok",)]


class Peer:
    """A base camp in memory, whose segments the device under test hears."""

    def __init__(self, seed: int) -> None:
        """Found the dataset."""
        self.luck = random.Random(seed)
        self.store = SqliteStore()
        who = Identity(random.Random("base").randbytes(64))
        found(self.store, who, "base", "valley", T0_MS, self.luck)
        self.replica = Replica(self.store, who, T0_MS, self.luck)

    def invite(self) -> Invite:
        """Let somebody in."""
        return self.replica.invite(Role.WRITER)

    def write(self, count: int, size_bytes: int) -> None:
        """Write notes."""
        for _ in range(count):
            text = self.luck.randbytes(max(size_bytes // 2, 1)).hex()
            payload = {"record_id": f"r{self.luck.randrange(9)}", "text": text}
            self.replica.append("note.add", payload, T0_MS)

    def everything(self) -> list[bytes]:
        """Return all its segments, the control feeds first."""
        self.replica.root()
        ledger = self.replica.ledger
        return [
            segment
            for feed in sorted(ledger.frontier, key=lambda feed: feed.kind)
            for tip in ledger.frontier[feed]
            for segment in self.replica.segments(feed, tip, 0, 10**7)[0]
        ]


def fast_folder() -> Path | None:
    """Return a folder in memory: what a cut leaves is computed, so no real disk is needed."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None
