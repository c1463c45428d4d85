"""A hostile neighbour in the cell: bounded bytes, bounded memory, and never another result.

Two kinds: an *outsider* hears and sends, without the dataset's key; a *traitor* holds the key
(a member gone bad, a stolen device) and can seal whatever it likes.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator

import pytest

from meshlog.core.air import LoRa
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.wire import Kind as Shape
from meshlog.sim.wire import Packet, decode, encode
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX, AirKey
from meshlog.sync.hints import HeadHint, Point
from meshlog.sync.messages import Beacon, Kind, Message, Part, Seg, root_hint
from meshlog.sync.statements import Delta, Digests, Loc, Step, Vec, statement_id

HOUR_MS = 3_600_000
TEAMS = ("base", "north", "south", "west")
SENT = 200
"""Hostile packets per attack, one every three seconds: they hold the channel for a third of it."""


@pytest.fixture
def cell() -> Iterator[RadioWorld]:
    """Four teams in one cell that agree and are quiet."""
    world = RadioWorld(seed=5, lora=LoRa(sf=8))
    for name in TEAMS:
        world.add(name)
    world.start()
    for name in TEAMS:
        world.write(name, "note.add", {"record_id": "R-1", "text": f"from {name}"})
    world.run(HOUR_MS)
    assert world.agrees()
    yield world
    world.close()


def key_of(world: RadioWorld) -> AirKey:
    replica = world.devices["base"].replica
    return AirKey(replica.dataset, replica.ring)


def attack(world: RadioWorld, packet: Callable[[int], bytes]) -> int:
    """Send hostile packets; return the bytes that the teams said meanwhile.

    Most of the packets must have been heard, or the attack shows nothing.
    """
    enemy = world.air.station("enemy")
    before, noticed = honest_bytes(world), packets_noticed(world)
    for number in range(SENT):
        payload = packet(number)
        enemy.send(encode(Packet(Shape.SHOUT, "", data=payload)), len(payload) + 19, "hostile")
        world.run(3_000)
    world.run(600_000)
    assert packets_noticed(world) - noticed > SENT // 2
    return honest_bytes(world) - before


def packets_noticed(world: RadioWorld) -> int:
    """Return how many packets the base heard, whatever became of them."""
    counts = world.devices["base"].replica.engine.lane.counts
    words = ("heard", "repeated", "not sealed", "unknown version", "newer version", "truncated")
    more = ("number past its limit", "no such number", "trailing bytes", "repeated message")
    return sum(counts[word] for word in words + more)


def honest_bytes(world: RadioWorld) -> int:
    return sum(size for label, size in world.air.bytes_on_air.items() if label != "hostile")


def assert_unharmed(world: RadioWorld) -> None:
    """Nothing foreign came in, and what a team writes now still reaches everybody."""
    assert world.agrees()
    assert {d.replica.event_count() for d in world.devices.values()} == {9}
    world.write("north", "note.add", {"record_id": "R-1", "text": "after the attack"})
    world.run(HOUR_MS)
    assert world.agrees()
    assert "after the attack" in world.view("west")["R-1"]["notes"]


def heard_by_all(world: RadioWorld) -> list[bytes]:
    """Let a spy listen while the teams write; return the packets that it heard."""
    spy = world.air.station("spy")
    heard: list[bytes] = []

    def listen(_src: str, data: bytes) -> None:
        packet = decode(data)
        if packet is not None and packet.kind is Shape.SHOUT:
            heard.append(packet.data)

    spy.on_packet = listen
    for name in TEAMS:
        world.write(name, "note.add", {"record_id": "R-2", "text": "secret"})
        world.run(60_000)
    world.run(HOUR_MS)
    assert heard
    return heard


def test_a_spy_reads_nothing(cell: RadioWorld):
    assert not any(b"secret" in packet or b"note" in packet for packet in heard_by_all(cell))


def test_forged_beacons_move_nobody(cell: RadioWorld):
    luck = random.Random(1)

    said = attack(cell, lambda _: b"\x11" + luck.randbytes(19))

    assert said <= 1_500  # the beacons of twenty quiet minutes
    assert all(d.replica.engine.lane.counts["not sealed"] > 100 for d in cell.devices.values())
    assert_unharmed(cell)


def test_junk_of_every_size_moves_nobody(cell: RadioWorld):
    luck = random.Random(2)

    said = attack(cell, lambda _: luck.randbytes(luck.randrange(0, 465)))

    assert said <= 1_500
    assert_unharmed(cell)


def test_replayed_packets_cost_a_bounded_answer(cell: RadioWorld):
    """Everything that was ever said, an hour later, again and again."""
    heard = heard_by_all(cell)

    said = attack(cell, lambda number: heard[number % len(heard)])

    assert said <= 12_000
    assert cell.agrees()


def test_truncated_and_bent_packets_move_nobody(cell: RadioWorld):
    heard = heard_by_all(cell)
    luck = random.Random(3)

    def bent(number: int) -> bytes:
        packet = bytearray(heard[number % len(heard)])
        packet[luck.randrange(len(packet))] ^= 1 << luck.randrange(8)
        return bytes(packet[: luck.randrange(1, len(packet) + 1)])

    assert attack(cell, bent) <= 1_500
    assert cell.agrees()


def traitor(world: RadioWorld, say: Callable[[int], list[Message]]) -> int:
    """Attack with sealed packets."""
    air, luck = key_of(world), random.Random(4)
    return attack(world, lambda number: air.seal(say(number), luck.randbytes(2)))


def test_roots_that_nobody_stands_at_cost_statements_that_slow_down(cell: RadioWorld):
    air = key_of(cell)

    def lie(number: int) -> bytes:
        return air.pack_beacon(Beacon(number, bytes((number,)) * 8, b"?", number))

    assert attack(cell, lie) <= 12_000
    assert_unharmed(cell)


def test_a_colliding_root_lasts_one_beacon(cell: RadioWorld):
    """Somebody who makes everybody believe in agreement, each second anew, delays nothing.

    A traitor that knows the true root can say it; so it does, while a team holds more.
    """
    air = key_of(cell)
    old_root = cell.devices["base"].replica.root()
    cell.write("north", "note.add", {"record_id": "R-3", "text": "new"})

    attack(
        cell, lambda number: air.pack_beacon(Beacon(number, root_hint(number, old_root), b"?", 9))
    )

    assert cell.agrees()
    assert cell.view("base")["R-3"]["notes"] == ["new"]


def test_wants_without_end_are_served_within_bounds(cell: RadioWorld):
    """A traitor that says, again and again, that it holds nothing and takes 255 packets."""
    digest = cell.devices["base"].replica.roster_digest()[:4]

    said = traitor(cell, lambda number: [Vec(digest, False, (), 0, False, number % 256)])

    assert said <= 25_000
    assert_unharmed(cell)


def test_false_statements_and_hints_cost_bounded_bytes(cell: RadioWorld):
    replica = cell.devices["base"].replica
    digest, root = replica.roster_digest(), replica.root()
    feed = FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 7)
    highest = Vec(digest[:4], False, ((HeadHint(2**32 - 1, b""),),) * 4)
    lies: list[list[Message]] = [
        [highest],
        [Vec(digest[:4], True, ((HeadHint(1, b"lies"),),) * 4)],
        [Vec(b"othr", False, ())],
        [Delta(root[:4], digest[:1], 255, (Step(0, -1), Step(19_999, 5)))],
        [Delta(b"none", digest[:1], 255, ())],
        [
            Delta(
                statement_id(highest), digest[:1], 255, (Step(0, 2**32 - 1), Step(1, -(2**32 - 1)))
            )
        ],
        [Delta(root[:4], b"?", 1, ())],
        [Digests(0, 2**24 - 1, ())],
        [Digests(0, 2**24 - 1, tuple(range(200)))],
        [Loc(feed, (Point(5, b"lieslies"),))],
        [Loc(replica.data_feed, (Point(1, b"lieslies"), Point(2**32 - 1, b"moreliea")))],
    ]

    said = traitor(cell, lambda number: lies[number % len(lies)])

    assert said <= 60_000
    assert_unharmed(cell)


def test_bombs_and_malformed_segments_change_nothing(cell: RadioWorld):
    """Segments of every start byte, cut, bent, and deflated a thousandfold."""
    replica = cell.devices["base"].replica
    feed = replica.data_feed
    [head] = replica.frontier()[feed]
    [good], _ = replica.segments(feed, head, 0, 0, compact=True)
    bomb = zlib.compress(bytes(400_000))[: CARGO_SIZE_MAX - 3]
    luck = random.Random(6)

    def hostile(number: int) -> list[Message]:
        bent = bytearray(good)
        bent[luck.randrange(len(bent))] ^= 1 << luck.randrange(8)
        options = (bytes(bent), good[: luck.randrange(len(good))], luck.randbytes(300), bomb)
        return [Seg(options[number % 4])]

    said = traitor(cell, hostile)

    assert said <= 60_000
    assert_unharmed(cell)


def test_unknown_messages_are_skipped(cell: RadioWorld):
    air = key_of(cell)
    future = bytes((200, 3)) + b"new" + bytes((Kind.SUM, 2, 1, 1))

    def said(number: int) -> bytes:
        return air.seal_bytes(number.to_bytes(2, "big") + future)

    opened = cell.devices["base"].replica.engine.lane.counts["heard"]
    assert attack(cell, said) <= 1_500
    assert cell.devices["base"].replica.engine.lane.counts["heard"] - opened > SENT // 2
    assert_unharmed(cell)


def test_what_is_remembered_of_the_air_is_bounded(cell: RadioWorld):
    """A thousand different statements leave a dozen behind."""
    replica = cell.devices["base"].replica
    digest = replica.roster_digest()
    lane = replica.engine.lane
    air = key_of(cell)
    for number in range(1_000):
        step = Step(number % 4, number + 1)
        packet = air.seal([Delta(replica.root()[:4], digest[:1], 1, (step,))], bytes(2))
        lane.overheard(packet, cell.now_ms)

    for number in range(2_000):
        name = number.to_bytes(4, "big")
        lane.overheard(air.seal([Part(name, 0, 2, b"x" * 400)], bytes(2)), cell.now_ms)
        lane.overheard(air.seal([Seg(name * 50)], bytes(2)), cell.now_ms)

    assert lane._parts._size_bytes <= 262_144
    assert lane._loose._size_bytes <= 65_536
    assert len(lane._repairs._said) <= 256
    assert len(lane._repairs._served) <= 256
    assert len(lane._recall._stated) <= 12
    assert len(lane._seen) <= 1_024
    assert len(lane._repairs._owing) <= 1_024


def test_a_clock_that_is_set_back_silences_nobody(cell: RadioWorld):
    """A card's clock was a day ahead, and is corrected: what it writes then goes out at once."""
    cell.devices["north"].skew_ms = 24 * HOUR_MS
    cell.run(HOUR_MS)
    cell.devices["north"].skew_ms = 0

    cell.write("north", "note.add", {"record_id": "R-9", "text": "bridge is out"})
    cell.run(600_000)

    assert cell.agrees()


def test_nobody_beacons_alone_in_company():
    """Four in agreement say a few beacons an hour between them, for a day."""
    world = RadioWorld(seed=11, lora=LoRa(sf=8))
    for name in TEAMS:
        world.add(name)
    world.start()
    world.run(4 * HOUR_MS)
    before = world.air.packets_on_air["beacon"]

    world.run(20 * HOUR_MS)

    assert world.air.packets_on_air["beacon"] - before < 20 * 8
    world.close()
