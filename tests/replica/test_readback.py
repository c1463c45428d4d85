"""Whoever has seen a value can correct it, whatever the clocks of both show."""

from __future__ import annotations

from meshlog.core.decrees import Mode
from meshlog.replica.membership import Since, readmission, revocation
from tests.replica.devices import T0_MS, founder, invited, open_replica, share

MINUTE_MS = 60_000
LATER_MS = T0_MS + 20 * MINUTE_MS


def test_a_correction_beats_a_value_that_was_held_when_it_came():
    """Its stamp was not believed at first; later the view shows it, and somebody corrects it."""
    ann = open_replica("ann", LATER_MS)
    bob = open_replica("bob", T0_MS)
    ann.append("field.set", {"record_id": "W-7", "field": "depth", "value": 28}, LATER_MS)
    share(ann, bob)
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


def test_a_correction_beats_a_value_that_did_not_count_when_its_time_came():
    """What a revoked device wrote ahead waits for a review, and counts late."""
    base = founder()
    lost = invited(base, "lost")
    share(lost, base)
    revoked = revocation(base.store, base.ledger, lost.identity.author, Mode.SOFT, Since())
    base.decree("member.revoke", revoked, T0_MS)
    lost.append("field.set", {"record_id": "W-7", "field": "depth", "value": 28}, LATER_MS)
    share(lost, base)
    base.advance_horizon(T0_MS + 6 * MINUTE_MS)
    taken = readmission(base.store, base.ledger, lost.identity.author, None)
    base.decree("member.readmit", taken, T0_MS + 6 * MINUTE_MS)
    assert base.view.snapshot()["W-7"]["fields"] == {"depth": 28}

    correction = {"record_id": "W-7", "field": "depth", "value": 31}
    base.append("field.set", correction, T0_MS + 6 * MINUTE_MS)

    assert base.view.snapshot()["W-7"]["fields"] == {"depth": 31}
    assert "conflicts" not in base.view.snapshot()["W-7"]
