"""Power cuts in a loop while writing and syncing: whatever was acknowledged is there again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from meshlog.views.materialize import materialize
from tests.support.scale import scaled
from tests.system.node import Field, Home, Running, end, items, try_status, wait_alike, wait_until
from tests.transport.driver import Process

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(3_600)]

WRITING_KILLS = scaled(30, 400)
"""Of a process that writes as fast as the disk lets it, without a radio."""

SYNCING_KILLS = scaled(12, 100)
"""Of ``meshlog run`` with its links up, both sides writing."""

THREE_KILLS = scaled(9, 100)
"""Of one of three nodes at a time, with texts of 20 kB and 60 kB on their way."""

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
def test_a_writer_killed_again_and_again_keeps_all_that_it_acknowledged(field: Field) -> None:
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


def test_a_node_killed_again_and_again_in_mid_sync_keeps_all_and_converges(field: Field) -> None:
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


def test_three_nodes_of_which_one_is_killed_at_a_time_keep_all_and_converge(
    field: Field, tell: Callable[[str], None]
) -> None:
    """A chain: what ann and cat write reaches the other only through bob."""
    luck = Random(SEED)
    west, east = field.relay(), field.relay()
    homes = field.homes("ann", "bob", "cat")
    ends = {
        "ann": [end(west, "a")],
        "bob": [end(west, "b"), end(east, "a")],
        "cat": [end(east, "b")],
    }
    configs = {home.name: field.config(home.name, *ends[home.name]) for home in homes}
    running = {home.name: field.run(home, configdir=configs[home.name]) for home in homes}
    acknowledged: dict[str, set[str]] = {home.name: set() for home in homes}
    for node in running.values():
        wait_until(lambda node=node: bool(try_status(node)), 30, node.log)  # type: ignore[misc]

    for number in range(THREE_KILLS):
        for home in homes:
            size = luck.choice((100, 20_000, 60_000))
            written = items(3, f"{home.name}{number}", text_size=size)
            acknowledged[home.name].update(running[home.name].emit(written))
        time.sleep(luck.uniform(0, 0.5))
        victim = homes[number % 3]
        running[victim.name].kill()
        running[victim.name].close()
        assert acknowledged[victim.name] <= victim.events()
        node = running[victim.name] = field.run(victim, configdir=configs[victim.name])
        wait_until(lambda node=node: bool(try_status(node)), 30, node.log)  # type: ignore[misc]

    wait_alike(*running.values(), timeout_s=180)
    everything = set().union(*acknowledged.values())
    for home in homes:
        assert everything <= home.events()
    assert len({home.view() for home in homes}) == 1
    tell(
        f"kill -9, three nodes over Reticulum, up to 60,000 bytes an event: {THREE_KILLS} kills,"
        f" 0 of {len(everything)} acknowledged lost, all three alike"
    )


def has_met(node: Running) -> bool:
    """Say whether a link is up: the peer's state changes with the first exchange."""
    return any(peer["contact"] != "heard" for peer in try_status(node).get("peers", ()))
