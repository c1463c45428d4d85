"""One device of a storm: what it keeps, what runs on it, and what its clock shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from meshlog.core.identity import Identity
from meshlog.ports.links import Peer
from meshlog.replica import Replica
from meshlog.sim.card import CardGuard
from meshlog.sim.storm.card import Card
from meshlog.sim.storm.plan import EPOCH_MS
from meshlog.sync.effects import Effect, Input


@dataclass(slots=True)
class WallClock:
    """A clock that people set and crystals pull."""

    offset_ms: int = 0
    pace_ppm: int = 0
    """How fast it gains: 1,000,000 ppm would be a second each second."""

    def shows(self, world_ms: int) -> int:
        """Return what it shows, never before 1970."""
        gained_ms = (world_ms - EPOCH_MS) * self.pace_ppm // 1_000_000
        return max(world_ms + self.offset_ms + gained_ms, 0)

    def set_to(self, wall_ms: int, world_ms: int) -> None:
        """Let it show ``wall_ms`` now."""
        self.offset_ms += wall_ms - self.shows(world_ms)


@dataclass(slots=True)
class Device:
    """A device; ``replica`` is None while it is off."""

    name: str
    identity: Identity
    card: Card
    clock: WallClock = field(default_factory=WallClock)
    replica: Replica | None = None
    boots: int = 0
    """Starts so far; what an earlier life planned does nothing in a later one."""
    wake_ms: int | None = None
    is_hostile: bool = False
    mind: Callable[[Input, int], list[Effect]] | None = None
    """What reacts in the replica's place: a hostile member's own ideas."""
    peers: set[str] = field(default_factory=set)
    """Whom it could reach in clear air."""
    backup: tuple[bytes, CardGuard] | None = None
    """An image of the card taken some time ago, and of the guard beside the store."""
    floor: int = 0
    """Events that its card held when it last said so: a restart never shows fewer."""
    open: dict[int, Peer] = field(default_factory=dict)
    """Exchanges that wait for an answer."""
    asked: dict[int, tuple[Peer, int, bytes]] = field(default_factory=dict)
    """Requests that wait for ours."""

    def counted(self) -> int:
        """Return how many messages it counted since its start, of peers that it remembers."""
        engine = self.running.engine
        return engine.lane.counts.total() + sum(state.counts.total() for state in engine.peers)

    @property
    def running(self) -> Replica:
        """The replica of a device that is on."""
        assert self.replica is not None, f"{self.name} is on"
        return self.replica
