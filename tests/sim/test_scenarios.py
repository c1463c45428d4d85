"""The named days: what they promise, that a seed repeats them, and that a failure is noticed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from meshlog.core.air import LoRa
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.picture import picture
from meshlog.sim.reach import heard_if
from meshlog.sim.rows import survey_rows
from meshlog.sim.runner import Report, run_scenario
from meshlog.sim.scenarios import SCENARIOS, Scenario
from meshlog.sim.stage import Stage

SF8 = LoRa(sf=8)
DUTY_CYCLE = 0.1


def played(name: str, seed: int = 1, sf: int = 8, duty_cycle: float = DUTY_CYCLE) -> Report:
    return run_scenario(SCENARIOS[name], seed, LoRa(sf=sf), duty_cycle)


@pytest.mark.parametrize("name", ["pair", "cell20", "chain5", "convoy"])
def test_everybody_agrees_and_every_check_holds(name: str) -> None:
    report = played(name)

    assert report.failed == []
    assert report.converged
    assert all(use.worst_hour_ms <= DUTY_CYCLE * HOUR_MS for use in report.air_use.values())


def test_a_day_of_coming_and_going_takes_no_day() -> None:
    report = played("basecamp", seed=2)

    assert report.failed == []
    assert report.age_ms >= 24 * HOUR_MS


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_a_storm_ends_in_agreement() -> None:
    """Seed 1: a clone's new life has to reach a device that knows its author already."""
    assert played("gale", seed=1).failed == []


@pytest.mark.parametrize("name", ["pair", "chain5"])
def test_on_slow_air_they_agree_later(name: str) -> None:
    assert played(name, sf=10).failed == []


def test_the_parts_of_a_run_add_up() -> None:
    report = played("pair")

    assert sum(sum(phase["bytes_on_air"].values()) for phase in report.phases) == sum(
        report.bytes_on_air.values()
    )
    assert report.phases[0]["from_ms"] == 0
    assert report.phases[-1]["to_ms"] == report.age_ms
    assert [phase["name"] for phase in report.phases if phase["waited"]] == [
        "a survey each",
        "one edit",
    ]
    assert max(lacking["team"] for _, lacking in report.lacking) == 40


def test_the_same_seed_makes_the_same_run_in_any_process() -> None:
    """Byte for byte, also where Python hashes strings differently."""
    program = (
        "import hashlib\n"
        "from tests.sim.test_scenarios import played\n"
        "said = [played(name, 5).to_json() for name in ('chain5', 'pair')]\n"
        "print(hashlib.sha256(''.join(said).encode()).hexdigest())"
    )

    def digest(hash_seed: str) -> str:
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    here = "".join(played(name, 5).to_json() for name in ("chain5", "pair"))

    assert digest("1") == digest("2") == hashlib.sha256(here.encode()).hexdigest()
    assert played("chain5", 6).to_json() != played("chain5", 5).to_json()


def _strangers(stage: Stage) -> None:
    stage.reach(heard_if(lambda *_: False))
    stage.world.add("ann")
    stage.world.add("bob")
    stage.phase("out of range")
    stage.world.start()
    stage.collect("ann", 3, 0)
    stage.until_agreed(limit_ms=HOUR_MS)


def test_a_run_without_agreement_is_a_failed_one() -> None:
    report = run_scenario(Scenario("strangers", "", _strangers, 1), 1, SF8, 1.0)

    assert not report.converged
    assert not report.ok
    assert report.failed == [
        "events are still lacking: {'bob': 3}",
        "no agreement in time in the phase 'out of range'",
    ]


def _shouting(stage: Stage) -> None:
    """A device whose modem is fed past the replica: nobody keeps it to the hour's air."""
    stage.world.add("ann")
    stage.world.add("bob")
    stage.phase("loud")
    stage.world.start()
    for at_ms in range(0, HOUR_MS, 10_000):
        stage.at(
            at_ms, lambda: stage.world.devices["ann"].station.send(b"", 400, "x", limited=False)
        )
    stage.run(HOUR_MS)


def test_a_run_over_its_duty_cycle_is_a_failed_one() -> None:
    report = run_scenario(Scenario("loud", "", _shouting, 1), 1, SF8, 0.01)

    assert report.converged
    (sentence,) = report.failed
    assert sentence.startswith("ann used")


def test_the_picture_is_one_svg_that_names_everything() -> None:
    report = played("pair")

    root = ET.fromstring(picture(report))

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"base", "team", *report.bytes_on_air} <= words
    assert "http" not in picture(report).replace("http://www.w3.org/2000/svg", "")


def test_the_survey_has_what_visits_change() -> None:
    rows = survey_rows()

    assert len(rows) == 60
    assert rows[0].payload["fields"]["depth_m"] == 31
    assert set(rows[0].edits["committee_active"]) == {True, False}
