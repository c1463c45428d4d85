"""Every fault at once, from one seed: what holds after the heal; and a seed is a bug report."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sim.storm.plan import LINKS, RADIO, Plan, draw
from meshlog.sim.storm.radio import RadioEther
from meshlog.sim.storm.run import run_storm
from meshlog.sim.storm.world import World
from meshlog.sim.wire import Kind, Packet, encode

SEEDS = Path(__file__).parent / "seeds"

DIGEST = """
from meshlog.sim.storm.plan import draw
from meshlog.sim.storm.run import run_storm
print(run_storm(draw(5, nodes=5, hours=0.5)).digest)
"""


@pytest.mark.parametrize("seed", range(4))
def test_every_promise_holds_after_a_storm(seed: int):
    outcome = run_storm(draw(seed, nodes=5, hours=1.0))

    assert outcome.failed == ()


def test_every_promise_holds_after_a_storm_on_the_air():
    outcome = run_storm(draw(7, nodes=5, hours=0.5))

    assert outcome.plan.lane == RADIO
    assert outcome.failed == ()


def test_the_same_seed_makes_the_same_run_in_any_process():
    """Byte-identical, whatever Python's hash seed is: a set that is walked would show."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert len(digests) == 1


def test_another_seed_makes_another_run():
    assert run_storm(draw(1, nodes=5, hours=0.5)).digest != (
        run_storm(draw(2, nodes=5, hours=0.5)).digest
    )


def test_an_outsider_may_replay_the_longest_packet_that_it_heard():
    world = World(replace(draw(7, nodes=5, hours=0.5), faults=()))
    heard = encode(Packet(Kind.PART, "n00+5+6", data=bytes(SHOUT_SIZE_MAX)))  # to a clone's clone

    world.ether.inject("n00", heard)
    world.agenda.run(10_000)

    assert list(world.ether.heard) == []
    assert world.ether.messages_sent == 0
    world.close()


def test_a_device_without_power_answers_nobody():
    """Its radio once went on: a neighbour's link came up, and its ghost pulled parts for hours."""
    world = World(replace(draw(7, nodes=5, hours=0.5), faults=()))
    world.boot(world.devices["n01"])
    ether = world.ether
    assert isinstance(ether, RadioEther)
    said = ether.air.stations["n01"].log

    ether.inject("n01", encode(Packet(Kind.LINK_REQUEST, "n01", link=5)))
    world.agenda.run(10_000)
    while_on = len(said)
    world.stop(world.devices["n01"])
    ether.inject("n01", encode(Packet(Kind.LINK_REQUEST, "n01", link=6)))
    world.agenda.run(600_000)

    assert while_on > 0
    assert len(said) == while_on
    world.close()


def test_a_plan_survives_its_file():
    plan = draw(3)

    assert Plan.from_json(plan.to_json()) == plan
    assert plan.lane == LINKS


@pytest.mark.parametrize("file", sorted(SEEDS.glob("*.json")), ids=lambda file: file.stem)
def test_a_storm_that_once_failed_stays_calm(file: Path):
    """Each file is the smallest reproduction of a bug that was found and mended."""
    outcome = run_storm(Plan.from_json(file.read_text("utf-8")))

    assert outcome.failed == ()
