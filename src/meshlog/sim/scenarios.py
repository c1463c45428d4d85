"""Named days on the air. Each is a script on a stage; docs/simulator.md tells them as stories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.radio import Weather
from meshlog.sim.reach import Place, chain, heard_if, islands, within
from meshlog.sim.stage import MINUTE_MS, Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script and what people read before they choose it."""

    name: str
    about: str
    """One line."""
    play: Callable[[Stage], None]
    hours: float
    """About how long it takes, for the progress shown; waiting for agreement may add to it."""


def _pair(stage: Stage) -> None:
    names = ["base", "team"]
    _arrive(stage, names)
    stage.phase("a survey each")
    stage.collect("base", 40, 0)
    stage.collect("team", 20, 40)
    stage.until_agreed()
    stage.phase("one edit")
    stage.edit("team")
    stage.until_agreed()
    stage.phase("idle hour")
    stage.run(HOUR_MS)


def _cell20(stage: Stage) -> None:
    names = [f"n{index:02d}" for index in range(1, 21)]
    _arrive(stage, names)
    stage.phase("twenty records")
    for index, name in enumerate(names):
        stage.collect(name, 1, index)
    stage.until_agreed()
    stage.phase("settling")
    stage.run(HOUR_MS)
    stage.phase("ten new events")
    for name in stage.luck.sample(names, 10):
        stage.edit(name)
    stage.until_agreed()
    stage.phase("settling again")
    stage.run(HOUR_MS)
    stage.phase("idle hour")
    stage.run(HOUR_MS)


def _chain5(stage: Stage) -> None:
    names = [f"hop{index}" for index in range(5)]
    stage.reach(chain(names))
    _arrive(stage, names)
    stage.phase("a few records each")
    for index, name in enumerate(names):
        stage.collect(name, 4, 4 * index)
    stage.until_agreed()
    stage.phase("one edit, four hops")
    stage.edit("hop0")
    stage.until_agreed()
    stage.phase("idle hour")
    stage.run(HOUR_MS)


def _basecamp(stage: Stage) -> None:
    teams = [f"team_{letter}" for letter in "abcd"]
    away = {team: _outings(stage) for team in teams}
    stage.reach(heard_if(partial(_both_in_camp, away, stage.world.now_ms)))
    _arrive(stage, ["base", *teams])
    stage.phase("24 hours of coming and going")
    stage.collect("base", 60, 0)
    for team in teams:
        for left_ms, back_ms in away[team]:
            for at_ms in _now_and_then(stage, left_ms, back_ms, 20 * MINUTE_MS):
                stage.at(at_ms, partial(stage.edit, team))
    for at_ms in _now_and_then(stage, HOUR_MS, 24 * HOUR_MS, 2 * HOUR_MS):
        stage.at(at_ms, partial(stage.edit, "base"))
    stage.run(24 * HOUR_MS)
    stage.phase("everybody in camp")
    stage.clear()
    for team in teams:
        stage.edit(team)
    stage.until_agreed()


