"""The link lane of a storm: frames between devices in reach, with everything that befalls them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from meshlog.ports.links import Answered, Asked, AskFailed, Peer, PeerSeen
from meshlog.sim.agenda import Agenda
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.trace import Trace
from meshlog.sync.effects import Answer, Ask, Effect, Input, Shout
from meshlog.sync.frame import ANSWER, ASK, decode_frame, encode_frame

TIMEOUT_MS = 30_000
ANNOUNCE_MS = 600_000
DELAY_MS_MAX = 200
"""Of a frame in calm air."""

OVERTAKING_MS_MAX = 8_000
"""Of a frame where frames overtake each other."""

SLOW_MS_MAX = 45_000
"""Of a frame on a slow path: some come after their exchange was given up."""

SNIFFED_MAX = 256
"""Frames that somebody who listens remembers."""


@dataclass(slots=True)
class Weather:
    """What happens to a frame; probabilities."""

    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    reordering: float = 0.0
    delay: float = 0.0


class Ether(Protocol):
    """What carries a storm's effects: either lane."""

    weather: Weather

    @property
    def bytes_sent(self) -> int:
        """Bytes that honest devices sent to somebody who was there."""

    @property
    def messages_sent(self) -> int:
        """Messages that honest devices sent likewise."""

    heard: deque[tuple[str, bytes]]
    """The latest packets that an outsider in the middle heard: for whom, and the bytes."""

    def switch_on(self, device: Device) -> None:
        """Let a device that has a replica talk."""

    def switch_off(self, device: Device) -> None:
        """Lose everything that the device had under way."""

    def carry_out(self, device: Device, effect: Effect) -> None:
        """Do what a replica asks of the world."""

    def part(self, group_of: dict[str, int] | None) -> None:
        """Split the air into islands, or join them all with None."""

    def calm(self) -> None:
        """End all weather."""

    def inject(self, dst: str, packet: bytes) -> None:
        """Let an outsider send raw bytes, to ``dst`` or to whoever hears."""


