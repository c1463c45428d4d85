"""Who wants the dataset ill: a member with a valid grant, and somebody without the key."""

from __future__ import annotations

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.ports.links import Asked, Peer
from meshlog.replica import join
from meshlog.sim.storm.card import Card
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.ether import flipped
from meshlog.sim.storm.forgery import Forger
from meshlog.sim.storm.lies import junk, lies
from meshlog.sim.storm.plan import RADIO
from meshlog.sim.storm.world import World
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX, AirKey
from meshlog.sync.bundle import encode_bundle
from meshlog.sync.effects import Answer, Ask, Effect, Input, Shout
from meshlog.sync.keyring import KeyRing
from meshlog.sync.messages import Message, Seg, encode_messages

HOSTILE = "enemy"
ATTACK_MS_MIN, ATTACK_MS_MAX = 60_000, 900_000
FLOOD = 20
"""Requests of one flood."""

OUTSIDER_MS_MIN, OUTSIDER_MS_MAX = 20_000, 600_000


class Hostile:
    """A member gone bad, or a stolen device: it has the key, a grant, and a real replica."""

    def __init__(self, world: World) -> None:
        """Join with an invite as a writer, or as an observer who writes all the same."""
        self._world = world
        luck = self._luck = world.plan.luck("hostile")
        identity, card = Identity(luck.randbytes(64)), Card()
        self._role = luck.choice((Role.WRITER, Role.WRITER, Role.OBSERVER))
        seat = join(card, identity, HOSTILE, world.invites[self._role])
        device = self._device = Device(HOSTILE, identity, card, is_hostile=True)
        device.mind = self.react
        near = luck.sample(sorted(world.devices), min(5, len(world.devices)))
        device.peers = set(near)
        for name in near:
            world.devices[name].peers.add(HOSTILE)
        world.devices[HOSTILE] = device
        world.book.hostile.add(identity.author)
        self._forger = Forger(identity, seat.dataset, seat.admission, self._role, world.book, luck)
        self._air = AirKey(seat.dataset, KeyRing((seat.key,)))
        self._exchange = 1 << 30

    def begin(self) -> None:
        """Start, and attack now and then until silenced."""
        self._world.agenda.later(0, lambda: self._world.boot(self._device))
        self._plan_next()

    def react(self, happened: Input, now_ms: int) -> list[Effect]:
        """Answer with lies as often as not; otherwise do what an honest replica does."""
        replica = self._device.running
        if isinstance(happened, Asked) and self._luck.random() < 0.5:
            return [Answer(happened.token, self._bundle(now_ms))]
        return replica.handle(happened, now_ms)

    # ── inside ──────────────────────────────────────────────────────────────────────

    def _plan_next(self) -> None:
        wait_ms = self._luck.randint(ATTACK_MS_MIN, ATTACK_MS_MAX)
        self._world.agenda.later(wait_ms, self._attack)

    def _attack(self) -> None:
        world, luck = self._world, self._luck
        if world.enemies_silent:
            return
        self._plan_next()
        if self._device.replica is None:
            return
        now_ms = world.now_ms
        times = FLOOD if luck.random() < 0.1 else 1
        for _ in range(times):
            world.trace.fault("hostile", HOSTILE)
            peer = Peer(luck.choice(sorted(self._device.peers)))
            if world.plan.lane == RADIO and luck.random() < 0.8:
                self._shout(now_ms)
                continue
            self._exchange += 1
            world.ether.carry_out(self._device, Ask(peer, self._exchange, self._bundle(now_ms)))

    def _shout(self, now_ms: int) -> None:
        messages = [*self._lies(), *map(Seg, self._segments(now_ms))]
        while len(encode_messages(messages)) > CARGO_SIZE_MAX:
            messages.pop()
        packet = self._air.seal(messages, self._luck.randbytes(2))
        self._world.ether.carry_out(self._device, Shout(packet))

    def _bundle(self, now_ms: int) -> bytes:
        luck = self._luck
        match luck.randrange(6):
            case 0:
                return junk(luck)
            case 1:
                return encode_bundle(self._lies())
        segments = [segment for _ in range(3) for segment in self._segments(now_ms)]
        return encode_bundle([*self._lies()[:1], *map(Seg, segments)])

    def _segments(self, now_ms: int) -> list[bytes]:
        victims = [feed for feed in self._feeds() if feed.author != self._device.identity.author]
        data = [feed for feed in victims if feed.kind is FeedKind.DATA]
        return self._forger.segments(now_ms, data)

    def _lies(self) -> list[Message]:
        replica = self._device.running
        feeds, root = self._feeds(), replica.ledger.root
        return lies(self._luck, feeds, replica.roster_digest(), root)

    def _feeds(self) -> list[FeedKey]:
        return sorted(self._device.running.frontier())


class Outsider:
    """Hears everything, sends anything, and does not hold the key."""

    def __init__(self, world: World) -> None:
        """Listen to the world's lane."""
        self._world = world
        self._luck = world.plan.luck("outsider")

    def begin(self) -> None:
        """Send now and then until silenced."""
        wait_ms = self._luck.randint(OUTSIDER_MS_MIN, OUTSIDER_MS_MAX)
        self._world.agenda.later(wait_ms, self._send)

    def _send(self) -> None:
        world, luck = self._world, self._luck
        if world.enemies_silent:
            return
        self.begin()
        world.trace.fault("outsider", "outsider")
        dst, packet = luck.choice(sorted(world.devices)), luck.randbytes(luck.randrange(1, 400))
        if world.ether.heard and luck.random() < 0.8:
            at, packet = luck.choice(world.ether.heard)
            dst = at if luck.random() < 0.7 else dst
            if luck.random() < 0.5:
                packet = flipped(packet, luck)
        world.ether.inject(dst, packet)
