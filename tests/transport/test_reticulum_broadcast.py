"""Broadcast packets over real Reticulum: one process per node, a cell or relays between them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("RNS")

from meshlog.transport.broadcast import HEARD_BURST, HEARD_PER_S
from meshlog.transport.plain import APP, ASPECT
from meshlog.transport.relay import LOOPBACK, Relay, bound
from tests.support.cell import Cell
from tests.support.rns_config import Udp, write_config
from tests.transport.driver import LinkNode, Record, Rnsd
from tests.transport.node_process import MacGate, digest, shouted

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(90)]

LIMIT = 464
SETTLED_S = 1.0
"""Long enough on loopback for whatever was sent to have come."""


class Field:
    """The nodes, daemons and media of one test, all closed at its end."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack

    def cell(self, count: int, **how: object) -> Cell:
        return self._stack.enter_context(Cell(count, **how))  # type: ignore[arg-type]

    def relay(self) -> Relay:
        return self._stack.enter_context(Relay())

    def config(self, name: str, *ends: Udp, transport: bool = False, share: bool = False) -> Path:
        return write_config(self.directory / name, ends, transport=transport, share=share)

    def node(self, config: Path, seed: int, *options: str) -> LinkNode:
        node = self._stack.enter_context(LinkNode(config, seed, *options, interval_s=None))
        node.wait("Medium")
        return node

    def rnsd(self, config: Path) -> Rnsd:
        return self._stack.enter_context(Rnsd(config))

    def nodes(self, cell: Cell, count: int) -> list[LinkNode]:
        return [
            self.node(self.config(f"node{nth}", end(cell, nth)), nth + 1) for nth in range(count)
        ]


def end(cell: Cell, nth: int, bitrate_bps: int | None = None) -> Udp:
    ports = cell.ends[nth]
    return Udp(f"air{nth}", ports.listens, ports.sends, bitrate_bps)


def side_a(relay: Relay) -> Udp:
    return Udp("side_a", relay.ends.a_listens, relay.ends.a_sends)


def side_b(relay: Relay) -> Udp:
    return Udp("side_b", relay.ends.b_listens, relay.ends.b_sends)


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    with ExitStack() as stack:
        yield Field(tmp_path, stack)


def shout(node: LinkNode, seed: int, size: int = LIMIT, count: int = 1) -> None:
    node.send("shout", size=size, seed=seed, count=count)


def packet(seed: int, size: int = LIMIT) -> Record:
    return {"size": size, "digest": digest(shouted(size, seed))}


def hears(node: LinkNode, seed: int, size: int = LIMIT) -> None:
    node.wait("Overheard", where=lambda one: one["packet"] == packet(seed, size))


def seen(node: LinkNode, peer: str) -> Record:
    return node.wait("PeerSeen", where=lambda one: one["peer"] == peer, timeout_s=40)


def heard(node: LinkNode) -> list[Record]:
    return [one["packet"] for one in node.all("Overheard")]


def on_air(payload: bytes, key: bytes = b"dataset") -> bytes:
    """Return the bytes of a PLAIN packet to the dataset of ``key``, as any neighbour can send."""
    tag = MacGate(key, "00" * 16).tag()  # type: ignore[arg-type]
    name_hash = sha256(f"{APP}.{ASPECT}.{tag.hex()}".encode()).digest()[:10]
    return b"\x08\0" + sha256(name_hash).digest()[:16] + b"\0" + payload


# ── standalone nodes ─────────────────────────────────────────────────────────────────


def test_everybody_in_the_cell_hears_a_shout_once_and_nobody_himself(field: Field) -> None:
    ann, bob, cat = field.nodes(field.cell(3), 3)

    shout(ann, 1)
    shout(bob, 2, size=20)
    for node in (bob, cat):
        hears(node, 1)
    for node in (ann, cat):
        hears(node, 2, size=20)
    time.sleep(SETTLED_S)

    assert heard(ann) == [packet(2, 20)]
    assert heard(bob) == [packet(1)]
    assert len(heard(cat)) == 2
    sent = ann.stats()["broadcasts"]
    assert (sent["packets_sent"], sent["bytes_sent"], sent["packets_unsent"]) == (1, LIMIT, 0)
    assert cat.stats()["broadcasts"]["bytes_heard"] == LIMIT + 20


def test_a_radio_that_hears_itself_is_no_neighbour(field: Field) -> None:
    """As where UDP broadcasts loop back, or two modems of one device share a channel."""
    ann, bob = field.nodes(field.cell(2, echo=True), 2)

    shout(ann, 1)
    hears(bob, 1)
    time.sleep(SETTLED_S)

    assert heard(ann) == []
    assert ann.stats()["broadcasts"]["echoes"] == 1


