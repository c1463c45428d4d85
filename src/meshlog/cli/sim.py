"""sim: a day on the air in seconds: real replicas on simulated LoRa radios."""

from __future__ import annotations

import difflib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshlog.cli.command import CONTEXT, PERCENT, Command, Whole

if TYPE_CHECKING:
    from meshlog.sim.runner import Report
    from meshlog.sim.scenarios import Scenario

SEED_MAX = 2**32 - 1


class _Sim(Command):
    """Plays scenarios; the word ``storm`` leads to a command of its own."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of the command that the first word names."""
        if args[:1] == ["storm"]:
            from meshlog.cli.storm import storm_command

            return storm_command.make_context("sim storm", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    "sim",
    cls=_Sim,
    example="meshlog sim cell20 --seed 7\nmeshlog sim gale --sf 10 --svg gale.svg\n"
    "meshlog sim storm --seeds 1000",
    context_settings=CONTEXT,
)
@click.argument("scenario", required=False)
@click.option("--seed", type=Whole(0, SEED_MAX), default=1, show_default=True,
    help="Decides everything: same seed, same run.")  # fmt: skip
@click.option("--sf", type=Whole(5, 12), default=8, show_default=True,
    help="LoRa spreading factor, at 125 kHz and CR 4/5.")  # fmt: skip
@click.option("--duty-cycle", type=PERCENT, default=10, show_default=True, metavar="PERCENT",
    help="Share of every hour that a device may transmit.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE", help="Write the numbers there; - prints nothing else.")  # fmt: skip
@click.option("--svg", "svg_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the plots there.")  # fmt: skip
def sim_command(
    scenario: str | None,
    seed: int,
    sf: int,
    duty_cycle: float,
    json_file: Path | None,
    svg_file: Path | None,
) -> int:
    """Play a day on the air in seconds.

    Real replicas on simulated LoRa radios: half duplex, collisions, loss, duty cycle.
    Without a SCENARIO, lists them. `meshlog sim storm` breaks everything at once, time and
    again: see `meshlog sim storm --help`. The exit code is 1 where devices did not agree in the
    end, or a check failed.
    """
    from meshlog.sim.scenarios import SCENARIOS

    if scenario is None:
        _list(list(SCENARIOS.values()))
        return 0
    chosen = SCENARIOS.get(scenario)
    if chosen is None:
        near = difflib.get_close_matches(scenario, SCENARIOS, n=1)
        advice = f"did you mean {near[0]}? " if near else ""
        raise click.UsageError(f"there is no scenario {scenario!r}: {advice}`meshlog sim` has all")
    to_stdout = json_file is not None and str(json_file) == "-"
    for path in (svg_file, None if to_stdout else json_file):
        _check_place(path)
    report = _played(chosen, seed, sf, duty_cycle / 100)
    if to_stdout:
        click.echo(report.to_json())
    else:
        from meshlog.cli.simshow import show_report

        show_report(report)
        if json_file is not None:
            json_file.write_text(report.to_json() + "\n", "utf-8")
    if svg_file is not None:
        from meshlog.sim.picture import picture

        svg_file.write_text(picture(report), "utf-8")
    return 0 if report.ok else 1


def _list(scenarios: list[Scenario]) -> None:
    from meshlog.cli.output import hint, show_table

    rows = [[one.name, f"{one.hours:g} h", one.about] for one in scenarios]
    show_table(["scenario", "plays", "what happens"], rows, width_max=60)
    hint("\nplay one: meshlog sim cell20 --seed 1; break everything: meshlog sim storm")


def _check_place(path: Path | None) -> None:
    """Complain before the run, not after it, where a result cannot be written.

    Raises:
        OSError: Its folder is missing, or it is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _played(scenario: Scenario, seed: int, sf: int, duty_cycle: float) -> Report:
    from meshlog.cli.progress import interruptible, progress
    from meshlog.core.air import LoRa
    from meshlog.sim.runner import run_scenario
    from meshlog.sim.stage import MINUTE_MS

    planned_min = int(scenario.hours * 60)
    with progress(f"{scenario.name}, virtual minutes") as advance, interruptible(advance) as told:

        def watch(age_ms: int) -> None:
            age_min = age_ms // MINUTE_MS
            told(age_min, max(planned_min, age_min))

        return run_scenario(scenario, seed, LoRa(sf=sf), duty_cycle, watch)
