"""A seeded world in virtual time: real replicas, real stores, real bytes, no real waiting.

Everything that happens follows from the seed: weather, delays, keys and incarnations.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from meshlog.core.event import Event
from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.ports.links import Answered, Asked, AskFailed, Peer, PeerSeen
from meshlog.replica import Replica, found, join
from meshlog.sim.agenda import Action, Agenda
from meshlog.store.sqlite import SqliteStore
from meshlog.sync.effects import Answer, Ask, Changed, Effect, Input, Poke, Shout, WakeAt, Woke
from meshlog.sync.frame import ANSWER, ASK, decode_frame, encode_frame
from meshlog.sync.policy import Policy

TIMEOUT_MS = 30_000
ANNOUNCE_MS = 120_000


@dataclass(frozen=True, slots=True)
class Weather:
    """What the air does to messages; probabilities per message."""

    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    """One flipped bit; the frame's MAC shows it."""
    delay_ms_max: int = 200
    """Messages overtake each other within it."""


@dataclass(slots=True)
class SimNode:
    """A device of the world: what it keeps over a restart, and what runs on it."""

    name: str
    identity: Identity
    store: SqliteStore
    replica: Replica
    skew_ms: int = 0
    """How far its wall clock is ahead of the world's."""
    wake_ms: int | None = None
    open: dict[int, Peer] = field(default_factory=dict)
    asked: dict[int, tuple[Peer, int, bytes]] = field(default_factory=dict)


