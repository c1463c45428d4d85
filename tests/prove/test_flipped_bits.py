"""One bit of a store flips: fsck finds it, or it stood where nothing is."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.core.event import DatasetId
from meshlog.core.identity import Identity
from meshlog.errors import MeshlogError
from meshlog.replica import Replica
from meshlog.replica.seat import load
from meshlog.store import SqliteStore
from meshlog.tools.fsck.fsck import fsck
from tests.support.scale import scaled
from tests.tools.camp import T0_MS, Device

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3_600)]

FLIPS = scaled(600, 6_000)
"""The issue's bar, for a store at rest; as many again with a write-ahead log beside it."""

STORE = "base.db"


def write_store(folder: Path) -> tuple[DatasetId, Identity]:
    """Fill a store with members, forks, conflicts, deletes, long texts and events to come.

    The files are those of a process that was killed: the last writes stand in the log.
    """
    (live := folder / "live").mkdir()
    base = Device("base", 1, live / STORE)
    team, twin = Device("team", 3, at=base), Device("team", 3, at=base)
    with closing(base.store), closing(team.store), closing(twin.store):
        for number in range(60):
            base.write("record.put", record_id=f"w{number % 20}", form="well",
                       fields={"a": number, "b": "x" * (number * 7)})  # fmt: skip
        for number in range(8):
            base.write("record.put", record_id=f"w{number}", form="road", fields={})
        base.write("record.delete", record_id="w3")
        base.write("note.add", record_id="w4", text="y" * 9_000)
        twin.now_ms += 10
        for device, value in ((team, 1), (twin, 2)):
            device.write("field.set", record_id="w1", field="a", value=value)
            device.give(base)
        team.now_ms += 10**9
        team.write("field.set", record_id="w2", field="a", value=7)
        team.give(base)
        base.replica.root()
        base.store._file.run("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(20):
            base.write("note.add", record_id=f"w{number}", text="z" * 100)
            base.replica.root()
        dataset, identity = base.replica.dataset, base.replica.identity
        (killed := folder / "killed").mkdir()
        for file in live.iterdir():
            shutil.copy(file, killed)
        (killed / f"{STORE}-shm").unlink()
    (closed := folder / "closed").mkdir()
    for file in live.iterdir():
        shutil.copy(file, closed)
    return dataset, identity


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table: all that the file says.

    Up to where a record is folded is left out: between its last event and the log's end all
    positions say the same.
    """
    columns = {"record": "record, record_id, form, visible, conflicts, state, changed"}
    tables = ("meta", "feed", "record", "left_form", "run", "head", "cut", "ahead", "lot", "place",
              "event_id", "touch", "reduction", "reduction_entry", "checkpoint")  # fmt: skip
    with closing(sqlite3.connect(path)) as connection:
        rows = {
            table: f"SELECT {columns.get(table, '*')} FROM {table} ORDER BY 1, 2"
            for table in tables
        }
        rows["sqlite_schema"] = "SELECT sql FROM sqlite_schema ORDER BY 1"
        return {table: connection.execute(sql).fetchall() for table, sql in rows.items()}


def found(path: Path, dataset: DatasetId) -> bool:
    """Say whether the command would tell: it cannot open the store, or names a problem."""
    try:
        with closing(SqliteStore(path, read_only=True)) as store:
            return store.get_meta("dataset") != dataset or not fsck(store, dataset).is_clean
    except MeshlogError:
        return True


def sign_again(path: Path, identity: Identity) -> None:
    """Go on with a store; it stands where it stood (a VFS that is named has no guard)."""
    with closing(SqliteStore(path, vfs="unix")) as store:
        Replica(store, identity, T0_MS, random.Random(1)).root()


@pytest.mark.parametrize("state", ["closed", "killed"])
def test_a_flipped_bit_is_found_or_harmless(
    tmp_path: Path, state: str, tell: Callable[[str], None]
):
    dataset, identity = write_store(tmp_path)
    whole = tmp_path / state
    assert not found(whole / STORE, dataset)
    (whole / f"{STORE}-shm").unlink(missing_ok=True)
    files = {file.name: file.read_bytes() for file in whole.iterdir()}
    names = [name for name in files if name in (STORE, f"{STORE}-wal")]
    expected = content(whole / STORE)
    seed = random.randrange(2**32)
    print("seed", seed)
    luck = random.Random(seed)
    outcome: Counter[str] = Counter()

    for number in range(FLIPS):
        place = tmp_path / f"{state}-{number}"
        place.mkdir()
        (name,) = luck.choices(names, [len(files[name]) for name in names])
        bit = luck.randrange(len(files[name]) * 8)
        flipped = bytearray(files[name])
        flipped[bit // 8] ^= 1 << bit % 8
        for other, data in files.items():
            (place / other).write_bytes(flipped if other == name else data)
        if found(place / STORE, dataset):
            outcome["found"] += 1
        elif content(place / STORE) == expected:
            outcome["where nothing is"] += 1
        else:
            sign_again(place / STORE, identity)
            assert content(place / STORE) == expected, f"bit {bit} of {name}"
            outcome["signed again"] += 1
        shutil.rmtree(place)

    assert outcome["found"] > FLIPS / 4, "two thirds of a file this small are free space"
    tell(
        f"flipped bits, store {state}: {FLIPS} flips, {outcome['found']} found by fsck,"
        f" {outcome['where nothing is']} where nothing is (every row as before), 0 missed;"
        f" {outcome['signed again']} in the log's last signature, which is made again, the same"
    )


def test_a_seat_that_was_flipped_is_refused(tmp_path: Path):
    """The secret key, the name, the clock: each has a checksum, looked at when it is read."""
    base = Device("base", 1, tmp_path / STORE)
    base.store.close()
    with closing(sqlite3.connect(tmp_path / STORE)) as connection, connection:
        connection.execute("UPDATE meta SET value = zeroblob(16) WHERE key = 'key'")

    with (
        closing(SqliteStore(tmp_path / STORE)) as store,
        pytest.raises(MeshlogError, match="its key is damaged"),
    ):
        load(store, base.replica.identity)
