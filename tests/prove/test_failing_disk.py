"""The n-th operation of the disk fails, for every n: an error means that the event is nowhere."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from meshlog.core.grant import Invite
from meshlog.core.identity import Identity
from meshlog.errors import StoreError
from meshlog.replica import Replica, join
from meshlog.replica.seat import load
from meshlog.sim.vfs import CrashDisk
from meshlog.store import SqliteStore
from meshlog.sync.holdings import Verdict
from meshlog.tools.fsck.fsck import fsck
from tests.prove.powercut import STORE, T0_MS, Peer, fast_folder

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

Tell = Callable[[str], None]

ANN = Identity(random.Random("ann").randbytes(64))
FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
SIZE_BYTES = 9_000
"""Of a note: a transaction takes several pages, and the WAL of a few is folded into the file."""


class Device:
    """A replica on a disk that fails on demand, and what it may hold and say."""

    def __init__(self, disk: CrashDisk) -> None:
        self.disk = disk
        self.now_ms = T0_MS
        self.durable: set[bytes] = set()
        self.refused = 0
        self.open()

    def open(self) -> None:
        self.store = SqliteStore(self.disk.folder / STORE, vfs=self.disk.vfs)
        self.store._file.run("PRAGMA wal_autocheckpoint = 8")
        self.replica = Replica(self.store, ANN, self.now_ms, random.Random(1))
        self.durable = self.held()

    def held(self) -> set[bytes]:
        return {arrival.event.id for arrival in self.store.scan()}

    def snapshot(self) -> tuple[object, ...]:
        """Return what an error must not change: memory, file, and what peers would be told."""
        replica, ledger = self.replica, self.replica.ledger
        return (
            ledger.root,
            dict(ledger.frontier),
            ledger.roster_digest,
            replica.event_count(),
            self.held(),
            [*self.store.records()],
            self.store.get_meta("clock"),
        )

    def attempt(self, work: Callable[[], bool]) -> bool:
        """Do one thing; where it fails, check that nothing came of it. Say whether it was done."""
        self.now_ms += 1_000
        before = self.snapshot()
        said = "nothing was written"
        try:
            done = work()
        except StoreError as error:
            done, said = False, str(error)
        if done:
            self.durable = self.held()
        else:
            self.refused += 1
            assert "nothing was written" in said, "the message says what came of it"
            assert self.snapshot() == before
        self.check_memory()
        return done

    def check_memory(self) -> None:
        """Memory is as the file, and nothing leaves that is not durable."""
        assert dict(self.replica.ledger.frontier) == self.store.heads()
        assert self.held() == self.durable
        for feed, tips in self.replica.ledger.frontier.items():
            for tip in tips:
                assert tip.id in self.durable
                self.replica.segments(feed, tip, 0, 10**7)

    # ── things to do, each its own transaction or two ──

    def write(self) -> bool:
        text = random.Random(self.now_ms).randbytes(SIZE_BYTES // 2).hex()
        payload = {"record_id": f"r{self.now_ms % 3}", "text": text}
        self.replica.append("note.add", payload, self.now_ms)
        return True

    def write_many(self) -> bool:
        put = {"record_id": "many", "form": "well", "fields": {"n": 1}}
        note = {"record_id": "many", "text": "x" * SIZE_BYTES}
        self.replica.append_many([("record.put", put), ("note.add", note)] * 3, self.now_ms)
        return True

    def hear(self, segments: list[bytes]) -> bool:
        verdicts = self.replica.ingest(segments, self.now_ms).verdicts
        if Verdict.BUSY in verdicts:
            assert set(verdicts) == {Verdict.BUSY}
            assert "nothing was written" in self.replica.trouble
            return False
        return True

    def sign(self) -> bool:
        """Let our events leave: unsigned ones stay, and the trouble is told."""
        self.replica.root()
        head = self.replica.ledger.frontier[self.replica.data_feed][-1]
        segments, reached = self.replica.segments(self.replica.data_feed, head, 0, 10**7)
        if self.replica.trouble:
            assert "nothing was written" in self.replica.trouble
            return False
        assert reached == head.seq
        assert segments
        return True


@pytest.fixture
def base() -> Iterator[Peer]:
    base = Peer(7)
    base.write(5, SIZE_BYTES)
    yield base
    base.store.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory for one device."""
    folder = (fast_folder() or tmp_path) / f"failing-{random.getrandbits(64):016x}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def seated(tmp_path: Path, base: Peer) -> bytes:
    """A store's file in which a seat was taken."""
    path = tmp_path / STORE
    with closing(SqliteStore(path)) as store:
        join(store, ANN, "ann", base.invite())
        Replica(store, ANN, T0_MS, random.Random(1))
    return path.read_bytes()