class World:
    """Devices, the air between them, and time.

    Example:
        >>> world = World(seed=1, names=["base", "team"])
        >>> _ = world.write("team", "note.add", {"record_id": "R-1", "text": "bridge is out"})
        >>> world.run(60_000)
        >>> world.agrees(), world.view("base")["R-1"]["notes"]
        (True, ['bridge is out'])
    """

    def __init__(self, seed: int, names: Iterable[str], weather: Weather | None = None) -> None:
        """Found a dataset on the first device and let the others join with an invite.

        Args:
            seed: Decides everything.
            names: Names of the devices, the first one founds.
            weather: What the air does; changeable at any time.
        """
        self.rng = random.Random(seed)
        self.weather = weather or Weather()
        self.nodes: dict[str, SimNode] = {}
        self.islands: list[frozenset[str]] | None = None
        """Groups within which devices reach each other; None is one group of all."""
        self.bytes_sent = 0
        self.messages_sent = 0
        self.faults: Counter[str] = Counter()
        self._ticket = count()
        self._agenda = Agenda()
        for name in names:
            self._add(name)
        self._announce()

    @property
    def now_ms(self) -> int:
        """Wall time of the world, milliseconds since 1970."""
        return self._agenda.now_ms

    # ── what a test or a scenario does ──────────────────────────────────────────────

    def write(self, name: str, kind: str, payload: Mapping[str, Any]) -> Event:
        """Let a device append an event."""
        node = self.nodes[name]
        event = node.replica.append(kind, payload, self._clock(node))
        self._handle(node, Changed())
        return event

    def part(self, islands: Iterable[Iterable[str]] | None) -> None:
        """Split the air into islands, or join all with None; who meets hears announces."""
        self.islands = None if islands is None else [frozenset(island) for island in islands]
        self._meet()

    def restart(self, name: str) -> None:
        """Stop a device and start it again over the same store; its memory is gone."""
        node = self.nodes[name]
        node.open.clear()
        node.asked.clear()
        node.replica = self._replica(name, node.store, node.identity, self._clock(node))
        self.faults["restart"] += 1
        self._meet()

    def run(self, for_ms: int) -> None:
        """Let ``for_ms`` of virtual time pass."""
        self._agenda.run(for_ms)

    def poke(self) -> None:
        """Let every device ask everyone it knows now."""
        for node in self.nodes.values():
            self._handle(node, Poke())

    def view(self, name: str) -> dict[str, dict[str, Any]]:
        """Return a device's view."""
        return self.nodes[name].replica.view.snapshot()

    def agrees(self) -> bool:
        """Say whether all devices hold the same events."""
        return len({node.replica.root() for node in self.nodes.values()}) == 1

    def close(self) -> None:
        """Release every store."""
        for node in self.nodes.values():
            node.store.close()

    # ── inside ──────────────────────────────────────────────────────────────────────

    def _add(self, name: str) -> None:
        identity, store = Identity(self.rng.randbytes(64)), SqliteStore()
        if self.nodes:
            founder = next(iter(self.nodes.values()))
            join(store, identity, name, founder.replica.invite(Role.WRITER))
        else:
            found(store, identity, name, "world", self.now_ms, self.rng)
        replica = self._replica(name, store, identity, self.now_ms)
        self.nodes[name] = SimNode(name, identity, store, replica)

    def _replica(self, name: str, store: SqliteStore, identity: Identity, now_ms: int) -> Replica:
        policy = Policy(retry_ms=5_000, retry_ms_max=60_000)
        replica = Replica(store, identity, now_ms, self.rng, policy)
        replica.engine.name = Peer(name)
        return replica

    def _clock(self, node: SimNode) -> int:
        return self.now_ms + node.skew_ms

    def _later(self, wait_ms: int, action: Action) -> None:
        self._agenda.later(wait_ms, action)

    def _reaches(self, one: str, other: str) -> bool:
        return self.islands is None or any(
            one in island and other in island for island in self.islands
        )

    def _announce(self) -> None:
        self._meet()
        self._later(ANNOUNCE_MS, self._announce)

    def _meet(self) -> None:
        for one in self.nodes.values():
            for other in self.nodes.values():
                if (
                    one is not other
                    and self._reaches(one.name, other.name)
                    and self.rng.random() >= self.weather.loss
                ):
                    self._later(self.rng.randint(0, 1_000), self._seeing(one, other))

    def _seeing(self, one: SimNode, other: SimNode) -> Action:
        return lambda: self._handle(one, PeerSeen(Peer(other.name), b""))

    def _handle(self, node: SimNode, happened: Input) -> None:
        for effect in node.replica.handle(happened, self._clock(node)):
            self._carry_out(node, effect)

    def _carry_out(self, node: SimNode, effect: Effect) -> None:
        gate = node.replica.gate()
        match effect:
            case Ask(peer, exchange, request):
                node.open[exchange] = peer
                self._later(TIMEOUT_MS, lambda: self._time_out(node, peer, exchange))
                self._send(node, peer, encode_frame(gate, ASK, exchange, request))
            case Answer(token, answer):
                peer, exchange, key = node.asked.pop(token)
                self._send(node, peer, encode_frame(gate, ANSWER, exchange, answer, key))
            case Shout():
                pass  # this world has links only; sim.radio has the air
            case WakeAt(when_ms):
                self._wake_at(node, when_ms)

    def _wake_at(self, node: SimNode, when_ms: int) -> None:
        node.wake_ms = when_ms

        def wake() -> None:
            if node.wake_ms == when_ms:
                self._handle(node, Woke())

        self._later(max(when_ms - self._clock(node), 0), wake)

    def _time_out(self, node: SimNode, peer: Peer, exchange: int) -> None:
        if node.open.pop(exchange, None) is not None:
            self._handle(node, AskFailed(peer, exchange, "timeout"))

    def _send(self, node: SimNode, peer: Peer, frame: bytes) -> None:
        self.bytes_sent += len(frame)
        self.messages_sent += 1
        copies = 1 + self._strikes("duplication", self.weather.duplication)
        for _ in range(copies):
            if not self._reaches(node.name, peer) or self._strikes("loss", self.weather.loss):
                continue
            carried = frame
            if self._strikes("corruption", self.weather.corruption):
                bit = self.rng.randrange(len(frame) * 8)
                flipped = frame[bit // 8] ^ 1 << bit % 8
                carried = frame[: bit // 8] + bytes((flipped,)) + frame[bit // 8 + 1 :]
            self._later(
                self.rng.randint(1, max(self.weather.delay_ms_max, 1)),
                self._arrival(node.name, peer, carried),
            )

    def _strikes(self, fault: str, probability: float) -> bool:
        struck = self.rng.random() < probability
        self.faults[fault] += struck
        return struck

    def _arrival(self, src: str, dst: str, frame: bytes) -> Action:
        return lambda: self._arrive(Peer(src), self.nodes[dst], frame)

    def _arrive(self, src: Peer, node: SimNode, data: bytes) -> None:
        gate = node.replica.gate()
        frame = decode_frame(gate, data)
        if frame is None:
            return
        if frame.kind == ANSWER:
            if node.open.get(frame.exchange) == src:
                del node.open[frame.exchange]
                gate.ring.prove(src, frame.key)
                self._handle(node, Answered(src, frame.exchange, frame.bundle))
            return
        gate.ring.prove(src, frame.key)
        token = next(self._ticket)
        node.asked[token] = (src, frame.exchange, frame.key)
        self._handle(node, Asked(src, token, frame.bundle))
