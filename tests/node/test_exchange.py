"""Carrying out effects: the loop over links, and the seed's seam."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, cast

import pytest

from meshlog import Node, SimNetwork, SimTransport, StoreError
from meshlog.core.identity import Identity
from meshlog.node import exchange
from meshlog.node.exchange import INBOX_MAX, LinkLoop
from meshlog.ports.links import Answered, Asked, AskFailed, Gate, LinkDown, LinkEvent, LinkUp, Peer
from meshlog.replica import Replica
from meshlog.sync.effects import Input, Poke, WakeAt, Woke

PATIENCE_S = 20.0
BATCH_SIZE_BYTES = 4_096


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until something that runs on another thread is so."""
    end_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.005)


class Valley:
    """Links in memory between those who are within call; keeps the promise of ports.Links."""

    def __init__(self) -> None:
        self.ends: dict[Peer, ValleyLinks] = {}
        self.is_foggy = False
        self.exchanges = 0
        self.tokens = count(1)
        self.waiting: dict[int, tuple[Peer, int]] = {}

    def meet(self) -> None:
        for here in self.ends:
            for there in self.ends:
                if here != there:
                    self.ends[here].deliver(LinkUp(there, BATCH_SIZE_BYTES))

    def part(self) -> None:
        self.is_foggy = True
        for here in self.ends:
            for there in self.ends:
                if here != there:
                    self.ends[here].deliver(LinkDown(there))


class ValleyLinks:
    """One device's end."""

    def __init__(self, valley: Valley, identity: Identity) -> None:
        self.peer = Peer(identity.author.hex())
        self.identity = identity
        self.closings = 0
        self._valley = valley
        self._deliver: Callable[[LinkEvent], None] = lambda _: None

    def start(
        self, gate: Gate, hint: Callable[[], bytes], deliver: Callable[[LinkEvent], None]
    ) -> None:
        self._deliver = deliver
        self._valley.ends[self.peer] = self

    def deliver(self, event: LinkEvent) -> None:
        self._deliver(event)

    def ask(self, peer: Peer, exchange: int, request: bytes) -> None:
        if self._valley.is_foggy or peer not in self._valley.ends:
            self.deliver(AskFailed(peer, exchange, "no path"))
            return
        self._valley.exchanges += 1
        token = next(self._valley.tokens)
        self._valley.waiting[token] = (self.peer, exchange)
        self._valley.ends[peer].deliver(Asked(self.peer, token, request))

    def answer(self, token: int, answer: bytes) -> None:
        peer, exchange = self._valley.waiting.pop(token)
        self._valley.ends[peer].deliver(Answered(self.peer, exchange, answer))

    def announce(self) -> None:
        pass

    def shout(self, packet: bytes) -> None:
        pass

    def hang_up(self, peer: Peer) -> None:
        pass

    def close(self) -> None:
        self.closings += 1


@pytest.fixture
def valley() -> Valley:
    return Valley()


@pytest.fixture
def nodes(valley: Valley) -> Iterator[list[Node]]:
    made = [
        Node(name, ValleyLinks(valley, Identity(bytes([number]) * 64)))
        for number, name in enumerate(("ann", "bob"), start=1)
    ]
    yield made
    for node in made:
        node.close()


def agree(nodes: list[Node]) -> bool:
    return len({repr(node.view()) for node in nodes}) == 1 and bool(nodes[0].view())


# ── Over links ──


def test_nodes_with_links_sync_on_their_own(valley: Valley, nodes: list[Node]):
    for index in range(300):
        nodes[index % 2].set_field(f"r{index}", "f", index)

    valley.meet()
    wait_for(lambda: len(nodes[0].view()) == len(nodes[1].view()) == 300)

    assert nodes[0].view() == nodes[1].view()
    assert nodes[0].frontier() == nodes[1].frontier() == {"ann": 150, "bob": 150}


def test_what_is_written_while_the_link_is_up_follows_at_once(valley: Valley, nodes: list[Node]):
    valley.meet()
    nodes[0].set_field("r", "f", "live")
    wait_for(lambda: agree(nodes))

    nodes[1].set_field("r", "f", "back")
    wait_for(lambda: nodes[0].view()["r"]["fields"] == {"f": "back"})

    assert agree(nodes)


