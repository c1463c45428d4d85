"""Replicas against a reference: sets of events, and the notes that count of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshlog.core.decrees import Mode
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.grant import Role, admit
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.core.identity import Identity
from meshlog.errors import InputError
from meshlog.replica import Replica, found, join, membership
from meshlog.sim.card import CardGuard
from meshlog.sim.storm.card import Card
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    holds_alike,
    identity,
    name_of,
    note,
    segs,
)

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

NAMES = ("ann", "bob", "cat")
PLACE = st.integers(0, 5)
"""A device, clones included; taken modulo how many there are."""

DEVICES_MAX = 5
DAY_MS = 86_400_000
ROUNDS_MAX = 4
"""Meetings until two agree: a meeting may show one that it is a copy, or ahead of its time."""


@dataclass
class Device:
    """A device, and the reference of what it holds: whatever was durable on its card."""

    who: Identity
    card: Card
    replica: Replica
    durable: set[bytes] = field(default_factory=set)
    offset_ms: int = 0
    backup: tuple[bytes, CardGuard, set[bytes]] | None = None

    def start(self, card: Card, now_ms: int, luck: Random) -> None:
        self.card = card
        self.replica = Replica(card, self.who, now_ms + self.offset_ms, luck)

    def held(self) -> dict[bytes, Event]:
        return {arrival.event.id: arrival.event for arrival in self.card.scan()}


class Teams(RuleBasedStateMachine):
    """A founder, two members and their clones, and a member whose feed forks."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = T0_MS
        self.texts = 0
        self.luck = Random("lives")
        self.kept: dict[bytes, tuple[bytes, set[bytes], list[tuple[FeedKey, Head]]]] = {}
        """Who was revoked: the event that says so, the events that count all the same, and, of a
        soft one, the heads of the cut: as long as one is not held, what stands before it counts."""
        self.devices: list[Device] = []
        for name in NAMES:
            card, who = Card(), identity(name)
            if name == "ann":
                found(card, who, name, "valley", T0_MS, Random("valley"))
            else:
                join(card, who, name, self.devices[0].replica.invite(Role.WRITER))
            self.devices.append(Device(who, card, Replica(card, who, T0_MS, Random(name))))
        for place in range(1, len(NAMES)):  # without the genesis nobody can say who belongs
            self._meet(self.devices[0], self.devices[place])
        self._let_dan_fork()

    def _let_dan_fork(self) -> None:
        base, who = self.devices[0].replica, identity("dan")
        invite = base.invite(Role.WRITER)
        proof = admit(invite.grant, invite.seed, who.author, base.dataset)
        dan = Stranger(who, base.dataset, more={"admission": proof})
        trunk = dan.run(range(4), word="trunk ")
        branch = dan.run([40, 41], trunk[1], "branch ")
        ahead = dan.run([DAY_MS], trunk[-1], "ahead ")
        self.handed = [dan.opening(), trunk, branch, ahead]

    def at(self, place: int) -> Device:
        return self.devices[place % len(self.devices)]

    # ── what happens ──

    @rule(place=PLACE, record=st.sampled_from("rs"))
    def write(self, place: int, record: str) -> None:
        device, self.texts = self.at(place), self.texts + 1
        now_ms = self.now_ms + device.offset_ms
        try:
            device.durable.add(note(device.replica, f"note {self.texts}", now_ms, record).id)
        except InputError:
            assert device.who.author in device.replica.ledger.decrees.removals

    @rule(place=PLACE, order=st.permutations(range(4)), twice=st.booleans())
    def hand_over(self, place: int, order: list[int], twice: bool) -> None:
        """A feed that forked, in any order, whole batches or one by one."""
        device = self.at(place)
        now_ms = self.now_ms + device.offset_ms
        runs: list[list[Event]] = [self.handed[place] for place in order]
        for run in runs if twice else ():
            device.replica.ingest(segs(run), now_ms)
        device.replica.ingest(segs(*runs), now_ms)
        device.durable |= {event.id for run in runs for event in run}

    @rule(one=PLACE, other=PLACE)
    def meet(self, one: int, other: int) -> None:
        a, b = self.at(one), self.at(other)
        if a.who is not b.who:  # twins meet through others
            self._meet(a, b)

    def _meet(self, a: Device, b: Device) -> None:
        for _ in range(ROUNDS_MAX):
            pump = Pump(a.replica, b.replica, now_ms=self.now_ms)
            pump.offsets_ms = {name_of(x.replica): x.offset_ms for x in (a, b)}
            pump.meet(a.replica, b.replica)
            self.now_ms = pump.now_ms
            if a.replica.root() == b.replica.root():
                break
        if not {a.who.author, b.who.author}.isdisjoint(self.kept):
            return  # who was revoked is told control events alone, if the other knows
        assert a.held().keys() == b.held().keys()
        assert a.replica.root() == b.replica.root()
        if a.replica.ledger.horizon_ms == b.replica.ledger.horizon_ms:
            assert holds_alike(a.replica, b.replica)
        for device in (a, b):
            device.durable |= device.held().keys()

    @rule(place=PLACE)
    def restart(self, place: int) -> None:
        self.at(place).start(self.at(place).card, self.now_ms, self.luck)

    @rule(place=PLACE, later_ms=st.integers(0, 2 * SKEW_MS_MAX))
    def wait(self, place: int, later_ms: int) -> None:
        self.now_ms += later_ms
        device = self.at(place)
        device.replica.advance_horizon(self.now_ms + device.offset_ms)

    @rule(
        place=PLACE, offset_ms=st.sampled_from((0, -DAY_MS, -60_000, 60_000, DAY_MS, 99 * DAY_MS))
    )
    def set_clock(self, place: int, offset_ms: int) -> None:
        self.at(place).offset_ms = offset_ms

    @rule(place=PLACE, whole=st.booleans())
    def clone(self, place: int, whole: bool) -> None:
        if len(self.devices) < DEVICES_MAX:
            one = self.at(place)
            card = Card(one.card.file.image(), one.card.guard.image() if whole else None)
            twin = Device(one.who, card, one.replica, set(one.durable), one.offset_ms)
            twin.start(card, self.now_ms, self.luck)
            assert whole or twin.replica.data_feed != one.replica.data_feed
            self.devices.append(twin)

    @rule(place=PLACE)
    def back_up(self, place: int) -> None:
        one = self.at(place)
        one.backup = one.card.file.image(), one.card.guard.image(), set(one.durable)

    @rule(place=PLACE, whole=st.booleans())
    def restore(self, place: int, whole: bool) -> None:
        """What was written since is gone from this card, and from this card only."""
        one = self.at(place)
        if one.backup is not None:
            image, guard, durable = one.backup
            card = Card(image, guard.image() if whole else one.card.guard)
            is_older = len(one.held()) > card.event_count()
            one.card.close()
            one.durable, life = set(durable), card.get_meta("incarnation")
            one.start(card, self.now_ms, self.luck)
            assert whole or not is_older or card.get_meta("incarnation") != life

    @rule(place=PLACE, mode=st.sampled_from(Mode))
    def revoke(self, place: int, mode: Mode) -> None:
        ann, author = self.devices[0], self.at(place).who.author
        replica = ann.replica
        if author in self.kept or author == ann.who.author:
            return
        if author not in replica.ledger.roster.members:
            return
        said = membership.revocation(
            replica.store, replica.ledger, author, mode, membership.Since()
        )
        held: set[bytes] = {e.id for e in ann.held().values() if e.author == author}
        decree = replica.decree("member.revoke", said, self.now_ms + ann.offset_ms)
        ann.durable.add(decree.id)
        heads = [
            (feed, head)
            for feed, heads in replica.frontier().items()
            if feed.author == author and mode is Mode.SOFT
            for head in heads
        ]
        self.kept[author] = decree.id, held, heads

    # ── what holds ──

    @invariant()
    def nothing_is_lost(self) -> None:
        for device in self.devices:
            assert device.held().keys() >= device.durable

    @invariant()
    def the_view_is_the_fold_and_shows_the_notes_that_count(self) -> None:
        for device in self.devices:
            assert holds_alike(device.replica)
            due, shown = self._due(device), self._shown(device)
            assert shown == due

    def _due(self, device: Device) -> list[str]:
        """The reference: held, not of the future, and before the cut where there is one."""
        held, ledger = device.held(), device.replica.ledger
        standings = ledger.standings(device.card)
        texts = []
        for event in held.values():
            decree, kept, heads = self.kept.get(event.author, (b"", set(), []))
            is_unproven = any(
                feed == event.feed and event.seq <= head.seq and head.id not in held
                for feed, head in heads
            )
            is_cut = decree in held and event.id not in kept and not is_unproven
            is_early = standings.stamp(event).wall_ms > ledger.horizon_ms
            content = event.content
            if event.feed.kind is FeedKind.DATA and content and not (is_cut or is_early):
                texts.append(str(content.payload["text"]))
        return sorted(texts)

    @staticmethod
    def _shown(device: Device) -> list[str]:
        return sorted(n for row in device.replica.view.snapshot().values() for n in row["notes"])

    def teardown(self) -> None:
        for device in self.devices:
            device.card.close()


TestTeams = Teams.TestCase
TestTeams.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
