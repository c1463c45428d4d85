"""One LoRa channel in virtual time: half duplex, collisions, carrier sense, loss.

Knows bytes, sizes and labels, nothing of what they mean. Why it is as it is, and what it leaves
out: docs/adr/0010-simulated-radio.md.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from meshlog.core.air import LoRa
from meshlog.sim.agenda import Agenda
from meshlog.sim.airlimit import AirLimit
from meshlog.sim.reach import Reach, everybody

QUEUE_SIZE_MAX = 6_144
"""Bytes that wait in a station, as in an RNode; one more packet is dropped and counted."""

CAPTURE_DB = 6.0
"""How much stronger a signal is received in spite of another. Source: Bor, Roedig, Voigt and
Alonso, "Do LoRa low-power wide-area networks scale?" (MSWiM 2016)."""

SLOT_SYMBOLS, SLOT_MS_MIN, SLOT_MS_MAX = 12, 24, 100
"""Length of a back-off slot: in symbols, within limits. Source: RNode's slots of 24-100 ms."""

SLOTS_BEFORE = 2
"""Slots of silence before the back-off of any transmission."""

SLOTS_MAX = 15
"""A back-off is one of this many slots; real RNodes take more on a busy channel."""

SENSE_SYMBOLS = 2
"""Symbols until a modem notices another's carrier. A guess; within them two may start."""


class Transmission(NamedTuple):
    """A packet on the air."""

    start_ms: int
    end_ms: int
    src: str
    size_bytes: int
    """Of the packet, as Reticulum counts; preamble and framing only show in the time."""
    label: str


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to a reception that nothing else spoils; probabilities."""

    loss: float = 0.0
    corruption: float = 0.0
    """One flipped bit that the modem's own checksum missed."""


class Queued(NamedTuple):
    """A packet that waits."""

    packet: bytes
    size_bytes: int
    label: str
    limited: bool


@dataclass(slots=True)
class _Reception:
    level_db: float
    sensed_ms: int
    spoiled: str = ""