class LinkEther:
    """Frames with a MAC, as over the seed's seam; who sends is what the frame's path says."""

    def __init__(
        self,
        agenda: Agenda,
        rng: random.Random,
        trace: Trace,
        devices: dict[str, Device],
        handle: Callable[[Device, Input], None],
    ) -> None:
        """Carry between ``devices``; whatever arrives goes to ``handle``."""
        self.weather = Weather()
        self.bytes_sent = self.messages_sent = 0
        self.heard: deque[tuple[str, bytes]] = deque(maxlen=SNIFFED_MAX)
        self._agenda = agenda
        self._rng = rng
        self._trace = trace
        self._devices = devices
        self._handle = handle
        self._group_of: dict[str, int] | None = None
        self._tickets = count()

    # ── see Ether ───────────────────────────────────────────────────────────────────

    def switch_on(self, device: Device) -> None:
        """See Ether.switch_on; announces go both ways, now and then."""
        self._announce(device, device.boots)

    def switch_off(self, device: Device) -> None:
        """See Ether.switch_off."""
        device.open.clear()
        device.asked.clear()

    def carry_out(self, device: Device, effect: Effect) -> None:
        """See Ether.carry_out."""
        gate = device.running.gate()
        match effect:
            case Ask(peer, exchange, request):
                key = self._shared_key(device, peer)
                self.ask(device, peer, exchange, encode_frame(gate, ASK, exchange, request, key))
            case Answer(token, answer):
                peer, exchange, key = device.asked.pop(token)
                self._send(device, peer, encode_frame(gate, ANSWER, exchange, answer, key))
            case Shout():
                pass  # the radio lane has the air

    def part(self, group_of: dict[str, int] | None) -> None:
        """See Ether.part; who meets hears announces."""
        self._group_of = group_of
        for device in self._devices.values():
            if device.replica is not None:
                self._be_seen(device)

    def calm(self) -> None:
        """See Ether.calm."""
        self.weather = Weather()

    def inject(self, dst: str, packet: bytes) -> None:
        """See Ether.inject; the sender's name is made up, too."""
        names = sorted(self._devices)
        self._later_arrive(self._rng.choice(names), dst, packet, DELAY_MS_MAX)

    # ── announces ───────────────────────────────────────────────────────────────────

    def _announce(self, device: Device, boots: int) -> None:
        if device.boots == boots and device.replica is not None:
            self._be_seen(device)
            again_ms = int(ANNOUNCE_MS * self._rng.uniform(0.8, 1.2))
            self._agenda.later(again_ms, lambda: self._announce(device, boots))

    def _be_seen(self, device: Device) -> None:
        for name in sorted(device.peers):
            other = self._devices[name]
            if self._reaches(device.name, name) and self._rng.random() >= self.weather.loss:
                wait_ms = self._rng.randint(0, 1_000)
                seen = PeerSeen(Peer(device.name), device.running.announce_hint())
                self._agenda.later(wait_ms, partial(self._tell, other, seen))

    def _tell(self, device: Device, happened: Input) -> None:
        if device.replica is not None:
            self._handle(device, happened)

    # ── frames ──────────────────────────────────────────────────────────────────────

    def _shared_key(self, device: Device, peer: Peer) -> bytes | None:
        """Return the newest key that both ends hold, or None.

        A link proves itself by signatures, so members talk across a rotation; a frame needs a
        key that its reader has.
        """
        other = self._devices[peer].replica
        held = other.ring.keys if other is not None else ()
        return next((key for key in device.running.ring.keys if key in held), None)

    def ask(self, device: Device, peer: Peer, exchange: int, frame: bytes) -> None:
        """Send a request, and give it up after a while."""
        device.open[exchange] = peer
        boots = device.boots

        def give_up() -> None:
            if device.boots == boots and device.open.pop(exchange, None) is not None:
                self._tell(device, AskFailed(peer, exchange, "timeout"))

        self._agenda.later(TIMEOUT_MS, give_up)
        self._send(device, peer, frame)

    def _reaches(self, src: str, dst: str) -> bool:
        if dst not in self._devices[src].peers:
            return False
        groups = self._group_of
        return groups is None or groups.get(src, 0) == groups.get(dst, 0)

    def _send(self, device: Device, peer: Peer, frame: bytes) -> None:
        src = device.name
        if not self._reaches(src, peer):
            return
        if not device.is_hostile and self._devices[peer].replica is not None:
            self.bytes_sent += len(frame)
            self.messages_sent += 1
        self.heard.append((peer, frame))
        weather, luck = self.weather, self._rng
        copies = 1
        if luck.random() < weather.duplication:
            self._trace.fault("duplication", src)
            copies = 2
        for _ in range(copies):
            if luck.random() < weather.loss:
                self._trace.fault("loss", src)
                continue
            carried = frame
            if luck.random() < weather.corruption:
                self._trace.fault("corruption", src)
                carried = flipped(frame, luck)
            delay_ms_max = DELAY_MS_MAX
            if luck.random() < weather.reordering:
                self._trace.fault("reordering", src)
                delay_ms_max = OVERTAKING_MS_MAX
            if luck.random() < weather.delay:
                self._trace.fault("delay", src)
                delay_ms_max = SLOW_MS_MAX
            self._later_arrive(src, peer, carried, delay_ms_max)

    def _later_arrive(self, src: str, dst: str, frame: bytes, delay_ms_max: int) -> None:
        wait_ms = self._rng.randint(1, delay_ms_max)
        self._agenda.later(wait_ms, lambda: self._arrive(Peer(src), self._devices[dst], frame))

    def _arrive(self, src: Peer, device: Device, data: bytes) -> None:
        if device.replica is None:
            return
        gate = device.replica.gate()
        frame = decode_frame(gate, data)
        if frame is None:
            return
        self._trace.note(device.name, "hears", src, chr(frame.kind), len(data))
        if frame.kind == ANSWER:
            if device.open.get(frame.exchange) == src:
                del device.open[frame.exchange]
                self._handle(device, Answered(src, frame.exchange, frame.bundle))
            return
        token = next(self._tickets)
        gate.ring.prove(src, frame.key)
        device.asked[token] = (src, frame.exchange, frame.key)
        self._handle(device, Asked(src, token, frame.bundle))


def flipped(data: bytes, luck: random.Random) -> bytes:
    """Return ``data`` with one bit flipped."""
    bit = luck.randrange(len(data) * 8)
    changed = data[bit // 8] ^ 1 << bit % 8
    return data[: bit // 8] + bytes((changed,)) + data[bit // 8 + 1 :]
