"""Real processes under libfaketime: clocks that jump by a second or a century lose nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.processes import Device

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(
        shutil.which("faketime") is None,
        reason="libfaketime is missing: scripts/faketime.sh installs it where apt can",
    ),
]

JUMPS = ("-100y", "-1y", "-1d", "-1h", "-1s", "+1s", "+20m", "+1h", "+1d", "+1y", "+70y")
"""Spans as faketime takes them; it reaches neither before 1901 nor past 2100 everywhere."""


class Jumping(Device):
    """A device whose processes see another time; monotonic clocks go on as they are."""

    jump = "+0s"

    def command(self, *words: str | Path) -> list[str]:
        self.env["FAKETIME_DONT_FAKE_MONOTONIC"] = self.env["DONT_FAKE_MONOTONIC"] = "1"
        return ["faketime", "-f", self.jump, *super().command(*words)]


def field(device: Device, *words: str) -> object:
    return json.loads(device.ok("view", "--json", *words))["W-1"]["fields"]["depth_m"]


def test_a_correction_beats_what_was_seen_whatever_the_clock_does(tmp_path: Path):
    """Each write after each jump is a process of its own: a restart, too."""
    device = Jumping(tmp_path)
    device.ok("init", "Survey")
    for number, jump in enumerate(("+0s", *JUMPS, "+0s")):
        device.jump = jump
        device.ok("put", "W-1", f"depth_m={number}", "--anyway")

        assert field(device) == number, jump
    device.jump = "+0s"
    assert device("fsck").code == 0


@pytest.mark.parametrize("jump", JUMPS)
def test_a_team_with_a_wrong_clock_harms_nobody(tmp_path: Path, jump: str):
    """It is held or counts; the base's clock is unmoved; a fix makes all of it count."""
    device = Jumping(tmp_path)
    invite = json.loads(device.ok("init", "Survey", "--json"))["invite"]
    device.ok("join", invite, "--name", "team_a", "--data", "team.db")
    device.jump = jump
    device.ok("put", "W-1", "depth_m=9", "--data", "team.db", "--anyway")
    device.jump = "+0s"
    device.ok("bundle", "export", "team.bundle", "--data", "team.db")
    device.ok("bundle", "import", "team.bundle")

    clock = json.loads(device.ok("clock", "show", "--json"))
    assert clock["doubt"] == "", "nobody moved the clock of the base"
    if clock["held"]:
        device.ok("clock", "fix", "team_a")
    assert field(device) == 9
    device.ok("put", "W-1", "depth_m=10")
    assert field(device) == 10
    assert device("fsck").code == 0
