"""Bundles from the command line: two devices and a stick between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import Device
from tests.cli.test_bad_input import is_one_line_error


@pytest.fixture
def base(tmp_path: Path) -> Device:
    """A device that founded a dataset where it is: a copy of one would go on as a new life."""
    device = Device(tmp_path / "base")
    device.ok("init", "Survey", "--name", "base")
    device.ok("put", "W-1", "--form", "well", "depth_m=30", "works=true")
    return device


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device for what changes nothing."""
    device = Device(tmp_path_factory.mktemp("lasting"))
    device.ok("init", "Survey", "--name", "base")
    (device.home / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    return device


def joined(base: Device, home: Path, name: str = "team") -> Device:
    invite = json.loads(base.ok("invite", "--json"))["invite"]
    device = Device(home)
    device.ok("join", invite, "--name", name)
    return device


def test_a_stick_carried_both_ways_brings_two_devices_in_step(base: Device, tmp_path: Path) -> None:
    """They never meet: an invite on paper, and a stick."""
    team, stick = joined(base, tmp_path / "team"), tmp_path

    base.ok("bundle", "export", stick / "base.bundle")
    team.ok("bundle", "import", stick / "base.bundle")
    team.ok("set", "W-1", "depth_m", "41")
    out = team.ok("bundle", "export", stick / "team.bundle", "--since", stick / "base.bundle")
    back = base.ok("bundle", "import", stick / "team.bundle")

    assert "events of" in out
    assert "new event" in back
    assert base.ok("view", "--json") == team.ok("view", "--json")
    assert (stick / "team.bundle").stat().st_mode & 0o777 == 0o600


def test_both_ways_while_nodes_run_on_the_stores(base: Device, tmp_path: Path) -> None:
    team, stick = joined(base, tmp_path / "team"), tmp_path

    with base.node(), team.node():
        base.ok("put", "W-2", "--form", "well", "depth_m=12")
        base.ok("bundle", "export", stick / "base.bundle")
        team.ok("bundle", "import", stick / "base.bundle")
        team.ok("note", "W-2", "dry since May")
        team.ok("bundle", "export", stick / "team.bundle", "--since", "1h")
        base.ok("bundle", "import", stick / "team.bundle")

        assert base.ok("view", "--json") == team.ok("view", "--json")
        assert json.loads(base.ok("fsck", "--json"))["is_clean"]


def test_show_says_whose_it_is_and_whether_it_is_whole(base: Device, tmp_path: Path) -> None:
    file = tmp_path / "base.bundle"
    base.ok("bundle", "export", file)

    whole = base("bundle", "show", file)
    file.write_bytes(file.read_bytes()[:-200])
    torn = base("bundle", "show", file)

    assert whole.code == 0
    assert "written by base" in whole.out
    assert "It is whole." in whole.out
    assert torn.code == 1
    assert "is torn" in torn.err


def test_a_torn_bundle_brings_what_is_whole_and_says_so(base: Device, tmp_path: Path) -> None:
    team, file = joined(base, tmp_path / "team"), tmp_path / "base.bundle"
    base.ok("bundle", "export", file)
    file.write_bytes(file.read_bytes()[:-400])

    result = team("bundle", "import", file)

    assert result.code == 1
    assert "new event" in result.out
    assert "is torn" in result.err
    assert "Traceback" not in result.err


def test_an_export_never_writes_over_something_else(base: Device) -> None:
    result = base("bundle", "export", base.data)

    assert is_one_line_error(result)
    assert "is no bundle" in result.err
    assert base.ok("view", "W-1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bundle", "frob"], "no such command"),
        (["bundle", "export"], "missing argument"),
        (["bundle", "export", "."], "is a folder"),
        (["bundle", "export", "no/such/stick.bundle"], "mount the stick"),
        (["bundle", "export", "x.bundle", "--since", "yesterday"], "neither a bundle nor a time"),
        (["bundle", "export", "x.bundle", "--since", "photo.jpg"], "is not a bundle"),
        (["bundle", "import", "missing.bundle"], "does not exist"),
        (["bundle", "import", "."], "is a folder"),
        (["bundle", "import", "photo.jpg"], "is not a bundle"),
        (["bundle", "show", "photo.jpg"], "is not a bundle"),
        (["bundle", "import", "photo.jpg", "--data", "none.db"], "does not exist"),
    ],
)
def test_bad_input_is_one_line(lasting: Device, words: list[str], says: str) -> None:
    result = lasting(*words)

    assert is_one_line_error(result), result
    assert says.lower() in result.err.lower()


def test_a_bundle_of_another_dataset_is_refused_in_one_sentence(
    base: Device, tmp_path: Path
) -> None:
    stranger = Device(tmp_path / "stranger")
    stranger.ok("init", "Elsewhere")
    base.ok("bundle", "export", tmp_path / "base.bundle")

    result = stranger("bundle", "import", tmp_path / "base.bundle")

    assert is_one_line_error(result)
    assert "another dataset" in result.err
