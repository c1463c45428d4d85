"""The world of a storm: devices, a lane between them, and time. All of it follows from the plan."""

from __future__ import annotations

import random
from collections.abc import Callable

from meshlog.core.grant import Invite, Role
from meshlog.core.identity import Identity
from meshlog.errors import InputError, StoreError
from meshlog.ports.links import Peer
from meshlog.replica import Replica, found, join
from meshlog.sim.agenda import Action, Agenda
from meshlog.sim.storm.book import Book
from meshlog.sim.storm.card import Card, PowerLostError
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.diskcard import DiskCard
from meshlog.sim.storm.ether import Ether, LinkEther
from meshlog.sim.storm.plan import DISK, EPOCH_MS, RADIO, Plan
from meshlog.sim.storm.radio import RadioEther
from meshlog.sim.storm.trace import Trace
from meshlog.sim.storm.writing import Items
from meshlog.sync.effects import Changed, Input, WakeAt, Woke
from meshlog.sync.policy import Policy

SETTLE_EVENTS = 16
"""Events brought into a view's rows at once: few, so that many are cut short."""

REST_MS = 5_000
"""How long a device rests after its disk refused, as a node does."""

OFF_MS_MAX = 1_800_000
"""Longest time without power."""

FULL_MESH_MAX = 6
"""Up to so many devices all hear each other; of more, each hears a few."""

ROLES = (Role.WRITER, Role.WRITER, Role.COORDINATOR, Role.WRITER, Role.OBSERVER, Role.RELAY)
"""What devices join as, over and over."""


class FailedError(Exception):
    """A check failed so badly that the storm cannot go on."""

    def __init__(self, check: str, sentence: str) -> None:
        super().__init__(f"{check}: {sentence}")
        self.check = check
        self.sentence = sentence


