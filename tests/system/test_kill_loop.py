"""Power cuts in a loop while writing and syncing: whatever was acknowledged is there again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from random import Random

import pytest

from meshlog.views.materialize import materialize
from tests.system.node import Field, Home, Running, end, items, try_status, wait_alike, wait_until
from tests.transport.driver import Process

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(150)]

WRITING_KILLS = 40
"""Of a process that writes as fast as the disk lets it, without a radio."""

SYNCING_KILLS = 12
"""Of ``meshlog run`` with its links up, both sides writing: 52 kills in all."""

SEED = 20_261


class WritingProcess(Process):
    """Writes events until it is killed, saying which are durable."""

    def __init__(self, home: Home) -> None:
        script = Path(__file__).parent / "writing_process.py"
        super().__init__([str(script), str(home.path)], home.folder / "writer.log")

    def killed_after(self, lines: int) -> list[str]:
        """Kill it once it has said so much; return the ids of all that it acknowledged."""
        assert self.process.stdout is not None
        said = [self.process.stdout.readline() for _ in range(lines)]
        self.kill()
        said += self.process.stdout.readlines()
        return [event_id for line in said if line.endswith("\n") for event_id in json.loads(line)]


@pytest.fixture
def tests_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))


@pytest.mark.usefixtures("tests_on_path")
def test_a_writer_killed_forty_times_keeps_all_that_it_acknowledged(field: Field) -> None:
    luck = Random(SEED)
    [ann] = field.homes("ann")
    acknowledged: set[str] = set()

    for _ in range(WRITING_KILLS):
        with WritingProcess(ann) as writer:
            said = writer.killed_after(luck.randrange(1, 12))
        assert said, "it opened, and wrote"
        acknowledged.update(said)
        assert acknowledged <= ann.events()

    with ann.open() as node:
        held = [arrival.event for arrival in node.replica.store.scan()]
        assert node.view() == materialize(held)


def test_a_node_killed_twelve_times_in_mid_sync_keeps_all_and_converges(field: Field) -> None:
    luck = Random(SEED)
    relay = field.relay()
    ann, bob = field.homes("ann", "bob")
    live = field.run(ann, end(relay, "a"))
    wait_until(lambda: bool(try_status(live)), 20, live.log)
    configdir = field.config("bob", end(relay, "b"))
    by_ann: set[str] = set()
    by_bob: set[str] = set()
    synced: set[str] = set()

    for life in range(SYNCING_KILLS):
        with Running(bob, configdir) as node:
            wait_until(lambda node=node: has_met(node), 20, node.log)  # type: ignore[misc]
            by_ann.update(live.emit(items(100, f"ann{life}")))
            until_s = time.monotonic() + luck.uniform(0.1, 0.8)
            number = 0
            while time.monotonic() < until_s:
                by_bob.update(node.emit(items(10, f"bob{life}", number)))
                number += 10
            node.kill()
        held = bob.events()
        assert by_bob <= held
        assert synced <= held, "what came by radio stays, too"
        synced = held

    assert synced & by_ann, "some of it came by radio between two kills"
    last = field.run(bob, configdir=configdir)
    wait_alike(live, last, timeout_s=60)
    assert by_ann | by_bob <= ann.events()
    assert ann.events() == bob.events()
    assert ann.view() == bob.view()


def has_met(node: Running) -> bool:
    """Say whether a link is up: the peer's state changes with the first exchange."""
    return any(peer["contact"] != "heard" for peer in try_status(node).get("peers", ()))
