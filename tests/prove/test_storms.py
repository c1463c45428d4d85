"""Hundreds of cluster-hours with every fault at once: the seeds of always, and fresh ones.

With the profile ``ci`` the same seeds every time, as for Hypothesis: a red run can be repeated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from meshlog.sim.storm.plan import draw
from meshlog.sim.storm.swarm import Totals, swarm
from tests.support.scale import scaled

FIXED, FRESH = scaled(70, 700), scaled(50, 500)
FRESH_FROM = 1_000_000
CI_FROM = 1_796_643_942
"""Fresh on 2026-11-25, and played by every CI run since."""

IS_FRESH = os.environ.get("HYPOTHESIS_PROFILE") != "ci"
HOURS_MIN, FAULTS_MIN = 500, 100_000


@pytest.mark.prove
@pytest.mark.timeout(scaled(1_800, 14_400))
def test_every_promise_holds_after_every_storm(tell: Callable[[str], None]):
    first = FRESH_FROM + int(time.time()) if IS_FRESH else CI_FROM
    print(f"further seeds from {first}")
    seeds = [*range(FIXED), *range(first, first + FRESH)]

    totals = swarm(map(draw, seeds), jobs=len(os.sched_getaffinity(0)))

    tell(
        f"storms: {totals.seeds} seeds (0 to {FIXED - 1}, and from {first}),"
        f" {totals.cluster_hours:,.0f} cluster-hours, {totals.fault_count:,} faults,"
        f" {totals.events:,} events"
    )
    assert failures(totals) == []
    assert totals.cluster_hours >= HOURS_MIN
    assert totals.fault_count >= FAULTS_MIN


def failures(totals: Totals) -> list[str]:
    """Return what to type for each storm that failed, and why."""
    return [
        f"meshlog sim storm --seed {outcome.plan.seed}: {': '.join(outcome.failed[0])}"
        for outcome in totals.failed
    ]
