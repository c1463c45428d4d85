"""Who belongs, on the command line: two devices that carry a stick between them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Device


@pytest.fixture
def team(base: Device, tmp_path: Path) -> Device:
    """A device that joined base's dataset and has met it."""
    device = Device(tmp_path / "team")
    device.ok("join", "-", "--name", "team_a", stdin=base.ok("invite"))
    device.ok("put", "W-9", "--form", "well", "depth_m=9")
    carry(base, device)
    carry(device, base)
    return device


def carry(one: Device, other: Device) -> None:
    """Take all that one device holds to another."""
    stick = one.home / "stick.bundle"
    stick.unlink(missing_ok=True)
    one.ok("bundle", "export", stick)
    other("bundle", "import", stick)


def members(device: Device) -> dict[str, Any]:
    return {one["label"]: one for one in json.loads(device.ok("members", "--json"))}


def records(device: Device) -> list[str]:
    return sorted(json.loads(device.ok("view", "--json")))


@pytest.mark.parametrize("is_running", [False, True])
def test_revoke_and_readmit_with_and_without_a_node(
    base: Device, team: Device, is_running: bool
) -> None:
    def revoke_and_readmit() -> None:
        said = base.ok("revoke", "team_a")
        assert "team_a" in said
        assert "is revoked (soft)" in said

        team.ok("put", "W-10", "--form", "well", "depth_m=10")
        carry(team, base)
        assert members(base)["team_a"]["review_events"] == 1
        assert "review     1 event of revoked devices" in base.ok("status")
        assert records(base) == ["W-1", "W-9"]
        assert "waits for a review" in base.ok("history", "W-10", "--json")

        assert "1 event taken in, 0 wait" in base.ok("readmit", "team_a")
        assert records(base) == ["W-1", "W-10", "W-9"]

    if is_running:
        with base.node():
            revoke_and_readmit()
    else:
        revoke_and_readmit()
    assert base("fsck").code == 0


@pytest.mark.parametrize(
    ("words", "begins"), [((), "from now on"), (("--since", "1"), "from then on")]
)
def test_revoke_says_from_where_on_nothing_counts(
    base: Device, team: Device, words: tuple[str, ...], begins: str
) -> None:
    assert f"leaves out what it writes {begins}" in base.ok("revoke", "team_a", "--hard", *words)


def test_the_table_says_who_let_whom_in(base: Device, team: Device) -> None:
    table = base.ok("members")

    assert "let in by" in table
    assert "writer" in table
    assert members(base)["team_a"]["let_in_by"] == members(base)["base"]["author"]


def test_a_revoked_device_is_told_so_when_it_writes(base: Device, team: Device) -> None:
    """It hears of it by radio; a bundle is sealed for those who stay. Here it retires itself."""
    team.ok("revoke", "team_a", "--soft")

    result = team("set", "W-1", "depth_m", "1")

    assert result.code == 2
    assert "this device was revoked by team_a" in result.err

    base.ok("revoke", "team_a", "--hard")
    assert base("readmit", "team_a").code == 2


def test_rotate_gives_new_keys_and_keeps_name_and_data(base: Device, team: Device) -> None:
    old = json.loads(team.ok("status", "--json"))["author"]

    team.ok("rotate")
    team.ok("set", "W-9", "depth_m", "10")
    carry(team, base)

    new = json.loads(team.ok("status", "--json"))["author"]
    assert old != new
    standings = [one["standing"] for one in json.loads(base.ok("members", "--json"))]
    assert standings == ["member", "rotated", "member"]
    assert "team_a" in base.ok("history", "W-9")
    assert "team_a~" not in base.ok("history", "W-9"), "one device, one name"
    assert Path(f"{team.data}.identity.old").exists()
    assert not Path(f"{team.data}.identity.next").exists()
    assert team("fsck").code == 0


def test_a_rotation_cut_short_ends_at_the_next_opening(base: Device, team: Device) -> None:
    """The store was handed over, and then the power went: the identity file is the old one."""
    before = Path(f"{team.data}.identity").read_bytes()
    team.ok("rotate")
    new = Path(f"{team.data}.identity")
    for suffix in ("", ".sum", ".bak"):
        Path(f"{new}{suffix}").rename(f"{new}.next{suffix}")
    new.write_bytes(before)

    team.ok("set", "W-9", "depth_m", "11")

    assert new.read_bytes() != before
    assert not Path(f"{new}.next").exists()


def test_a_rotation_that_never_began_leaves_the_old_keys(team: Device) -> None:
    before = Path(f"{team.data}.identity").read_bytes()
    Path(f"{team.data}.identity.next").write_bytes(bytes(range(64)))

    team.ok("set", "W-9", "depth_m", "11")

    assert Path(f"{team.data}.identity").read_bytes() == before
    assert not Path(f"{team.data}.identity.next").exists()


def test_a_copy_of_the_old_keys_is_told_where_the_device_goes_on(
    base: Device, team: Device, tmp_path: Path
) -> None:
    shutil.copytree(team.home, tmp_path / "old card")
    old = Device(tmp_path / "old card")
    team.ok("rotate")
    team.ok("set", "W-9", "depth_m", "10")
    carry(team, old)
    new = json.loads(team.ok("status", "--json"))["author"]

    said = old("doctor")

    assert said.code == 1
    assert f"goes on as <{new[:8]}>" in said.out
    assert "this device is one of them" in team("doctor").out
    assert "2, and this device is one of them" in team("doctor").out, "not the old keys"