def test_nothing_is_said_once_everybody_agrees(valley: Valley, nodes: list[Node]):
    nodes[0].set_field("r", "f", 1)
    valley.meet()
    wait_for(lambda: agree(nodes))
    wait_for(lambda: all(peer["contact"] == "in sync" for node in nodes for peer in peers(node)))
    spent = valley.exchanges

    time.sleep(0.6)

    assert valley.exchanges == spent


def peers(node: Node) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", node.status()["peers"])


def test_a_link_that_comes_back_brings_what_was_written_meanwhile(
    valley: Valley, nodes: list[Node]
):
    valley.meet()
    nodes[0].set_field("r", "f", 1)
    wait_for(lambda: agree(nodes))
    valley.part()
    nodes[0].set_field("r", "f", 2)
    nodes[1].set_field("r", "g", 3)
    nodes[0].gossip_round()

    valley.is_foggy = False
    valley.meet()

    wait_for(lambda: agree(nodes) and nodes[0].view()["r"]["fields"] == {"f": 2, "g": 3})


def test_closing_stops_the_thread_and_happens_once(valley: Valley, nodes: list[Node]):
    threads = [thread for thread in threading.enumerate() if thread.name == "meshlog-node"]
    assert len(threads) == 2

    for node in nodes:
        node.close()
        node.close()

    assert not any(thread.is_alive() for thread in threads)
    assert [end.closings for end in valley.ends.values()] == [1, 1]


# ── The loop alone, over a replica that a test controls ──


class Scripted:
    """A replica that notes its inputs and fails when told to."""

    def __init__(self) -> None:
        self.seen: list[Input] = []
        self.fails: Exception | None = None
        self.news: deque[str] = deque()
        self.wakes_ms: list[int] = []

    def gate(self) -> None:
        return None

    def has_linked_twin(self) -> bool:
        return False

    def settle_some(self, events: int) -> bool:
        return False

    def announce_hint(self) -> bytes:
        return b""

    def handle(self, happened: Input, now_ms: int) -> list[WakeAt]:
        self.seen.append(happened)
        if self.fails is not None:
            raise self.fails
        return [WakeAt(self.wakes_ms.pop(0))] if self.wakes_ms else []


def loop_over(replica: Scripted, valley: Valley) -> LinkLoop:
    links = ValleyLinks(valley, Identity(bytes([9]) * 64))
    clock = lambda: int(time.monotonic() * 1000)  # noqa: E731
    return LinkLoop(cast(Replica, replica), links, threading.RLock(), clock)


def test_the_loop_wakes_the_engine_when_it_asked_for_it(valley: Valley):
    replica = Scripted()
    replica.wakes_ms = [0]
    loop = loop_over(replica, valley)
    loop.start()
    loop.tell(Poke())

    wait_for(lambda: Woke() in replica.seen)

    loop.close()
    assert replica.seen[0] == Poke()


@pytest.mark.parametrize("failure", [StoreError("the disk is full"), RuntimeError("a bug")])
def test_a_failure_is_logged_and_the_loop_goes_on(
    valley: Valley, caplog: pytest.LogCaptureFixture, failure: Exception
):
    replica = Scripted()
    replica.fails = failure
    loop = loop_over(replica, valley)
    loop.start()
    with caplog.at_level(logging.ERROR, logger="meshlog.node"):
        loop.tell(Poke())
        wait_for(lambda: bool(replica.seen))
        wait_for(lambda: bool(caplog.records))
    replica.fails = None
    loop.tell(Poke())

    wait_for(lambda: replica.seen.count(Poke()) == 2)

    loop.close()
    assert str(failure) in caplog.text


def test_a_full_disk_is_not_tried_again_without_a_pause(valley: Valley):
    """The time to wake has come and stays so while the store refuses: that must not spin."""

    class Filling(Scripted):
        def handle(self, happened: Input, now_ms: int) -> list[WakeAt]:
            effects = super().handle(happened, now_ms)
            self.fails = StoreError("the disk is full")
            return effects

    replica = Filling()
    replica.wakes_ms = [0]
    loop = loop_over(replica, valley)
    loop.start()
    loop.tell(Poke())

    wait_for(lambda: len(replica.seen) > 1)
    time.sleep(0.3)

    tried = len(replica.seen)
    loop.close()
    assert tried < 20


