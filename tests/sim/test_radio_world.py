"""Replicas on simulated radios: the port's promises over the air, restarts, clones, limits."""

from __future__ import annotations

from meshlog.core.air import LoRa
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.cell import Cell
from meshlog.sim.checks import check_duty_cycle, check_queues, check_views
from meshlog.sim.radio import Transmission, Weather
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import everybody, islands

SF8 = LoRa(sf=8)


def started(*names: str, seed: int = 1, **settings) -> RadioWorld:
    world = RadioWorld(seed, SF8, **settings)
    for name in names:
        world.add(name, on_card=name == "card")
    world.start()
    return world


def note(world: RadioWorld, name: str, text: str = "hello") -> None:
    world.write(name, "note.add", {"record_id": "R-1", "text": text})


def test_devices_have_met_before_they_start():
    world = started("base", "team_a", "team_b")

    assert world.agrees()
    assert world.lacking() == {"base": 0, "team_a": 0, "team_b": 0}
    assert not world.air.log


def test_what_one_writes_all_hold_within_minutes():
    world = started("base", "team_a", "team_b", duty_cycle=0.1)
    note(world, "team_b")
    assert sorted(world.lacking().values()) == [0, 1, 1]

    world.run(HOUR_MS // 2)

    assert world.agrees()
    check_views({name: world.view(name) for name in world.devices})
    check_queues(world.air.stations.values())
    world.close()


def test_who_was_out_of_range_catches_up():
    world = started("base", "team", reach=islands([]))
    note(world, "team", "one")
    note(world, "base", "two")
    world.run(HOUR_MS)
    assert world.lacking() == {"base": 1, "team": 1}
    world.air.reach = everybody

    world.run(HOUR_MS)

    assert world.agrees()


def test_a_restart_forgets_the_peers_and_nothing_else():
    world = started("base", "team", reach=islands([]))
    note(world, "team")
    world.restart("team")
    world.air.reach = everybody

    world.run(HOUR_MS)

    assert world.agrees()
    assert world.view("base")["R-1"]["notes"] == ["hello"]


def test_a_clone_is_the_same_author_with_a_card_of_its_own():
    world = started("base", "card")
    note(world, "card", "before")
    world.clone("card", "copy")

    assert world.view("copy") == world.view("card")
    assert world.devices["copy"].identity is world.devices["card"].identity
    note(world, "copy", "after")
    assert world.view("copy") != world.view("card")
    world.close()


def test_a_device_whose_clock_is_ahead_is_woken_when_it_wanted():
    world = RadioWorld(1, SF8)
    world.add("base")
    world.add("team", skew_ms=-3 * 60_000)
    world.start()
    note(world, "base")

    world.run(HOUR_MS)

    assert world.agrees()


def test_looking_changes_nothing():
    """Or no two runs could be compared."""

    def log(*, look: bool) -> list[Transmission]:
        world = started("base", "team_a", "team_b", weather=Weather(loss=0.1))
        for name in world.devices:
            note(world, name)
        for _ in range(60):
            world.run(60_000)
            if look:
                world.agrees()
                world.lacking()
                world.view("base")
        return world.air.log

    assert log(look=True) == log(look=False)


def test_links_and_announces_wait_for_the_hours_air():
    cell = Cell(seed=1, names=["base", "team"], lora=LoRa(sf=8), duty_cycle=0.02)
    for _ in range(20):
        cell.send_message("base", "team", bytes(2_000), kind="bulk")

    cell.run(4 * HOUR_MS)

    stations = cell.air.stations
    check_duty_cycle(stations, 0.02)
    assert stations["base"].waited_ms > HOUR_MS // 2, "it had more to say"
    assert cell.messages["delivered"] > 0, "and said some of it"
