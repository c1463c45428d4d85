"""A `Radio` without a radio, and a world of one `RadioLinks` on it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from meshlog.ports.links import LinkEvent, Medium, Peer
from meshlog.transport.dialling import HELLO
from meshlog.transport.exchanges import LinkId, Phase
from meshlog.transport.links import RadioLinks
from meshlog.transport.peers import InterfaceStats
from meshlog.transport.radio import LinkFacts, RadioEvents
from tests.transport.node_process import MacGate

US, BOB = Peer("00" * 16), Peer("bb" * 16)
KEY = b"dataset"


class FakeReceipt:
    def look(self) -> tuple[Phase, float]:
        return Phase.SENDING, 0.0


class FakeRadio:
    """Keeps links in a set and notes what it is told."""

    peer = US

    def __init__(self) -> None:
        self.links: set[LinkId] = set()
        self.announced: list[bytes] = []
        self.asked: list[tuple[LinkId, str, bytes]] = []
        self.shouted: list[bytes] = []
        self.online, self.rate_bps = True, 1e7

    def start(self, events: RadioEvents, tag: bytes) -> None:
        self.events = events

    def come(self, name: int) -> LinkId:
        link = LinkId(name.to_bytes(16, "big"))
        self.links.add(link)
        self.events.established(link, dialled_by_us=False)
        return link

    def announce(self, app_data: bytes) -> None:
        self.announced.append(app_data)

    def broadcast(self, packet: bytes) -> bool:
        self.shouted.append(packet)
        return self.online

    def find(self, peer: Peer) -> None: ...

    def reachable(self, peer: Peer) -> bool:
        return True

    def first_hop_bps(self, peer: Peer) -> float:
        return self.slowest_bps()

    def hops(self, peer: Peer) -> int:
        return 1

    def recall(self, peer: Peer) -> bytes | None:
        return None

    def open(self, public_key: bytes) -> LinkId:
        raise AssertionError("nobody dials in these tests")

    def facts(self, link: LinkId) -> LinkFacts | None:
        return LinkFacts(0.01, 1e7, None, 391) if link in self.links else None

    def ask(
        self,
        link: LinkId,
        path: str,
        data: bytes,
        limit_s: float,
        done: Callable[[bytes | None], None],
    ) -> FakeReceipt:
        self.asked.append((link, path, data))
        return FakeReceipt()

    def drop(self, link: LinkId) -> None:
        self.links.discard(link)

    def sweep(self, now_s: float, limit_s: float) -> None: ...

    def interfaces(self) -> list[InterfaceStats]:
        return []

    def slowest_bps(self) -> float:
        return self.rate_bps if self.online else math.inf

    def close(self) -> None:
        self.links.clear()


class World:
    """A `RadioLinks` on a fake radio, with a clock that the test moves."""

    def __init__(self) -> None:
        self.radio = FakeRadio()
        self.heard: list[LinkEvent] = []
        self.media: list[Medium] = []
        self.now_s = 0.0
        self.links = RadioLinks(self.radio, clock_s=lambda: self.now_s)
        self.links.start(MacGate(KEY, US), lambda: bytes(99), self._deliver)

    def _deliver(self, event: LinkEvent) -> None:
        if isinstance(event, Medium):
            self.media.append(event)
        else:
            self.heard.append(event)

    def hello(self, link: LinkId, key: bytes = KEY, peer: Peer = BOB) -> bytes | None:
        proof = MacGate(key, peer).prove(bytes(link), initiator=True)
        return self.links.serve(HELLO, link, b"\x01" + proof)


def soon(is_so: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 3
    while time.monotonic() < until_s:
        if is_so():
            return True
        time.sleep(0.01)
    return False
