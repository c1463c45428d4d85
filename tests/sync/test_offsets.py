"""What is remembered of the neighbours' clocks."""

from __future__ import annotations

from meshlog.core.credible import Offset
from meshlog.ports.links import Peer
from meshlog.sync.offsets import FRESH_MS, PEERS_MAX, Offsets
from tests.replica.devices import T0_MS, Pump, holds_alike, note, open_replica

HOUR_MS = 3_600_000


def test_a_meeting_tells_both_how_far_their_clocks_are_apart():
    ann, cat = open_replica("ann"), open_replica("cat")
    pump = Pump(ann, cat)
    note(ann, "from ann")

    pump.meet(ann, cat)

    for one in (ann, cat):
        offset = one.engine.offsets.median(pump.now_ms)
        assert offset is not None
        assert abs(offset.ahead_ms) < 2_000
        assert offset.neighbours == 1
    assert holds_alike(ann, cat)


def test_the_median_takes_each_peer_once_and_the_air_as_one():
    offsets = Offsets()
    now_s = T0_MS // 1_000
    for peer in "abc":
        for _ in range(9):
            offsets.heard(Peer(peer), now_s - 3_600, T0_MS)
    for _ in range(50):
        offsets.heard(None, now_s + 9_999_999, T0_MS)

    assert offsets.median(T0_MS) == Offset(HOUR_MS, 4)


def test_the_table_is_bounded_and_forgets():
    offsets = Offsets()
    for number in range(10 * PEERS_MAX):
        offsets.heard(Peer(str(number)), T0_MS // 1_000, T0_MS)

    assert offsets.median(T0_MS) == Offset(0, PEERS_MAX)
    assert offsets.median(T0_MS + FRESH_MS + 1) is None

    offsets.clear()
    assert offsets.median(T0_MS) is None
