"""Whatever a member says: nothing escapes a receive path, nothing moves but by valid events."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from random import Random

import pytest

from meshlog.core.event import Event
from meshlog.core.grant import Role
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.ports.links import Answered, Asked, LinkUp, Medium, Overheard, Peer, PeerSeen
from meshlog.replica import Replica
from meshlog.store import SqliteStore
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.effects import Answer, Ask, Effect, Shout
from meshlog.sync.messages import BUNDLE_SIZE_MAX
from tests.hostile.mallory import Mallory
from tests.hostile.swift import Swift
from tests.replica.devices import T0_MS, Pump, dump, founder, holds_alike, invited, note

PROVED = 10_000
PER_SEED = 500
SWIFT_PROVED = 100_000
SWIFT_NIGHTLY = 10_000_000
SWIFT_PER_SEED = 10_000
RATE_BPS = 5_468
"""Of LoRa at SF7, 125 kHz."""
ANSWER_SIZE_MAX = 64_000


def camp(seed: int) -> tuple[Replica, Mallory]:
    """A base that holds a little, and a member of it that turned."""
    base = founder()
    turned = invited(base, "mallory", Role.WRITER)
    note(base, "here")
    tip = note(turned, "trust me")
    Pump(base, turned, now_ms=T0_MS - 3_600_000).meet(base, turned)  # which takes an hour
    fields = [["depth", "int"], ["kind", "choice", {"options": ["a"]}]]
    base.put_form({"form": "well", "fields": fields}, T0_MS)
    assert base.store.get(tip.id)
    return base, Mallory(base, turned.identity, Random(seed), tip)


def state_of(replica: Replica) -> tuple[object, ...]:
    """What no refused message may change, as far as it is quick to tell."""
    ledger, store = replica.ledger, replica.store
    return (
        ledger.root, ledger.clock, ledger.roster, ledger.roster_digest, ledger.horizon_ms,
        store.event_count(), store.get_meta("clock"), store.get_meta("incarnation"),
    )  # fmt: skip


def own_chain(replica: Replica, tip: Event) -> Event:
    """Return the last event held of the feed of ``tip``: where the liar can go on."""
    heads = replica.frontier()[tip.feed]
    found = replica.store.get(heads[-1].id)
    assert found is not None
    return found.event


def hear(base: Replica, mallory: Mallory | Swift, air: AirKey, number: int) -> list[Effect]:
    """One hostile input through one of the doors."""
    rng = mallory.rng
    now_ms = T0_MS + number
    peer = Peer(mallory.who.author.hex())
    door = rng.random()
    if door < 0.6:
        return base.handle(Asked(peer, number, mallory.bundle()), now_ms)
    if door < 0.8:
        return base.handle(Overheard(mallory.packet(air)), now_ms)
    if door < 0.85:
        return base.handle(Overheard(rng.randbytes(rng.choice((0, 1, 20, 464, 465)))), now_ms)
    if door < 0.9:
        return base.handle(LinkUp(peer, rng.choice((1, 64, 16_384, 10**9))), now_ms)
    effects = base.handle(PeerSeen(peer, rng.randbytes(8)), now_ms)
    asks = [effect for effect in effects if isinstance(effect, Ask)]
    if not asks:
        return effects
    return base.handle(Answered(peer, asks[0].exchange, mallory.bundle()), now_ms)


def attack(seed: int, inputs: int) -> int:
    """Let one liar talk; return how many of its events were taken."""
    base, mallory = camp(seed)
    air = AirKey(base.dataset, base.ring)
    base.handle(Medium(RATE_BPS), T0_MS)  # else nothing is heard on the air
    base.root()
    first = base.event_count()
    for number in range(1, inputs + 1):
        base.advance_horizon(T0_MS + number)  # time's own doing
        before, before_count = state_of(base), base.event_count()
        effects = hear(base, mallory, air, number)
        if base.event_count() == before_count:
            assert state_of(base) == before, f"seed {seed}, input {number}: refused, yet it moved"
        else:
            mallory.tip = own_chain(base, mallory.tip)
        assert base.ledger.clock.wall_ms <= T0_MS + number + SKEW_MS_MAX
        check_sizes(effects)
        if number % 250 == 0:
            assert holds_alike(base), f"seed {seed}, input {number}: the view is not the fold"
    taken = base.event_count() - first
    base.store.close()
    return taken


def swift_attack(seed: int, inputs: int) -> int:
    """The same in a hurry: SQLite's own count of changed rows tells that none was touched."""
    base, mallory = camp(seed)
    swift, air = Swift(mallory), AirKey(base.dataset, base.ring)
    base.handle(Medium(RATE_BPS), T0_MS)
    base.root()
    first = base.event_count()
    for number in range(1, inputs + 1):
        base.advance_horizon(T0_MS + number)  # time's own doing
        before, before_count = moved(base), base.event_count()
        check_sizes(hear(base, swift, air, number), BUNDLE_SIZE_MAX)
        if base.event_count() == before_count:
            assert moved(base) == before, f"seed {seed}, input {number}: refused, yet it moved"
        else:
            mallory.tip = own_chain(base, mallory.tip)
    assert base.ledger.clock.wall_ms <= T0_MS + inputs + SKEW_MS_MAX
    assert holds_alike(base), f"seed {seed}: the view is not the fold"
    taken = base.event_count() - first
    base.store.close()
    return taken