def test_464_bytes_arrive_and_465_are_refused_at_the_caller(field: Field) -> None:
    ann, bob = field.nodes(field.cell(2), 2)

    shout(ann, 1, size=LIMIT + 1)
    assert ann.wait("Refused")["why"] == "a broadcast packet has 1 to 464 B, not 465 B"
    shout(ann, 2)

    hears(bob, 2)
    assert heard(bob) == [packet(2)]


def test_other_datasets_do_not_hear_it(field: Field) -> None:
    cell = field.cell(3)
    ann, bob = field.nodes(cell, 2)
    eve = field.node(field.config("eve", end(cell, 2)), 9, "--key", "00" * 32)

    shout(ann, 1)
    hears(bob, 1)
    time.sleep(SETTLED_S)

    assert heard(eve) == []
    assert eve.stats()["interfaces"][0]["received_bytes"] > LIMIT, "it passed her radio"
    assert eve.stats()["broadcasts"]["refused"] == 0


def test_it_goes_one_hop_and_no_transport_node_passes_it_on(field: Field) -> None:
    near, far = field.relay(), field.relay()
    field.rnsd(field.config("middle", side_b(near), side_a(far), transport=True))
    ann = field.node(field.config("ann", side_a(near)), 1)
    bob = field.node(field.config("bob", side_b(far)), 2)
    ann.send("announce")
    assert bob.wait("PeerSeen")["hops"] == 2

    shout(ann, 1)
    time.sleep(2 * SETTLED_S)

    assert heard(bob) == []
    assert near.traffic("a").bytes > LIMIT, "it was sent"


def test_a_node_that_is_a_transport_node_passes_nothing_on_either(field: Field) -> None:
    near, far = field.relay(), field.relay()
    middle = field.node(field.config("middle", side_b(near), side_a(far), transport=True), 3)
    ann = field.node(field.config("ann", side_a(near)), 1)
    bob = field.node(field.config("bob", side_b(far)), 2)

    shout(ann, 1)
    hears(middle, 1)
    time.sleep(SETTLED_S)
    assert heard(bob) == []

    shout(middle, 2)
    hears(ann, 2)
    hears(bob, 2)
    assert heard(middle) == [packet(1)]


def test_with_an_access_code_a_whole_packet_arrives_and_others_stay_out(field: Field) -> None:
    cell = field.cell(3)
    configs = [field.config(f"node{nth}", end(cell, nth)) for nth in range(3)]
    for config in configs[:2]:
        with (config / "config").open("a") as written:
            written.write("    passphrase = cell\n")
    ann, bob, eve = [field.node(config, nth + 1) for nth, config in enumerate(configs)]

    shout(ann, 1)
    hears(bob, 1)
    shout(eve, 2)
    time.sleep(SETTLED_S)

    assert heard(bob) == [packet(1)]
    assert heard(eve) == []
    assert cell.traffic(0).bytes >= LIMIT + 19 + 16


# ── shared instances ─────────────────────────────────────────────────────────────────


def test_programs_behind_rnsd_shout_and_hear_as_if_the_radio_were_theirs(field: Field) -> None:
    """rnsd to radio, radio to rnsd, program to program, and rnsd to rnsd."""
    cell = field.cell(3)
    one = field.config("one", end(cell, 0), share=True)
    two = field.config("two", end(cell, 1), share=True)
    field.rnsd(one)
    field.rnsd(two)
    ann, bob = field.node(one, 1), field.node(one, 2)
    cat = field.node(two, 3)
    dan = field.node(field.config("dan", end(cell, 2)), 4)
    everybody = [ann, bob, cat, dan]

    for seed, speaker in enumerate(everybody):
        shout(speaker, seed)
        for hearer in everybody:
            if hearer is not speaker:
                hears(hearer, seed)
    time.sleep(SETTLED_S)

    assert [len(heard(node)) for node in everybody] == [3, 3, 3, 3]
    assert [node.stats()["broadcasts"]["echoes"] for node in everybody] == [0, 0, 0, 0]
    assert [node.wait("Medium")["rate_bps"] for node in everybody] == [1e7] * 4


def test_the_first_program_may_be_the_shared_instance_itself(field: Field) -> None:
    cell = field.cell(2)
    shared = field.config("shared", end(cell, 0), share=True)
    ann = field.node(shared, 1)
    bob = field.node(shared, 2)
    cat = field.node(field.config("cat", end(cell, 1)), 3)

    for seed, (speaker, hearers) in enumerate(
        [(ann, [bob, cat]), (bob, [ann, cat]), (cat, [ann, bob])]
    ):
        shout(speaker, seed)
        for hearer in hearers:
            hears(hearer, seed)
    time.sleep(SETTLED_S)

    assert [len(heard(node)) for node in (ann, bob, cat)] == [2, 2, 2]


