"""Replicas against a reference: a set of events, and the pure fold of what is held."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshlog.core.event import Event
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.replica import Replica
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    holds_alike,
    identity,
    note,
    open_replica,
    segs,
)

pytestmark = pytest.mark.prove

NAMES = ("ann", "bob", "cat")
WHO = st.sampled_from(NAMES)


class Teams(RuleBasedStateMachine):
    """Three devices, and an author whose feed forks; time only moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = T0_MS
        self.replicas = {name: open_replica(name) for name in NAMES}
        self.written: dict[str, set[bytes]] = {name: set() for name in NAMES}
        """The reference: what each was told is durable."""
        dan = Stranger(identity("dan"))
        trunk = dan.run(range(4))
        branch = dan.run([40, 41], trunk[1], "other")
        ahead = dan.run([SKEW_MS_MAX + 60_000], trunk[-1])
        self.handed = [dan.opening(), trunk, branch, ahead]

    @rule(who=WHO, record=st.sampled_from("rs"), text=st.text(max_size=3))
    def write(self, who: str, record: str, text: str) -> None:
        event = note(self.replicas[who], text, self.now_ms, record)
        self.written[who].add(event.id)

    @rule(who=WHO, order=st.permutations(range(4)), twice=st.booleans())
    def hand_over(self, who: str, order: list[int], twice: bool) -> None:
        """A feed that forked, in any order, whole batches or one by one."""
        runs: list[list[Event]] = [self.handed[place] for place in order]
        for run in runs if twice else ():
            self.replicas[who].ingest(segs(run), self.now_ms)
        self.replicas[who].ingest(segs(*runs), self.now_ms)
        held = {arrival.event.id for arrival in self.replicas[who].store.scan()}
        assert held >= {event.id for run in runs for event in run}

    @rule(pair=st.permutations(NAMES))
    def meet(self, pair: list[str]) -> None:
        one, other = (self.replicas[name] for name in pair[:2])
        Pump(one, other, now_ms=self.now_ms).meet(one, other)
        self.now_ms += 3_600_000  # as the pump does
        assert holds_alike(one, other)

    @rule(who=WHO)
    def restart(self, who: str) -> None:
        store = self.replicas[who].store
        self.replicas[who] = Replica(store, identity(who), self.now_ms, Random(who))

    @rule(who=WHO, later_ms=st.integers(0, 2 * SKEW_MS_MAX))
    def wait(self, who: str, later_ms: int) -> None:
        self.now_ms += later_ms
        self.replicas[who].advance_horizon(self.now_ms)

    @invariant()
    def nothing_is_lost_and_the_view_is_the_fold(self) -> None:
        for name, replica in self.replicas.items():
            held = {arrival.event.id for arrival in replica.store.scan()}
            assert held >= self.written[name]
            assert holds_alike(replica)

    def teardown(self) -> None:
        for replica in self.replicas.values():
            replica.store.close()


TestTeams = Teams.TestCase
TestTeams.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
