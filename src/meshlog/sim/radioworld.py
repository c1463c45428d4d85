"""Replicas on simulated radios: real stores, real bytes, virtual time.

The replica's effects go on the air, what is heard comes in as its inputs; nothing else is here
but what a device does by habit: it announces itself, sleeps until it is woken, and is restarted.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from meshlog.core.air import LoRa
from meshlog.core.event import Event
from meshlog.core.grant import Invite, Role
from meshlog.core.identity import Identity
from meshlog.ports.links import LinkEvent, Medium, Peer
from meshlog.replica import Replica, found, join
from meshlog.sim.agenda import Action, Agenda
from meshlog.sim.airlimit import AirLimit
from meshlog.sim.card import CardGuard
from meshlog.sim.labels import Labels
from meshlog.sim.linklane import LinkLane
from meshlog.sim.radio import Air, Station, Weather
from meshlog.sim.reach import Reach, everybody
from meshlog.store.sqlite import SqliteStore
from meshlog.sync.effects import Answer, Ask, Changed, Effect, Input, Shout, WakeAt, Woke
from meshlog.sync.policy import Policy
from meshlog.transport.pacing import ANNOUNCE_REST_S

SHOUT_SHARE = 0.7
"""Of a duty cycle, what the replica may spend on broadcasts. The station holds links and announces
to the rest, so that both together stay below it without knowing of each other. A choice."""

ANNOUNCE_JITTER_MS = 60_000
"""Within this after its start a device announces itself."""


@dataclass(slots=True)
class Device:
    """One device: what it keeps over a restart, and what runs on it."""

    name: str
    identity: Identity
    store: SqliteStore
    station: Station
    replica: Replica
    lane: LinkLane | None = None
    """None before the start."""
    skew_ms: int = 0
    """How far its wall clock is ahead of the world's."""
    wake_ms: int | None = None
    seen_position: int = 0
    """Up to where the world has looked at its events."""


