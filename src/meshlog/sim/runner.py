"""Run a scenario: what is known afterwards, and whether everything held."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from meshlog.core.air import LoRa
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.checks import (
    check_converged,
    check_duty_cycle,
    check_queues,
    check_views,
    worst_hour,
)
from meshlog.sim.scenarios import Scenario
from meshlog.sim.stage import Phase, Stage, Watch


@dataclass(frozen=True, slots=True)
class AirUse:
    """What one device did to the air."""

    airtime_ms: int
    worst_hour_ms: int
    waited_ms: int
    """How long its limit held packets back."""
    dropped: int
    """Packets that it refused: a full queue, or more air than its limit ever allows."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run in numbers. Equal seeds give equal reports."""

    scenario: str
    seed: int
    sf: int
    bw_hz: int
    cr: int
    duty_cycle: float
    age_ms: int
    """How much virtual time passed."""
    events: int
    bytes_on_air: dict[str, int]
    """Of Reticulum's packets, by class, most first."""
    packets_on_air: dict[str, int]
    faults: dict[str, int]
    """Receptions that failed and packets that were refused, by cause."""
    phases: list[dict[str, Any]]
    air_use: dict[str, AirUse]
    lacking: list[tuple[int, dict[str, int]]]
    """Age in milliseconds, and the events that each device lacked then."""
    failed: list[str]
    """A sentence for each check that did not hold."""

    @property
    def converged(self) -> bool:
        """Whether everybody held the same at the end."""
        return not any(self.lacking[-1][1].values())

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return not self.failed

    def to_json(self) -> str:
        """Return the report as JSON; equal reports give equal bytes."""
        numbers = {**asdict(self), "converged": self.converged, "ok": self.ok}
        return json.dumps(numbers, indent=1)


def run_scenario(
    scenario: Scenario, seed: int, lora: LoRa, duty_cycle: float, watch: Watch = lambda _: None
) -> Report:
    """Play a scenario and check it.

    Args:
        scenario: One of ``SCENARIOS``.
        seed: Decides everything.
        lora: What all stations are set to.
        duty_cycle: Share of every hour; 1.0 for no limit.
        watch: Told the world's age in milliseconds, now and then.
    """
    stage = Stage(seed, lora, duty_cycle, watch)
    try:
        scenario.play(stage)
        stage.end()
        return _report(scenario, seed, stage)
    finally:
        stage.world.close()


def _report(scenario: Scenario, seed: int, stage: Stage) -> Report:
    world = stage.world
    air = world.air
    lacking = stage.samples[-1].lacking
    checks: list[Callable[[], None]] = [
        lambda: check_converged(lacking),
        lambda: check_duty_cycle(air.stations, world.duty_cycle),
        lambda: check_queues(air.stations.values()),
    ]
    if not any(lacking.values()):
        checks.append(lambda: check_views({name: world.view(name) for name in world.devices}))
    checks += [partial(check_agreed, phase) for phase in stage.phases]
    return Report(
        scenario=scenario.name,
        seed=seed,
        sf=world.lora.sf,
        bw_hz=world.lora.bw_hz,
        cr=world.lora.cr,
        duty_cycle=world.duty_cycle,
        age_ms=stage.age_ms,
        events=len(world.known),
        bytes_on_air=dict(air.bytes_on_air.most_common()),
        packets_on_air=dict(air.packets_on_air.most_common()),
        faults=dict(air.faults.most_common()),
        phases=[asdict(phase) for phase in stage.phases],
        air_use={
            name: AirUse(
                station.airtime_ms,
                worst_hour(station.log, HOUR_MS).airtime_ms,
                station.waited_ms,
                station.dropped,
            )
            for name, station in air.stations.items()
        },
        lacking=[(sample.age_ms, sample.lacking) for sample in stage.samples],
        failed=[sentence for sentence in map(_outcome, checks) if sentence],
    )


def check_agreed(phase: Phase) -> None:
    """Assert that a phase that waited for agreement got it.

    Raises:
        AssertionError: It did not.
    """
    agreed = not phase.waited or phase.agreed_after_ms is not None
    assert agreed, f"no agreement in time in the phase {phase.name!r}"


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except AssertionError as error:
        return str(error)
    return ""
