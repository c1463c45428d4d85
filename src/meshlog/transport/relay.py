"""A length of air between two UDP ports, for tests and demonstrations.

Two Reticulum UDP interfaces send to the relay's two ends instead of to each other. It can be
switched off, delay, lose, limit, count and record what passes. Loopback only.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, NamedTuple, Self

Side = Literal["a", "b"]
"""The end that a packet came in at."""

LOOPBACK = "127.0.0.1"

PACKET_BYTES_MAX = 65_535
WAITING_MAX = 10_000
"""Packets under way at once; more are lost, as on any full queue."""


class Header(NamedTuple):
    """What the plain part of a Reticulum packet says. Source: the manual, "wire format"."""

    kind: int
    """0 data, 1 announce, 2 link request, 3 proof."""
    context: int
    """0 none, 1-7 resource, 9 request, 10 response, 250 keepalive, 252 close, 254 the third
    packet of a link's setup, 255 the second."""
    hops: int


KEEPALIVE, LINK_CLOSE, LINK_RTT = 0xFA, 0xFC, 0xFE
"""Contexts that a test may want to tell apart."""


def header(packet: bytes) -> Header | None:
    """Return what ``packet`` says of itself; None if it is too short."""
    if not packet:
        return None
    at = 34 if packet[0] & 0x40 else 18
    if len(packet) <= at:
        return None
    return Header(packet[0] & 0x03, packet[at], packet[1])


@dataclass(frozen=True, slots=True)
class Traffic:
    """What came in at one end, and what became of it."""

    packets: int = 0
    bytes: int = 0
    lost: int = 0
    """Packets that were not passed on, of whatever reason."""


class Ends(NamedTuple):
    """The four UDP ports of a relay, all on loopback."""

    a_listens: int
    """Where node A's interface listens: its ``listen_port``."""
    a_sends: int
    """Where node A's interface sends: its ``forward_port``; the relay listens there."""
    b_listens: int
    b_sends: int


def free_ports(count: int) -> list[int]:
    """Return UDP ports that were free a moment ago."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Relay:
    """Passes packets between two UDP interfaces on a thread of its own, until closed.

    Attributes may be set at any time: ``on`` (nothing passes while False), ``delay_s``,
    ``loss`` (probability, 0 to 1), ``rate_bps`` (None: unlimited; each direction has its own
    queue), ``drop`` (called with the side and each packet; True loses it).
    """

    def __init__(
        self,
        ends: Ends | None = None,
        *,
        on: bool = True,
        delay_s: float = 0.0,
        loss: float = 0.0,
        rate_bps: float | None = None,
        drop: Callable[[Side, bytes], bool] | None = None,
        seed: int = 0,
    ) -> None:
        """Open the two sockets and begin.

        Args:
            ends: The ports; None takes free ones, see ``ends``.
            seed: Of the luck that ``loss`` needs.
        """
        self.on, self.delay_s, self.loss = on, delay_s, loss
        self.rate_bps, self.drop = rate_bps, drop
        self._rng = Random(seed)  # noqa: S311 - the same seed loses the same packets
        self._sockets: dict[Side, socket.socket] = {}
        for side, port in (("a", ends.a_sends if ends else 0), ("b", ends.b_sends if ends else 0)):
            self._sockets[side] = bound(port)  # type: ignore[index]
        a_sends, b_sends = (one.getsockname()[1] for one in self._sockets.values())
        if ends is None:
            a_listens, b_listens = free_ports(2)
            ends = Ends(a_listens, a_sends, b_listens, b_sends)
        self.ends = ends
        """The ports of both interfaces."""
        self._traffic: dict[Side, Traffic] = {"a": Traffic(), "b": Traffic()}
        self._kinds: dict[tuple[Side, Header], int] = {}
        self._busy_until_s: dict[Side, float] = {"a": 0.0, "b": 0.0}
        self._waiting: list[tuple[float, int, Side, bytes]] = []
        self._serial = itertools.count()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def traffic(self, side: Side) -> Traffic:
        """Return what came in at ``side`` so far."""
        return self._traffic[side]

    def packets(self, *, without: Iterable[int] = ()) -> int:
        """Return how many packets came in at both ends, those of some contexts left out."""
        ignored = set(without)
        kinds = list(self._kinds.items())
        return sum(count for (_, head), count in kinds if head.context not in ignored)

    def close(self) -> None:
        """Stop passing packets and close the sockets. Idempotent."""
        self._closing = True
        self._thread.join(2.0)
        for one in self._sockets.values():
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        sides: dict[socket.socket, Side] = {one: side for side, one in self._sockets.items()}
        while not self._closing:
            now_s = time.monotonic()
            wait_s = 0.1
            if self._waiting:
                wait_s = min(wait_s, max(0.0, self._waiting[0][0] - now_s))
            for ready in select.select(list(sides), [], [], wait_s)[0]:
                self._take(sides[ready], ready.recv(PACKET_BYTES_MAX))
            now_s = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now_s:
                _, _, side, packet = heapq.heappop(self._waiting)
                if self.on:
                    self._pass(side, packet)
                else:
                    self._lose(side)

    def _take(self, side: Side, packet: bytes) -> None:
        old = self._traffic[side]
        self._traffic[side] = replace(old, packets=old.packets + 1, bytes=old.bytes + len(packet))
        if head := header(packet):
            self._kinds[side, head] = self._kinds.get((side, head), 0) + 1
        if (
            not self.on
            or len(self._waiting) >= WAITING_MAX
            or (self.drop is not None and self.drop(side, packet))
            or (self.loss and self._rng.random() < self.loss)
        ):
            self._lose(side)
            return
        now_s = leaves_s = time.monotonic()
        if self.rate_bps:
            leaves_s = max(now_s, self._busy_until_s[side]) + len(packet) * 8 / self.rate_bps
            self._busy_until_s[side] = leaves_s
        arrives_s = leaves_s + self.delay_s
        heapq.heappush(self._waiting, (arrives_s, next(self._serial), side, packet))

    def _pass(self, side: Side, packet: bytes) -> None:
        port = self.ends.b_listens if side == "a" else self.ends.a_listens
        try:
            self._sockets[side].sendto(packet, (LOOPBACK, port))
        except OSError:  # nobody listens: the other end is down
            self._lose(side)

    def _lose(self, side: Side) -> None:
        old = self._traffic[side]
        self._traffic[side] = replace(old, lost=old.lost + 1)


def bound(port: int) -> socket.socket:
    """Return a UDP socket on a loopback port; 0 takes a free one."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    one.bind((LOOPBACK, port))
    return one
