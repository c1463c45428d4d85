"""Real Reticulum on loopback: one process per node, a relay for the air between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("RNS")

from meshlog.transport.pacing import ANNOUNCE_GAP_FAST_S
from meshlog.transport.relay import KEEPALIVE, LINK_RTT, Relay, Side, header
from tests.support.rns_config import Udp, write_config
from tests.transport.driver import LinkNode, Rnsd
from tests.transport.node_process import bulk, digest

pytestmark = [pytest.mark.rns, pytest.mark.timeout(90)]

BULK = 200_000
"""Bytes of a bulk message: three batches on ordinary links."""


class Field:
    """The nodes, daemons and relays of one test, all closed at its end."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack

    def relay(self, **how: object) -> Relay:
        return self._stack.enter_context(Relay(**how))  # type: ignore[arg-type]

    def config(self, name: str, *ends: Udp, transport: bool = False, share: bool = False) -> Path:
        return write_config(self.directory / name, ends, transport=transport, share=share)

    def node(self, config: Path, seed: int, *options: str) -> LinkNode:
        return self._stack.enter_context(LinkNode(config, seed, *options))

    def rnsd(self, config: Path) -> Rnsd:
        return self._stack.enter_context(Rnsd(config))

    def pair(self, relay: Relay) -> tuple[LinkNode, LinkNode]:
        """Two nodes at the two ends of ``relay`` that have heard each other."""
        ann = self.node(self.config("ann", end(relay, "a")), 1)
        bob = self.node(self.config("bob", end(relay, "b")), 2)
        ann.wait("PeerSeen")
        return ann, bob


def end(relay: Relay, side: Side, bitrate_bps: int | None = None) -> Udp:
    ports = relay.ends
    if side == "a":
        return Udp("air_a", ports.a_listens, ports.a_sends, bitrate_bps)
    return Udp("air_b", ports.b_listens, ports.b_sends, bitrate_bps)


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    with ExitStack() as stack:
        yield Field(tmp_path, stack)


def losing_first(context: int) -> Callable[[Side, bytes], bool]:
    """A relay's ``drop`` that loses the first packet of one context."""
    lost: list[bytes] = []

    def drop(_side: Side, packet: bytes) -> bool:
        head = header(packet)
        if head is None or head.context != context or lost:
            return False
        lost.append(packet)
        return True

    return drop


def test_two_nodes_find_each_other_and_exchange_both_ways(field: Field) -> None:
    ann, bob = field.pair(field.relay())

    for one, other in ((ann, bob), (bob, ann)):
        assert one.answered(other.peer, text="hi")["answer"]["digest"] == digest(
            digest(b"hi").encode()
        )
        down = one.answered(other.peer, text=f"bulk:{BULK}")
        assert down["answer"]["digest"] == digest(bulk(BULK))
        up = one.answered(other.peer, size=BULK)
        assert up["answer"]["digest"] == digest(digest(bulk(BULK)).encode())

    assert len(ann.all("LinkUp")) == len(bob.all("LinkUp")) == 1, "one link serves both ways"
    stats = ann.stats()
    of_bob = stats["peers"][bob.peer]
    assert (of_bob["exchanges_ok"], of_bob["exchanges_failed"], of_bob["linked"]) == (3, 0, True)
    assert of_bob["bytes_received"] > 2 * BULK
    assert stats["interfaces"][0]["sent_bytes"] > 2 * BULK
    assert ann.all("Started")[0]["signal_handlers_kept"]
    bob.send("quit")
    assert "meshlog-links" not in bob.wait("Closed")["threads"]
    ann.wait("LinkDown")


def test_both_dial_at_once_and_one_link_remains(field: Field) -> None:
    ann, bob = field.pair(field.relay(delay_s=0.1))
    bob.wait("PeerSeen")

    asked = [(ann, ann.ask(bob.peer, text="a")), (bob, bob.ask(ann.peer, text="b"))]

    for node, exchange in asked:
        assert node.outcome(exchange)["event"] == "Answered"
    time.sleep(7)  # the surplus link is closed after 5 s
    assert ann.answered(bob.peer, text="c")
    assert bob.answered(ann.peer, text="d")
    assert not ann.all("LinkDown")
    assert not bob.all("LinkDown")


