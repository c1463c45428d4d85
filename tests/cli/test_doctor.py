"""doctor: one line per check, and what to do."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from meshlog.tools.checkup.device import Level, check_clock, check_disk
from meshlog.tools.checkup.radio import interfaces_in
from tests.cli.processes import Device
from tests.store.test_migrations import back_to_schema_8

CONFIG = """
[reticulum]
  enable_transport = no
[interfaces]
  [[Default Interface]]
    type = AutoInterface
    enabled = yes
  [[RNode]]
    type = RNodeInterface
    enabled = no
  [[Uplink]]
    type = TCPClientInterface
    interface_enabled = True
"""


@pytest.fixture
def base(tmp_path: Path) -> Device:
    device = Device(tmp_path / "base")
    device.ok("init", "Survey", "--name", "base")
    return device


def findings(device: Device, *words: str) -> dict[tuple[str, str], str]:
    result = device("doctor", "--json", *words)
    assert "Traceback" not in result.err
    said = json.loads(result.out)
    assert result.code == int(said["is_bad"])
    return {(one["level"], one["subject"]): one["text"] for one in said["findings"]}


def test_a_sound_device_gets_a_line_per_check(base: Device) -> None:
    found = findings(base)

    assert ("ok", "store") in found
    assert ("ok", "members") in found
    assert ("ok", "guard") in found
    assert ("ok", "identity") in found
    assert ("ok", "secrets") in found
    assert not [key for key in found if key[0] == "bad" and key[1] != "reticulum"]


def test_what_is_wrong_is_named_with_what_to_do(base: Device) -> None:
    base.data.chmod(0o644)
    identity = base.data.with_name("meshlog.db.identity")
    identity.write_bytes(identity.read_bytes()[:40])

    result = base("doctor")

    assert result.code == 1
    assert "chmod 600" in result.out
    assert "restore it with `cp" in result.out


def test_a_device_without_a_store_hears_how_to_begin(empty: Device) -> None:
    result = empty("doctor")

    assert result.code == 1
    assert "meshlog init" in result.out


def test_a_damaged_store_is_sent_to_repair(base: Device) -> None:
    data = base.data.read_bytes()
    base.data.write_bytes(data[:100] + bytes(4_000) + data[4_100:])

    result = base("doctor")

    assert result.code == 1
    assert "fsck --repair" in result.out


def test_a_whole_store_of_another_schema_is_not_sent_to_repair(base: Device) -> None:
    back_to_schema_8(base.data)

    result = base("doctor")

    assert result.code == 1
    assert "open it once with `meshlog run`" in result.out
    assert "fsck --repair" not in result.out


def test_beside_a_running_node_it_asks_the_node(base: Device) -> None:
    with base.node():
        found = findings(base)

    assert ("ok", "node") in found


def test_a_configuration_is_read_without_starting_reticulum(base: Device, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)

    found = findings(base, "--configdir", str(tmp_path))

    if ("bad", "reticulum") not in found:  # where it is installed
        assert "Default Interface, Uplink" in json.dumps(
            base("doctor", "--json", "--configdir", str(tmp_path)).out
        )
    assert interfaces_in(CONFIG) == ["Default Interface", "Uplink"]


def test_a_clock_that_cannot_be_right_is_bad() -> None:
    assert [one.level for one in check_clock(0, 0)] == [Level.BAD]
    assert [one.level for one in check_clock(2**42, 0)] == [Level.BAD]


def test_a_folder_that_is_not_there_is_bad(tmp_path: Path) -> None:
    assert [one.level for one in check_disk(tmp_path / "none")] == [Level.BAD]
    assert Level.BAD not in {one.level for one in check_disk(tmp_path)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "begins"),
    [
        ({"TERM": "xterm"}, b"\x1b[32m"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, b"ok "),
        ({"TERM": "dumb"}, b"ok "),
    ],
)
def test_a_terminal_that_wants_no_colour_gets_none(
    base: Device, environment: dict[str, str], begins: bytes
) -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            base.command("doctor"), env=base.env | environment, stdout=theirs, check=False
        )
        shown = os.read(ours, 65_536)
    finally:
        os.close(ours)
        os.close(theirs)

    assert shown.startswith(begins)
