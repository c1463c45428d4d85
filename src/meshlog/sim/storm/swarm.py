"""Many storms at once, one process each; totals of all."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from meshlog.sim.storm.plan import Plan
from meshlog.sim.storm.run import Outcome, run_storm


@dataclass(slots=True)
class Totals:
    """What a swarm came to."""

    seeds: int = 0
    cluster_hours: float = 0.0
    device_hours: float = 0.0
    events: int = 0
    bytes_sent: int = 0
    calm_ms_max: int = 0
    """The longest that agreement took after a heal."""
    faults: Counter[str] = field(default_factory=Counter)
    lanes: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more storm."""
        self.seeds += 1
        self.cluster_hours += outcome.cluster_hours
        self.device_hours += outcome.cluster_hours * outcome.plan.nodes
        self.events += outcome.events
        self.bytes_sent += outcome.bytes_sent
        self.calm_ms_max = max(self.calm_ms_max, outcome.calm_ms)
        self.faults.update(outcome.faults)
        self.lanes[outcome.plan.lane] += 1
        if not outcome.ok:
            self.failed.append(outcome)

    @property
    def fault_count(self) -> int:
        """All faults together."""
        return sum(self.faults.values())


def swarm(
    plans: Iterable[Plan], jobs: int, told: Callable[[Outcome], None] = lambda _outcome: None
) -> Totals:
    """Play storms, ``jobs`` at a time; ``told`` hears of each as it ends."""
    totals = Totals()
    for outcome in _outcomes(plans, jobs):
        totals.add(outcome)
        told(outcome)
    totals.failed.sort(key=lambda outcome: outcome.plan.seed)
    return totals


def _outcomes(plans: Iterable[Plan], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(run_storm, plans)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_be_quiet) as pool:
        yield from pool.imap_unordered(run_storm, plans)


def _be_quiet() -> None:
    """Leave Ctrl-C to the parent, who ends the swarm."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