def test_the_slowest_interface_is_the_medium_behind_rnsd_too(field: Field) -> None:
    cell = field.cell(3)
    mixed = field.config("mixed", end(cell, 0, 3125), end(cell, 1), share=True)
    field.rnsd(mixed)
    ann = field.node(mixed, 1)
    bob = field.node(field.config("bob", end(cell, 2, 1200)), 2)

    assert ann.wait("Medium")["rate_bps"] == 3125
    assert bob.wait("Medium")["rate_bps"] == 1200


def test_the_medium_is_gone_with_rnsd_and_back_with_it(field: Field) -> None:
    cell = field.cell(2)
    shared = field.config("shared", end(cell, 0, 3125), share=True)
    daemon = field.rnsd(shared)
    ann = field.node(shared, 1)
    bob = field.node(field.config("bob", end(cell, 1)), 2)
    assert ann.wait("Medium")["rate_bps"] == 3125

    daemon.kill()
    ann.wait("Medium", where=lambda one: one["rate_bps"] == 0.0, timeout_s=20)
    since = len(ann.said)
    field.rnsd(shared)
    ann.wait("Medium", where=lambda one: one["rate_bps"] == 3125, since=since, timeout_s=30)

    shout(ann, 1)
    hears(bob, 1)
    shout(bob, 2)
    hears(ann, 2)


def test_neighbours_behind_rnsd_are_one_hop_away(field: Field) -> None:
    """As they are for broadcasts."""
    cell = field.cell(3)
    one = field.config("one", end(cell, 0), share=True)
    two = field.config("two", end(cell, 1), share=True)
    field.rnsd(one)
    field.rnsd(two)
    ann, bob = field.node(one, 1), field.node(one, 2)
    cat = field.node(two, 3)
    dan = field.node(field.config("dan", end(cell, 2)), 4)
    everybody = [ann, bob, cat, dan]

    for hearer in everybody:
        for speaker in everybody:
            if speaker is not hearer:
                assert seen(hearer, speaker.peer)["hops"] == 1


def test_a_neighbour_whose_announce_was_missed_is_found_by_name_on_a_slow_medium(
    field: Field,
) -> None:
    """As by a node that started later and needs a link: the next announce is hours away."""
    cell = field.cell(2, rate_bps=3125, on=False)
    ann = field.node(field.config("ann", end(cell, 0, 3125)), 1)
    bob = field.node(field.config("bob", end(cell, 1, 3125)), 2)
    time.sleep(SETTLED_S)
    cell.on = True

    assert bob.answered(ann.peer, text="hi", timeout_s=60)
    assert bob.all("PeerSeen") == []


# ── bad input ────────────────────────────────────────────────────────────────────────


def test_junk_under_our_name_ends_at_the_size_check(field: Field) -> None:
    cell = field.cell(2)
    ann, bob = field.nodes(cell, 2)
    link_request = on_air(bytes(64))
    junk = [
        on_air(bytes(LIMIT + 1)),
        on_air(bytes(481)),
        on_air(b""),
        on_air(bytes(1000)),  # a UDP interface takes 1064 bytes
        bytes([link_request[0] | 2]) + link_request[1:],  # for a link to the PLAIN destination
        bytes([link_request[0] | 1]) + link_request[1:],  # announce
        bytes([link_request[0] | 3]) + link_request[1:],  # proof
        link_request[:1] + b"\x02" + link_request[2:],  # of two hops
    ]

    with bound(0) as neighbour:
        for one in junk:
            neighbour.sendto(one, (LOOPBACK, cell.ends[1].listens))
    shout(ann, 1)
    hears(bob, 1)

    assert heard(bob) == [packet(1)]
    assert bob.stats()["broadcasts"]["refused"] == 3
    assert (bob.configdir / "stderr.log").read_text() == ""


def test_a_flood_of_junk_is_cut_and_links_work_during_and_after(field: Field) -> None:
    cell = field.cell(3)
    ann, bob = field.nodes(cell, 2)
    ann.send("announce")
    bob.wait("PeerSeen")
    bob.answered(ann.peer, text="before")
    started_s = time.monotonic()

    with bound(0) as neighbour:
        for nth in range(2_000):
            neighbour.sendto(on_air(shouted(LIMIT, nth)), (LOOPBACK, cell.ends[1].listens))
            if nth % 20 == 0:
                time.sleep(0.005)  # the receiver's socket buffer is not what is tested
    during = bob.answered(ann.peer, text="during")
    bob.answered(ann.peer, text="bulk:50000")
    stats = bob.stats()["broadcasts"]
    took_s = time.monotonic() - started_s

    assert during["event"] == "Answered"
    assert stats["packets_heard"] + stats["refused"] > HEARD_BURST
    assert stats["packets_heard"] <= HEARD_BURST + took_s * HEARD_PER_S
    assert stats["refused"] > 0
    time.sleep(SETTLED_S)
    shout(ann, 1)
    hears(bob, 1)
    assert bob.stats()["refused"] == 0, "no job of the links was dropped"
