"""The instance guard: what is a copy, what is the original, on real files."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from meshlog.errors import StoreError
from meshlog.replica import Replica, join_open
from meshlog.store import SqliteStore
from meshlog.store.instance import Mark, decode, decode_note, encode, encode_note
from tests.replica.devices import T0_MS, identity, note

MARK = Mark(0x00C0FFEE, "a1a2:b1b2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a few events, closed."""
    (tmp_path / "device").mkdir()
    path = tmp_path / "device" / "ann.meshlog"
    with closing(SqliteStore(path)) as store:
        join_open(store, identity("ann"), "ann")
        note(Replica(store, identity("ann"), T0_MS, Random(1)), "first")
    return path


def guard_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.instance")


def life_of(path: Path) -> tuple[int, list[str]]:
    """Open a store as its device does; return the life it goes on as, and what was said."""
    with closing(SqliteStore(path)) as store:
        replica = Replica(store, identity("ann"), T0_MS, Random())
        return replica.data_feed.incarnation, list(replica.news)


def copied(path: Path, target: Path) -> Path:
    """Copy a store as ``cp store* target/`` does: its guard, too."""
    target.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, target / file.name)
    return target / path.name


def test_the_original_goes_on_as_the_same_life(path: Path):
    life, news = life_of(path)

    assert news == []
    assert life_of(path) == (life, [])


def test_the_guard_is_its_owners_alone_and_can_be_read(path: Path):
    guard = guard_of(path)

    assert stat.S_IMODE(guard.stat().st_mode) == 0o600
    mark = decode(guard.read_bytes())
    assert mark is not None
    note = path.with_name(f"{path.name}.instance-note")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    with closing(SqliteStore(path, read_only=True)) as store:
        assert decode_note(note.read_bytes()) == (mark.life, store.event_count())
        assert mark.life.to_bytes(4, "big") == store.get_meta("incarnation")


def copy_of_the_store_alone(path: Path) -> Path:
    return Path(shutil.copy(path, path.with_name("copy.meshlog")))


def copy_with_its_guard(path: Path) -> Path:
    return copied(path, path.parent.parent / "copy")


def copy_that_keeps_times_and_owners(path: Path) -> Path:
    target = path.parent.parent / "copy"
    subprocess.run(["cp", "-a", str(path.parent), str(target)], check=True)
    return target / path.name


def restored_where_it_was(path: Path) -> Path:
    backup = Path(shutil.copy(path, path.with_name("backup")))
    write_more(path)
    shutil.copyfile(backup, path)  # into the same file: even its number is the same
    return path


def restored_with_its_guard_into_the_same_files(path: Path) -> Path:
    """``cp -a`` back and forth keeps content, name, number and times: all but the ctime."""
    backup = path.parent.parent / "backup"
    subprocess.run(["cp", "-a", str(path.parent), str(backup)], check=True)
    write_more(path)
    subprocess.run(["cp", "-a", f"{backup}/.", str(path.parent)], check=True)
    return path


