"""`meshlog sim`: a list, a run to look at, files, and one line where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meshlog.cli.app import program
from meshlog.cli.simshow import result_line
from meshlog.sim.runner import Report
from tests.cli.processes import Device


def sim(*words: str | Path) -> Result:
    return CliRunner().invoke(program, ["sim", *map(str, words)], standalone_mode=False)


def test_alone_it_lists_the_scenarios() -> None:
    result = sim()

    assert result.return_value == 0
    for name in ("pair", "cell20", "chain5", "basecamp", "convoy", "gale"):
        assert f"\n{name} " in result.output


def test_a_run_shows_what_people_want_to_know() -> None:
    result = sim("pair", "--seed", "3")

    assert result.return_value == 0, result.output
    said = result.output
    assert said.startswith("pair, seed 3: 2 devices, SF8, 125 kHz, CR 4/5, duty cycle 10 %")
    for title in ("Bytes on air, by class", "What happened", "Events lacking", "fullest hour"):
        assert title in said
    assert "\nConverged, " in said
    assert "one edit: agreed after " in said


def test_json_has_the_numbers_and_svg_the_plots(tmp_path: Path) -> None:
    result = sim("pair", "--json", tmp_path / "pair.json", "--svg", tmp_path / "pair.svg")

    assert result.return_value == 0
    numbers = json.loads((tmp_path / "pair.json").read_text())
    assert numbers["scenario"] == "pair"
    assert numbers["ok"] is numbers["converged"] is True
    assert set(numbers["air_use"]) == {"base", "team"}
    assert (tmp_path / "pair.svg").read_text().startswith("<svg")


def test_json_to_standard_output_is_json_alone() -> None:
    result = sim("pair", "--json", "-")

    assert json.loads(result.stdout)["seed"] == 1


def test_no_convergence_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Report:
        return Report(
            scenario="pair", seed=1, sf=8, bw_hz=125_000, cr=5, duty_cycle=0.1, age_ms=60_000,
            events=3, bytes_on_air={}, packets_on_air={}, faults={}, phases=[], air_use={},
            lacking=[(60_000, {"team": 2})], failed=["events are still lacking: {'team': 2}"],
        )  # fmt: skip

    monkeypatch.setattr("meshlog.sim.runner.run_scenario", failing)
    result = sim("pair")

    assert result.return_value == 1
    assert "FAILED: events are still lacking: {'team': 2}" in result.output
    assert result_line(failing()) == "Did not converge: 2 events still lacking, 0 B on air."


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["basecmp"], "did you mean basecamp? `meshlog sim` has all"),
        (["x"], "there is no scenario 'x': `meshlog sim` has all"),
        (["pair", "--seed", "x"], "no whole number from 0"),
        (["pair", "--seed", "-1"], "no whole number from 0"),
        (["pair", "--sf", "13"], "no whole number from 5 to 12"),
        (["pair", "--duty-cycle", "0"], "no share from 0.1 to 100 percent"),
        (["pair", "--duty-cycle", "nan"], "no share from 0.1 to 100 percent"),
        (["pair", "--json", "no/such/file"], "no/such/file: No such file"),
        (["pair", "--svg", "."], "name a file in it"),
        (["pair", "chain5"], "unexpected extra argument"),
    ],
)
def test_a_wrong_word_costs_one_line_and_no_run(
    tmp_path: Path, words: list[str], says: str
) -> None:
    result = Device(tmp_path / "home")("sim", *words)

    assert result.code == 2
    assert len(result.err.splitlines()) == 1, result.err
    assert says in result.err
    assert result.out == ""