@pytest.mark.prove
def test_peers_meet_through_a_transport_node(field: Field) -> None:
    """The middle one knows nothing of meshlog."""
    near, far = field.relay(), field.relay()
    field.rnsd(field.config("middle", end(near, "b"), end(far, "a"), transport=True))
    ann = field.node(field.config("ann", end(near, "a")), 1)
    bob = field.node(field.config("bob", end(far, "b")), 2)
    ann.wait("PeerSeen")

    assert ann.answered(bob.peer, text=f"bulk:{BULK}")["answer"]["size"] == BULK
    assert bob.answered(ann.peer, size=BULK)


@pytest.mark.prove
def test_a_link_that_is_dead_at_the_other_end_is_dialled_anew(field: Field) -> None:
    """Without the third packet the answering end drops everything for six minutes."""
    ann, bob = field.pair(field.relay(drop=losing_first(LINK_RTT)))

    assert ann.answered(bob.peer, text="hi", timeout_s=40)

    assert len(ann.all("LinkUp")) == 1


@pytest.mark.prove
def test_an_outage_in_mid_transfer_is_survived(field: Field) -> None:
    relay = field.relay(rate_bps=400_000)
    ann, bob = field.pair(relay)
    ann.answered(bob.peer, text="hi")
    exchange = ann.ask(bob.peer, text=f"bulk:{BULK}")
    time.sleep(1.5)
    assert 0 < ann.stats()["peers"][bob.peer]["progress"] < 1

    relay.on = False
    time.sleep(6)
    relay.on = True

    ann.outcome(exchange, timeout_s=40)
    assert ann.answered(bob.peer, text="still there?", timeout_s=40)


@pytest.mark.prove
def test_a_node_killed_in_mid_transfer_comes_back(field: Field) -> None:
    relay = field.relay(rate_bps=400_000)
    ann, bob = field.pair(relay)
    ann.answered(bob.peer, text="hi")
    exchange = ann.ask(bob.peer, text=f"bulk:{BULK}")
    time.sleep(1.5)

    bob.kill()
    again = field.node(bob.configdir, 2)

    assert again.peer == bob.peer
    ann.outcome(exchange, timeout_s=60)
    assert ann.answered(again.peer, text=f"bulk:{BULK}", timeout_s=40)["answer"]["size"] == BULK
    assert again.answered(ann.peer, text="hi")


@pytest.mark.prove
def test_a_node_behind_rnsd_talks_to_a_standalone_one(field: Field) -> None:
    relay = field.relay()
    config = field.config("shared", end(relay, "a"), share=True)
    field.rnsd(config)
    ann = field.node(config, 1)
    bob = field.node(field.config("bob", end(relay, "b")), 2)
    bob.wait("PeerSeen")

    assert bob.answered(ann.peer, text=f"bulk:{BULK}")["answer"]["size"] == BULK
    assert ann.answered(bob.peer, text=f"bulk:{BULK}")["answer"]["size"] == BULK
    assert [one["bitrate_bps"] for one in ann.stats()["interfaces"]] == [10_000_000]


@pytest.mark.prove
@pytest.mark.parametrize("options", [("--key", "00" * 32), ("--blind",)], ids=["key", "tag"])
def test_an_outsider_gets_nothing(field: Field, options: tuple[str, ...]) -> None:
    """With another key nobody answers; with the overheard tag no proof holds."""
    relay = field.relay()
    ann = field.node(field.config("ann", end(relay, "a")), 1)
    eve = field.node(field.config("eve", end(relay, "b")), 2, *options)
    ann.send("announce")
    time.sleep(2.5)

    outcome = eve.outcome(eve.ask(ann.peer, text="let me in"), timeout_s=60)

    assert outcome["event"] == "AskFailed"
    assert not ann.all("LinkUp")
    assert not ann.all("Asked")
    assert ann.stats()["refused"] <= 6, "two hellos on each of three links at most"


@pytest.mark.prove
def test_says_nothing_while_there_is_nothing_to_say(field: Field) -> None:
    """Reticulum's keepalives go on; announces and requests do not."""
    relay = field.relay()
    ann, bob = field.pair(relay)
    ann.answered(bob.peer, text="hi")
    time.sleep(ANNOUNCE_GAP_FAST_S + 1)  # an announce that crossed the link is answered once
    before = relay.packets(without=[KEEPALIVE])

    time.sleep(10)

    assert relay.packets(without=[KEEPALIVE]) == before


@pytest.mark.prove
def test_a_quiet_peer_is_not_asked_for_ever(field: Field) -> None:
    ann, bob = field.pair(field.relay())
    ann.answered(bob.peer, text="hi")

    bob.kill()
    outcome = ann.outcome(ann.ask(bob.peer, text="hi?"), timeout_s=80)

    assert outcome["event"] == "AskFailed"
    ann.wait("LinkDown")