def restored_from_while_it_was_open(path: Path) -> Path:
    """A copy taken in mid-life, put back after the device was killed: the last writes are lost."""
    backup = path.parent.parent / "backup"
    script = f"""
import os, shutil
from pathlib import Path
from random import Random
from meshlog.replica import Replica
from meshlog.store import SqliteStore
from tests.replica.devices import T0_MS, identity, note
path = Path({str(path)!r})
replica = Replica(SqliteStore(path), identity("ann"), T0_MS, Random(2))
note(replica, "kept")
os.mkdir({str(backup)!r})
for file in (path, path.with_name(path.name + "-wal")):
    shutil.copy(file, {str(backup)!r})
note(replica, "lost")
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    for file in backup.iterdir():
        shutil.copyfile(file, path.with_name(file.name))
    return path


def guard_gone(path: Path) -> Path:
    guard_of(path).unlink()
    return path


def guard_torn(path: Path) -> Path:
    os.truncate(guard_of(path), 40)
    return path


def guard_flipped(path: Path) -> Path:
    data = bytearray(guard_of(path).read_bytes())
    data[33] ^= 1
    guard_of(path).write_bytes(data)
    return path


def guard_of_something_else(path: Path) -> Path:
    guard_of(path).write_bytes(encode(MARK))
    return path


def write_more(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        note(Replica(store, identity("ann"), T0_MS, Random(2)), "more")


@pytest.mark.parametrize(
    "happened",
    [
        copy_of_the_store_alone,
        copy_with_its_guard,
        copy_that_keeps_times_and_owners,
        restored_where_it_was,
        restored_from_while_it_was_open,
        restored_with_its_guard_into_the_same_files,
        guard_gone,
        guard_torn,
        guard_flipped,
        guard_of_something_else,
    ],
)
def test_a_copy_goes_on_as_a_new_life_and_says_so_once(
    path: Path, happened: Callable[[Path], Path]
):
    before, _ = life_of(path)
    there = happened(path)

    life, news = life_of(there)

    assert life != before
    assert news == ["this store was copied or restored: it goes on as a new life; nothing is lost"]
    assert life_of(there) == (life, [])


def test_the_original_does_not_mind_that_it_was_copied(path: Path):
    life, _ = life_of(path)
    life_of(copied(path, path.parent.parent / "copy"))

    assert life_of(path) == (life, [])


def test_a_store_that_lost_what_others_wrote_is_told(path: Path):
    """They send it again, if they are in reach; what came on a stick may be nowhere else."""
    life_of(path)
    before = path.read_bytes()
    with closing(SqliteStore()) as theirs, closing(SqliteStore(path)) as ours:
        join_open(theirs, identity("bob"), "bob")
        bob = Replica(theirs, identity("bob"), T0_MS, Random(3))
        note(bob, "bob's")
        ann = Replica(ours, identity("ann"), T0_MS, Random(4))
        for feed, [head] in bob.frontier().items():
            ann.ingest(bob.segments(feed, head, 0, 10_000)[0], T0_MS)

    path.write_bytes(before)

    with closing(SqliteStore(path, read_only=True)) as store:
        assert any("its end was lost" in wrong for wrong in store.integrity())


def test_what_a_writer_adds_while_a_store_is_checked_is_no_lost_end(path: Path):
    """The guard's note is read after the store's moment: it may tell of what came since."""
    with closing(SqliteStore(path)) as store:
        replica = Replica(store, identity("ann"), T0_MS, Random(1))
        with closing(SqliteStore(path, read_only=True)) as reader:
            note(replica, "meanwhile")

            assert reader.event_count() < store.event_count()
            assert reader.integrity() == []


def test_a_store_that_is_moved_on_its_disk_is_the_same(path: Path):
    life, _ = life_of(path)
    elsewhere = path.parent.parent / "elsewhere"
    path.parent.rename(elsewhere)

    assert life_of(elsewhere / path.name) == (life, [])


def test_a_link_to_a_store_is_the_same_store(path: Path):
    life, _ = life_of(path)
    link = path.parent.parent / "link.meshlog"
    link.symlink_to(path)

    assert life_of(link) == (life, [])
    assert life_of(path) == (life, [])


def test_a_killed_device_is_the_same_life(path: Path):
    life, _ = life_of(path)
    script = f"""
import os
from random import Random
from meshlog.replica import Replica
from meshlog.store import SqliteStore
from tests.replica.devices import T0_MS, identity, note
replica = Replica(SqliteStore({str(path)!r}), identity("ann"), T0_MS, Random(2))
for number in range(50):
    note(replica, str(number))
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9

    assert life_of(path) == (life, [])


class FailingStoreError(StoreError):
    """Stands for a crash."""


@pytest.mark.parametrize("when", ["before the guard", "between", "after"])
def test_a_crash_while_a_life_begins_neither_loses_nor_forks(
    path: Path, when: str, monkeypatch: pytest.MonkeyPatch
):
    """The worst is one more life than needed."""
    guard_of(path).unlink()
    with closing(SqliteStore(path, read_only=True)) as store:
        held = store.event_count()

    def crash(*_: object) -> None:
        raise FailingStoreError("the power is gone")

    with monkeypatch.context() as patch:
        if when == "before the guard":
            patch.setattr("meshlog.store.instance.FileGuard.bind", crash)
        elif when == "between":
            patch.setattr("meshlog.store.file.StoreFile.commit", crash)
        if when != "after":
            with pytest.raises(FailingStoreError):
                life_of(path)
    life, _ = life_of(path)

    assert life_of(path) == (life, [])
    with closing(SqliteStore(path)) as store:
        assert store.event_count() > held
        assert all(len(heads) == 1 for heads in store.heads().values())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_guard_that_cannot_be_written_is_a_clear_refusal(path: Path):
    guard_of(path).unlink()
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be"):
            life_of(path)
    finally:
        path.parent.chmod(0o700)


def test_a_torn_mark_or_note_is_none():
    whole, note = encode(MARK), encode_note(MARK.life, 1_234)

    assert decode(whole) == MARK
    assert decode_note(note) == (MARK.life, 1_234)
    assert {decode(whole[:end]) for end in range(len(whole))} == {None}
    assert {decode_note(note[:end]) for end in range(len(note))} == {None}


def test_every_note_is_as_long_so_that_it_can_be_written_in_place():
    assert len(encode_note(0, 0)) == len(encode_note(2**32 - 1, 10**10 - 1))
