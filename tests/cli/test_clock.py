"""A device whose clock cannot be right says so before it writes, and can write all the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Device, wait_for

YEAR_S = 31_557_600

_SHIFTED = """
import sys, time
real_ns, real = time.time_ns, time.time
time.time_ns = lambda: max(real_ns() + {by} * 10**9, 0)
time.time = lambda: max(real() + {by}, 0.0)
from meshlog.cli.app import main
main(sys.argv[1:])
"""


class Wrong(Device):
    """The same device with a clock that is wrong."""

    def __init__(self, device: Device, by_s: int) -> None:
        super().__init__(device.home)
        self.by_s = by_s

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-c", _SHIFTED.format(by=self.by_s), *map(str, words)]


@pytest.mark.parametrize("by_s", [-100 * YEAR_S, -YEAR_S // 2, 70 * YEAR_S, 9 * YEAR_S])
def test_nothing_is_written_with_a_wrong_clock_unless_one_insists(base: Device, by_s: int):
    wrong = Wrong(base, by_s)

    refused = wrong("set", "W-1", "depth_m", "31")
    assert refused.code == 2
    assert "clock" in refused.err
    assert "--anyway" in refused.err
    assert sum(line.startswith("meshlog: ") for line in refused.err.splitlines()) == 1
    assert json.loads(base.ok("view", "--json"))["W-1"]["fields"]["depth_m"] == 30
    assert "clock  " in wrong.ok("status")

    wrong.ok("set", "W-1", "depth_m", "31", "--anyway")
    assert json.loads(wrong.ok("view", "--json"))["W-1"]["fields"]["depth_m"] == 31


def test_the_key_is_rotated_with_a_wrong_clock_if_one_insists(base: Device):
    wrong = Wrong(base, -100 * YEAR_S)

    assert "--anyway" in wrong("rotate-key").err
    assert "2nd key" in wrong.ok("rotate-key", "--anyway")


def test_a_dataset_is_neither_founded_nor_joined_in_1970(base: Device, empty: Device):
    invite = base.ok("invite")
    wrong = Wrong(empty, -100 * YEAR_S)

    for words in (("init", "Survey"), ("join", "-")):
        result = wrong(*words, "--data", "new.db", stdin=invite)
        assert result.code == 2
        assert "1970" in result.err

    assert "Joined" in wrong.ok("join", "-", "--data", "new.db", "--anyway", stdin=invite)


def test_a_running_node_says_it_and_refuses_what_a_person_types(base: Device):
    wrong = Wrong(base, -100 * YEAR_S)
    with wrong.node() as node:
        refused = wrong("note", "W-1", "dry")
        assert refused.code == 2
        assert "1970" in refused.err
        wrong.ok("note", "W-1", "dry", "--anyway")
        wait_for(lambda: "1970" in wrong.ok("status"))
        node.terminate()
        _, log = node.communicate(timeout=20)
    assert b"1970" in log


def shown(device: Device, *words: str | Path) -> Any:
    return json.loads(device.ok("clock", "show", "--json", *words))


@pytest.fixture
def ahead(base: Device) -> Device:
    """A base that holds what another device wrote with a clock 70 years ahead, over a bundle."""
    invite = base.ok("invite")
    base.ok("join", "-", "--name", "team_a", "--data", "team.db", stdin=invite)
    Wrong(base, 70 * YEAR_S).ok(
        "put", "W-9", "--form", "well", "depth_m=9", "--anyway", "--data", "team.db"
    )
    base.ok("bundle", "export", "team.bundle", "--data", "team.db")
    base.ok("bundle", "import", "team.bundle")
    return base


def test_a_fix_lets_held_events_count_and_is_shown(ahead: Device):
    assert "W-9" not in json.loads(ahead.ok("view", "--json"))
    assert "held         team_a" in ahead.ok("clock", "show")
    [held] = shown(ahead)["held"]
    assert (held["name"], held["first"], held["last"], held["events"]) == ("team_a", 1, 1, 1)

    ahead.ok("clock", "fix", "team_a")

    assert json.loads(ahead.ok("view", "--json"))["W-9"]["fields"] == {"depth_m": 9}
    clock = shown(ahead)
    assert clock["held"] == []
    assert [fix["offset_ms"] // 1_000 // YEAR_S for fix in clock["fixes"]] == [-70]
    assert "fixed        team_a" in ahead.ok("clock", "show")
    assert ahead("fsck").code == 0


def test_a_fix_by_hand_beats_the_one_before_and_can_hold_again(ahead: Device):
    ahead.ok("clock", "fix", "team_a", "--offset", "-70y")
    ahead.ok("clock", "fix", "team_a", "--events", "1-9", "--offset", "+0h")

    assert "W-9" not in json.loads(ahead.ok("view", "--json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nobody",), "no member is called 'nobody'"),
        (("base",), "nothing of this device is held"),
        (("team_a", "--offset", "7 hours"), "no span of time"),
        (("team_a", "--offset", "-999999y"), "more than there are stamps for"),
        (("team_a", "--offset", "-7h", "--to-arrival"), "not both"),
        (("team_a", "--events", "5-1"), "no range of events"),
        (("team_a", "--events", "1-2", "--life", "00"), "name one with --life"),
    ],
)
def test_a_wrong_fix_says_what_to_do(ahead: Device, words: tuple[str, ...], says: str):
    result = ahead("clock", "fix", *words)

    assert result.code == 2
    assert says in result.err


def test_a_member_cannot_fix_anothers_clock(ahead: Device):
    result = ahead("clock", "fix", "base", "--events", "1-1", "--data", "team.db", "--anyway")

    assert result.code == 2
    assert "only founder and coordinators" in result.err or "no member" in result.err


def test_mend_goes_on_with_honest_stamps(ahead: Device):
    team = ("--data", "team.db")
    refused = ahead("set", "W-9", "depth_m", "10", *team)
    assert refused.code == 2
    assert "before the latest event" in refused.err
    assert "meshlog clock mend" in ahead.ok("clock", "show", *team)

    assert "new life" in ahead.ok("clock", "mend", *team)
    assert "nothing to mend" in ahead.ok("clock", "mend", *team)
    ahead.ok("set", "W-9", "depth_m", "10", *team)

    assert json.loads(ahead.ok("view", "--json", *team))["W-9"]["fields"] == {"depth_m": 10}
    ahead.ok("bundle", "export", "again.bundle", *team)
    ahead.ok("bundle", "import", "again.bundle")
    assert json.loads(ahead.ok("view", "--json"))["W-9"]["fields"] == {"depth_m": 10}
    assert ahead("fsck").code == 0


def test_the_running_node_fixes_and_mends(ahead: Device):
    with ahead.node():
        ahead.ok("clock", "fix", "team_a")
        assert json.loads(ahead.ok("view", "--json"))["W-9"]["fields"] == {"depth_m": 9}
        assert "nothing to mend" in ahead.ok("clock", "mend")
        assert shown(ahead)["doubt"] == ""
