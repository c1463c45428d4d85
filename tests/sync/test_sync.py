"""Two and three devices in contact: they agree, then they are silent."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.event import Event
from meshlog.core.grant import Role
from meshlog.ports.links import Answered, Asked, AskFailed, LinkDown, LinkUp, Peer, PeerSeen
from meshlog.replica import Replica
from meshlog.sync.effects import Ask, Changed, Input, Poke, WakeAt, Woke
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    dump,
    founder,
    holds_alike,
    identity,
    invited,
    name_of,
    note,
    open_replica,
    segs,
)
from tests.support.feeds import control_feed

BOB = Stranger(identity("bob"))


def pair() -> tuple[Replica, Replica, Pump]:
    ann, cat = open_replica("ann"), open_replica("cat")
    return ann, cat, Pump(ann, cat)


# ── Agreement ──


def test_two_devices_agree_and_are_silent():
    """Air is the scarce resource: silence is the right answer."""
    ann, cat, pump = pair()
    note(ann, "from ann")
    note(cat, "from cat")

    pump.meet(ann, cat)
    asks = pump.asks
    for one, other in ((ann, cat), (cat, ann)):
        peer = name_of(other)
        for happened in (PeerSeen(peer, b""), LinkUp(peer, 16_384), Changed(), Woke()):
            pump.now_ms += 1_000
            pump.tell(one, happened)

    assert holds_alike(ann, cat)
    assert pump.asks == asks <= 4
    assert pump.woken == {} or all(state.due_ms is None for state in ann.engine.peers)


def test_agreeing_again_costs_two_beacons():
    ann, cat, pump = pair()
    pump.meet(ann, cat)
    pump.sizes.clear()

    pump.tell(ann, Poke())

    assert pump.sizes == [20, 20]


def test_what_small_syncs_cost():
    """Bytes of bundles: a note of 30 bytes between two who agreed before."""
    ann, cat, pump = pair()
    pump.meet(ann, cat)
    pump.sizes.clear()
    note(ann, "x")

    pump.meet(ann, cat)

    assert holds_alike(ann, cat)
    assert len(pump.sizes) == 4
    assert pump.size_bytes <= 250


def test_an_event_spreads_when_it_is_written():
    ann, cat, pump = pair()
    pump.meet(ann, cat)
    note(ann, "news")

    pump.tell(ann, Changed())
    pump.now_ms += 1_000
    pump.tell(ann, Woke())

    assert holds_alike(ann, cat)


def test_news_travel_through_a_third():
    base = founder()
    ann, cat = invited(base, "ann"), invited(base, "cat", Role.OBSERVER)
    note(ann, "for cat")
    pump = Pump(base, ann, cat)

    pump.meet(ann, base)
    pump.meet(cat, base)
    pump.meet(ann, base)

    assert holds_alike(base, ann, cat)
    assert cat.record("r") is not None


@pytest.mark.parametrize("batch_size_bytes", [1, 500, 2_000, 65_536])
def test_a_long_feed_comes_in_batches_that_fit(batch_size_bytes: int):
    ann, cat, pump = pair()
    ann.append_many([("note.add", {"record_id": "r", "text": "x" * 50})] * 200, T0_MS)
    for one in (ann, cat):
        one.handle(PeerSeen(name_of(cat if one is ann else ann), b""), T0_MS)
        for state in one.engine.peers:
            state.batch_size_bytes = batch_size_bytes
            state.session = state.due_ms = None

    pump.meet(cat, ann, batch_size_bytes)

    assert holds_alike(ann, cat)
    assert max(pump.sizes) <= max(batch_size_bytes, 32 * 90) + 250


def test_a_want_is_answered_when_only_one_side_is_behind():
    ann, cat, pump = pair()
    pump.meet(ann, cat)
    note(cat, "more")

    assert pump.meet(ann, cat) <= 3
    assert holds_alike(ann, cat)


# ── Forks ──


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5)), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
def test_branches_of_a_fork_converge(shape: list[tuple[int, int]], seed: int):
    """Whatever part of the tree each holds, both hold all of it afterwards."""
    rng = Random(seed)
    trunk = BOB.run(range(8))
    branches = [trunk]
    for number, (at, length) in enumerate(shape):
        after = trunk[at]
        branches.append(BOB.run([100 + number * 10 + i for i in range(length)], after, f"{number}"))
    ann, cat, pump = pair()
    for one in (ann, cat):
        one.ingest(segs(BOB.opening()), T0_MS)
        known = rng.sample(branches, rng.randint(0, len(branches)))
        for branch in [trunk[:1], *known] if rng.random() < 0.8 else known:
            one.ingest(segs([*branch[:-1], branch[-1].signed(BOB.who)]), T0_MS)

    pump.meet(*rng.choice([(ann, cat), (cat, ann)]))

    assert holds_alike(ann, cat)
    assert pump.asks <= 12


def test_a_fork_of_equal_length_is_seen():
    """The plain statement shows nothing; the hashed one does."""
    ann, cat, pump = pair()
    one, other = BOB.run([1, 2]), BOB.run([3, 4], word="other")
    ann.ingest(segs(BOB.opening(), one), T0_MS)
    cat.ingest(segs(BOB.opening(), other), T0_MS)

    pump.meet(ann, cat)

    assert holds_alike(ann, cat)
    assert len(ann.ledger.frontier[BOB.data]) == 2


def test_control_feeds_fork_and_converge():
    base = founder()
    grant = base.invite(Role.WRITER)
    pieces = []
    for clone in ("one", "two"):
        twin = invited(base, "ann", invite=grant)
        opening = twin.ledger.frontier[control_feed(twin)][0]
        other = Stranger(identity("ann"), base.dataset, twin.data_feed.incarnation)
        first = twin.store.branch(opening, control_feed(twin), 0, 1)[0]
        pieces.append((twin, other, first, clone))
    cat = invited(base, "cat")
    pump = Pump(base, cat)
    pump.meet(cat, base)
    for replica, (_, other, first, clone) in zip((base, cat), pieces, strict=True):
        run = control_run(other, first, clone)
        assert replica.ingest(segs([first.signed(other.who)], run), T0_MS).events == 2

    pump.meet(cat, base)

    assert holds_alike(base, cat)
    assert len(base.ledger.frontier[control_feed(pieces[0][0])]) == 2


def control_run(who: Stranger, first: Event, word: str) -> list[Event]:
    run = who.run([60_000], first, word)
    event = Event.make(who.control, 2, run[0].stamp, first.id, run[0].body, who.dataset)
    return [event.signed(who.who)]


def forked(count: int, *replicas: Replica, seed: int = 1) -> None:
    """Let each replica hold its share of many branches that fork at the very start."""
    rng = Random(seed)
    branches = [segs(BOB.run([number], word=str(number)))[0] for number in range(count)]
    for replica in replicas:
        replica.ingest(segs(BOB.opening()), T0_MS)
        share = [data for data in branches if rng.random() < 0.7]
        assert replica.ingest(share, T0_MS).refused == 0


def test_sixty_branches_converge():
    ann, cat, pump = pair()
    forked(60, ann, cat)

    pump.meet(ann, cat)

    assert holds_alike(ann, cat)


def test_more_branches_than_a_statement_shows_converge():
    """One member with 65 forks must not keep everybody from agreeing for ever (I5)."""
    ann, cat, pump = pair()
    forked(100, ann, cat)

    for _ in range(6):
        pump.meet(ann, cat)
        pump.meet(cat, ann)

    assert holds_alike(ann, cat)


@pytest.mark.parametrize("holder_asks", [True, False])
def test_a_fork_far_behind_the_head_arrives_in_small_batches(holder_asks: bool):
    """A backup of last month goes on writing; on a slow link its branch has to arrive, too."""
    trunk = BOB.run(range(3_000))
    pieces = segs(
        *([*trunk[at : at + 199], trunk[at + 199].signed(BOB.who)] for at in range(0, 3_000, 200))
    )
    ann, cat, pump = pair()
    for replica, other in ((ann, cat), (cat, ann)):
        replica.ingest([*segs(BOB.opening()), *pieces], T0_MS)
        replica.handle(PeerSeen(name_of(other), b""), T0_MS)
        for state in replica.engine.peers:
            state.batch_size_bytes, state.session, state.due_ms = 2_000, None, None
    ann.ingest(segs(BOB.run([9_000], trunk[1_900], "backup")), T0_MS)

    for _ in range(3):
        pump.meet(*((ann, cat) if holder_asks else (cat, ann)), 2_000)

    assert ann.root() == cat.root()


def test_a_feed_with_many_branches_does_not_stop_the_others():
    ann, cat, pump = pair()
    forked(100, ann, cat)
    note(ann, "from ann")
    note(cat, "from cat")

    pump.meet(ann, cat)

    assert cat.ledger.frontier[ann.data_feed] == ann.ledger.frontier[ann.data_feed]
    assert cat.ledger.frontier[cat.data_feed] == ann.ledger.frontier[cat.data_feed]


def test_more_feeds_than_a_want_names():
    ann, cat, pump = pair()
    many = [Stranger(identity("bob"), life=number) for number in range(1_100)]
    openings = segs(*(one.opening() for one in many))
    for replica in (ann, cat):
        replica.ingest(openings, T0_MS)
    pump.meet(ann, cat)
    ann.ingest(segs(*(one.run([1]) for one in many)), T0_MS)

    pump.meet(cat, ann)

    assert holds_alike(ann, cat)


def test_of_two_syncs_that_cross_one_goes_on():
    """Both ask at once, before either has heard the other."""
    ann, cat, pump = pair()
    note(ann, "from ann")
    note(cat, "from cat")
    lesser, greater = sorted((ann, cat), key=name_of)
    requests = {}
    for one, other in ((lesser, greater), (greater, lesser)):
        requests[name_of(one)] = first_ask(one, name_of(other))
    crossing = requests[name_of(greater)]
    effects = lesser.handle(Asked(name_of(greater), 1, crossing.request), T0_MS + 9_100)
    assert len(vars_of(effects[0])) == 20, "only where it stands"

    pump.now_ms = T0_MS + 9_200
    effects = greater.handle(
        Asked(name_of(lesser), 2, requests[name_of(lesser)].request), pump.now_ms
    )
    assert not sent(greater, Answered(name_of(lesser), crossing.exchange, vars_of(effects[0]))), (
        "it gave up its own"
    )
    pump.meet(lesser, greater)
    for known in lesser.engine.peers:
        known.session = None
    pump.meet(lesser, greater)

    assert holds_alike(ann, cat)


# ── A bad link ──


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.floats(0, 0.4), st.floats(0, 0.3))
def test_loss_and_damage_repair_themselves(seed: int, loss: float, damage: float):
    """Whatever was lost or broken on the way, they agree once the air clears."""
    rng = Random(seed)
    base = founder()
    ann, cat = invited(base, "ann"), invited(base, "cat")
    for replica in (base, ann, cat):
        for number in range(rng.randint(0, 40)):
            note(replica, f"{number}", T0_MS + number)
    pump = Pump(base, ann, cat)

    def storm(data: bytes) -> bytes | None:
        if rng.random() < loss:
            return None
        if rng.random() < damage and data:
            at = rng.randrange(len(data))
            return data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randint(0, 2) :]
        return data

    pump.tamper = storm
    for _ in range(10):
        one, other = rng.sample([base, ann, cat], 2)
        pump.meet(one, other)
    pump.tamper = lambda data: data
    for one, other in ((ann, base), (cat, base), (ann, base)):
        pump.meet(one, other)

    assert holds_alike(base, ann, cat)


def test_a_repeated_or_late_answer_is_ignored():
    ann, cat, _ = pair()
    note(cat, "news")
    peer = name_of(cat)
    asked = first_ask(ann, peer)
    before = dump(ann)

    for late in (asked.exchange - 1, asked.exchange + 1, 0):
        assert not sent(ann, Answered(peer, late, b"\x01"))
    assert not sent(ann, Answered(Peer("somebody"), asked.exchange, b"\x01"))
    assert not sent(ann, AskFailed(peer, asked.exchange + 1, "no answer"))
    assert dump(ann) == before
    assert sent(ann, Answered(peer, asked.exchange, b"\x01"))
    assert not sent(ann, Answered(peer, asked.exchange, b"\x01"))


def first_ask(replica: Replica, peer: Peer) -> Ask:
    effects = replica.handle(LinkUp(peer, 16_384), T0_MS + 9_000)
    effects += replica.handle(Poke(), T0_MS + 9_000)
    (asked,) = [effect for effect in effects if isinstance(effect, Ask)]
    return asked


def sent(replica: Replica, happened: Input) -> list[Ask]:
    effects = replica.handle(happened, T0_MS + 9_500)
    return [effect for effect in effects if isinstance(effect, Ask)]


def test_a_request_that_comes_twice_is_answered_alike():
    """The responder keeps nothing: a repetition harms nothing."""
    ann, cat, _ = pair()
    note(cat, "news")
    request = first_ask(cat, name_of(ann)).request

    answers = [ann.handle(Asked(name_of(cat), token, request), T0_MS)[0] for token in (1, 2)]

    assert [vars_of(answer) for answer in answers] == [vars_of(answers[0])] * 2


def vars_of(effect: object) -> bytes:
    answer = getattr(effect, "answer", b"")
    assert isinstance(answer, bytes)
    return answer


def test_an_unanswered_peer_is_asked_less_and_less():
    ann = open_replica("ann")
    peer = Peer("0" * 32)
    now_ms, waits = T0_MS, []
    effects = ann.handle(LinkUp(peer, 16_384), now_ms)
    for _ in range(12):
        asks = [effect for effect in effects if isinstance(effect, Ask)]
        while not asks:
            (wake,) = [effect for effect in effects if isinstance(effect, WakeAt)]
            waits.append(wake.when_ms - now_ms)
            now_ms = wake.when_ms
            effects = ann.handle(Woke(), now_ms)
            asks = [effect for effect in effects if isinstance(effect, Ask)]
        effects = ann.handle(AskFailed(peer, asks[0].exchange, "timeout"), now_ms)

    assert waits[-1] > 250_000
    assert max(waits) <= 600_000
    assert sum(waits) > 2_000_000


def test_a_lost_link_ends_its_sync():
    ann = open_replica("ann")
    peer = Peer("f" * 32)
    ann.handle(LinkUp(peer, 16_384), T0_MS)
    ann.handle(Woke(), T0_MS + 10_000)

    ann.handle(LinkDown(peer), T0_MS + 20_000)

    state = ann.engine.peers.known(peer)
    assert state is not None
    assert state.session is None
    assert state.due_ms is not None


def test_peers_are_remembered_up_to_a_limit():
    ann = open_replica("ann")
    for number in range(1_000):
        ann.handle(PeerSeen(Peer(f"{number:032x}"), b""), T0_MS + number)

    assert len(list(ann.engine.peers)) == 256