def moved(replica: Replica) -> tuple[object, ...]:
    """What no refused message may change: all in memory that counts, and any row of the store."""
    ledger = replica.ledger
    return ledger.root, ledger.clock, id(ledger.roster), ledger.horizon_ms, rows_changed(replica)


def rows_changed(replica: Replica) -> int:
    assert isinstance(replica.store, SqliteStore)
    connection = replica.store._file._connection
    assert connection is not None
    return connection.total_changes


def check_sizes(effects: Iterable[Effect], answer_size_max: int = ANSWER_SIZE_MAX) -> None:
    for effect in effects:
        if isinstance(effect, Answer):
            assert len(effect.answer) <= answer_size_max
        if isinstance(effect, Shout):
            assert len(effect.packet) <= 464


def test_a_few_hundred_lies_change_nothing_but_by_valid_events():
    assert attack(1, 300) > 0, "a generator of which nothing is believed tests the first check only"


def test_a_refused_batch_leaves_every_byte_as_it_was():
    """The quick look of the other tests, once in full."""
    base, mallory = camp(2)
    base.root()
    refused = 0
    for number in range(1, 150):
        before, count = dump(base), base.event_count()
        base.ingest([mallory.segment()], T0_MS + number)
        if base.event_count() == count:
            assert dump(base) == before
            refused += 1
    assert refused > 50


def test_a_few_thousand_changed_lies_change_nothing_but_by_valid_events():
    assert swift_attack(1, 2_000) > 0


@pytest.mark.prove
@pytest.mark.timeout(3_600)
def test_ten_thousand_lies_of_a_member():
    """Each made from nothing. At night for twenty minutes, from the first seed on."""
    nightly = "MESHLOG_NIGHTLY" in os.environ
    until_s = time.monotonic() + (1_200 if nightly else 0)
    told = taken = 0
    for seed in count(0 if nightly else 100):
        taken += attack(seed, PER_SEED)
        told += PER_SEED
        if told >= PROVED and time.monotonic() >= until_s:
            break
    print(f"{told} hostile inputs, {taken} valid events among them")
    assert taken


@pytest.mark.prove
@pytest.mark.timeout(14_400)
def test_ten_million_changed_lies_of_a_member():
    """At night; a hundred thousand by day. Every core tells its own, seed by seed."""
    seeds = (SWIFT_NIGHTLY if "MESHLOG_NIGHTLY" in os.environ else SWIFT_PROVED) // SWIFT_PER_SEED
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        taken = sum(pool.map(partial(swift_attack, inputs=SWIFT_PER_SEED), range(seeds)))
    print(f"{seeds * SWIFT_PER_SEED} hostile inputs, {taken} valid events among them")
    assert taken
