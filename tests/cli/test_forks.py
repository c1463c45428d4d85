"""A device whose store was copied, as people see it: real files, real processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.processes import Device

COPIED = "this store was copied or restored: it goes on as a new life; nothing is lost"


def test_a_copied_store_says_so_once_and_goes_on(tmp_path: Path):
    device = Device(tmp_path / "one")
    device.ok("init", "valley", "--name", "team_a")
    device.ok("set", "W-1", "depth", "3")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copy = Device(tmp_path / "two")

    first = copy("set", "W-1", "depth", "4")
    second = copy("set", "W-1", "depth", "5")

    assert first.code == second.code == 0
    assert first.err.count(COPIED) == 1
    assert COPIED not in second.err
    assert COPIED not in device("set", "W-1", "depth", "6").err, "the original does not mind"


def test_two_copies_that_meet_are_told_of_each_other(tmp_path: Path):
    """They meet over a bundle; the whole folder was copied, and both went on."""
    one = Device(tmp_path / "one")
    one.ok("init", "valley", "--name", "team_a")
    one.ok("set", "W-1", "depth", "3")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    two = Device(tmp_path / "two")
    one.ok("set", "W-2", "depth", "1")
    two.ok("set", "W-3", "depth", "2")

    two.ok("bundle", "export", tmp_path / "stick")
    one.ok("bundle", "import", tmp_path / "stick")
    one.ok("bundle", "export", tmp_path / "back")
    two.ok("bundle", "import", tmp_path / "back")

    for device in (one, two):
        assert set(json.loads(device.ok("view", "--json"))) >= {"W-1", "W-2", "W-3"}
        status = device.ok("status")
        assert "this identity runs on two devices: team_a (this device)" in status
        assert "meshlog rotate" in status
        (twin,) = json.loads(device.ok("status", "--json"))["twins"]
        assert twin["name"] == "team_a"
        assert "runs on two devices" in device.ok("forks")
        assert "runs on two devices" in device.ok("history", "W-3")


def test_a_proof_that_is_none_is_refused_in_one_sentence(tmp_path: Path):
    device = Device(tmp_path / "one")
    device.ok("init", "valley", "--name", "team_a")
    (tmp_path / "junk").write_bytes(b"junk")

    for words in (
        ("forks", "--check", tmp_path / "junk"),
        ("forks", "--check", tmp_path / "missing"),
        ("forks", "--proof", "team_a", tmp_path / "proof"),
    ):
        result = device(*words)
        assert result.code == 2
        assert "Traceback" not in result.err
    assert "No identity lives on two devices" in device.ok("forks")
