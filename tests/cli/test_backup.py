"""Backups from the command line: taken while a node runs, checked, and put back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.processes import Device
from tests.cli.test_bad_input import is_one_line_error
from tests.store.logs import tamper


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Device:
    device = Device(tmp_path_factory.mktemp("base"))
    device.ok("init", "Survey", "--name", "base")
    device.ok("put", "W-1", "--form", "well", "depth_m=30", "works=true")
    return device


def test_a_backup_beside_a_running_node_holds_what_was_confirmed(
    base: Device, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"

    with base.node():
        base.ok("note", "W-1", "written while the node runs")
        out = base.ok("backup", file)

    assert "every hash and signature holds" in out
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.db"]
    view = base.ok("view", "W-1", "--json")
    assert base.ok("view", "W-1", "--json", "--data", file) == view


def test_put_back_it_goes_on_as_a_new_life_and_nothing_forks(tmp_path: Path) -> None:
    """The device wrote on after the backup, and others have that: it must not write it anew."""
    device, other = Device(tmp_path / "device"), Device(tmp_path / "other")
    device.ok("init", "Survey", "--name", "base")
    other.ok("join", json.loads(device.ok("invite", "--json"))["invite"], "--name", "other")
    device.ok("put", "W-1", "--form", "well", "depth_m=30")
    device.ok("backup", tmp_path / "backup.db")
    device.ok("set", "W-1", "depth_m", "31")
    device.ok("bundle", "export", tmp_path / "a")
    other.ok("bundle", "import", tmp_path / "a")

    shutil.copyfile(tmp_path / "backup.db", device.data)
    for beside in ("-wal", "-shm"):
        Path(f"{device.data}{beside}").unlink(missing_ok=True)
    device.ok("put", "W-2", "--form", "well", "depth_m=50")
    device.ok("bundle", "export", tmp_path / "b")
    other.ok("bundle", "import", tmp_path / "b")

    report = json.loads(other.ok("fsck", "--json"))
    assert report["forks"] == []
    assert set(json.loads(other.ok("view", "--json"))) == {"W-1", "W-2"}


def test_the_identity_comes_along_only_when_asked(base: Device, tmp_path: Path) -> None:
    plain, whole = (
        base("backup", tmp_path / "plain.db"),
        base("backup", tmp_path / "whole.db", "--with-identity"),
    )

    assert "identity is not in it" in plain.err
    assert not (tmp_path / "plain.db.identity").exists()
    assert "never let two devices" in whole.err
    kept = (base.data.parent / "meshlog.db.identity").read_bytes()
    assert (tmp_path / "whole.db.identity").read_bytes() == kept
    assert (tmp_path / "whole.db.identity").stat().st_mode & 0o777 == 0o600


def test_a_store_that_does_not_hold_gets_no_backup(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    device.ok("init", "Survey", "--name", "base")
    device.ok("put", "W-1", "--form", "well", "depth_m=30")
    device.ok("status")
    tamper(device.data, 3, body=lambda body: body + b"\0")

    result = device("backup", tmp_path / "backup.db")

    assert result.code == 2
    assert "no backup was written" in result.err
    assert not (tmp_path / "backup.db").exists()


def test_what_stands_there_is_not_lost(base: Device, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8" * 100)
    base.ok("backup", tmp_path / "backup.db")

    for words, says in (
        ([tmp_path / "backup.db"], "--replace"),
        ([tmp_path / "photo.jpg", "--replace"], "not a meshlog store"),
        ([base.data, "--replace"], "the store itself"),
        ([tmp_path], "is a folder"),
        ([tmp_path / "no" / "such.db"], "not a folder"),
        ([], "missing argument"),
    ):
        result = base("backup", *words)
        assert is_one_line_error(result), result
        assert says in result.err.lower()

    assert base.ok("backup", tmp_path / "backup.db", "--replace")