def _outings(stage: Stage) -> list[tuple[int, int]]:
    """Return when a team is away: ages of the world in milliseconds."""
    outings = []
    at_ms = stage.luck.randrange(HOUR_MS, 3 * HOUR_MS)
    while at_ms < 23 * HOUR_MS:
        back_ms = at_ms + stage.luck.randrange(2 * HOUR_MS, 6 * HOUR_MS)
        outings.append((at_ms, min(back_ms, 24 * HOUR_MS)))
        at_ms = back_ms + stage.luck.randrange(HOUR_MS // 4, 2 * HOUR_MS)
    return outings


def _both_in_camp(
    away: dict[str, list[tuple[int, int]]], began_ms: int, src: str, dst: str, now_ms: int
) -> bool:
    age_ms = now_ms - began_ms
    return not any(
        left_ms <= age_ms < back_ms
        for name in (src, dst)
        for left_ms, back_ms in away.get(name, ())
    )


CONVOY_RANGE_KM = 8.0
CONVOY_SPEED_KM_PER_H = 30.0
CONVOY_ROAD_KM = 60.0


def _convoy(stage: Stage) -> None:
    """Let five vehicles drive out a road and back, an hour for every 30 km, with stops."""
    cars = [f"car_{index}" for index in range(1, 6)]
    began_ms = stage.world.now_ms
    stops = {car: stage.luck.uniform(0.0, 2.0) for car in cars}

    def place(name: str, now_ms: int) -> Place:
        if name not in stops:
            return (0.0, 0.0)
        hours = (now_ms - began_ms) / HOUR_MS - 0.25 * cars.index(name) - 0.5
        way_h = CONVOY_ROAD_KM / CONVOY_SPEED_KM_PER_H
        out_h = min(max(hours, 0.0), way_h)
        back_h = min(max(hours - way_h - stops[name], 0.0), way_h)
        return ((out_h - back_h) * CONVOY_SPEED_KM_PER_H, 0.0)

    stage.reach(within(CONVOY_RANGE_KM, place))
    _arrive(stage, ["base", *cars])
    stage.phase("out and back")
    stage.collect("base", 30, 0)
    drive_ms = 8 * HOUR_MS
    for car in cars:
        for at_ms in _now_and_then(stage, 10 * MINUTE_MS, drive_ms, 15 * MINUTE_MS):
            stage.at(at_ms, partial(stage.edit, car))
    for at_ms in _now_and_then(stage, 10 * MINUTE_MS, drive_ms, HOUR_MS):
        stage.at(at_ms, partial(stage.edit, "base"))
    stage.run(drive_ms)
    stage.phase("parked at base")
    for car in cars:
        stage.edit(car)
    stage.until_agreed()


STORM_LOSS = 0.3
STORM_SKEW_MS = 5 * MINUTE_MS


def _gale(stage: Stage) -> None:
    """30 % loss, flipped bits, clocks minutes off, islands that change, two cloned cards."""
    names = ["base", "team_a", "team_b", "team_c", "team_d"]
    stage.weather(Weather(loss=STORM_LOSS, corruption=0.01))
    for name in names:
        skew_ms = stage.luck.randint(-STORM_SKEW_MS, STORM_SKEW_MS)
        stage.world.add(name, skew_ms=skew_ms, on_card=name in ("team_a", "team_b"))
    stage.phase("start")
    stage.world.start()
    stage.run(10 * MINUTE_MS)
    stage.phase("four hours of storm")
    stage.collect("base", 20, 0)
    everyone = [*names, "team_a2", "team_b2"]
    end_ms = stage.age_ms + 4 * HOUR_MS
    for at_ms in _now_and_then(stage, stage.age_ms, end_ms, 20 * MINUTE_MS):
        stage.at(at_ms, partial(_split, stage, everyone))
    for name in everyone:
        from_ms = stage.age_ms + (2 * HOUR_MS if name.endswith("2") else 0)
        for at_ms in _now_and_then(stage, from_ms, end_ms, 20 * MINUTE_MS):
            stage.at(at_ms, partial(stage.edit, name))
    for at_ms in _now_and_then(stage, stage.age_ms, end_ms, HOUR_MS):
        stage.at(at_ms, partial(stage.restart, stage.luck.choice(names)))
    stage.at(stage.age_ms + HOUR_MS, partial(stage.clone, "team_a", "team_a2"))
    stage.at(stage.age_ms + 2 * HOUR_MS - 1, partial(stage.clone, "team_b", "team_b2"))
    stage.run(4 * HOUR_MS + MINUTE_MS)
    stage.phase("in reach again, 30 % loss")
    stage.clear()
    stage.until_agreed()


def _split(stage: Stage, names: list[str]) -> None:
    stage.reach(islands([name for name in names if stage.luck.random() < 0.6] for _ in range(2)))  # noqa: PLR2004


def _arrive(stage: Stage, names: Iterable[str]) -> None:
    """Let devices be switched on, and wait until their announces are through."""
    for name in names:
        stage.world.add(name)
    stage.phase("start")
    stage.world.start()
    stage.run(5 * MINUTE_MS)


def _now_and_then(stage: Stage, from_ms: int, to_ms: int, mean_ms: int) -> list[int]:
    """Return times between two, apart by chance."""
    times = []
    at_ms = from_ms + int(stage.luck.expovariate(1 / mean_ms))
    while at_ms < to_ms:
        times.append(at_ms)
        at_ms += 1 + int(stage.luck.expovariate(1 / mean_ms))
    return times


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("pair", "base and one team: a survey each, one edit, an idle hour", _pair, 1.5),
        Scenario("cell20", "20 devices hear each other: ten edits, an idle hour", _cell20, 4),
        Scenario("chain5", "5 devices, each hears the next only", _chain5, 1.5),
        Scenario("basecamp", "base and 4 teams that come and go over 24 hours", _basecamp, 24),
        Scenario("convoy", "5 vehicles out a 60 km road and back, base at its start", _convoy, 8),
        Scenario("gale", "30 % loss, 2 cloned devices, skewed clocks, islands", _gale, 5),
    )
}
"""By name, in the order in which people meet them."""
