"""A member gone bad on the air: sealed packets that open, and say whatever a field can hold."""

from __future__ import annotations

from collections import Counter

import pytest

from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.ports.links import SHOUT_SIZE_MAX, Medium, Overheard
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.effects import Shout, Woke
from tests.hostile.test_malformed import RATE_BPS, camp, own_chain, state_of
from tests.replica.devices import T0_MS, holds_alike

PACKET_MS = 600


def shout_at(seed: int, count: int) -> tuple[int, Counter[str]]:
    """Send ``count`` packets under the dataset's key; return events taken, and what was counted."""
    base, mallory = camp(seed)
    air = AirKey(base.dataset, base.ring)
    base.handle(Medium(RATE_BPS), T0_MS)
    first, counts = base.event_count(), base.engine.lane.counts
    base.root()
    for number in range(1, count + 1):
        now_ms = T0_MS + number * PACKET_MS
        base.handle(Woke(), now_ms)  # what time alone changes is no packet's doing
        before, held, counted = state_of(base), base.event_count(), counts.total()
        effects = base.handle(Overheard(mallory.packet(air)), now_ms)
        assert counts.total() > counted, f"seed {seed}, packet {number}: nobody counted it"
        if base.event_count() == held:
            assert state_of(base) == before, f"seed {seed}, packet {number}: refused, yet it moved"
        else:
            mallory.tip = own_chain(base, mallory.tip)
        assert base.ledger.clock.wall_ms <= now_ms + SKEW_MS_MAX
        said = [effect.packet for effect in effects if isinstance(effect, Shout)]
        assert all(len(packet) <= SHOUT_SIZE_MAX for packet in said)
        assert len(said) <= 1, "one packet never makes a device say two"
        if number % 250 == 0:
            assert holds_alike(base), f"seed {seed}, packet {number}: the view is not the fold"
    taken = base.event_count() - first
    base.store.close()
    return taken, counts


def test_five_hundred_sealed_packets_change_nothing_but_by_valid_events():
    taken, counts = shout_at(3, 500)

    assert taken > 0, "a generator of which nothing is believed tests the first check only"
    assert counts["heard"] > 100
    assert counts.keys() > {"forged", "gap", "malformed", "stranger"}


@pytest.mark.prove
@pytest.mark.timeout(1_800)
def test_five_thousand_sealed_packets():
    taken = [shout_at(seed, 500)[0] for seed in range(40, 50)]

    print(f"5,000 sealed packets, {sum(taken)} valid events among them")
    assert sum(taken) > 10
