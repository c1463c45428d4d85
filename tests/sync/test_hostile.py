"""A peer that proved itself and then does what it likes: bounded, counted, never an exception."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId
from meshlog.ports.links import Answered, Asked, AskFailed, LinkDown, LinkUp, Peer, PeerSeen
from meshlog.replica import Replica
from meshlog.sync import hints, statements
from meshlog.sync import messages as wire
from meshlog.sync.bundle import encode_bundle
from meshlog.sync.effects import Answer, Ask, Input, Poke, Woke
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    ask,
    ask_bytes,
    dump,
    identity,
    open_replica,
    segs,
)
from tests.support.cost import lines_run
from tests.sync.test_messages import bundles

BOB = Stranger(identity("bob"))
NOWHERE = wire.Beacon(0, bytes(8), bytes(4), 0)


def well_read() -> Replica:
    """Return a replica with feeds, a fork, and events of its own."""
    ann = open_replica("ann")
    run = BOB.run(range(6))
    ann.ingest(segs(BOB.opening(), run, BOB.run([50, 51], run[2], "other")), T0_MS)
    ann.append_many([("note.add", {"record_id": "r", "text": "x"})] * 200, T0_MS)
    ann.root()
    return ann


# ── Whoever answers ──


def some_feeds(ann: Replica) -> list[FeedKey]:
    return [*ann.ledger.frontier, FeedKey(AuthorId(b"x" * 16), FeedKind.DATA, 1)]


def answers(ann: Replica) -> dict[str, Callable[[bytes], bytes]]:
    digest = ann.roster_digest()[:4]
    same = wire.Beacon(0, bytes(8), digest, 0)
    rng = Random(1)
    bogus = tuple(hints.Point(number + 1, bytes(8)) for number in range(1_024))
    everything = tuple(wire.Run(feed, 1, 2**32 - 1) for feed in some_feeds(ann) * 200)[:1_024]
    strangers = tuple(
        (
            FeedKey(AuthorId(rng.randbytes(16)), FeedKind.CONTROL, 1),
            (hints.HeadHint(9, b"aaaa"),),
        )
        for _ in range(2_000)
    )
    ahead = tuple((hints.HeadHint(2**32 - 1, b""),) for _ in range(20_000))
    cases: dict[str, list[wire.Message]] = {
        "nothing": [],
        "an endless sum": [same, wire.Sum(10**9, 10**12)],
        "another root for ever": [NOWHERE],
        "a huge want": [same, wire.Want(2**63 - 1, everything)],
        "a want without credit": [same, wire.Want(0, everything)],
        "bogus points": [same, *(statements.Loc(feed, bogus) for feed in some_feeds(ann))],
        "points of nothing": [same, *(statements.Loc(feed, ()) for feed in some_feeds(ann))],
        "feeds of strangers": [NOWHERE, statements.Ids(strangers)],
        "every feed far ahead": [same, statements.Vec(digest, hashed=False, feeds=ahead)],
        "every feed unknown": [same, statements.Vec(digest, hashed=False, feeds=())],
        "an empty statement of control": [NOWHERE, statements.Ids(())],
        "another roster": [same, statements.Vec(b"nope", hashed=True, feeds=())],
        "segments of noise": [same, *(wire.Seg(rng.randbytes(90)) for _ in range(200))],
    }
    return {name: lambda _, case=case: encode_bundle(case) for name, case in cases.items()}  # type: ignore[misc]


@pytest.mark.parametrize("name", [*answers(open_replica("ann")), "garbage", "an empty string"])
def test_a_malicious_responder_is_left_alone_soon(name: str):
    ann = well_read()
    rng = Random(2)
    cases = answers(ann) | {
        "garbage": lambda _: rng.randbytes(rng.randint(0, 400)),
        "an empty string": lambda _: b"",
    }
    before = dump(ann)
    pump = Pump(ann)
    peer = pump.impostor(cases[name])
    asks: list[int] = []

    cost = lines_run(lambda: asks.append(pump.ask_impostor(ann, peer)))

    state = ann.engine.peers.known(peer)
    assert asks[0] <= 10
    assert state is not None
    crossing = name == "another root for ever"  # what a peer says whose own sync is under way
    assert (state.session, state.failures) == (None, 0 if crossing else 1)
    assert state.due_ms is not None
    assert state.due_ms >= pump.now_ms + 5_000
    assert dump(ann) == before
    assert max(pump.sizes) <= 64_000
    assert cost < 100_000_000


def claiming(ann: Replica, accepted: int) -> Callable[[bytes], bytes]:
    beacon = wire.Beacon(0, bytes(8), ann.roster_digest()[:4], 0)
    empty = statements.Vec(ann.roster_digest()[:4], hashed=False, feeds=())
    return lambda _: encode_bundle([wire.Ack(beacon, accepted, 0), empty])


def test_a_responder_cannot_claim_more_than_it_was_offered():
    ann = well_read()
    pump = Pump(ann)

    asks = pump.ask_impostor(ann, pump.impostor(claiming(ann, 2**63 - 1)))

    assert asks <= 12


def test_a_responder_cannot_take_the_same_events_again_and_again():
    """Each round sends a batch: on a radio, hours of air."""
    ann = well_read()
    pump = Pump(ann)

    asks = pump.ask_impostor(ann, pump.impostor(claiming(ann, 1)))

    assert asks <= 30


# ── Whoever asks ──


def test_a_request_that_is_malformed_gets_an_empty_answer():
    ann = well_read()
    before = dump(ann)

    for bad in (b"", b"\x00", b"\x02\x01", b"\xff" * 100, b"\x01\x01"):
        assert ask_bytes(ann, bad) == b"\x01"

    state = ann.engine.peers.known(Peer("asker"))
    assert state is not None
    assert state.counts == {
        "truncated": 2,
        "unknown version": 1,
        "newer version": 2,
    }
    assert dump(ann) == before


def test_points_without_end_cost_little():
    ann = open_replica("ann")
    ann.append_many([("x", {})] * 3_000, T0_MS)
    points = tuple(hints.Point(number + 1, bytes(8)) for number in range(1_024))
    asked = [statements.Loc(ann.data_feed, points)] * wire.LOCATORS_MAX

    answer = ask(ann, *asked)

    assert sum(isinstance(message, statements.Loc) for message in answer) == 1
    assert lines_run(lambda: ask(ann, *asked)) < 2_000_000


@pytest.mark.parametrize("credit_bytes", [0, 1, 2**63 - 1])
def test_an_answer_stays_within_the_batch(credit_bytes: int):
    ann = well_read()
    runs = tuple(wire.Run(ann.data_feed, number + 1, 2**32 - 1) for number in range(200))

    answer = encode_bundle(ask(ann, wire.Want(credit_bytes, runs)))

    assert len(answer) <= 16_384 + 2_000


def test_a_want_for_nothing_is_answered_with_nothing():
    ann = well_read()
    feed = FeedKey(AuthorId(b"x" * 16), FeedKind.DATA, 1)
    runs = (
        wire.Run(feed, 1, 5),
        wire.Run(ann.data_feed, 10_000, 2**32 - 1),
        wire.Run(ann.data_feed, 0, 5),
    )

    assert ask(ann, wire.Want(2**20, runs)) == []


def test_unknown_feeds_by_the_thousand_want_no_more_than_a_bundle_takes():
    ann = well_read()
    feeds = tuple(
        (
            FeedKey(AuthorId(number.to_bytes(16, "big")), FeedKind.CONTROL, 1),
            (hints.HeadHint(1, b"a" * 4),),
        )
        for number in range(20_000)
    )

    answer = ask_bytes(ann, encode_bundle([statements.Ids(feeds)]))

    assert len(answer) < 64_000


fuzzed = well_read()
inputs: st.SearchStrategy[Input] = st.one_of(
    st.builds(Asked, st.just(Peer("p")), st.integers(0, 9), bundles.map(encode_bundle)),
    st.builds(Asked, st.just(Peer("p")), st.integers(0, 9), st.binary(max_size=80)),
    st.builds(AskFailed, st.just(Peer("p")), st.integers(0, 9), st.just("timeout")),
    st.builds(LinkUp, st.just(Peer("p")), st.integers(1, 10**6)),
    st.builds(LinkDown, st.just(Peer("p"))),
    st.builds(PeerSeen, st.just(Peer("p")), st.binary(max_size=9)),
    st.just(Poke()),
    st.just(Woke()),
)


def familiar(bundle: list[wire.Message], ann: Replica, rng: Random) -> list[wire.Message]:
    """Return a bundle about feeds that the replica holds: structure-aware."""
    feeds, digest = some_feeds(ann), ann.roster_digest()[:4]
    known: list[wire.Message] = []
    for message in bundle:
        match message:
            case statements.Vec():
                known.append(statements.Vec(digest, message.hashed, message.feeds))
            case statements.Loc():
                known.append(statements.Loc(rng.choice(feeds), near(ann, message.points, rng)))
            case wire.Want():
                runs = tuple(run._replace(feed=rng.choice(feeds)) for run in message.runs)
                known.append(wire.Want(message.credit_bytes, runs))
            case wire.Beacon():
                known.append(wire.Beacon(message.time_s, message.root_hint, digest, 5))
            case _:
                known.append(message)
    return known


def near(ann: Replica, points: Sequence[hints.Point], rng: Random) -> tuple[hints.Point, ...]:
    """Return points at seqs and with hints that are held, some of them."""
    (head,) = ann.ledger.frontier[ann.data_feed]
    return tuple(
        hints.Point(rng.randint(0, 9), rng.choice([head.id[:8], point.hint])) for point in points
    )


@settings(max_examples=150)
@given(bundles, st.integers(0, 2**32), st.lists(inputs, max_size=4))
def test_no_bundle_raises_or_changes_what_is_held(
    bundle: list[wire.Message], seed: int, more: list[Input]
):
    before = dump(fuzzed)
    asked = familiar(bundle, fuzzed, Random(seed))

    for happened in [Asked(Peer("p"), 1, encode_bundle(asked)), *more]:
        effects = fuzzed.handle(happened, T0_MS)
        for effect in effects:
            if isinstance(effect, Ask):
                answer = encode_bundle(asked)
                effects += fuzzed.handle(Answered(effect.peer, effect.exchange, answer), T0_MS)
        assert all(len(effect.answer) < 100_000 for effect in effects if isinstance(effect, Answer))

    assert dump(fuzzed) == before


def test_counters_are_named_by_us():
    """A peer must not be able to grow our memory with reasons that it makes up."""
    ann = well_read()
    rng = Random(3)
    for _ in range(500):
        ask_bytes(ann, b"\x01" + rng.randbytes(rng.randint(0, 40)))

    state = ann.engine.peers.known(Peer("asker"))
    assert state is not None
    assert len(state.counts) < 16


def test_a_locator_of_a_forked_feed_costs_a_look_or_two_per_branch(
    monkeypatch: pytest.MonkeyPatch,
):
    """64 branches of 6,000 events and one locator of 1,024 points took 7 s."""
    ann = open_replica("ann")
    trunk = BOB.run(range(200))
    ann.ingest(segs(BOB.opening(), trunk), T0_MS)
    forks = [BOB.run([500], trunk[100 + number], str(number)) for number in range(20)]
    ann.ingest(segs(*forks), T0_MS)
    looks = 0
    branch = ann.store.branch

    def counting(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return branch(*args)

    monkeypatch.setattr(ann.store, "branch", counting)
    points = tuple(hints.Point(number + 1, bytes(8)) for number in range(1_024))

    ask(ann, statements.Loc(BOB.data, points))

    assert looks <= 21 * 20
