"""What a person sees of the air, and what the flags of `run` ask of it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from meshlog.cli.app import program
from meshlog.cli.run import _policy
from meshlog.cli.status import show_air
from meshlog.node import Node
from meshlog.node.status import node_status
from meshlog.ports.links import Medium


def test_the_status_says_what_lacks_and_how_long_it_takes(capsys: pytest.CaptureFixture[str]):
    show_air(
        {
            "rate_bps": 3_125.0,
            "duty_cycle": 0.01,
            "heard_ms_ago": 12_000,
            "agreed_ms_ago": None,
            "we_lack_events": 300,
            "we_lack_bytes": 3_000,
            "we_lack_s": 900,
            "they_lack_events": 0,
            "they_lack_bytes": 0,
            "they_lack_s": 0,
            "sent": {"bytes_heard": 4_100, "bytes_sent": 950},
        }
    )

    assert capsys.readouterr().out == (
        "air        391 B/s, 1 % of the time, last heard 12 s ago, 4.1 kB in, 950 B out\n"
        "           we lack 300 events, 3.0 kB: 15 min at best\n"
    )


def test_a_node_on_a_slow_medium_has_an_outlook_and_others_have_none():
    with Node("base", None) as node:
        assert node_status(node.replica, None, node.now_ms())["air"] is None

        node.replica.handle(Medium(3_125.0), node.now_ms())
        air = node_status(node.replica, None, node.now_ms())["air"]

    assert (air["rate_bps"], air["we_lack_events"], air["heard_ms_ago"]) == (3_125.0, 0, None)


def test_the_flags_of_run_make_the_policy():
    policy = _policy(None, 10.0, ["medevac.request"])

    assert policy.duty_cycle == 0.1
    assert policy.urgent_kinds == {"alert", "medevac.request"}


@pytest.mark.parametrize("percent", ["0", "-1", "101", "much"])
def test_a_duty_cycle_that_is_none_is_refused(percent: str):
    done = CliRunner().invoke(program, ["run", "--duty-cycle", percent])

    assert done.exit_code == 2
    assert "--duty-cycle" in done.output
