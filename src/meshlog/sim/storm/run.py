"""One storm from its plan: it rages, it heals, calm follows, and every promise is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.storm.acts import end_ms, heal, schedule, silence_enemies
from meshlog.sim.storm.checks import AT_THE_END
from meshlog.sim.storm.checks.bounded import check_bounded
from meshlog.sim.storm.checks.counted import check_counted
from meshlog.sim.storm.checks.frugal import Calm, check_frugal
from meshlog.sim.storm.checks.readback import check_readback
from meshlog.sim.storm.plan import RADIO, RELENTLESS, Plan
from meshlog.sim.storm.world import FailedError, World
from meshlog.sync.effects import Woke

LOOK_MS = 60_000
"""How exactly the time of agreement is told."""

CALM_MS_MAX = {False: 2 * HOUR_MS, True: 8 * HOUR_MS}
"""The longest that agreement may take after the heal, over links and on the air."""

SETTLE_MS = HOUR_MS
"""After agreement, until every pair knows of it."""

SILENCE_MS = HOUR_MS
LOOKS = 4
"""How often the bounds are looked at while the storm rages."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one storm. Equal plans give equal outcomes."""

    plan: Plan
    failed: tuple[tuple[str, str], ...]
    """Check and sentence of everything that did not hold."""
    digest: str
    """Hash of all that happened."""
    faults: dict[str, int]
    cluster_hours: float
    """Virtual hours of the cluster, the calm included."""
    events: int
    """Events that every device holds at the end."""
    bytes_sent: int
    calm_ms: int
    """From the heal until all agreed."""

    @property
    def ok(self) -> bool:
        """Whether every promise held."""
        return not self.failed


def run_storm(plan: Plan, tell: Callable[[str], None] | None = None) -> Outcome:
    """Play one storm. Never raises because of what a replica does: that is a failed check.

    Args:
        plan: Decides everything.
        tell: Takes each line of the trace; None keeps its hash only.
    """
    world = World(plan, tell)
    world.after_write = partial(check_readback, world)
    world.after_hearing = check_counted
    failed: list[tuple[str, str]] = []
    began_ms = world.now_ms
    calm_ms = 0
    try:
        schedule(world)
        for _ in range(LOOKS):
            world.agenda.run(end_ms(plan) // LOOKS)
            failed += [("bounded", sentence) for sentence in check_bounded(world)]
        heal(world)
        calm = Calm.of(world)
        calm_ms = _calm_down(world)
        if plan.has(RELENTLESS):
            world.agenda.run(SETTLE_MS)
            silence_enemies(world)
            calm = Calm.of(world)
        failed += _final_checks(world, calm)
    except FailedError as error:
        failed.append((error.check, error.sentence))
    except Exception as error:  # the simulator's own mistake: without its seed nobody finds it
        error.add_note(f"in the storm of {plan.to_json()}")
        raise
    finally:
        world.close()
    events = max((d.replica.event_count() for d in world.honest if d.replica), default=0)
    return Outcome(
        plan,
        tuple(dict.fromkeys(failed)),
        world.trace.digest(),
        dict(world.trace.faults),
        (world.now_ms - began_ms) / HOUR_MS,
        events,
        world.ether.bytes_sent,
        calm_ms,
    )


def _calm_down(world: World) -> int:
    """Wait for agreement, whatever enemies do; return how long it took."""
    healed_ms = world.now_ms
    most_ms = CALM_MS_MAX[world.plan.lane == RADIO]
    while not world.agrees() and world.now_ms - healed_ms < most_ms:
        world.agenda.run(LOOK_MS)
    calm_ms = world.now_ms - healed_ms
    world.trace.note("world", "agrees" if world.agrees() else "differs", calm_ms)
    return calm_ms


def _final_checks(world: World, calm: Calm) -> list[tuple[str, str]]:
    failed: list[tuple[str, str]] = []
    world.agenda.run(SETTLE_MS)
    before = world.ether.messages_sent
    world.agenda.run(SILENCE_MS)
    said = world.ether.messages_sent - before
    off = [device.name for device in world.staying if device.replica is None]
    if off:  # what their cards hold cannot be opened
        return [("durable", f"{name} cannot start any more") for name in off]
    for device in world.staying:
        world.handle(device, Woke())
    for name, check in AT_THE_END.items():
        failed += [(name, sentence) for sentence in check(world)]
    if not failed:
        failed += [("frugal", sentence) for sentence in check_frugal(world, calm)]
    if said and not failed:
        failed.append(("silent", f"{said} messages in the hour after all had agreed"))
    return failed