class Air:
    """The channel: stations, what they hear of each other, and what was sent.

    Example:
        >>> agenda = Agenda()
        >>> air = Air(agenda, random.Random(1), LoRa(sf=8))
        >>> ann, bob = air.station("ann"), air.station("bob")
        >>> bob.on_packet = lambda src, packet: print(src, packet)
        >>> _ = ann.send(b"hello", 24, "note")
        >>> agenda.run(1_000)
        ann b'hello'
        >>> air.bytes_on_air["note"], ann.airtime_ms
        (24, 134)
    """

    def __init__(
        self,
        agenda: Agenda,
        rng: random.Random,
        lora: LoRa,
        reach: Reach = everybody,
        weather: Weather | None = None,
    ) -> None:
        """Start silent.

        Args:
            agenda: Time, shared with everything else in the world.
            rng: All the luck of the air.
            lora: The setting that all stations share.
            reach: Who hears whom; may be replaced at any time.
            weather: Likewise.
        """
        self.agenda = agenda
        self.rng = rng
        self.lora = lora
        self.reach = reach
        self.weather = weather or Weather()
        self.stations: dict[str, Station] = {}
        self.log: list[Transmission] = []
        self.bytes_on_air: Counter[str] = Counter()
        self.packets_on_air: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        """Receptions that failed, by cause, and packets that a full queue refused."""
        slot_ms = min(max(SLOT_SYMBOLS * lora.symbol_ms, SLOT_MS_MIN), SLOT_MS_MAX)
        self.slot_ms = math.ceil(slot_ms)
        self.sense_ms = math.ceil(SENSE_SYMBOLS * lora.symbol_ms)

    def station(self, name: str, limit: AirLimit | None = None) -> Station:
        """Return a new station; its name must be new."""
        assert name not in self.stations, "a station's name is its own"
        station = self.stations[name] = Station(name, self, limit)
        return station

    def hearers(self, src: str) -> list[tuple[Station, float]]:
        """Return who hears ``src`` now, and how strongly (dB)."""
        now_ms = self.agenda.now_ms
        levels = (
            (station, self.reach(src, name, now_ms))
            for name, station in self.stations.items()
            if name != src
        )
        return [(station, level) for station, level in levels if level is not None]

    def transmit(self, sender: Station, queued: Queued) -> None:
        """Put a packet on the air; it ends by itself."""
        start_ms = self.agenda.now_ms
        end_ms = start_ms + math.ceil(self.lora.airtime_ms(queued.size_bytes))
        sent = Transmission(start_ms, end_ms, sender.name, queued.size_bytes, queued.label)
        self.log.append(sent)
        self.bytes_on_air[sent.label] += sent.size_bytes
        self.packets_on_air[sent.label] += 1
        hearing = [
            (station, station.hear(level, start_ms + self.sense_ms))
            for station, level in self.hearers(sender.name)
        ]
        sender.begin(sent)
        self.agenda.at(end_ms, lambda: self._end(sender, queued.packet, hearing))

    def _end(
        self, sender: Station, packet: bytes, hearing: list[tuple[Station, _Reception]]
    ) -> None:
        for station, reception in hearing:
            station.heard(reception)
        sender.sending = False
        for station, reception in hearing:
            arrived = self._arrived(packet, reception)
            if arrived is not None:
                station.on_packet(sender.name, arrived)
        sender.plan()

    def _arrived(self, packet: bytes, reception: _Reception) -> bytes | None:
        if not reception.spoiled and self.rng.random() < self.weather.loss:
            reception.spoiled = "loss"
        if reception.spoiled:
            self.faults[reception.spoiled] += 1
            return None
        if packet and self.rng.random() < self.weather.corruption:
            self.faults["corruption"] += 1
            bit = self.rng.randrange(len(packet) * 8)
            flipped = packet[bit // 8] ^ 1 << bit % 8
            return packet[: bit // 8] + bytes((flipped,)) + packet[bit // 8 + 1 :]
        return packet


class Station:
    """A modem: a queue, a carrier detector, one packet at a time."""

    def __init__(self, name: str, air: Air, limit: AirLimit | None) -> None:
        """Belong to ``air``; use ``Air.station``."""
        self.name = name
        self.on_packet: Callable[[str, bytes], None] = lambda _src, _packet: None
        """Takes what is heard: who sent it, which a real modem does not know, and the bytes."""
        self.limit = limit
        """Holds back packets sent as limited until the hour's air allows them; None never."""
        self.sending = False
        self.airtime_ms = 0
        self.log: list[Transmission] = []
        self.dropped = 0
        """Packets refused: the queue was full, or the limit never allows so much at once."""
        self.waited_ms = 0
        """How long the limit kept the channel unused although packets waited."""
        self.queue_size_max = 0
        """The most bytes that ever waited."""
        self._air = air
        self._queue: deque[Queued] = deque()
        self._incoming: list[_Reception] = []
        self._slots_left: int | None = None
        self._counting_from_ms = 0
        self._plan = 0
        self._planned = False
        self._held_until_ms = 0

    def send(self, packet: bytes, size_on_air: int, label: str, *, limited: bool = True) -> bool:
        """Queue a packet; say whether there was room.

        Args:
            packet: What the hearers get.
            size_on_air: Bytes of the packet that it stands for; may differ from its own.
            label: What it is counted as.
            limited: Whether the station's limit may hold it back.
        """
        queued = Queued(packet, size_on_air, label, limited)
        waiting_bytes = self.queued_bytes + size_on_air
        if waiting_bytes > QUEUE_SIZE_MAX:
            return self._drop("queue full")
        if limited and self.limit and self._airtime_ms(queued) > self.limit.most_ms:
            return self._drop("longer than the limit")
        self.queue_size_max = max(self.queue_size_max, waiting_bytes)
        self._queue.append(queued)
        if self._planned and not limited and self._held_until_ms > self._air.agenda.now_ms:
            self._planned = False  # what waited for the limit does not hold this one back
        self.plan()
        return True

    def _drop(self, why: str) -> bool:
        self.dropped += 1
        self._air.faults[why] += 1
        return False

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait."""
        return sum(queued.size_bytes for queued in self._queue)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits and nothing is being sent."""
        return not self._queue and not self.sending

    def clear(self) -> None:
        """Forget what waits, as a modem without power does."""
        self._queue.clear()

    # ── carrier sense ───────────────────────────────────────────────────────────────

    def plan(self) -> None:
        """Start or go on to count slots down, unless there is a reason not to."""
        if self._planned or self.sending or self._incoming or not self._queue:
            return
        now_ms = self._air.agenda.now_ms
        from_ms = self._allowed_ms(now_ms)
        if from_ms > now_ms:
            self.waited_ms += max(from_ms - max(now_ms, self._held_until_ms), 0)
            self._held_until_ms = max(from_ms, self._held_until_ms)
        if self._slots_left is None:
            self._slots_left = self._air.rng.randrange(SLOTS_MAX)
        self._counting_from_ms = from_ms + SLOTS_BEFORE * self._air.slot_ms
        self._arm(self._counting_from_ms + self._slots_left * self._air.slot_ms)

    def _arm(self, when_ms: int) -> None:
        self._plan += 1
        self._planned = True
        plan = self._plan

        def fire() -> None:
            if plan == self._plan and self._planned:
                self._fire()

        self._air.agenda.at(when_ms, fire)

    def _stop_counting(self, since_ms: int) -> None:
        """Keep the slots that were left when a carrier came."""
        self._planned = False
        passed = (since_ms - self._counting_from_ms) // self._air.slot_ms
        self._slots_left = max((self._slots_left or 0) - max(passed, 0), 0)

    def _fire(self) -> None:
        now_ms = self._air.agenda.now_ms
        sensed = [one.sensed_ms for one in self._incoming if one.sensed_ms <= now_ms]
        if sensed:
            self._stop_counting(min(sensed))
            return
        self._planned = False
        queued = self._next(now_ms)
        if queued is None:
            self.plan()
            return
        self._queue.remove(queued)
        self._slots_left = None
        self._air.transmit(self, queued)

    # ── the limit ───────────────────────────────────────────────────────────────────

    def _airtime_ms(self, queued: Queued) -> int:
        return math.ceil(self._air.lora.airtime_ms(queued.size_bytes))

    def _next(self, now_ms: int) -> Queued | None:
        """Return the first packet that may go now."""
        held = False
        for queued in self._queue:
            if self.limit is None or not queued.limited:
                return queued
            held = held or self.limit.allows_ms(now_ms, self._airtime_ms(queued)) > now_ms
            if not held:
                return queued
        return None

    def _allowed_ms(self, now_ms: int) -> int:
        """Return when the first packet that may go, may go."""
        if self.limit is None or any(not queued.limited for queued in self._queue):
            return now_ms
        return self.limit.allows_ms(now_ms, self._airtime_ms(self._queue[0]))

    # ── what the air does ───────────────────────────────────────────────────────────

    def begin(self, sent: Transmission) -> None:
        """Be deaf while sending."""
        self.sending = True
        self.airtime_ms += sent.end_ms - sent.start_ms
        self.log.append(sent)
        if self.limit is not None:
            self.limit.note(sent.start_ms, sent.end_ms)
        for reception in self._incoming:
            reception.spoiled = "half duplex"

    def hear(self, level_db: float, sensed_ms: int) -> _Reception:
        """Begin to receive; whoever is not clearly the strongest is spoiled."""
        new = _Reception(level_db, sensed_ms, "half duplex" if self.sending else "")
        for other in self._incoming:
            if level_db < other.level_db + CAPTURE_DB:
                new.spoiled = new.spoiled or "collision"
            if other.level_db < level_db + CAPTURE_DB:
                other.spoiled = other.spoiled or "collision"
        self._incoming.append(new)
        return new

    def heard(self, reception: _Reception) -> None:
        """End a reception, and count slots again if the channel is free."""
        if self._planned:
            self._stop_counting(min(one.sensed_ms for one in self._incoming))
        self._incoming = [one for one in self._incoming if one is not reception]
        if not self._incoming:
            self.plan()
