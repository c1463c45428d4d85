"""The broadcast lane's pace and bounds, without a radio."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

import pytest

from meshlog.errors import InputError
from meshlog.ports.links import SHOUT_SIZE_MAX, Medium, Overheard, PeerSeen
from meshlog.transport import pacing
from meshlog.transport.broadcast import (
    ECHO_S,
    HEARD_BURST,
    HEARD_PER_S,
    OUTBOX_BYTES_MAX,
    Ear,
    Outbox,
)
from tests.transport.fake_radio import BOB, KEY, World, soon
from tests.transport.node_process import MacGate

SLOW_BPS = 3125.0


def numbered(count: int, size_bytes: int = SHOUT_SIZE_MAX) -> list[bytes]:
    return [nth.to_bytes(2, "big") * (size_bytes // 2) for nth in range(count)]


# ── what waits ───────────────────────────────────────────────────────────────────────


def test_one_packet_is_on_the_air_at_a_time() -> None:
    outbox = Outbox()
    first, second = numbered(2)
    outbox.put(first)
    outbox.put(second)
    air_s = pacing.air_time_s(len(first), SLOW_BPS)

    assert outbox.due(100.0, SLOW_BPS) == first
    assert outbox.due(100.0, SLOW_BPS) is None
    assert outbox.due(100.0 + air_s / 2, SLOW_BPS) is None
    assert outbox.due(100.0 + air_s, SLOW_BPS) == second
    assert outbox.due(200.0, SLOW_BPS) is None


def test_the_air_is_filled_and_no_more_although_deadlines_are_noticed_late() -> None:
    outbox = Outbox()
    packets = numbered(10)
    for packet in packets:
        outbox.put(packet)

    sent_s = []
    for tick in range(1000):
        while outbox.due(tick / 5, SLOW_BPS) is not None:
            sent_s.append(tick / 5)

    busy_s = 9 * pacing.air_time_s(SHOUT_SIZE_MAX, SLOW_BPS)
    assert len(sent_s) == 10
    assert busy_s - 0.2 <= sent_s[-1] - sent_s[0] <= busy_s + 0.2


def test_of_too_many_the_oldest_are_dropped_and_counted() -> None:
    outbox = Outbox()
    packets = numbered(100)
    for packet in packets:
        outbox.put(packet)

    kept = list(iter(lambda: outbox.due(0.0, math.inf), None))

    assert kept == packets[-len(kept) :]
    assert sum(map(len, kept)) <= OUTBOX_BYTES_MAX < sum(map(len, kept)) + SHOUT_SIZE_MAX
    assert outbox.dropped == 100 - len(kept)


@pytest.mark.parametrize(
    ("payload_bytes", "rate_bps", "semtech_s"),
    # 83 and 500 B on air at SF8, SF10; from Semtech's formula (125 kHz, CR 4/5, 18 symbols).
    [(64, 3125, 0.29), (481, 3125, 1.44), (64, 977, 0.94), (481, 977, 4.67)],
)
def test_the_estimate_of_air_time_is_honest_about_lora(
    payload_bytes: int, rate_bps: float, semtech_s: float
) -> None:
    assert pacing.air_time_s(payload_bytes, rate_bps) == pytest.approx(semtech_s, rel=0.05)


# ── what is heard ────────────────────────────────────────────────────────────────────


def test_a_packet_is_passed_up_whatever_it_holds_if_its_size_is_right() -> None:
    ear = Ear()
    sizes = [0, 1, SHOUT_SIZE_MAX, SHOUT_SIZE_MAX + 1, 500, 100_000]

    assert [ear.admit(bytes(size), 0.0) for size in sizes] == [False, True, True] + 3 * [False]
    assert (ear.packets, ear.bytes, ear.refused) == (2, 1 + SHOUT_SIZE_MAX, 4)


def test_our_own_packet_that_comes_back_is_no_neighbours() -> None:
    ear = Ear()
    ear.spoke(b"beacon", 10.0, air_s=1.0)

    assert not ear.admit(b"beacon", 10.1)
    assert not ear.admit(b"beacon", 10.0 + ECHO_S), "nor over a second interface"
    assert ear.admit(b"beacon", 10.0 + ECHO_S + 3.1), "later somebody else may say the same"
    assert ear.echoes == 2


def test_echoes_are_remembered_within_bounds() -> None:
    ear = Ear()
    for packet in numbered(10_000):
        ear.spoke(packet, 0.0, 0.0)

    assert len(ear._spoken) <= 256
    assert not ear.admit(numbered(10_000)[-1], 0.1)


def test_a_flood_is_cut_to_what_the_node_can_take() -> None:
    ear = Ear()
    luck = Random(1)
    flood_s = sorted(luck.uniform(0.0, 10.0) for _ in range(20_000))

    passed = sum(ear.admit(luck.randbytes(20), now_s) for now_s in flood_s)

    assert HEARD_BURST <= passed <= HEARD_BURST + 10 * HEARD_PER_S
    assert ear.refused == 20_000 - passed
    assert ear.admit(b"calm again", 60.0)


# ── the lane on a fake radio ─────────────────────────────────────────────────────────


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.links.close()


def test_what_is_shouted_goes_out_and_is_counted(world: World) -> None:
    world.links.shout(b"hear ye")

    assert soon(lambda: world.links.broadcasts().packets_sent == 1)
    assert world.radio.shouted == [b"hear ye"]
    stats = world.links.broadcasts()
    assert stats.bytes_sent == 7
    assert stats.air_s == pacing.air_time_s(7, 1e7)


@pytest.mark.parametrize("size", [0, SHOUT_SIZE_MAX + 1])
def test_what_is_no_packet_is_the_callers_mistake(world: World, size: int) -> None:
    with pytest.raises(InputError, match=f"1 to 464 B, not {size} B"):
        world.links.shout(bytes(size))


def test_on_a_slow_medium_shouts_wait_for_each_other(world: World) -> None:
    world.radio.rate_bps = SLOW_BPS
    for packet in numbered(3):
        world.links.shout(packet)
    assert soon(lambda: len(world.radio.shouted) == 1)

    world.now_s += pacing.air_time_s(SHOUT_SIZE_MAX, SLOW_BPS)

    assert soon(lambda: len(world.radio.shouted) == 2)
    world.now_s += 100
    assert soon(lambda: world.radio.shouted == numbered(3))


def test_without_an_interface_shouts_are_lost_and_counted(world: World) -> None:
    world.radio.online = False

    for packet in numbered(3):
        world.links.shout(packet)

    assert soon(lambda: world.links.broadcasts().packets_unsent == 3)
    assert world.links.broadcasts().packets_sent == 0


def test_the_medium_is_told_at_the_start_and_when_it_changes(world: World) -> None:
    assert soon(lambda: world.media == [Medium(1e7)])

    world.radio.rate_bps = SLOW_BPS
    assert soon(lambda: world.media[1:] == [Medium(SLOW_BPS)])
    world.radio.online = False
    assert soon(lambda: world.media[2:] == [Medium(0.0)])
    world.radio.online = True
    assert soon(lambda: world.media[3:] == [Medium(SLOW_BPS)])


def test_overheard_packets_are_passed_up_and_a_flood_leaves_room_for_links(world: World) -> None:
    for packet in numbered(2_000):
        world.links.overheard(packet)
    world.links.overheard(bytes(465))
    world.links.heard(BOB, bytes(64), MacGate(KEY, BOB).tag(), live=True)

    assert soon(lambda: any(isinstance(e, PeerSeen) and e.peer == BOB for e in world.heard))
    heard = [event for event in world.heard if isinstance(event, Overheard)]
    assert heard == [Overheard(packet) for packet in numbered(HEARD_BURST)]
    assert world.links.broadcasts().refused == 2_001 - HEARD_BURST
    assert world.links.refused == 0


def test_after_closing_nothing_is_shouted_or_passed_up(world: World) -> None:
    world.links.close()

    world.links.shout(b"hear ye")
    world.links.overheard(b"hear me")

    assert world.radio.shouted == []
    assert world.heard == []


def test_a_known_peer_that_announces_on_a_slow_medium_gets_no_announce_back(world: World) -> None:
    """There it hears our beacons; an announce is a quarter of a kilobyte."""
    world.hello(world.radio.come(1))
    assert soon(lambda: len(world.radio.announced) == 1)
    world.radio.rate_bps = SLOW_BPS

    world.links.heard(BOB, bytes(64), MacGate(KEY, BOB).tag(), live=True)
    assert soon(lambda: any(isinstance(e, PeerSeen) and e.peer == BOB for e in world.heard))
    world.now_s += 1_000

    assert not soon(lambda: len(world.radio.announced) > 1)
