"""The file itself: whose it is, who may write it, what a person is told."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.errors import StoreBusyError, StoreError
from meshlog.ports.records import RecordRow
from meshlog.store import SqliteStore
from meshlog.store.migrate import APPLICATION_ID, SCHEMA_VERSION, check_first_bytes
from tests.store.logs import ANN, BOB, T0_MS, add, chain, signed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ann.meshlog"


def test_everything_is_there_after_reopening(path: Path):
    ann, bob = chain(ANN, 100, records=["r1"]), chain(BOB, 3, records=["r2"])
    twin = chain(ANN, 2, ann[9], "twin")
    with closing(SqliteStore(path)) as store:
        add(store, [*ann[:99], signed(ann[99])], arrived_ms=T0_MS + 10**6)
        add(store, bob, arrived_ms=0)
        add(store, twin)
        with store.transaction():
            store.set_meta("clock", b"7")
            store.put_records([("r1", RecordRow("r1", "well", True, 0, b"state"))], 1)
        before = (store.heads(), list(store.scan()), list(store.records()))

    with closing(SqliteStore(path)) as store:
        assert (store.heads(), list(store.scan()), list(store.records())) == before
        assert store.event_count() == 105
        assert store.get_meta("clock") == b"7"
        assert store.touched_between(T0_MS, T0_MS + 1) == ["r1", "r2"]
        add(store, chain(ANN, 2, ann[99]))
        add(store, chain(BOB, 1, bob[2]))
        assert {key: len(heads) for key, heads in store.heads().items()} == {ANN: 2, BOB: 1}


def test_the_settings_that_durability_rests_on(path: Path):
    with closing(SqliteStore(path)) as store:
        settings = {
            name: store._file.run(f"PRAGMA {name}")[0][0]
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "application_id",
                "user_version",
            )
        }

    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "application_id": APPLICATION_ID,
        "user_version": SCHEMA_VERSION,
    }


def test_every_file_is_the_owners_alone(path: Path):
    with closing(SqliteStore(path)) as store:
        add(store, chain(ANN, 1))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {f"ann.meshlog{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".lock")}


def test_the_folder_is_synced_when_a_store_is_made(path: Path, monkeypatch: pytest.MonkeyPatch):
    """A power cut after the first commit must not take the file's very name away."""
    synced = []
    fsync = os.fsync

    def note(fd: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(fd).st_mode))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    SqliteStore(path).close()

    assert synced == [True]


def test_migrations_are_numbered_without_gaps():
    folder = Path(sys.modules["meshlog.store.migrate"].__file__ or "").parent / "migrations"
    numbers = sorted(int(file.stem) for file in folder.glob("*.sql"))

    assert numbers == list(range(1, SCHEMA_VERSION + 1))


# ── Not ours ──


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b'{"a": "ann", "s": 1}\n', "old meshlogd log: bring it in with `meshlog import"),
        (b"a,b,c\n1,2,3\n", "not a meshlog store"),
        (b"SQLite form", "not a meshlog store"),
        (b"SQLite format 3\x00" + bytes(4080), "damaged"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_another_kind_of_file_is_refused_and_left_alone(
    path: Path, content: bytes, advice: str, *, read_only: bool
):
    path.write_bytes(content)

    with pytest.raises(StoreError, match=advice) as refused:
        SqliteStore(path, read_only=read_only)

    assert path.read_bytes() == content
    assert "\n" not in str(refused.value)


def test_what_a_power_cut_left_of_a_store_to_be_is_no_other_kind_of_file(path: Path):
    """Its journal beside says so; its first bytes may be any, also those that a log begins with."""
    path.write_bytes(b'{"a')
    path.with_name(f"{path.name}-journal").write_bytes(bytes(512))

    check_first_bytes(path)


def test_another_programs_tables_are_refused_and_left_alone(path: Path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    content = path.read_bytes()

    with pytest.raises(StoreError, match="belongs to another program"):
        SqliteStore(path)

    assert path.read_bytes() == content


def test_a_store_of_a_newer_meshlog_is_refused(path: Path):
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        newer.execute("CREATE TABLE more (value BLOB)")

    with pytest.raises(StoreError, match="newer meshlog: update"):
        SqliteStore(path)


def test_an_empty_file_becomes_a_store(path: Path):
    """What a crash leaves that came just after the file was made."""
    path.touch()

    with closing(SqliteStore(path)) as store:
        assert store.event_count() == 0


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match="is not a folder: make it first"):
        SqliteStore(tmp_path / "nowhere" / "ann.meshlog")
    with pytest.raises(StoreError, match="is a folder: name a file in it"):
        SqliteStore(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_protected_folder_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)

    with pytest.raises(StoreError, match="check"):
        SqliteStore(tmp_path / "ann.meshlog")


# ── One writer ──


def test_a_second_writer_is_told_who_holds_the_store(path: Path):
    with closing(SqliteStore(path)):
        command = [sys.executable, "-c", f"from meshlog.store import *; SqliteStore({str(path)!r})"]
        second = subprocess.run(command, capture_output=True, text=True, check=False)

        assert f"StoreBusyError: {path} is in use by process {os.getpid()}" in second.stderr
        with pytest.raises(StoreBusyError) as refused:
            SqliteStore(path)
        assert (refused.value.path, refused.value.holder_pid) == (str(path), os.getpid())

    SqliteStore(path).close()


def test_a_failed_opening_leaves_no_lock_behind(path: Path):
    SqliteStore(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(4000))
    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(path)

    path.write_bytes(content)

    SqliteStore(path).close()


# ── Readers ──


def test_a_reader_sees_one_moment_beside_the_writer(path: Path):
    ann, bob = chain(ANN, 3, records=["r1", "r1", "r2"]), chain(BOB, 1, records=["r3"])
    with closing(SqliteStore(path)) as writer:
        add(writer, ann[:2])
        with closing(SqliteStore(path, read_only=True)) as reader:
            add(writer, [ann[2]])
            add(writer, bob)

            assert [head.seq for head in reader.heads()[ANN]] == [2]
            assert [arrival.event for arrival in reader.scan()] == ann[:2]
            assert reader.touched_between(0, 2**60) == ["r1"]
            assert BOB not in reader.heads()
        with closing(SqliteStore(path, read_only=True)) as reader:
            assert reader.event_count() == 4


def test_a_reader_opens_a_store_that_nobody_writes(path: Path):
    with closing(SqliteStore(path)) as store:
        add(store, chain(ANN, 2))

    with closing(SqliteStore(path, read_only=True)) as reader:
        assert reader.event_count() == 2
        assert not path.with_name("ann.meshlog.lock").read_bytes()


def test_a_reader_cannot_write(path: Path):
    SqliteStore(path).close()
    with closing(SqliteStore(path, read_only=True)) as reader:
        with pytest.raises(StoreError, match="reading only"), reader.transaction():
            pass
        with pytest.raises(StoreError, match="reading only"):
            reader.set_meta("clock", b"1")


def test_a_reader_does_not_make_a_store(path: Path):
    with pytest.raises(StoreError, match="does not exist"):
        SqliteStore(path, read_only=True)
    path.touch()
    with pytest.raises(StoreError, match="older meshlog"):
        SqliteStore(path, read_only=True)

    assert path.read_bytes() == b""
