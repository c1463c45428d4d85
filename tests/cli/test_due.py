"""Commands show what has come due since the store was written, whoever can write it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from meshlog import HLC, Node, SimNetwork, SimTransport
from meshlog.cli import stores
from meshlog.cli.command import Place
from meshlog.store import SqliteStore
from tests.cli.processes import Device

HOUR_MS = 3_600_000


@pytest.fixture
def waiting(tmp_path: Path) -> Device:
    """A store that took in, an hour ago, what is stamped half an hour ago."""
    now_ms = time.time_ns() // 1_000_000
    air = SimNetwork()
    bob = Node("bob", SimTransport("bob", air), hlc=HLC(clock=lambda: now_ms - HOUR_MS // 2))
    bob.put_record("W-1", {"depth_m": 30}, "well")
    path = tmp_path / "ann.db"
    with Node("ann", SimTransport("ann", air), path, HLC(clock=lambda: now_ms - HOUR_MS)) as ann:
        ann.gossip_round()
        assert (ann.view(), ann.status()["held_records"]) == ({}, 1)
    return Device(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("view W-1", "depth_m"),
        ("history W-1", "depth_m"),
        ("query depth_m=30", "1 record found"),
        ("watch --once --all", "W-1  well"),
        ("status", "1 record,"),
        ("export --form well", "depth_m"),
    ],
)
def test_what_is_due_counts_in_every_command_that_reads(
    waiting: Device, words: str, said: str
) -> None:
    shown = waiting(*words.split(), "--data", "ann.db")

    assert (shown.code, shown.err) == (0, "")
    assert said in shown.out
    assert "its clock is ahead" not in shown.out


def test_who_cannot_write_shows_it_and_says_that_it_is_not_told(
    waiting: Device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "BUSY_WAIT_S", 0.05)
    data = waiting.home / "ann.db"
    place = Place(data, waiting.home / "ann.db.identity", named=True, identity_named=False)
    with closing(SqliteStore(data)), stores.reading(place) as read:  # no node, and not ours
        assert read.view.snapshot().keys() == {"W-1"}
    with closing(SqliteStore(data)), stores.reading_changes(place) as read:
        assert read.store.last_change() == 0
    with stores.reading_changes(place) as read:
        assert read.store.last_change() == 1

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("what changed last is not told yet:")


def test_a_running_node_counts_it_before_a_command_reads_beside_it(waiting: Device) -> None:
    with waiting.node("--data", "ann.db"):
        assert json.loads(waiting.ok("view", "W-1", "--json", "--data", "ann.db"))["fields"]
