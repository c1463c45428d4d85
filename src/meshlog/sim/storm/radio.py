"""The broadcast lane of a storm: the same devices on simulated LoRa radios, links and all."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial

from meshlog.core.air import PACKET_SIZE_MAX, LoRa
from meshlog.ports.links import LinkEvent, Medium, Peer
from meshlog.sim.agenda import Agenda
from meshlog.sim.labels import Labels
from meshlog.sim.linklane import LinkLane
from meshlog.sim.radio import Air, Station
from meshlog.sim.radio import Weather as AirWeather
from meshlog.sim.reach import heard_if
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.ether import SNIFFED_MAX, Weather
from meshlog.sim.storm.trace import Trace
from meshlog.sync.effects import Answer, Ask, Effect, Input, Shout
from meshlog.transport.pacing import ANNOUNCE_REST_S

OUTSIDER = "outsider"
JITTER_MS = 60_000
OUTSIDER_OVERHEAD = 19
"""Bytes of a Reticulum packet around what it carries."""


class RadioEther:
    """See ether.Ether. Duplication and delays come by themselves here; reordering has no place."""

    def __init__(
        self,
        agenda: Agenda,
        rng: random.Random,
        trace: Trace,
        devices: dict[str, Device],
        handle: Callable[[Device, Input], None],
    ) -> None:
        """Carry between ``devices``; whatever arrives goes to ``handle``."""
        self.heard: deque[tuple[str, bytes]] = deque(maxlen=SNIFFED_MAX)
        self._agenda = agenda
        self._rng = rng
        self._trace = trace
        self._devices = devices
        self._handle = handle
        self._lora = LoRa(sf=rng.choice((7, 8, 9)))
        self._group_of: dict[str, int] | None = None
        self._lanes: dict[str, LinkLane] = {}
        self._labels: dict[str, Labels] = {}
        self._told: dict[str, int] = {}
        reach = heard_if(lambda src, dst, _now_ms: self._reaches(src, dst))
        self.air = Air(agenda, random.Random(rng.getrandbits(64)), self._lora, reach)
        self._outsider = self.air.station(OUTSIDER)
        self._outsider.on_packet = lambda src, packet: self.heard.append((src, packet))

    @property
    def weather(self) -> Weather:
        """What happens to receptions."""
        return Weather(loss=self.air.weather.loss, corruption=self.air.weather.corruption)

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self.air.weather = AirWeather(loss=weather.loss, corruption=weather.corruption)

    @property
    def bytes_sent(self) -> int:
        """See Ether.bytes_sent."""
        return sum(self.air.bytes_on_air.values()) - self.air.bytes_on_air[OUTSIDER]

    @property
    def messages_sent(self) -> int:
        """See Ether.messages_sent; announces and beacons are none."""
        counts = self.air.packets_on_air
        return sum(n for what, n in counts.items() if what not in (OUTSIDER, "announce", "beacon"))

    # ── see Ether ───────────────────────────────────────────────────────────────────

    def switch_on(self, device: Device) -> None:
        """See Ether.switch_on."""
        replica, boots = device.running, device.boots
        self._labels[device.name] = Labels(replica.dataset, replica.ring)

        def deliver(happened: LinkEvent) -> None:
            self._agenda.later(0, partial(self._hear, device, boots, happened))

        lane = self._lanes[device.name] = LinkLane(
            self._station(device),
            self._agenda,
            self._lora,
            random.Random(self._rng.getrandbits(64)),
            gate=replica.gate(),
            hint=replica.announce_hint,
            deliver=deliver,
        )
        first_ms = self._rng.randrange(JITTER_MS)
        self._agenda.later(first_ms, lambda: self._announce(device, lane))
        self._handle(device, Medium(self._lora.bit_rate_bps))

    def switch_off(self, device: Device) -> None:
        """See Ether.switch_off. An enemy does not come back: nobody waits for it."""
        lane = self._lanes.pop(device.name, None)
        if lane is not None:
            lane.close()
            self.air.stations[device.name].clear()
        if lane is not None and device.is_hostile:
            for other in self._lanes.values():
                other.lose(Peer(device.name))

    def carry_out(self, device: Device, effect: Effect) -> None:
        """See Ether.carry_out."""
        lane = self._lanes.get(device.name)
        if lane is None:
            return
        match effect:
            case Ask(peer, exchange, request):
                lane.ask(peer, exchange, request)
            case Answer(token, answer):
                lane.answer(token, answer)
            case Shout(packet):
                lane.shout(packet, self._labels[device.name].of(packet))

    def part(self, group_of: dict[str, int] | None) -> None:
        """See Ether.part."""
        self._group_of = group_of

    def calm(self) -> None:
        """See Ether.calm."""
        self.air.weather = AirWeather()

    def inject(self, dst: str, packet: bytes) -> None:
        """See Ether.inject; everybody in range hears it."""
        del dst
        size_bytes = min(len(packet) + OUTSIDER_OVERHEAD, PACKET_SIZE_MAX)
        self._outsider.send(packet, size_bytes, OUTSIDER)

    # ── inside ──────────────────────────────────────────────────────────────────────

    def _station(self, device: Device) -> Station:
        known = self.air.stations.get(device.name)
        return known or self.air.station(device.name)

    def _reaches(self, src: str, dst: str) -> bool:
        if OUTSIDER in (src, dst):
            return True
        groups = self._group_of
        return groups is None or groups.get(src, 0) == groups.get(dst, 0)

    def _hear(self, device: Device, boots: int, happened: LinkEvent) -> None:
        if device.boots != boots:
            return
        self._trace.note(device.name, "hears", type(happened).__name__)
        self._count_faults()
        self._handle(device, happened)

    def _count_faults(self) -> None:
        """Take over what befell receptions since the last look."""
        for cause, count in self.air.faults.items():
            new = count - self._told.get(cause, 0)
            if new:
                self._told[cause] = count
                self._trace.faults[cause] += new

    def _announce(self, device: Device, lane: LinkLane) -> None:
        if self._lanes.get(device.name) is lane:
            lane.announce()
            again_ms = int(ANNOUNCE_REST_S * 1_000 * self._rng.uniform(0.9, 1.1))
            self._agenda.later(again_ms, lambda: self._announce(device, lane))