class World:
    """Devices under a plan. ``acts`` makes things happen to it, ``checks`` look at it."""

    def __init__(self, plan: Plan, tell: Callable[[str], None] | None = None) -> None:
        """Found a dataset and let every device join with an invite; all are off."""
        self.plan = plan
        self.agenda = Agenda(EPOCH_MS)
        self.trace = Trace(self.agenda, tell)
        self.book = Book()
        self.rng = plan.luck("world")
        self.devices: dict[str, Device] = {}
        self.invites: dict[Role, Invite] = {}
        """Invites that lie around: for whoever finds them."""
        self.events_written = 0
        self.encounters = 0
        self.healed = False
        self.enemies_silent = False
        self.after_write: Callable[[Device, Items], list[str]] = lambda _device, _items: []
        """Looks at a device that just wrote; says what does not hold."""
        self.after_hearing: Callable[[Device, Input, int], list[str]] = lambda *_: []
        """Looks at a device that just heard something, and how much it had counted before."""
        lane = RadioEther if plan.lane == RADIO else LinkEther
        self.ether: Ether = lane(
            self.agenda, plan.luck("air"), self.trace, self.devices, self.handle
        )
        self._seat_all()

    # ── looking ─────────────────────────────────────────────────────────────────────

    @property
    def now_ms(self) -> int:
        """Wall time of the world."""
        return self.agenda.now_ms

    def shows(self, device: Device) -> int:
        """Return what a device's clock shows."""
        return device.clock.shows(self.now_ms)

    @property
    def honest(self) -> list[Device]:
        """Devices that keep the rules."""
        return [device for device in self.devices.values() if not device.is_hostile]

    @property
    def staying(self) -> list[Device]:
        """Honest devices that nobody revoked: for them every promise holds."""
        return [device for device in self.honest if not self.is_out(device)]

    def is_out(self, device: Device) -> bool:
        """Say whether a device was revoked, it or the one that it is a copy of."""
        return device.identity.author in self.book.revoked

    def agrees(self) -> bool:
        """Say whether all staying devices are on and hold the same events."""
        replicas = [device.replica for device in self.staying]
        return None not in replicas and len({r.ledger.root for r in replicas if r}) == 1

    # ── what people do ──────────────────────────────────────────────────────────────

    def write(self, device: Device, mark: str, items: Items) -> None:
        """Let a device write in one go; ``mark`` is in every text of it."""
        if device.replica is None:
            return
        try:
            events = device.replica.append_many(items, self.shows(device))
        except StoreError as error:
            self.book.refused.add(mark)
            self.trace.note(device.name, "refused", mark, error)
        except InputError as error:
            self.trace.note(device.name, "may not", error)
        except PowerLostError:
            self.book.in_doubt.add(mark)
            self.lose_power(device)
        except Exception as error:
            raise escaped(device, "append", error) from error
        else:
            self.book.acknowledge(device.name, events)
            self.events_written += len(events)
            self.trace.note(device.name, "writes", mark, *(e.id.hex()[:8] for e in events))
            for sentence in self.after_write(device, items):
                raise FailedError("readback", sentence)
            self.handle(device, Changed())

    # ── what befalls devices ────────────────────────────────────────────────────────

    def boot(self, device: Device) -> None:
        """Start a device over its card."""
        if device.replica is not None or (self.healed and self.is_out(device)):
            return
        device.boots += 1
        device.wake_ms = None
        boots = device.boots
        try:
            device.replica = self._opened(device)
        except PowerLostError:
            self.lose_power(device)
            return
        except StoreError as error:
            self.trace.note(device.name, "cannot start", error)
            self.later(device, OFF_MS_MAX // 10, lambda: self._boot_again(device, boots))
            return
        except Exception as error:
            raise escaped(device, "start", error) from error
        count = device.running.event_count()
        if count < device.floor:
            raise FailedError(
                "durable", f"{device.name} held {device.floor} events and starts with {count}"
            )
        self.trace.note(device.name, "starts", count)
        self.ether.switch_on(device)
        self.handle(device, Woke())

    def lose_power(self, device: Device) -> None:
        """Forget everything in a device's memory; its card keeps what was committed."""
        self.trace.fault("crash", device.name, device.card.file.operations)
        self.stop(device)
        device.card = device.card.after_power_cut()
        wait_ms = self.rng.randint(1_000, OFF_MS_MAX)
        boots = device.boots
        self.agenda.later(wait_ms, lambda: self._boot_again(device, boots))

    def stop(self, device: Device) -> None:
        """Switch a device off."""
        if device.replica is not None:
            device.floor = max(device.floor, device.replica.event_count())
        self.ether.switch_off(device)
        device.replica = None

    def clone(self, device: Device, *, whole: bool) -> Device:
        """Run a copy of a card in another device, under the same identity.

        Args:
            device: Whose card.
            whole: Bit by bit, guard and all: then nothing tells the two apart. Otherwise the
                store alone.
        """
        self.trace.fault("clone", device.name)
        name = f"{device.name}+{len(self.devices)}"
        guard = device.card.guard.image() if whole else None
        copy = Device(name, device.identity, device.card.another(device.card.file.image(), guard))
        copy.clock.offset_ms = device.clock.offset_ms
        copy.peers = {device.name, *device.peers}
        for peer in copy.peers:
            self.devices[peer].peers.add(name)
        self.devices[name] = copy
        if whole:
            self.book.doubled.add(device.identity.author)
        if device.name in self.book.ahead:
            self.book.ahead.add(name)
        self.boot(copy)
        return copy

    def back_up(self, device: Device) -> None:
        """Keep an image of a device's card."""
        device.backup = device.card.file.image(), device.card.guard.image()
        self.trace.note(device.name, "backs up", len(device.backup[0]))

    def restore(self, device: Device, *, whole: bool) -> None:
        """Write an older image over a device's card, as people do after a fault.

        Args:
            device: Which has a backup.
            whole: Guard and all; otherwise the store alone, beside a guard that knows better.
        """
        if device.backup is None:
            return
        self.trace.fault("restore", device.name)
        self.stop(device)
        image, guard = device.backup
        old = device.card
        device.card = old.another(image, guard.image() if whole else old.guard)
        device.floor = 0
        leaving = self.book.leaving
        others = [one.card for one in self.honest if one.identity.author not in leaving]
        for arrival in old.scan():
            event_id = arrival.event.id
            if all(card.get(event_id) is None for card in others):
                self.book.forgiven.add(event_id)
        old.close()
        if whole:
            self.book.doubled.add(device.identity.author)
        self.boot(device)

    def set_clock(self, device: Device, wall_ms: int) -> None:
        """Set a device's clock; it notices at once, as a node that naps briefly does."""
        self.trace.fault("clock", device.name, wall_ms)
        device.clock.set_to(wall_ms, self.now_ms)
        self.handle(device, Woke())

    # ── running ─────────────────────────────────────────────────────────────────────

    def handle(self, device: Device, happened: Input) -> None:
        """Let a replica react, and carry out what it asks for."""
        if device.replica is None:
            return
        before = device.counted()
        try:
            react = device.mind or device.replica.handle
            effects = react(happened, self.shows(device))
            if isinstance(happened, Woke):  # as a node does while nothing else is to do
                device.replica.settle_some(SETTLE_EVENTS)
        except PowerLostError:
            self.lose_power(device)
            return
        except StoreError as error:
            self.trace.note(device.name, "disk says", error)
            self._wake_at(device, self.shows(device) + REST_MS)
            return
        except Exception as error:
            raise escaped(device, type(happened).__name__, error) from error
        for sentence in self.after_hearing(device, happened, before):
            raise FailedError("counted", sentence)
        for effect in effects:
            if isinstance(effect, WakeAt):
                self._wake_at(device, effect.when_ms)
            else:
                self.ether.carry_out(device, effect)

    def later(self, device: Device, wait_ms: int, action: Action) -> None:
        """Plan something that only this life of a device sees."""
        boots = device.boots

        def act() -> None:
            if device.boots == boots:
                action()

        self.agenda.later(wait_ms, act)

    def close(self) -> None:
        """Release every card."""
        for device in self.devices.values():
            device.card.close()

    # ── inside ──────────────────────────────────────────────────────────────────────

    def _boot_again(self, device: Device, boots: int) -> None:
        if device.boots == boots:
            self.boot(device)

    def _wake_at(self, device: Device, when_ms: int) -> None:
        device.wake_ms = when_ms

        def wake() -> None:
            if device.wake_ms == when_ms:
                device.wake_ms = None
                self.handle(device, Woke())

        self.later(device, when_ms - self.shows(device), wake)

    def _opened(self, device: Device) -> Replica:
        policy = Policy(retry_ms=5_000, retry_ms_max=60_000)
        luck = random.Random(self.rng.getrandbits(64))
        replica = Replica(device.card, device.identity, self.shows(device), luck, policy)
        replica.engine.name = Peer(device.name)
        return replica

    def _seat_all(self) -> None:
        founder: Replica | None = None
        for number in range(self.plan.nodes):
            name = f"n{number:02}"
            identity, card = Identity(self.rng.randbytes(64)), self._new_card(name)
            device = self.devices[name] = Device(name, identity, card)
            if founder is None:
                found(card, identity, name, "storm", self.now_ms, self.rng)
                founder = self._opened(device)
            else:
                role = ROLES[number % len(ROLES)]
                join(card, identity, name, founder.invite(role))
        assert founder is not None, "a storm has devices"
        self.invites = {role: founder.invite(role) for role in (Role.WRITER, Role.OBSERVER)}
        self._lay_out()

    def _new_card(self, name: str) -> Card:
        return DiskCard(self.plan.luck(f"disk {name}")) if self.plan.has(DISK) else Card()

    def _lay_out(self) -> None:
        """Say who could hear whom: all of a few, else a ring with chords."""
        names = list(self.devices)
        few = len(names) <= FULL_MESH_MAX
        for index, name in enumerate(names):
            near = names if few else [names[index - 1], self.rng.choice(names)]
            for other in near:
                if other != name:
                    self.devices[name].peers.add(other)
                    self.devices[other].peers.add(name)


def escaped(device: Device, where: str, error: Exception) -> FailedError:
    """Return the failure for an exception that came out of a replica."""
    return FailedError("escapes", f"{device.name}: {type(error).__name__} out of {where}: {error}")