def test_rows_that_wait_do_not_turn_a_fault_into_a_spin(
    valley: Valley, caplog: pytest.LogCaptureFixture
):
    class Behind(Scripted):
        settled = 0

        def settle_some(self, events: int) -> bool:
            self.settled += 1
            if self.settled > 1:
                raise RuntimeError("a bug")
            return True

    replica = Behind()
    loop = loop_over(replica, valley)
    loop.start()
    with caplog.at_level(logging.ERROR, logger="meshlog.node"):
        loop.tell(Poke())
        wait_for(lambda: replica.settled > 1)
        time.sleep(0.3)

    loop.close()
    assert replica.settled < 20


class BesideTwins(Scripted):
    """A replica with a peer that may be two devices."""

    hint = b"first"

    def has_linked_twin(self) -> bool:
        return True

    def announce_hint(self) -> bytes:
        return self.hint


def test_news_are_announced_to_a_peer_that_may_be_two_and_then_again(
    valley: Valley, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "TELL_MS", 50)
    replica = BesideTwins()
    loop = loop_over(replica, valley)
    told: list[bytes] = []
    monkeypatch.setattr(loop.links, "announce", lambda: told.append(replica.hint))
    loop.start()

    loop.tell(Poke())
    wait_for(lambda: len(told) >= 3)
    replica.hint = b"second"
    loop.tell(Poke())
    wait_for(lambda: b"second" in told)

    loop.close()
    assert len(replica.seen) < 50, "between two announces it sleeps"


def test_an_announce_that_is_due_does_not_turn_a_fault_into_a_spin(
    valley: Valley, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "TELL_MS", 1)
    replica = BesideTwins()
    loop = loop_over(replica, valley)
    loop.start()
    loop.tell(Poke())
    wait_for(lambda: len(replica.seen) > 2)

    replica.fails = StoreError("the disk is full")
    loop.tell(Poke())
    time.sleep(0.1)
    tried = len(replica.seen)
    time.sleep(0.3)

    assert len(replica.seen) < tried + 20
    loop.close()


def test_a_full_inbox_drops_with_a_word_and_never_blocks(
    valley: Valley, caplog: pytest.LogCaptureFixture
):
    loop = loop_over(Scripted(), valley)
    for _ in range(INBOX_MAX):
        loop.tell(Poke())

    with caplog.at_level(logging.WARNING, logger="meshlog.node"):
        loop.tell(Woke())

    assert "dropped Woke" in caplog.text


# ── Over the seed's seam ──


def test_a_closed_node_neither_hears_nor_answers():
    air = SimNetwork()
    ann, bob = (Node(name, SimTransport(name, air)) for name in ("ann", "bob"))
    ann.set_field("r", "f", 1)
    bob.close()

    ann.gossip_round()
    ann.gossip_round()

    assert ann.frontier() == {"ann": 1}


def test_a_transport_that_breaks_does_so_in_the_callers_face_and_the_next_round_works():
    air = SimNetwork()

    class Flaky(SimTransport):
        broken = True

        def send(self, peer_id: str, message: bytes) -> None:
            if self.broken:
                raise OSError("antenna fell off")
            super().send(peer_id, message)

    flaky = Flaky("ann", air)
    ann, bob = Node("ann", flaky), Node("bob", SimTransport("bob", air))
    ann.set_field("r", "f", 1)
    with pytest.raises(OSError, match="antenna"):
        ann.gossip_round()

    flaky.broken = False
    for _ in range(4):
        ann.gossip_round()

    assert bob.view() == ann.view()


def test_a_peer_that_leaves_in_mid_sync_is_asked_again_later():
    air = SimNetwork()
    carried = count()

    class Leaving(SimTransport):
        def send(self, peer_id: str, message: bytes) -> None:
            if next(carried) == 1:
                air.set_partitions([])
            super().send(peer_id, message)

    ann, bob = Node("ann", Leaving("ann", air)), Node("bob", SimTransport("bob", air))
    for index in range(200):
        ann.set_field(f"r{index}", "f", "x" * 200)
    ann.gossip_round()
    assert bob.frontier() != ann.frontier()

    air.set_partitions([{"ann", "bob"}])
    for _ in range(4):
        ann.gossip_round()

    assert bob.frontier() == ann.frontier() == {"ann": 200}
