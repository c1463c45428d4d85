"""A shared channel between many UDP ports: a radio cell in which everybody hears everybody.

What `Relay` is between two interfaces, a `Cell` is between many: one packet at a time holds
the channel, and every other end hears it or loses it by its own luck. Loopback only.
"""

from __future__ import annotations

import heapq
import itertools
import math
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from hashlib import sha256
from random import Random
from typing import NamedTuple, Self

from meshlog.transport.relay import (
    LOOPBACK,
    PACKET_BYTES_MAX,
    WAITING_MAX,
    Traffic,
    bound,
    free_ports,
)

_ANNOUNCE, _PLAIN_DATA = 0x01, 0x08
"""Low bits of a packet's first byte: two of its type, with two more of its destination's."""

_PATH_REQUEST = sha256(sha256(b"rnstransport.path.request").digest()[:10]).digest()[:16]
"""Address of Reticulum's own PLAIN packets."""


class Kind(StrEnum):
    """What a packet is for, as anybody on the air can tell."""

    BROADCAST = "broadcast"
    ANNOUNCE = "announce"
    PATH_REQUEST = "path request"
    LINK = "link"
    """Everything else: requests for links, proofs, and whatever goes over them."""


def kind_of(packet: bytes) -> Kind:
    """Return what a Reticulum packet without access code is for."""
    if packet and packet[0] & 0x03 == _ANNOUNCE:
        return Kind.ANNOUNCE
    if packet and packet[0] & 0x0F == _PLAIN_DATA:
        return Kind.PATH_REQUEST if packet[2:18] == _PATH_REQUEST else Kind.BROADCAST
    return Kind.LINK


class Ledger:
    """A cell's ``watch`` that notes every packet: when, from which end, what for, how large."""

    def __init__(self) -> None:
        self._packets: list[tuple[float, int, Kind, int]] = []

    def __call__(self, end: int, packet: bytes) -> None:
        """Note one packet."""
        self._packets.append((time.monotonic(), end, kind_of(packet), len(packet)))

    def sizes(self, *kinds: Kind, since_s: float = -math.inf) -> list[int]:
        """Return the bytes of each packet of these kinds (of all, if none is named).

        Args:
            since_s: Monotonic seconds; earlier ones are left out.
        """
        return [
            size
            for at_s, _, kind, size in list(self._packets)
            if at_s >= since_s and (kind in kinds or not kinds)
        ]


class CellEnd(NamedTuple):
    """The two UDP ports of one interface in the cell."""

    listens: int
    """Where its interface listens: its ``listen_port``."""
    sends: int
    """Where its interface sends: its ``forward_port``; the cell listens there."""


class Cell:
    """Passes every packet to all other ends on a thread of its own, until closed.

    Carrier sense is perfect and there are no collisions: packets queue for the one channel.
    Attributes may be set at any time: ``on`` (nothing passes while False), ``loss``
    (probability per hearer, 0 to 1), ``rate_bps`` (None: unlimited), ``echo`` (senders hear
    themselves, as with UDP broadcast), ``watch`` (called with the end and each packet).
    """

    def __init__(
        self,
        count: int,
        *,
        on: bool = True,
        loss: float = 0.0,
        rate_bps: float | None = None,
        echo: bool = False,
        watch: Callable[[int, bytes], None] | None = None,
        seed: int = 0,
    ) -> None:
        """Open the sockets and begin.

        Args:
            count: Of ends.
            seed: Of the luck that ``loss`` needs.
        """
        self.on, self.loss, self.rate_bps, self.echo = on, loss, rate_bps, echo
        self.watch = watch
        self._rng = Random(seed)
        self._sockets = [bound(0) for _ in range(count)]
        listens = free_ports(count)
        self.ends = [
            CellEnd(port, one.getsockname()[1])
            for port, one in zip(listens, self._sockets, strict=True)
        ]
        """The ports of all interfaces."""
        self._traffic = [Traffic() for _ in range(count)]
        self._busy_until_s = 0.0
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._serial = itertools.count()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="cell", daemon=True)
        self._thread.start()

    def traffic(self, end: int) -> Traffic:
        """Return what came in at one end so far; lost counts hearers, not packets."""
        return self._traffic[end]

    def total(self) -> Traffic:
        """Return what came in at all ends."""
        every = self._traffic
        return Traffic(
            sum(one.packets for one in every),
            sum(one.bytes for one in every),
            sum(one.lost for one in every),
        )

    @property
    def queue_s(self) -> float:
        """How far the channel is behind: seconds until it has sent what it took."""
        return max(0.0, self._busy_until_s - time.monotonic())

    def close(self) -> None:
        """Stop passing packets and close the sockets. Idempotent."""
        self._closing = True
        self._thread.join(2.0)
        for one in self._sockets:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        ends: dict[socket.socket, int] = {one: end for end, one in enumerate(self._sockets)}
        while not self._closing:
            wait_s = 0.1
            if self._waiting:
                wait_s = min(wait_s, max(0.0, self._waiting[0][0] - time.monotonic()))
            for ready in select.select(list(ends), [], [], wait_s)[0]:
                self._take(ends[ready], ready.recv(PACKET_BYTES_MAX))
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(self._waiting)
                self._pass(end, packet)

    def _take(self, end: int, packet: bytes) -> None:
        old = self._traffic[end]
        self._traffic[end] = replace(old, packets=old.packets + 1, bytes=old.bytes + len(packet))
        if self.watch is not None:
            self.watch(end, packet)
        if not self.on or len(self._waiting) >= WAITING_MAX:
            self._lose(end)
            return
        leaves_s = time.monotonic()
        if self.rate_bps:
            leaves_s = max(leaves_s, self._busy_until_s) + len(packet) * 8 / self.rate_bps
            self._busy_until_s = leaves_s
        heapq.heappush(self._waiting, (leaves_s, next(self._serial), end, packet))

    def _pass(self, sender: int, packet: bytes) -> None:
        for end, one in enumerate(self._sockets):
            if end == sender and not self.echo:
                continue
            if not self.on or (self.loss and self._rng.random() < self.loss):
                self._lose(sender)
                continue
            try:
                one.sendto(packet, (LOOPBACK, self.ends[end].listens))
            except OSError:  # nobody listens there
                self._lose(sender)

    def _lose(self, end: int) -> None:
        old = self._traffic[end]
        self._traffic[end] = replace(old, lost=old.lost + 1)
