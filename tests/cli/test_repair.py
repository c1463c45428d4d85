"""fsck --repair and --repair-from, as a person calls them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.processes import Device
from tests.cli.test_bad_input import is_one_line_error
from tests.store.test_migrations import back_to_schema_8


@pytest.fixture
def base(tmp_path: Path) -> Device:
    device = Device(tmp_path / "base")
    device.ok("init", "Survey", "--name", "base")
    device.ok("put", "W-1", "--form", "well", "depth_m=30")
    device.ok("note", "W-1", "first note, of some length")
    device.ok("note", "W-1", "last")
    return device


def spoil(path: Path, needle: bytes) -> None:
    """Damage more than a bit, which would be found again."""
    data = path.read_bytes()
    at = data.rindex(needle)  # in the event, not in the view's row
    path.write_bytes(data[:at] + bytes(len(needle)) + data[at + len(needle) :])


def test_a_damaged_store_is_written_anew_and_filled_from_a_backup(
    base: Device, tmp_path: Path
) -> None:
    base.ok("backup", tmp_path / "backup.db")
    spoil(base.data, b"first note")
    assert base("fsck").code == 1

    mended = base("fsck", "--repair")
    filled = base("fsck", "--repair-from", tmp_path / "backup.db")

    assert mended.code == 0
    assert "cannot be read any more: event 2 of the data feed" in mended.err
    assert Path(f"{base.data}.damaged").exists()
    assert filled.code == 0
    notes = json.loads(base.ok("view", "W-1", "--json"))["notes"]
    assert len(notes) == 2
    assert not json.loads(base.ok("fsck", "--json"))["forks"]


def test_what_is_lacking_comes_from_a_bundle_or_the_old_file_while_a_node_runs(
    base: Device, tmp_path: Path
) -> None:
    other = Device(tmp_path / "other")
    other.ok("join", json.loads(base.ok("invite", "--json"))["invite"], "--name", "other")
    base.ok("bundle", "export", tmp_path / "base.bundle")
    shutil.copyfile(base.data, tmp_path / "old.db")

    with other.node():
        first = other("fsck", "--repair-from", tmp_path / "base.bundle")
        again = other("fsck", "--repair-from", tmp_path / "old.db")

    assert (first.code, again.code) == (0, 0)
    assert "5 new events" in first.err
    assert "0 new events" in again.err
    assert other.ok("view", "W-1", "--json") == base.ok("view", "W-1", "--json")


def test_a_store_that_sqlite_cannot_open_is_repaired(base: Device) -> None:
    data = base.data.read_bytes()
    base.data.write_bytes(data[:100] + bytes(200) + data[300:])
    broken = base("view")
    assert broken.code == 2

    mended = base("fsck", "--repair")

    assert mended.code == 0, mended
    assert "W-1" in base.ok("view", "W-1")


def test_where_nothing_is_wrong_nothing_is_repaired(base: Device) -> None:
    out = base.ok("fsck", "--repair")

    assert "nothing to repair" in out
    assert not Path(f"{base.data}.damaged").exists()


def test_bad_input_is_one_line(base: Device) -> None:
    (base.home / "photo.jpg").write_bytes(b"\xff\xd8" * 5_000)
    for words, says in (
        (["--repair-from", "missing.db"], "does not exist"),
        (["--repair-from", "."], "is a folder"),
        (["--repair-from", "photo.jpg"], "nothing of a store"),
        (["--repair", "--data", "missing.db"], "does not exist"),
    ):
        result = base("fsck", *words)
        assert is_one_line_error(result), result
        assert says in result.err


@pytest.mark.parametrize("mend", [["--repair"], ["--repair-from", "{backup}"]])
def test_a_whole_store_of_another_meshlog_is_not_written_anew(
    base: Device, tmp_path: Path, mend: list[str]
) -> None:
    backup = tmp_path / "backup.db"
    base.ok("backup", backup)
    back_to_schema_8(base.data)
    before = base.data.read_bytes()

    result = base("fsck", *(word.format(backup=backup) for word in mend))

    assert result.code == 2
    assert is_one_line_error(result)
    assert "is from an older meshlog: open it once with `meshlog run`" in result.err
    assert base.data.read_bytes() == before
    assert not Path(f"{base.data}.damaged").exists()


@pytest.mark.parametrize("bit", range(4))
def test_a_flipped_bit_of_the_version_is_damage(base: Device, bit: int) -> None:
    """The tables tell whose they are; without them the number is believed."""
    data = bytearray(base.data.read_bytes())
    data[63] ^= 1 << bit
    base.data.write_bytes(data)

    assert "the store is damaged" in base("view").err
    assert "the store is damaged" in base("put", "W-2", "--form", "well", "depth_m=1").err
    assert base("fsck", "--repair").code == 0
    assert len(json.loads(base.ok("view", "W-1", "--json"))["notes"]) == 2


def test_a_store_that_another_program_has_locked_is_not_written_anew(base: Device) -> None:
    with closing(sqlite3.connect(base.data, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")

        result = base("fsck", "--repair")

    assert is_one_line_error(result)
    assert "another program has locked the file" in result.err
    assert not Path(f"{base.data}.damaged").exists()
