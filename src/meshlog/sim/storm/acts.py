"""What happens when: every kind of fault plans its own mishaps from its own luck."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.enemies import Hostile, Outsider
from meshlog.sim.storm.ether import Weather
from meshlog.sim.storm.plan import EPOCH_MS, RELENTLESS, REVOKE, Plan
from meshlog.sim.storm.revoking import plan_revocation
from meshlog.sim.storm.world import World
from meshlog.sim.storm.writing import Items, some_items

YEAR_2099_MS = 4_070_908_800_000
DRIFT_MS_MAX = 900_000
CLONES_MAX, RESTORES_MAX = 2, 6
OPERATIONS_MAX = 20
"""The power goes within so many operations of the disk, or after a while."""

Act = Callable[[World, Device, random.Random], None]


def schedule(world: World) -> None:
    """Plan everything that happens until the heal."""
    plan = world.plan
    for device in list(world.devices.values()):
        wait_ms = plan.luck(f"start {device.name}").randint(0, HOUR_MS // 6)
        world.agenda.later(wait_ms, partial(world.boot, device))
    _plan_writes(world)
    _plan_weather(world)
    for fault, (each_h, most, act) in _MISHAPS.items():
        if plan.has(fault):
            _plan_mishaps(world, plan.luck(fault), each_h, most, act)
    if plan.has("drift"):
        _let_drift(world)
    if plan.has("hostile"):
        Hostile(world).begin()
    if plan.has("outsider"):
        Outsider(world).begin()
    if plan.has(REVOKE):
        plan_revocation(world, end_ms(plan))


def heal(world: World) -> None:
    """End every fault: the air is clear, every device is on, has room and knows the time.

    Enemies that are relentless go on until ``silence_enemies``.
    """
    world.healed = True
    world.trace.note("world", "heals")
    world.ether.calm()
    if not world.plan.has(RELENTLESS):
        silence_enemies(world)
    for device in list(world.devices.values()):
        device.card.file.fail_power(None, after_commit=False)
        device.card.file.set_room(is_full=False)
        device.clock.pace_ppm = device.clock.offset_ms = 0
        if world.is_out(device) or (device.is_hostile and world.enemies_silent):
            world.stop(device)
        else:
            world.boot(device)
    world.ether.part(None)


def silence_enemies(world: World) -> None:
    """Let whoever is hostile do nothing any more."""
    world.enemies_silent = True
    for device in world.devices.values():
        if device.is_hostile:
            world.stop(device)


def end_ms(plan: Plan) -> int:
    """Return how long a storm rages."""
    return int(plan.hours * HOUR_MS)


# ── writes and weather ──────────────────────────────────────────────────────────────


def _plan_writes(world: World) -> None:
    plan = world.plan
    luck = plan.luck("writes")
    for number in range(plan.writes):
        when, who = luck.random(), luck.random()
        mark = f"w{number}"
        items = some_items(luck, mark)

        def write(who: float = who, mark: str = mark, items: Items = items) -> None:
            honest = world.honest
            world.write(honest[int(who * len(honest))], mark, items)

        world.agenda.later(int(when * end_ms(plan)), write)


def _plan_weather(world: World) -> None:
    plan = world.plan
    luck = plan.luck("weather")
    chances = {
        "loss": luck.choice((0.05, 0.15, 0.3)),
        "duplication": luck.choice((0.05, 0.2)),
        "corruption": luck.choice((0.01, 0.05)),
        "reordering": luck.choice((0.05, 0.3)),
        "delay": luck.choice((0.01, 0.05)),
    }
    weather = Weather(**{kind: chance for kind, chance in chances.items() if plan.has(kind)})
    world.ether.weather = weather


# ── mishaps ─────────────────────────────────────────────────────────────────────────


def _plan_mishaps(world: World, luck: random.Random, each_h: float, most: int, act: Act) -> None:
    """Plan mishaps of one kind, ``each_h`` an hour on average over all devices."""
    when_ms = 0.0
    for _ in range(most):
        when_ms += luck.expovariate(each_h) * HOUR_MS
        if when_ms >= end_ms(world.plan):
            return
        seed, who = luck.getrandbits(64), luck.random()

        def happen(seed: int = seed, who: float = who) -> None:
            honest = world.honest
            act(world, honest[int(who * len(honest))], random.Random(seed))

        world.agenda.later(int(when_ms), happen)


def _part(world: World, _device: Device, luck: random.Random) -> None:
    world.trace.fault("partition", "world")
    if luck.random() < 0.25:
        world.ether.part(None)
        return
    islands = luck.randint(2, 3)
    world.ether.part({name: luck.randrange(islands) for name in sorted(world.devices)})


def _crash(world: World, device: Device, luck: random.Random) -> None:
    """Let the power go at one of the next operations of the disk, or soon."""
    file = device.card.file
    file.fail_power(luck.randint(0, OPERATIONS_MAX), after_commit=luck.random() < 0.3)

    def at_last() -> None:
        if device.card.file is file and not world.healed:
            world.lose_power(device)

    world.agenda.later(luck.randint(1_000, 600_000), at_last)


def _fill(world: World, device: Device, luck: random.Random) -> None:
    world.trace.fault("full_disk", device.name)
    device.card.file.set_room(is_full=True)

    def make_room() -> None:
        device.card.file.set_room(is_full=False)

    world.agenda.later(luck.randint(60_000, HOUR_MS), make_room)


def _set_clock(world: World, device: Device, luck: random.Random) -> None:
    """Set a clock wrong, and right again after a while; in some cases at the heal only."""
    now_ms = world.now_ms
    wrong_ms = luck.choice(
        (
            luck.randrange(HOUR_MS),
            YEAR_2099_MS,
            now_ms + luck.randint(-DRIFT_MS_MAX, DRIFT_MS_MAX),
            now_ms - luck.randrange(72) * HOUR_MS,
            now_ms + luck.randrange(72) * HOUR_MS,
        )
    )
    if wrong_ms > now_ms + DRIFT_MS_MAX // 2:
        world.book.ahead.add(device.name)
    world.set_clock(device, wrong_ms)

    def correct() -> None:
        if not world.healed:
            world.set_clock(device, world.now_ms)

    world.agenda.later(luck.randint(60_000, 4 * HOUR_MS), correct)


def _clone(world: World, device: Device, luck: random.Random) -> None:
    """Copy a card; in half of the cases people write on both before the two can talk."""
    copy = world.clone(device, whole=luck.random() < 0.5)
    if luck.random() < 0.5:
        for number, one in enumerate((device, copy)):
            _write_at_once(world, one, luck, f"clone{number}")


def _restore(world: World, device: Device, luck: random.Random) -> None:
    """Take a backup now, put it back later; half of the time somebody writes at once."""
    world.back_up(device)
    whole = luck.random() < 0.5

    def put_back() -> None:
        if not world.healed:
            world.restore(device, whole=whole)
            if luck.random() < 0.5:
                _write_at_once(world, device, luck, "restore")

    world.agenda.later(luck.randint(60_000, HOUR_MS), put_back)


def _write_at_once(world: World, device: Device, luck: random.Random, why: str) -> None:
    mark = f"{why}@{world.now_ms - EPOCH_MS}"
    world.write(device, mark, some_items(luck, mark))


_MISHAPS: dict[str, tuple[float, int, Act]] = {
    "partition": (5.0, 100, _part),
    "crash": (6.0, 100, _crash),
    "full_disk": (1.5, 20, _fill),
    "clock": (1.5, 20, _set_clock),
    "clone": (0.6, CLONES_MAX, _clone),
    "restore": (2.0, RESTORES_MAX, _restore),
}
"""Kind: how many an hour, how many at most, and what happens."""


def _let_drift(world: World) -> None:
    """Let every clock gain or lose up to a quarter of an hour until the heal."""
    luck = world.plan.luck("drift")
    for device in world.devices.values():
        drift_ms = luck.randint(-DRIFT_MS_MAX, DRIFT_MS_MAX)
        device.clock.pace_ppm = drift_ms * 1_000_000 // end_ms(world.plan)
        world.trace.faults["drift"] += 1
