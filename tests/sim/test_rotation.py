"""The key is rotated on the air: who was away catches up, who got no box hears nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from meshlog.core.air import LoRa
from meshlog.core.decrees import cut_list
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import everybody, islands
from meshlog.sync.broadcast.stragglers import PACKETS_MAX
from tests.support.feeds import control_feed

SF8 = LoRa(sf=8)
HOUR_MS = 3_600_000
REVOKE = "member.revoke"


@pytest.fixture
def camp() -> Iterator[Callable[..., RadioWorld]]:
    worlds = []

    def camp(*names: str, seed: int = 1, **settings) -> RadioWorld:
        world = RadioWorld(seed, SF8, **settings)
        worlds.append(world)
        for name in names:
            world.add(name)
        world.start()
        return world

    yield camp
    for world in worlds:
        world.close()


def note(world: RadioWorld, name: str, text: str) -> None:
    world.write(name, "note.add", {"record_id": "R-1", "text": text})


def keys(world: RadioWorld) -> set[bytes]:
    return {device.replica.ring.current for device in world.devices.values()}


def test_all_in_range_move_on_within_minutes(camp):
    world = camp("base", "ann", "bob", "cat", duty_cycle=0.1)
    world.run(HOUR_MS)

    world.rotate_key("base")
    world.run(HOUR_MS // 12)
    assert len(keys(world)) == 1
    note(world, "bob", "under the new key")
    world.run(HOUR_MS // 2)

    assert world.agrees()
    assert world.view("cat")["R-1"]["notes"] == ["under the new key"]


@pytest.mark.parametrize("seed", range(4))
def test_who_was_away_finds_its_box_and_brings_what_it_wrote(camp, seed):
    world = camp("base", "ann", "away", seed=seed, duty_cycle=0.1)
    world.air.reach = islands([["base", "ann"], ["away"]])
    world.rotate_key("base")
    note(world, "ann", "under the new key")
    note(world, "away", "under the old key")
    world.run(2 * HOUR_MS)
    assert len(keys(world)) == 2
    world.air.reach = everybody

    world.run(2 * HOUR_MS)

    assert len(keys(world)) == 1
    assert world.agrees()
    assert sorted(world.view("away")["R-1"]["notes"]) == ["under the new key", "under the old key"]


@pytest.mark.parametrize("seed", range(3))
def test_two_halves_that_both_rotated_come_together(camp, seed):
    """Neither can open the other's packets: the key that they had in common brings them on."""
    world = camp("base", "ann", "away", "too", seed=seed, duty_cycle=0.1)
    founder = world.devices["base"].replica
    world.add("second", invite=founder.invite(Role.COORDINATOR))
    world.restart("second")
    world.run(2 * HOUR_MS)
    assert world.agrees()
    world.air.reach = islands([["base", "ann"], ["second", "away", "too"]])
    world.rotate_key("base")
    world.rotate_key("second")
    note(world, "ann", "one")
    note(world, "too", "two")
    world.run(HOUR_MS)
    assert len(keys(world)) == 2
    world.air.reach = everybody

    world.run(3 * HOUR_MS)

    assert len(keys(world)) == 1
    assert world.agrees()


def test_a_newcomer_with_an_old_invite_gets_its_box(camp):
    world = camp("base", "ann", duty_cycle=0.1)
    invite = world.devices["base"].replica.invite(Role.WRITER)
    world.rotate_key("base")
    note(world, "ann", "before it came")
    world.run(HOUR_MS)

    world.add("late", invite=invite)
    world.restart("late")
    note(world, "late", "hello")
    world.run(3 * HOUR_MS)

    assert len(keys(world)) == 1
    assert world.agrees()


def revoke(world: RadioWorld, name: str) -> None:
    """Let base say so, and nothing more: the rotation follows by itself."""
    base, out = (world.devices[who].replica for who in ("base", name))
    heads = {
        feed: tips for feed, tips in base.frontier().items() if feed.author == out.identity.author
    }
    payload = {"author": out.identity.author, "mode": "soft", "cuts": cut_list(heads)}
    with base._desk.change() as ledger:
        base._desk.pen.write(ledger, control_feed(base), [(REVOKE, payload)], world.now_ms)
    world.restart("base")


def test_whom_a_revocation_removed_hears_no_more_data(camp):
    """It holds the old key and its own, keeps its radio on, and asks all the time."""
    world = camp("base", "ann", "out", duty_cycle=0.1)
    note(world, "out", "while it belonged")
    world.run(HOUR_MS)
    revoke(world, "out")
    world.run(HOUR_MS // 4)
    base, ann, out = (world.devices[name].replica for name in ("base", "ann", "out"))
    assert base.ring.current == ann.ring.current != out.ring.current

    for number in range(20):
        note(world, "ann", f"secret {number}")
        world.restart("out")  # and says where it stands
        world.run(HOUR_MS // 4)

    data = [feed for feed in out.frontier() if feed.kind is FeedKind.DATA]
    assert data == [out.data_feed]
    assert len(world.view("base")["R-1"]["notes"]) == 21
    told = base.engine.lane.counts["told under an older key"]
    assert 0 < told <= PACKETS_MAX * 6 * 5 + PACKETS_MAX


def test_junk_on_the_air_gains_a_packet_in_ten_minutes_at_most(camp):
    world = camp("base", "ann", duty_cycle=0.1)
    world.rotate_key("base")
    world.run(HOUR_MS)
    lane = world.devices["base"].replica.engine.lane
    told = lane.counts["told under an older key"]

    for number in range(600):
        lane.overheard(b"\x12" + number.to_bytes(2, "big") + bytes(60), world.now_ms)
        world.run(6_000)

    assert lane.counts["not sealed"] >= 600
    assert lane.counts["told under an older key"] - told <= 7
