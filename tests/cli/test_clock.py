"""A device whose clock cannot be right says so before it writes, and can write all the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

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
    assert refused.err.count("\n") == 1
    assert json.loads(base.ok("view", "--json"))["W-1"]["fields"]["depth_m"] == 30
    assert "clock  " in wrong.ok("status")

    wrong.ok("set", "W-1", "depth_m", "31", "--anyway")
    assert json.loads(wrong.ok("view", "--json"))["W-1"]["fields"]["depth_m"] == 31


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
