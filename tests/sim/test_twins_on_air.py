"""Copies of one device in a radio cell: the seal travels by broadcast, and everybody is told."""

from __future__ import annotations

import pytest

from meshlog.core.air import LoRa
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import everybody, islands

TOLD = "this identity runs on two devices: card"


def note(world: RadioWorld, name: str, text: str) -> None:
    world.write(name, "note.add", {"record_id": "R-1", "text": text})


def cell_with_twins(seed: int) -> RadioWorld:
    """Two halves of a cell, a twin in each: both wrote, each half agrees with itself."""
    world = RadioWorld(seed, LoRa(sf=8))
    world.add("base")
    world.add("team")
    world.add("card", on_card=True)
    world.start()
    note(world, "card", "before")
    world.run(HOUR_MS)
    world.air.reach = islands([{"base", "card"}, {"team", "copy"}])
    world.clone("card", "copy")
    note(world, "card", "on the card")
    note(world, "copy", "on the copy")
    world.run(HOUR_MS)
    return world


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seal_travels_by_broadcast_and_both_twins_and_all_others_are_told(seed: int):
    """The branches are of one length: no seq differs, and half of the cell agrees with one."""
    world = cell_with_twins(seed)
    assert not world.agrees()
    world.air.reach = everybody

    world.run(HOUR_MS)

    assert world.agrees()
    assert not [what for what in world.air.packets_on_air if what.startswith("link")]
    author = world.devices["card"].identity.author
    for name, device in world.devices.items():
        assert set(world.view(name)["R-1"]["notes"]) == {"before", "on the card", "on the copy"}
        assert any(news.startswith(TOLD) for news in device.replica.news), name
        assert device.replica.ledger.seals[author], name
    card, copy = (world.devices[name].replica.data_feed for name in ("card", "copy"))
    assert card.incarnation != copy.incarnation
    assert any("(this device)" in news for news in world.devices["card"].replica.news)
    assert any("(this device)" in news for news in world.devices["copy"].replica.news)
    world.close()
