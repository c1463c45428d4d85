"""sim storm: every fault at once, many seeds, and the smallest storm that breaks a promise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meshlog.cli.command import Whole, command

if TYPE_CHECKING:
    from meshlog.sim.storm.plan import Plan
    from meshlog.sim.storm.run import Outcome
    from meshlog.sim.storm.swarm import Totals

SEED_MAX = 2**32 - 1
HOURS_MAX = 240
NAMED_MAX = 20
"""Failing seeds that are named one by one."""


@command(
    "sim storm",
    example="meshlog sim storm --seeds 1000 --jobs 2\n"
    "meshlog sim storm --seed 17\n"
    "meshlog sim storm --replay tests/sim/seeds/some-bug.json",
)
@click.option("--seeds", type=Whole(1, 10**6), default=100, show_default=True,
    help="How many storms to play.")  # fmt: skip
@click.option("--first", type=Whole(0, SEED_MAX), default=0, show_default=True,
    help="The first seed of them.")  # fmt: skip
@click.option("--seed", type=Whole(0, SEED_MAX),
    help="Play this one only, and tell all that happens.")  # fmt: skip
@click.option("--replay", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE", help="Play the storm in a file, and tell all that happens.")  # fmt: skip
@click.option("--jobs", type=Whole(1, 256), help="Processes.  [default: one per core]")
@click.option("--nodes", type=Whole(2, 50), help="Devices.  [default: drawn, 5 to 20]")
@click.option("--hours", type=Whole(1, HOURS_MAX),
    help="Virtual hours until the heal.  [default: drawn]")  # fmt: skip
@click.option("--save", type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER", help="Write the smallest storm that fails into this folder.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Do not look for smaller storms that fail, too.")
def storm_command(
    *,
    seeds: int,
    first: int,
    seed: int | None,
    replay: Path | None,
    jobs: int | None,
    nodes: int | None,
    hours: int | None,
    save: Path | None,
    quick: bool,
) -> int:
    """Break everything at once, and check that every promise holds after.

    Real replicas, stores and codecs in virtual time. Everything follows from the seed: loss,
    duplication, reordering, corruption, islands, crashes in the middle of a write, full disks,
    wrong clocks, cloned and restored cards, a revocation, a hostile member, an outsider, and in
    some disks that forget what was not synced. The exit code is 1 where a promise was broken.
    """
    from meshlog.sim.storm.plan import Plan, draw

    if replay is not None:
        return _tell_one(Plan.from_json(replay.read_text("utf-8")))
    if seed is not None:
        return _tell_one(draw(seed, nodes=nodes, hours=hours))
    plans = [draw(one, nodes=nodes, hours=hours) for one in range(first, first + seeds)]
    totals = _swarm(plans, jobs or len(os.sched_getaffinity(0)))
    _show(totals, first)
    if totals.failed and not quick:
        _shrink(totals.failed[0], save)
    return 1 if totals.failed else 0


def _tell_one(plan: Plan) -> int:
    from meshlog.sim.storm.run import run_storm

    click.echo(plan.to_json(), nl=False)
    outcome = run_storm(plan, click.echo)
    click.echo(f"{sum(outcome.faults.values()):,} faults, {outcome.events} events, trace "
        f"{outcome.digest}")  # fmt: skip
    for check, sentence in outcome.failed:
        click.echo(f"FAILED {check}: {sentence}")
    return 0 if outcome.ok else 1


def _swarm(plans: list[Plan], jobs: int) -> Totals:
    from meshlog.cli.progress import interruptible, progress
    from meshlog.sim.storm.swarm import swarm

    done = 0
    with progress("storms") as advance, interruptible(advance) as told:

        def one_more(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            told(done, len(plans))
            if not outcome.ok:
                check, sentence = outcome.failed[0]
                click.echo(f"seed {outcome.plan.seed}: {check}: {sentence}", err=True)

        return swarm(plans, jobs, one_more)


def _show(totals: Totals, first: int) -> None:
    from meshlog.cli.output import show_table

    rows = [
        ["seeds", f"{totals.seeds:,} from {first}"],
        ["green", f"{totals.seeds - len(totals.failed):,}"],
        ["cluster-hours", f"{totals.cluster_hours:,.0f}"],
        ["device-hours", f"{totals.device_hours:,.0f}"],
        ["events", f"{totals.events:,}"],
        ["bytes sent", f"{totals.bytes_sent:,}"],
        ["agreed at the latest", f"{totals.calm_ms_max / 60_000:.0f} min after the heal"],
        ["faults", f"{totals.fault_count:,}"],
        *([f"  {kind}", f"{count:,}"] for kind, count in totals.faults.most_common()),
    ]
    show_table(["storms", ""], rows, width_max=60)
    for outcome in totals.failed[:NAMED_MAX]:
        click.echo(f"seed {outcome.plan.seed} failed {', '.join(_checks(outcome))}")


def _checks(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(check for check, _ in outcome.failed))


def _shrink(outcome: Outcome, folder: Path | None) -> None:
    from meshlog.sim.storm.shrink import shrink

    check = outcome.failed[0][0]
    click.echo(f"looking for the smallest storm that fails {check} …", err=True)
    plan = shrink(outcome.plan, check)
    click.echo(plan.to_json(), nl=False)
    if folder is not None:
        file = folder / f"{check}-{plan.seed}.json"
        file.write_text(plan.to_json(), "utf-8")
        click.echo(f"written to {file}")