@contextmanager
def device_with(seated: bytes, folder: Path) -> Iterator[Device]:
    for file in folder.iterdir():
        file.unlink()
    (folder / STORE).write_bytes(seated)
    with CrashDisk(folder, random.Random(1)) as disk:
        device = Device(disk)
        try:
            yield device
        finally:
            device.store.close()


def work_through(device: Device, segments: list[bytes], *, retry: bool) -> None:
    """Do everything once, and again what failed."""

    def hear() -> bool:
        return device.hear(segments)

    for work in (device.write, device.sign, hear, device.write_many, device.write, device.sign):
        while not device.attempt(work) and retry:
            assert device.refused < 100, "it goes on when the disk does"


@pytest.mark.parametrize(("times", "step"), [(1, 1), (3, 5)])
@pytest.mark.parametrize("fault", FAULTS)
def test_any_operation_may_fail_and_the_event_is_nowhere_until_it_is_written_again(
    base: Peer, seated: bytes, home: Path, fault: str, times: int, step: int, tell: Tell
):
    segments = base.everything()
    places = refused = after = 0

    while True:
        with device_with(seated, home) as device:
            disk = device.disk
            first = disk.operations
            disk.fail(after, FAULTS[fault], times)
            work_through(device, segments, retry=True)
            operations = disk.operations - first
            refused += device.refused
            durable = device.durable
            assert fsck(device.store, device.replica.dataset).is_clean

            disk.switch_off()
            device.store.close()
            disk.power_on()
            device.open()
            assert device.durable == durable, "a cut afterwards takes nothing back"
        places += 1
        if after > operations:
            break
        after += step

    assert refused > places / 4, "the faults were felt"
    tell(
        f"{fault} at the n-th operation, {times} in a row: {places} places, {refused} writes"
        " refused, each nowhere; all written when the disk went on, and there after a power cut"
    )


def test_a_disk_that_stays_bad_refuses_every_write_and_reads_go_on(
    base: Peer, seated: bytes, home: Path
):
    with device_with(seated, home) as device:
        work_through(device, [], retry=False)
        view = device.replica.view.snapshot()
        device.disk.fail(0, errno.EIO, times=10**5)

        work_through(device, base.everything(), retry=False)

        assert device.refused >= 5
        assert device.replica.view.snapshot() == view


def test_a_full_disk_refuses_what_does_not_fit_and_takes_it_when_there_is_room(
    base: Peer, seated: bytes, home: Path
):
    with device_with(seated, home) as device:
        used = sum(file.size for file in device.disk.names.values())
        device.disk.capacity_bytes = used + 300_000
        written = 0
        while device.attempt(device.write):
            written += 1
        assert written > 0
        assert not device.attempt(device.write)
        assert not device.attempt(lambda: device.hear(base.everything()))

        device.disk.capacity_bytes = None

        work_through(device, base.everything(), retry=True)
        assert fsck(device.store, device.replica.dataset).is_clean


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_could_not_be_made_is_made_when_the_disk_goes_on(
    base: Peer, home: Path, fault: str
):
    invite, failed = base.invite(), 0
    for after in range(80):
        for file in home.iterdir():
            file.unlink()
        with CrashDisk(home, random.Random(after)) as disk:
            disk.fail(after, FAULTS[fault])
            made = [device_made(disk, invite) for _ in range(3)]
            failed += made.count(False)
            assert made[-1]

    assert failed > 20


def device_made(disk: CrashDisk, invite: Invite) -> bool:
    """Take a seat where there is none yet, write and close; say whether the disk let us."""
    try:
        with closing(SqliteStore(disk.folder / STORE, vfs=disk.vfs)) as store:
            if load(store, ANN) is None:
                join(store, ANN, "ann", invite)
            replica = Replica(store, ANN, T0_MS, random.Random(1))
            replica.append("note.add", {"record_id": "r", "text": "x"}, T0_MS)
            assert store.integrity() == []
    except StoreError:
        return False
    return True
