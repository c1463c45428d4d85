"""Broadcast packets: 20 bytes for a beacon, a seal for the rest, and nothing for a stranger."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import DatasetId, EventId
from meshlog.errors import MalformedError
from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX, AirKey
from meshlog.sync.keyring import KeyRing
from meshlog.sync.messages import Beacon, Message, Seg, Sum
from meshlog.sync.statements import Delta, Step

DATASET = DatasetId(EventId(bytes(range(32))))
AIR = AirKey(DATASET, KeyRing((b"k" * 16,)))
BEACON = Beacon(1_750_000_000, b"roothint", b"r", 70_000)


def reason(packet: bytes, air: AirKey = AIR) -> str:
    with pytest.raises(MalformedError) as caught:
        air.open(packet, 0)
    return caught.value.reason


def test_a_beacon_has_twenty_bytes_and_comes_back():
    packet = AIR.pack_beacon(BEACON)

    assert len(packet) == 20
    assert AIR.open(packet, near_count=70_500).messages == [BEACON]


@given(st.integers(0, 2**40), st.integers(-32_000, 32_000))
def test_a_beacons_count_is_the_one_nearest_to_ours(ours: int, ahead: int):
    theirs = max(ours + ahead, 0)
    packet = AIR.pack_beacon(Beacon(0, bytes(8), b"r", theirs))

    [beacon] = AIR.open(packet, near_count=ours).messages

    assert isinstance(beacon, Beacon)
    assert beacon.event_count == theirs


def test_a_sealed_packet_comes_back_and_shows_nothing():
    messages: list[Message] = [Delta(b"base", b"r", 16, (Step(3, -2),)), Seg(b"water point" * 3)]

    packet = AIR.seal(messages, salt=b"ab")

    assert AIR.open(packet, 0) == (messages, b"k" * 16)
    assert b"water" not in packet
    assert AIR.seal(messages, salt=b"ac") != packet


def test_a_full_packet_is_what_reticulum_carries():
    content = b"x" * (CARGO_SIZE_MAX - 3)  # type byte and length

    assert len(AIR.seal([Seg(content)], salt=b"ab")) == SHOUT_SIZE_MAX


@pytest.mark.parametrize("packet", [AIR.pack_beacon(BEACON), AIR.seal([Sum(1, 2)], b"ab")])
def test_any_damage_and_any_other_key_is_refused(packet: bytes):
    for place in range(1, len(packet)):
        damaged = packet[:place] + bytes((packet[place] ^ 1,)) + packet[place + 1 :]
        assert reason(damaged) == "not sealed"
        assert reason(packet[:place]) == "not sealed"

    assert reason(packet, AirKey(DATASET, KeyRing((b"K" * 16,)))) == "not sealed"
    assert (
        reason(packet, AirKey(DatasetId(EventId(bytes(32))), KeyRing((b"k" * 16,)))) == "not sealed"
    )
    assert reason(packet + b"\x00") == "not sealed"


def test_older_keys_open_and_the_newest_seals():
    old, new = b"o" * 16, b"n" * 16
    turned = AirKey(DATASET, KeyRing((new, old)))
    behind = AirKey(DATASET, KeyRing((old,)))

    assert turned.open(behind.seal([Sum(1, 2)], b"ab"), 0) == ([Sum(1, 2)], old)
    assert turned.open(behind.pack_beacon(BEACON), 70_000).key == old
    assert behind.open(turned.seal([Sum(1, 2)], b"ab", old), 0).messages == [Sum(1, 2)]
    assert reason(turned.seal([Sum(1, 2)], b"ab"), behind) == "not sealed"
    assert reason(turned.pack_beacon(BEACON), behind) == "not sealed"


def test_a_newer_packet_is_told_from_junk():
    assert reason(b"\x21" + bytes(30)) == "newer version"
    assert reason(b"\x01" + bytes(30)) == "unknown version"
    assert reason(b"") == "unknown version"
    assert reason(bytes(SHOUT_SIZE_MAX + 1)) == "packet too large"


def test_ten_thousand_random_packets_are_refused_for_a_counted_reason():
    luck = random.Random(1)
    reasons = {reason(luck.randbytes(luck.randrange(SHOUT_SIZE_MAX))) for _ in range(10_000)}

    assert reasons <= {"not sealed", "unknown version", "newer version"}
