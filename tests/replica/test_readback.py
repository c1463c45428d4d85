"""Whoever has seen a value can correct it, whatever the clocks of both show."""

from __future__ import annotations

from tests.replica.devices import T0_MS, open_replica

MINUTE_MS = 60_000
LATER_MS = T0_MS + 20 * MINUTE_MS


def test_a_correction_beats_a_value_that_was_held_when_it_came():
    """Its stamp was not believed at first; later the view shows it, and somebody corrects it."""
    ann = open_replica("ann", LATER_MS)
    bob = open_replica("bob", T0_MS)
    ann.append("field.set", {"record_id": "W-7", "field": "depth", "value": 28}, LATER_MS)
    ann.root()
    for feed, heads in ann.frontier().items():
        bob.ingest(ann.segments(feed, heads[0], 0, 100_000)[0], T0_MS)
    assert bob.view.snapshot() == {}

    bob.advance_horizon(T0_MS + 6 * MINUTE_MS)
    assert bob.view.snapshot()["W-7"]["fields"] == {"depth": 28}
    correction = {"record_id": "W-7", "field": "depth", "value": 31}
    bob.append("field.set", correction, T0_MS + 6 * MINUTE_MS)

    assert bob.view.snapshot()["W-7"]["fields"] == {"depth": 31}
    assert "conflicts" not in bob.view.snapshot()["W-7"]


def test_a_device_that_heard_nobody_for_long_sees_what_it_writes():
    """Nothing woke it meanwhile, so the view's horizon stands where it was; a storm found it."""
    ann = open_replica("ann", T0_MS)

    ann.append("field.set", {"record_id": "W-7", "field": "depth", "value": 28}, LATER_MS)

    assert ann.view.snapshot()["W-7"]["fields"] == {"depth": 28}
