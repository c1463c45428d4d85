"""The promise in a storm: whatever is written while the air fails, everybody holds it after."""

from __future__ import annotations

import random

import pytest

from meshlog.sim.world import Weather, World
from meshlog.views.materialize import materialize

TRIALS = 300
HOUR_MS = 3_600_000
FIELDS = ("status", "depth", "pump")


def _storm(seed: int) -> World:
    """Run one trial: random writes, islands, restarts and weather, then clear air."""
    luck = random.Random(seed)
    names = ["base", "team_a", "team_b", "team_c", "team_d"][: luck.randint(2, 5)]
    weather = Weather(
        luck.choice((0, 0.1, 0.3)),
        luck.choice((0, 0.2)),
        luck.choice((0, 0.05)),
        luck.choice((1, 5_000)),
    )
    world = World(seed, names, weather)
    for node in world.nodes.values():
        node.skew_ms = luck.randint(-300_000, 300_000)
    for _ in range(luck.randint(2, 8)):
        world.part([[name for name in names if luck.random() < 0.6] for _ in range(2)])
        for _ in range(luck.randint(0, 6)):
            _write(world, luck.choice(names), luck)
        if luck.random() < 0.2:
            world.restart(luck.choice(names))
        world.run(luck.randint(1_000, 600_000))
    world.part(None)
    world.weather = Weather()
    world.run(HOUR_MS)
    return world


def _write(world: World, name: str, luck: random.Random) -> None:
    record_id = f"R-{luck.randint(1, 3)}"
    kind, payload = luck.choice(
        (
            ("record.create", {"form": "water_point"}),
            ("field.set", {"field": luck.choice(FIELDS), "value": luck.randint(0, 9)}),
            ("record.put", {"fields": {field: luck.randint(0, 9) for field in FIELDS}}),
            ("note.add", {"text": f"note {luck.randint(0, 99)}"}),
            ("record.delete", {}),
        ),
    )
    world.write(name, kind, {"record_id": record_id, **payload})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", range(10))
def test_everybody_holds_everything_an_hour_after_the_storm(block: int) -> None:
    """Hundreds of random trials; the message names the seed that failed."""
    for seed in range(block * TRIALS // 10, (block + 1) * TRIALS // 10):
        world = _storm(seed)

        assert world.agrees(), f"no agreement, seed {seed}"
        views = [world.view(name) for name in world.nodes]
        assert all(view == views[0] for view in views), f"views differ, seed {seed}"
        events = [arrival.event for arrival in next(iter(world.nodes.values())).store.scan()]
        assert materialize(events) == views[0], f"view is not the fold, seed {seed}"
        world.close()


def test_nothing_is_said_once_everybody_agrees() -> None:
    """Air is the scarce resource: silence is the right answer."""
    world = World(7, ["base", "team_a", "team_b"])
    world.write("team_a", "note.add", {"record_id": "R-1", "text": "hello"})
    world.run(HOUR_MS)
    sent = world.messages_sent

    world.run(24 * HOUR_MS)

    assert world.agrees()
    assert world.messages_sent == sent


def test_the_same_seed_makes_the_same_run() -> None:
    """A seed is a bug report."""
    one, other = _storm(11), _storm(11)

    assert (one.bytes_sent, one.messages_sent, one.faults) == (
        other.bytes_sent,
        other.messages_sent,
        other.faults,
    )
    assert one.view("base") == other.view("base")
