"""The disk really forgets, and the store on it does not."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from meshlog.errors import StoreError
from meshlog.sim.disk import Disk, File
from meshlog.sim.vfs import CrashDisk
from meshlog.store import SqliteStore
from tests.store.logs import ANN, add, chain

CUTS = 300


def left(disk: Disk, name: str = "a") -> set[bytes | None]:
    """Return everything that a cut at this moment may leave of a file."""
    return {disk.image(random.Random(seed)).get(name) for seed in range(CUTS)}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "a").write_bytes(b"old")
    return Disk(tmp_path, random.Random(1))


def write(disk: Disk, file: File, offset: int, data: bytes) -> None:
    disk.begin()
    disk.write(file, offset, data)


def test_a_write_may_be_lost_torn_or_kept_until_it_is_synced(disk: Disk):
    file = disk.adopt("a")
    write(disk, file, 0, b"new")

    assert {b"old", b"new", b"nld"} <= left(disk)
    disk.sync(file)
    assert left(disk) == {b"new"}


def test_sectors_arrive_in_any_order(disk: Disk):
    file = disk.adopt("a")
    write(disk, file, 0, bytes(512))
    disk.sync(file)
    write(disk, file, 0, b"1" * 512 + b"2" * 512)

    found = {(content[0:1], content[600:601]) for content in left(disk) if content is not None}

    assert {(b"\0", b""), (b"1", b""), (b"\0", b"2"), (b"1", b"2"), (b"\0", b"\0")} <= found


def test_a_new_name_may_be_missing_until_its_folder_is_synced(disk: Disk):
    made = File()
    disk.begin()
    disk.name(("b", made))
    write(disk, made, 0, b"x")
    disk.sync(made)

    assert left(disk, "b") == {None, b"x"}
    disk.sync_folder()
    assert left(disk, "b") == {b"x"}


def test_a_removed_file_may_come_back_until_its_folder_is_synced(disk: Disk):
    disk.adopt("a")
    disk.begin()
    disk.name(("a", None))

    assert left(disk) == {None, b"old"}
    disk.sync_folder()
    assert left(disk) == {None}


def test_a_failed_sync_may_lose_what_a_later_one_seems_to_save(disk: Disk):
    """As Linux does it: the pages are clean after the error, whatever became of them."""
    found = set()
    for seed in range(8):
        file = disk.adopt("a")
        write(disk, file, 0, b"new" if seed % 2 else b"old")
        file.lose(random.Random(seed))
        disk.sync(file)
        found |= left(disk)

    assert found == {b"old", b"new"}


# ── SQLite on it ──


def cut_and_count(folder: Path, seed: int, synchronous: str) -> tuple[int, int]:
    """Write until the power fails; return how many events were acknowledged, and are there."""
    path = folder / "ann.meshlog"
    events = chain(ANN, 40)
    with CrashDisk(folder, random.Random(seed)) as disk:
        store = SqliteStore(path, vfs=disk.vfs)
        store._file.run(f"PRAGMA synchronous = {synchronous}")
        disk.cut_power(after=random.Random(seed).randrange(150))
        acknowledged = 0
        with closing(store), suppress(StoreError):
            for event in events:
                add(store, [event])
                acknowledged += 1
        assert disk.is_off
        disk.power_on()
        with closing(SqliteStore(path, vfs=disk.vfs)) as store:
            assert store.integrity() == []
            return acknowledged, store.event_count()


def test_a_store_on_it_keeps_what_it_acknowledged(tmp_path: Path):
    for seed in range(30):
        (folder := tmp_path / str(seed)).mkdir()
        acknowledged, there = cut_and_count(folder, seed, "FULL")

        assert acknowledged <= there <= acknowledged + 1


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_store_that_does_not_sync_is_caught(tmp_path: Path, synchronous: str):
    """The disk that every promise about power rests on must be able to break it."""
    lost = 0
    for seed in range(30):
        (folder := tmp_path / str(seed)).mkdir()
        try:
            acknowledged, there = cut_and_count(folder, seed, synchronous)
            lost += there < acknowledged
        except (StoreError, AssertionError):
            lost += 1

    assert lost > 5


def test_the_same_seed_leaves_the_same(tmp_path: Path):
    found = []
    for number in range(2):
        (folder := tmp_path / str(number)).mkdir()
        found.append((cut_and_count(folder, 7, "FULL"), (folder / "ann.meshlog").read_bytes()))

    assert found[0] == found[1]


@pytest.fixture
def crash_disk(tmp_path: Path) -> Iterator[CrashDisk]:
    with CrashDisk(tmp_path, random.Random(1)) as disk:
        yield disk


@pytest.fixture
def store(crash_disk: CrashDisk) -> Iterator[SqliteStore]:
    with closing(SqliteStore(crash_disk.folder / "ann.meshlog", vfs=crash_disk.vfs)) as store:
        yield store


@pytest.mark.parametrize(
    ("error", "words"), [(errno.EIO, "reported an error"), (errno.ENOSPC, "the disk is full")]
)
def test_a_fault_is_an_error_and_then_it_goes_on(
    crash_disk: CrashDisk, store: SqliteStore, error: int, words: str
):
    crash_disk.fail(0, error)
    with pytest.raises(StoreError, match=words):
        add(store, chain(ANN, 1))

    add(store, chain(ANN, 2))

    assert store.event_count() == 2


def test_a_full_disk_takes_no_more_until_there_is_room(crash_disk: CrashDisk, store: SqliteStore):
    crash_disk.capacity_bytes = sum(file.size for file in crash_disk.names.values())
    for _ in range(3):
        with pytest.raises(StoreError, match="the disk is full"):
            add(store, chain(ANN, 1))

    crash_disk.capacity_bytes = None
    add(store, chain(ANN, 1))

    assert store.event_count() == 1


def test_a_store_that_a_cut_left_half_made_is_made_anew(tmp_path: Path):
    """Its first page may be anything, and its journal says that there was nothing before."""
    for after in range(40):
        (folder := tmp_path / str(after)).mkdir()
        path = folder / "ann.meshlog"
        for seed in range(8):
            with CrashDisk(folder, random.Random(seed)) as disk:
                disk.cut_power(after=after)
                with suppress(StoreError):
                    SqliteStore(path, vfs=disk.vfs).close()
                disk.power_on()
                with closing(SqliteStore(path, vfs=disk.vfs)) as store:
                    assert store.event_count() == 0
            for file in folder.iterdir():
                file.unlink()
