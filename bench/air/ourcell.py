"""Our devices on the simulated radio: the same cell, the same edits, the same counting."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from bench.air.inputs import Edit, edits
from bench.air.onair import CELL, GIVE_UP_MS, HELD_BEFORE, HOUR_MS, LORA, NEW_EVENTS
from meshlog.sim.checks import worst_hour
from meshlog.sim.radio import Weather
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import everybody

SETTLE_MS = 2 * HOUR_MS
"""Announces are through, and beacons have slowed down."""

IDLE_HOURS = 12
"""Averaged over: devices announce themselves about every six hours."""

STEP_MS = 250
DUTY_CYCLE = 0.01


def started_cell(seed: int, loss: float = 0.0, duty_cycle: float = 1.0) -> RadioWorld:
    """Return 20 devices that hold the same and have been on for a while."""
    world = RadioWorld(seed, LORA, duty_cycle=duty_cycle, weather=Weather(loss))
    names = [f"n{number}" for number in range(CELL)]
    for name in names:
        world.add(name)
    for name in names:
        notes = ({"record_id": name, "text": str(number)} for number in range(HELD_BEFORE))
        world.write_many(name, [("note.add", note) for note in notes])
    world.start()
    world.run(SETTLE_MS)
    assert world.agrees(), "nothing differs at the start"
    return world


@cache
def idle_bytes(seed: int) -> float:
    """Return what the cell sends in an hour in which nothing is written, announces included."""
    world = started_cell(seed)
    before = world.air.bytes_on_air.total()
    world.run(IDLE_HOURS * HOUR_MS)
    world.close()
    return (world.air.bytes_on_air.total() - before) / IDLE_HOURS


@cache
def new_events(seed: int, loss: float = 0.0, duty_cycle: float = 1.0) -> tuple[float, float]:
    """Return the bytes until all 20 hold 10 events of one, and the busiest station's duty cycle."""
    world = started_cell(seed, loss, duty_cycle)
    before = world.air.bytes_on_air.total()
    drawn = list(edits(_luck(seed)))[:NEW_EVENTS]
    world.write_many("n0", [("field.set", _payload(edit)) for edit in drawn])
    until(world, world.agrees)
    spent = world.air.bytes_on_air.total() - before
    logs = [station.log for station in world.air.stations.values()]
    share = max(worst_hour(log).airtime_ms for log in logs) / HOUR_MS
    world.close()
    return float(spent), share


@cache
def to_new_device(seed: int, event_count: int, loss: float = 0.0) -> float:
    """Return the milliseconds of air per event of a whole feed that a new device takes over."""
    world = RadioWorld(seed, LORA, reach=nobody, weather=Weather(loss))
    world.add("full")
    world.add("new")
    world.start()
    for edit in edits(_luck(seed), event_count // 4):
        world.run(edit.after_ms)
        world.write("full", "field.set", _payload(edit))
    world.run(HOUR_MS)
    before_ms = _airtime_ms(world)
    world.air.reach = everybody
    until(world, world.agrees)
    spent_ms = _airtime_ms(world) - before_ms
    world.close()
    return spent_ms / event_count


def until(world: RadioWorld, done: Callable[[], bool]) -> None:
    """Let time pass until ``done``."""
    end_ms = world.now_ms + GIVE_UP_MS
    while not done():
        if world.now_ms >= end_ms:
            raise TimeoutError(f"not converged after {GIVE_UP_MS / HOUR_MS:.0f} hours")
        world.run(STEP_MS)


def nobody(src: str, dst: str, now_ms: int) -> float | None:
    """Let nobody hear anybody."""
    del src, dst, now_ms
    return None


def _payload(edit: Edit) -> dict[str, object]:
    return {"record_id": edit.record_id, "field": edit.field, "value": edit.value}


def _airtime_ms(world: RadioWorld) -> int:
    return sum(station.airtime_ms for station in world.air.stations.values())


def _luck(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a seed must repeat
