"""The smallest storm that still fails the same check: greedy, one thing less at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from meshlog.sim.storm.plan import Plan
from meshlog.sim.storm.run import run_storm

NODES_MIN = 2
HOURS_MIN = 0.25
RUNS_MAX = 60
"""Storms that may be played in search of a smaller one. A choice: a few minutes."""


def shrink(plan: Plan, check: str, told: Callable[[Plan], None] = lambda _plan: None) -> Plan:
    """Return the smallest plan found that fails ``check``, which ``plan`` fails.

    Args:
        plan: Fails.
        check: The name of the check; another one's failure is another bug.
        told: Hears of every smaller plan.

    Cost: up to ``RUNS_MAX`` storms, each smaller than the one before.
    """
    runs = 0
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(plan):
            if runs >= RUNS_MAX:
                return plan
            runs += 1
            if any(name == check for name, _ in run_storm(smaller).failed):
                plan, shrunk = smaller, True
                told(plan)
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Yield plans with one thing less, the most promising first."""
    for fault in plan.faults:
        yield replace(plan, faults=tuple(kind for kind in plan.faults if kind != fault))
    if plan.writes > 0:
        yield replace(plan, writes=plan.writes // 2)
    if plan.nodes > NODES_MIN:
        yield replace(plan, nodes=max(plan.nodes // 2, NODES_MIN))
        yield replace(plan, nodes=plan.nodes - 1)
    if plan.hours > HOURS_MIN:
        yield replace(plan, hours=max(round(plan.hours / 2, 2), HOURS_MIN))
