"""A newcomer on a slow radio hears the genesis before anything that it could not take without."""

from __future__ import annotations

import pytest

from meshlog.core.air import LoRa
from meshlog.replica import Replica
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import islands
from tests.replica.devices import invited, note

MEMBERS = 24
FORMS = 24
"""More than the 16 packets that answer one statement."""


def everything(replica: Replica) -> list[bytes]:
    replica.root()
    segments: list[bytes] = []
    for feed, heads in replica.frontier().items():
        segments += replica.segments(feed, heads[0], 0, 1_000_000)[0]
    return segments


@pytest.mark.parametrize("has_forms", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_newcomer_meets_a_relay_and_nothing_that_it_hears_is_in_vain(seed: int, has_forms: bool):
    """Openings are named by digests, in an order of chance, and who serves has feeds of its own."""
    world = RadioWorld(seed, LoRa(sf=8))
    world.add("base")
    world.add("relay")
    base, relay = (world.devices[name].replica for name in ("base", "relay"))
    for number in range(MEMBERS):
        member = invited(base, f"member {number}")
        note(member, f"from {number}", world.now_ms)
        base.ingest(everything(member), world.now_ms)
    relay.ingest(everything(base), world.now_ms)
    for number in range(FORMS if has_forms else 0):
        fields = [[f"question {number} {at}", "int", {}] for at in range(20)]
        relay.put_form({"form": f"form {number}", "fields": fields}, world.now_ms)
    world.start()
    world.air.reach = islands([["relay", "bob"]])

    world.add("bob")
    world.restart("bob")
    world.run(HOUR_MS // 4)

    bob = world.devices["bob"].replica
    assert bob.root() == relay.root()
    assert bob.refused == {}
    world.close()
