"""One file per promise; each says in sentences what does not hold, and nothing where all does."""

from __future__ import annotations

from collections.abc import Callable

from meshlog.sim.storm.checks.authentic import check_authentic
from meshlog.sim.storm.checks.bounded import check_bounded
from meshlog.sim.storm.checks.clock import check_clock
from meshlog.sim.storm.checks.converged import check_converged
from meshlog.sim.storm.checks.durable import check_durable
from meshlog.sim.storm.checks.folded import check_folded
from meshlog.sim.storm.checks.forks import check_forks
from meshlog.sim.storm.checks.held import check_held
from meshlog.sim.storm.checks.membership import check_membership
from meshlog.sim.storm.checks.revoked import check_revoked
from meshlog.sim.storm.world import World

Check = Callable[[World], list[str]]

AT_THE_END: dict[str, Check] = {
    "converged": check_converged,
    "durable": check_durable,
    "folded": check_folded,
    "held": check_held,
    "authentic": check_authentic,
    "membership": check_membership,
    "revoked": check_revoked,
    "forks": check_forks,
    "clock": check_clock,
    "bounded": check_bounded,
}
"""Checks of a world that healed and agreed; ``silent``, ``frugal`` and those that look while it
rages are the run's own."""
