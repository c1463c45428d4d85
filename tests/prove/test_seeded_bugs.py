"""The simulator is proved: whatever bug is put in, some checker notices within a few seeds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from meshlog.sim.storm.plan import LINKS, RADIO, RADIO_EVERY, Plan, draw
from meshlog.sim.storm.run import run_storm
from tests.prove.mutations import MUTATIONS, Mutation


def plans(mutation: Mutation) -> list[Plan]:
    """Return small storms of the lane that the bug is on."""
    drawn = (
        draw(seed, nodes=5, hours=mutation.hours) for seed in range(mutation.seeds * RADIO_EVERY)
    )
    wanted = RADIO if mutation.lane == "radio" else LINKS
    fitting = (
        plan
        for plan in drawn
        if plan.lane == wanted and (not mutation.fault or plan.has(mutation.fault))
    )
    return list(islice(fitting, mutation.seeds))


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_that_is_put_in_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
):
    mutation = MUTATIONS[name]
    mutation.put_in(monkeypatch)

    for number, plan in enumerate(plans(mutation), 1):
        outcome = run_storm(plan)
        if not outcome.ok:
            check, sentence = outcome.failed[0]
            tell(f"{name}: seed {number}, by {check}: {sentence}")
            return
    pytest.fail(f"{mutation.seeds} storms, and nobody noticed")
