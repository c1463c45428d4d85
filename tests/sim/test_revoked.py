"""A device is revoked in one partition while it writes on in the other: one cut everywhere."""

from __future__ import annotations

import random

import pytest

from meshlog.core.decrees import Mode
from meshlog.core.event import Event, EventId
from meshlog.core.feed import FeedKind
from meshlog.replica import Replica, membership
from meshlog.replica.membership import Since
from meshlog.sim.world import Weather, World
from meshlog.views.materialize import shown
from meshlog.views.standing import Standing

HOUR_MS = 3_600_000
LOST = "lost"
STAYING = ("base", "team_a", "team_b", "team_c")


def revoked_in_a_storm(seed: int) -> tuple[World, set[EventId]]:
    """Run one trial; return the world after the heal, and what the revoker held of the device."""
    luck = random.Random(seed)
    weather = Weather(luck.choice((0, 0.1, 0.3)), luck.choice((0, 0.2)), luck.choice((0, 0.05)))
    world = World(seed, [*STAYING, LOST], weather)
    for _ in range(luck.randint(1, 4)):
        write_some(world, luck)
        world.run(luck.randint(1_000, 600_000))
    world.part([["base", "team_a"], ["team_b", "team_c", LOST]])
    write_some(world, luck)
    base, lost = (world.nodes[name].replica for name in ("base", LOST))
    mode = luck.choice(list(Mode))
    said = membership.revocation(base.store, base.ledger, lost.identity.author, mode, Since())
    held = {event.id for event in data_of(base, lost)}
    base.decree("member.revoke", said, world.now_ms)
    for _ in range(luck.randint(1, 4)):
        write_some(world, luck)
        if luck.random() < 0.3:
            world.restart(luck.choice(STAYING))
        world.run(luck.randint(1_000, 600_000))
    world.part(None)
    world.weather = Weather()
    world.run(2 * HOUR_MS)
    return world, held


def write_some(world: World, luck: random.Random) -> None:
    """Everybody writes, to records of its own and to one of all; who knows it is out does not."""
    for name in (*STAYING, LOST):
        replica = world.nodes[name].replica
        if replica.ledger.decrees.removals.get(replica.identity.author):
            continue
        for record in (f"of {name}", "of all"):
            payload = {"record_id": record, "field": "depth", "value": luck.randint(0, 99)}
            world.write(name, "field.set", payload)


def data_of(holder: Replica, who: Replica) -> list[Event]:
    events = (arrival.event for arrival in holder.store.scan())
    author = who.identity.author
    return [e for e in events if e.author == author and e.feed.kind is FeedKind.DATA]


def check(seed: int) -> int:
    """Check one trial; return how many events of the revoked device are left out everywhere."""
    world, held = revoked_in_a_storm(seed)
    lost = world.nodes[LOST].replica
    staying = [world.nodes[name].replica for name in STAYING]
    views = [one.view.snapshot() for one in staying]

    assert all(view == views[0] for view in views), f"views differ, seed {seed}"
    for one in staying:
        author = one.identity.author
        assert not one.ledger.decrees.removals.get(author), f"the wrong one, seed {seed}"
        events = [arrival.event for arrival in one.store.scan()]
        pure = shown(events, one.dataset, one.ledger.horizon_ms)
        assert one.view.snapshot() == pure, f"view is not the fold, seed {seed}"
        standings = one.ledger.standings(one.store)
        counted = {event.id for event in data_of(one, lost) if standings.counts(event)}
        assert counted == held, f"another cut, seed {seed}"
        for other in staying:
            theirs = data_of(other, other)
            assert data_of(one, other) == theirs, f"an event was lost, seed {seed}"
            assert all(standings.of(event) is Standing.COUNTS for event in theirs)
    out = len(data_of(world.nodes["team_b"].replica, lost)) - len(held)
    world.close()
    return out


def test_one_cut_on_every_node_after_the_heal_and_nothing_of_the_others_lost() -> None:
    assert sum(check(seed) for seed in range(2)) > 0, "a test in which nobody writes on is none"


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1_000, 1_010))
def test_one_cut_in_every_storm(seed: int) -> None:
    check(seed)