class RadioWorld:
    """Devices, one LoRa channel, and time.

    Example:
        >>> world = RadioWorld(seed=1, lora=LoRa(sf=8))
        >>> world.add("base"), world.add("team")
        (None, None)
        >>> world.start()
        >>> _ = world.write("team", "note.add", {"record_id": "R-1", "text": "bridge is out"})
        >>> world.run(600_000)
        >>> world.agrees(), world.view("base")["R-1"]["notes"]
        (True, ['bridge is out'])
        >>> world.close()
    """

    def __init__(
        self,
        seed: int,
        lora: LoRa,
        *,
        duty_cycle: float = 1.0,
        reach: Reach = everybody,
        weather: Weather | None = None,
    ) -> None:
        """Begin without devices.

        Args:
            seed: Decides everything.
            lora: What all stations are set to.
            duty_cycle: Share of every hour that a device may transmit; 1.0 for no limit.
            reach: Who hears whom; ``air.reach`` may be replaced at any time.
            weather: What the air does; ``air.weather`` likewise.
        """
        self.rng = random.Random(seed)
        self.agenda = Agenda()
        self.lora = lora
        self.duty_cycle = duty_cycle
        self.air = Air(self.agenda, self._luck(), lora, reach, weather)
        self.devices: dict[str, Device] = {}
        self.known: set[bytes] = set()
        """Ids of all events that any device held when ``lacking`` looked."""
        self._labels: dict[str, Labels] = {}
        self._cards: tempfile.TemporaryDirectory[str] | None = None
        self._guards: dict[str, CardGuard] = {}

    # ── what a test or a scenario does ──────────────────────────────────────────────

    def add(
        self, name: str, *, skew_ms: int = 0, on_card: bool = False, invite: Invite | None = None
    ) -> None:
        """Add a device: the first founds the dataset, the others join with its invite.

        Args:
            name: Of the device and its station.
            skew_ms: How far its clock is ahead.
            on_card: Keep the store in a file, so that it can be cloned.
            invite: An older one, where it is not made now.
        """
        identity = Identity(self.rng.randbytes(64))
        if on_card:
            self._guards[name] = CardGuard()
        store = self._open_card(name) if on_card else SqliteStore()
        now_ms = self.now_ms + skew_ms
        if self.devices:
            founder = next(iter(self.devices.values())).replica
            join(store, identity, name, invite or founder.invite(Role.WRITER))
        else:
            found(store, identity, name, "radio world", now_ms, self.rng)
        self._seat(name, identity, store, skew_ms)

    def start(self) -> None:
        """Switch all devices on; they have met before and hold each other's control feeds."""
        self._acquaint()
        for device in self.devices.values():
            self._switch_on(device)

    def write(self, name: str, kind: str, payload: Mapping[str, Any]) -> Event:
        """Let a device append an event."""
        device = self.devices[name]
        event = device.replica.append(kind, payload, self._clock(device))
        self._handle(device, Changed())
        return event

    def write_many(
        self, name: str, items: Iterable[tuple[str, Mapping[str, Any]]]
    ) -> Sequence[Event]:
        """Let a device append events in one go, as an import does."""
        device = self.devices[name]
        events = device.replica.append_many(items, self._clock(device))
        self._handle(device, Changed())
        return events

    def rotate_key(self, name: str) -> Event:
        """Let a device rotate the dataset's key."""
        device = self.devices[name]
        event = device.replica.rotate_key(self._clock(device))
        self._handle(device, Changed())
        return event

    def restart(self, name: str) -> None:
        """Stop a device and start it again over the same store; its memory is gone."""
        device = self.devices[name]
        self._switch_off(device)
        device.replica = self._replica(device)
        self._switch_on(device)

    def clone(self, name: str, copy: str) -> None:
        """Copy a device's whole card while it is off; both go on as the same author and life.

        In a real cell both would answer to one Reticulum address; here each has its own.
        """
        device = self.devices[name]
        self._switch_off(device)
        device.store.close()
        shutil.copyfile(self._card(name), self._card(copy))
        self._guards[copy] = self._guards[name].image()
        device.store = self._open_card(name)
        device.replica = self._replica(device)
        self._seat(copy, device.identity, self._open_card(copy), device.skew_ms)
        self._switch_on(device)
        self._switch_on(self.devices[copy])

    def later(self, wait_ms: int, action: Action) -> None:
        """Plan an action of the caller's."""
        self.agenda.later(wait_ms, action)

    def run(self, for_ms: int) -> None:
        """Let ``for_ms`` of virtual time pass."""
        self.agenda.run(for_ms)

    def close(self) -> None:
        """Release every store."""
        for device in self.devices.values():
            device.store.close()
        if self._cards is not None:
            self._cards.cleanup()

    # ── what can be seen; looking changes nothing ───────────────────────────────────

    @property
    def now_ms(self) -> int:
        """Wall time of the world, milliseconds since 1970."""
        return self.agenda.now_ms

    def view(self, name: str) -> dict[str, dict[str, Any]]:
        """Return a device's view."""
        return self.devices[name].replica.view.snapshot()

    def agrees(self) -> bool:
        """Say whether all devices hold the same events."""
        return len({device.replica.ledger.root for device in self.devices.values()}) == 1

    def lacking(self) -> dict[str, int]:
        """Return how many of all events each device lacks.

        Cost: O(events that came since the last call).
        """
        for device in self.devices.values():
            for arrival in device.store.scan(device.seen_position):
                self.known.add(arrival.event.id)
                device.seen_position = arrival.position
        return {
            name: len(self.known) - device.store.event_count()
            for name, device in self.devices.items()
        }

    # ── inside ──────────────────────────────────────────────────────────────────────

    def _luck(self) -> random.Random:
        return random.Random(self.rng.getrandbits(64))

    def _card(self, name: str) -> Path:
        if self._cards is None:
            self._cards = tempfile.TemporaryDirectory(prefix="meshlog-sim-")
        return Path(self._cards.name) / f"{name}.db"

    def _open_card(self, name: str) -> SqliteStore:
        return SqliteStore(self._card(name), guard=self._guards[name])

    def _seat(self, name: str, identity: Identity, store: SqliteStore, skew_ms: int) -> None:
        limit = None
        if self.duty_cycle < 1:
            limit = AirLimit(self.duty_cycle * (1 - SHOUT_SHARE))
        station = self.air.station(name, limit)
        replica = self._opened(name, identity, store, self.now_ms + skew_ms)
        self.devices[name] = Device(name, identity, store, station, replica, skew_ms=skew_ms)

    def _replica(self, device: Device) -> Replica:
        return self._opened(device.name, device.identity, device.store, self._clock(device))

    def _opened(self, name: str, identity: Identity, store: SqliteStore, now_ms: int) -> Replica:
        share = self.duty_cycle * SHOUT_SHARE if self.duty_cycle < 1 else 1.0
        replica = Replica(store, identity, now_ms, self._luck(), Policy(duty_cycle=share))
        replica.engine.name = Peer(name)
        return replica

    def _acquaint(self) -> None:
        """Hand everybody's first events to everybody, as over the Wi-Fi of a base."""
        segments: list[bytes] = []
        for device in self.devices.values():
            device.replica.root()  # signs them
            for feed, heads in device.replica.frontier().items():
                for head in heads:
                    segments += device.replica.segments(feed, head, 0, 1_000_000)[0]
        for device in self.devices.values():
            device.replica.ingest(segments, self._clock(device))

    def _clock(self, device: Device) -> int:
        return self.now_ms + device.skew_ms

    def _switch_on(self, device: Device) -> None:
        replica = device.replica
        self._labels[device.name] = Labels(replica.dataset, replica.ring)
        lane = device.lane = LinkLane(
            device.station,
            self.agenda,
            self.lora,
            self._luck(),
            gate=replica.gate(),
            hint=replica.announce_hint,
            deliver=self._delivering(device),
        )
        first_ms = self.rng.randrange(ANNOUNCE_JITTER_MS)
        self.later(first_ms, lambda: self._announce(device, lane))
        self._handle(device, Medium(self.lora.bit_rate_bps))

    @staticmethod
    def _switch_off(device: Device) -> None:
        if device.lane is not None:
            device.lane.close()
        device.lane = None
        device.wake_ms = None
        device.station.clear()

    def _delivering(self, device: Device) -> Callable[[LinkEvent], None]:
        def deliver(happened: LinkEvent) -> None:
            lane = device.lane

            def handle() -> None:
                if device.lane is lane:
                    self._handle(device, happened)

            self.later(0, handle)  # in its turn: a replica handles one input at a time

        return deliver

    def _announce(self, device: Device, lane: LinkLane) -> None:
        if device.lane is lane:
            lane.announce()
            wait_ms = int(ANNOUNCE_REST_S * 1_000 * self.rng.uniform(0.9, 1.1))
            self.later(wait_ms, lambda: self._announce(device, lane))

    def _handle(self, device: Device, happened: Input) -> None:
        if device.lane is None:
            return  # switched off; what it wrote it says when it is on again
        for effect in device.replica.handle(happened, self._clock(device)):
            self._carry_out(device, device.lane, effect)

    def _carry_out(self, device: Device, lane: LinkLane, effect: Effect) -> None:
        match effect:
            case Ask(peer, exchange, request):
                lane.ask(peer, exchange, request)
            case Answer(token, answer):
                lane.answer(token, answer)
            case Shout(packet):
                lane.shout(packet, self._labels[device.name].of(packet))
            case WakeAt(when_ms):
                self._wake_at(device, lane, when_ms)
            case _:
                assert_never(effect)

    def _wake_at(self, device: Device, lane: LinkLane, when_ms: int) -> None:
        if device.wake_ms == when_ms:
            return
        device.wake_ms = when_ms

        def wake() -> None:
            if device.wake_ms == when_ms and device.lane is lane:
                device.wake_ms = None
                self._handle(device, Woke())

        self.later(max(when_ms - self._clock(device), 0), wake)
