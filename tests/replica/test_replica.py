"""A device's own life: what it writes, what it signs, and what it does about its twin."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from meshlog.core.event import OPEN_DATASET
from meshlog.core.feed import ROOT_DOMAIN, FeedKey, FeedKind, Head, digest
from meshlog.core.grant import CHAIN_DEPTH_MAX, Role
from meshlog.core.hlc import SKEW_MS_MAX, Stamp
from meshlog.core.segment import CUT_EVENTS_MAX, CUT_SIZE_MAX, decode_segment
from meshlog.errors import IdentityError, InputError, StoreError
from meshlog.ports.links import PeerSeen
from meshlog.replica import Replica, found, join, join_open, pen
from meshlog.sim.card import CardGuard
from meshlog.store import SqliteStore
from meshlog.store.instance import Mark
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX
from meshlog.sync.effects import Ask, Poke
from meshlog.sync.holdings import Verdict
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
from tests.replica.test_intake import limit_pages
from tests.support.feeds import control_feed

BOB = Stranger(identity("bob"))


# ── Opening ──


def test_a_new_device_opens_two_feeds_under_one_random_life():
    ann = open_replica("ann")

    assert ann.data_feed.incarnation != 0
    assert list(ann.ledger.frontier) == [control_feed(ann)]
    assert ann.ledger.indexed == [ann.data_feed]
    assert ann.dataset == OPEN_DATASET


def test_everything_survives_a_restart(tmp_path: Path):
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        ann = open_replica("ann", store=store)
        note(ann, "one")
        ann.ingest(segs(BOB.opening(), BOB.run([60_000, SKEW_MS_MAX * 2])), T0_MS)
        ann.root()
        before, clock = dump(ann), ann.ledger.clock
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        again = open_replica("ann", store=store)

        assert dump(again) == before
        assert note(again, "two").stamp > clock
        assert again.data_feed == ann.data_feed


def test_another_identity_cannot_open_the_store():
    store = SqliteStore()
    open_replica("ann", store=store)

    with pytest.raises(IdentityError):
        Replica(store, identity("bob"), T0_MS, Random(1))
    with pytest.raises(StoreError):
        Replica(SqliteStore(), identity("bob"), T0_MS, Random(1))
    with pytest.raises(StoreError, match="already"):
        join_open(store, identity("ann"), "ann")


@pytest.mark.parametrize("name", ["", "n" * 65, "\ud800", "ü" * 33])
def test_a_name_is_short_text(name: str):
    for take in (
        lambda store: join_open(store, identity("ann"), name),
        lambda store: found(store, identity("ann"), name, "valley", T0_MS, Random(1)),
        lambda store: found(store, identity("ann"), "ann", name, T0_MS, Random(1)),
    ):
        store = SqliteStore()
        with pytest.raises(InputError):
            take(store)
        assert store.get_meta("dataset") is None


def test_a_clock_that_was_set_back_makes_no_earlier_stamp():
    ann = open_replica("ann")
    first = note(ann, "one", T0_MS)
    second = note(ann, "two", T0_MS - 86_400_000)

    assert second.stamp == Stamp(first.stamp.wall_ms, first.stamp.counter + 1)
    assert ann.ledger.horizon_ms == T0_MS + SKEW_MS_MAX


# ── Writing ──


def test_what_no_view_could_read_is_refused_with_its_kind_once():
    ann = open_replica("ann")

    with pytest.raises(InputError, match=r"^note\.add: text is not text$"):
        ann.append_many([("x", {}), ("note.add", {"record_id": "r", "text": 1})], T0_MS)


def test_all_of_a_batch_or_nothing():
    ann = open_replica("ann")
    before = dump(ann)

    with pytest.raises(InputError):
        ann.append_many([("x", {}), ("", {})], T0_MS)
    with pytest.raises(InputError):
        ann.append_many([("x", {}), ("x", {"a": object()})], T0_MS)
    assert dump(ann) == before
    assert ann.append_many([], T0_MS) == []


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.RELAY])
def test_whose_role_does_not_write_is_told_so(role: Role):
    """What it wrote would be refused everywhere, and no root would ever agree."""
    base = founder()
    device = invited(base, "ann", role)

    with pytest.raises(InputError, match=role.name.lower()):
        note(device, "lost")
    pump = Pump(base, device)
    pump.meet(device, base)
    with pytest.raises(InputError, match=role.name.lower()):
        note(device, "lost")
    assert holds_alike(base, device)


@pytest.mark.parametrize(
    ("role", "expires_s"), [(Role.FOUNDER, 0), (Role.WRITER, -1), (Role.WRITER, 2**32)]
)
def test_an_invite_that_nobody_could_use_is_not_made(role: Role, expires_s: int):
    with pytest.raises(InputError):
        founder().invite(role, expires_s)


def test_only_whose_chain_still_fits_invites():
    base = host = founder()
    for depth in range(CHAIN_DEPTH_MAX):
        device = invited(host, f"device {depth}", Role.COORDINATOR)
        pump = Pump(base, device)
        pump.meet(device, base)
        pump.meet(device, base)  # its host has a word of welcome
        assert holds_alike(base, device)
        host = device

    with pytest.raises(InputError, match="let the founder invite"):
        host.invite(Role.WRITER)


def test_who_is_no_coordinator_invites_nobody():
    base = founder()
    writer = invited(base, "ann")
    Pump(base, writer).meet(writer, base)

    with pytest.raises(InputError, match="coordinators"):
        writer.invite(Role.OBSERVER)
    with pytest.raises(InputError, match="open dataset"):
        open_replica("bob").invite(Role.WRITER)


# ── Cuts ──


def served(replica: Replica, feed: FeedKey) -> list[int]:
    """Return how many events each segment of a feed holds."""
    replica.root()
    head = replica.ledger.frontier[feed][0]
    pieces, reached = replica.segments(feed, head, 0, 10**9)
    assert reached == head.seq
    return [len(decode_segment(data).bodies) for data in pieces]


def cuts(replica: Replica) -> list[int]:
    """Return the seqs of a device's own data feed that are signed on its disk."""
    feed = replica.data_feed
    head = replica.ledger.frontier[feed][0]
    return [event.seq for event in replica.store.branch(head, feed, 0, 10**6) if event.signature]


def test_a_cut_falls_every_64_events():
    ann = open_replica("ann")
    ann.append_many([("x", {})] * 100, T0_MS)

    assert cuts(ann) == [64, 100]
    assert served(ann, ann.data_feed) == [64, 36]
    assert CUT_EVENTS_MAX == 64


def test_a_cut_falls_every_16_kib():
    ann = open_replica("ann")
    ann.append_many([("x", {"a": ["z" * 60] * 98})] * 7, T0_MS)  # says little, at length

    assert cuts(ann) == [3, 6, 7]
    assert served(ann, ann.data_feed) == [2, 2, 2, 1], "its author can cut anywhere"
    assert CUT_SIZE_MAX == 16_384


def test_what_is_written_is_signed_in_the_same_transaction():
    ann = open_replica("ann")
    said: list[str] = []
    ann.store._file._open.set_trace_callback(said.append)  # type: ignore[attr-defined]

    note(ann, "one")
    ann.root()

    assert cuts(ann) == [1]
    assert said.count("COMMIT") == 1


def left_unsigned(ann: Replica, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write events as earlier versions did: they signed when somebody asked."""
    with monkeypatch.context() as earlier:
        earlier.setattr(pen, "_cut_ends", lambda _: ())
        ann.append_many([("x", {})] * count, T0_MS)


def test_what_an_earlier_version_left_unsigned_is_signed_at_the_next_opening(
    monkeypatch: pytest.MonkeyPatch,
):
    ann = open_replica("ann")
    ann.append_many([("x", {})] * 10, T0_MS)
    left_unsigned(ann, 1_500, monkeypatch)
    assert cuts(ann) == [10]

    again = Replica(ann.store, ann.identity, T0_MS, Random(1))

    assert cuts(again) == [10, *range(74, 1_510, 64), 1_510]
    assert sum(served(again, again.data_feed)) == 1_510


def test_what_is_unsigned_where_the_disk_is_full_can_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        ann = open_replica("ann", store=store)
        left_unsigned(ann, 10_000, monkeypatch)

        again = with_full_disk(store, lambda: Replica(store, ann.identity, T0_MS, Random(1)))

        assert "full" in again.trouble
        assert cuts(again) == []
        assert sum(served(again, again.data_feed)) == 10_000


def test_an_author_cuts_its_feed_where_a_packet_is_full():
    """What a radio cannot send in one packet, it does not send."""
    ann = open_replica("ann")
    ann.append_many([("x", {"a": bytes(100)})] * 7, T0_MS)
    assert cuts(ann) == [7]
    head = ann.ledger.frontier[ann.data_feed][0]

    pieces, reached = ann.segments(
        ann.data_feed, head, 0, 10**6, compact=True, size_max=CARGO_SIZE_MAX
    )

    assert reached == head.seq
    assert len(pieces) == 3
    assert all(len(data) <= CARGO_SIZE_MAX for data in pieces)


def test_small_cuts_are_served_together():
    ann = open_replica("ann")
    for number in range(10):
        note(ann, str(number))
        ann.root()

    assert served(ann, ann.data_feed) == [10]


def test_a_long_way_to_a_cut_can_still_be_relayed():
    """What one device accepts, the next must get from it."""
    ann, cat = open_replica("ann"), open_replica("cat")
    bob = Stranger(identity("bob"))
    longest = bob.run(range(256))

    assert set(ann.ingest(segs(bob.opening(), longest), T0_MS).verdicts) == {Verdict.ACCEPTED}
    assert ann.ingest(segs(bob.run(range(257))), T0_MS).verdicts == (Verdict.MALFORMED,)
    pump = Pump(ann, cat)
    pump.meet(cat, ann)

    assert holds_alike(ann, cat)


@pytest.mark.parametrize("heads", [2, 65_536])
def test_a_root_stands_for_any_number_of_heads(heads: int):
    key = FeedKey(identity("ann").author, FeedKind.DATA, 1)
    tips = tuple(Head(1, number.to_bytes(32, "big")) for number in range(heads))

    assert len(digest(ROOT_DOMAIN, [(key, tips)])) == 32


# ── A twin ──


def twins() -> tuple[Replica, Replica]:
    """Return a device and its clone: the same identity and the same life, both in use."""
    one = open_replica("ann")
    note(one, "before")
    one.root()
    store = SqliteStore()
    connection = one.store._file._open  # type: ignore[attr-defined]
    connection.backup(store._file._open)
    store = _reopened(store)
    return one, Replica(store, identity("ann"), T0_MS, Random("clone"))


def _reopened(copied: SqliteStore) -> SqliteStore:
    """Return a store over the same pages: heads are read when a store is opened."""
    copied._log.__init__(copied._file)  # type: ignore[misc]
    return copied


def test_twins_converge_keep_both_branches_and_part():
    """A cloned card, a restored backup: honest hands make forks."""
    one, two = twins()
    life = one.data_feed
    assert two.data_feed == life
    note(one, "by one", T0_MS + 1)
    note(two, "by two", T0_MS + 2)
    cat = open_replica("cat")

    for device in (one, two):  # they carry one name among peers, so they meet through a third
        Pump(device, cat).meet(device, cat)

    assert len(cat.ledger.frontier[life]) == 2
    assert two.data_feed != life, "it saw its own future, and begins a new life"
    Pump(one, cat).meet(one, cat)
    assert one.data_feed not in (life, two.data_feed)
    note(one, "one again", T0_MS + 3)
    note(two, "two again", T0_MS + 4)
    for device in (one, two, one):
        Pump(device, cat).meet(device, cat)

    assert holds_alike(one, two, cat)
    assert len(cat.ledger.frontier[life]) == 2
    record = cat.record("r")
    assert record is not None
    assert len(record.notes) == 5


def test_a_restored_backup_begins_a_new_life():
    """Its future is shown to it without a fork: it must not write there again."""
    one, backup = twins()
    note(one, "after the backup", T0_MS + 1)
    cat = open_replica("cat")
    Pump(one, cat).meet(cat, one)
    life = backup.data_feed

    Pump(backup, cat).meet(backup, cat)
    note(backup, "restored", T0_MS + 2)
    Pump(backup, cat).meet(backup, cat)

    assert backup.data_feed != life
    assert len(cat.ledger.frontier[life]) == 1
    assert holds_alike(backup, cat)


# ── The disk ──


def with_full_disk(store: SqliteStore, act: Callable[[], Any]) -> Any:
    limit_pages(store, 0)
    try:
        return act()
    finally:
        limit_pages(store, 10_000)


def test_held_events_are_shown_although_the_disk_was_full_when_they_were_due(tmp_path: Path):
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        ann = open_replica("ann", store=store)
        far_ms = SKEW_MS_MAX * 3
        body = BOB.run([far_ms + number for number in range(20)], word="long " * 5_000)
        ann.ingest(segs(BOB.opening(), [*body[:4], body[4].signed(BOB.who)]), T0_MS)
        due_ms = T0_MS + far_ms

        ann.advance_horizon(due_ms)
        with_full_disk(store, ann.settle)
        assert "the disk is full" in ann.trouble
        assert not ann.view.is_settled()

        for _ in range(2):
            record = ann.record("r")
            assert record is not None
            assert len(record.notes) == 5
            assert ann.view.check() == []
            ann.settle()
        assert ann.view.is_settled()


def test_a_full_disk_ends_no_sync_for_good(tmp_path: Path):
    """Our own cuts cannot be signed: what is signed already still travels."""
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        ann = open_replica("ann", store=store)
        cat = open_replica("cat")
        ann.append_many([("x", {"a": bytes(500)})] * 2_000, T0_MS)
        peer = name_of(cat)

        effects = with_full_disk(store, lambda: ann.handle(PeerSeen(peer, b""), T0_MS))
        effects += with_full_disk(store, lambda: ann.handle(Poke(), T0_MS + 10))

        state = ann.engine.peers.known(peer)
        assert state is not None
        assert state.session is None or any(isinstance(effect, Ask) for effect in effects)
        Pump(ann, cat).meet(cat, ann)
        assert holds_alike(ann, cat)


def test_a_full_disk_in_the_face_of_a_twin_changes_nothing(tmp_path: Path):
    one, two = twins()
    path = tmp_path / "two.meshlog"
    two.store._file._open.execute("VACUUM INTO ?", (str(path),))  # type: ignore[attr-defined]
    note(one, "future " * 9_000, T0_MS + 1)
    one.root()
    pieces, _ = one.segments(one.data_feed, one.ledger.frontier[one.data_feed][0], 0, 10**6)
    whole_card = CardGuard(Mark(two.data_feed.incarnation, "card"))
    with closing(SqliteStore(path, guard=whole_card)) as store:
        two = Replica(store, identity("ann"), T0_MS, Random("clone"))
        two.root()
        before, life = dump(two), two.data_feed

        done = with_full_disk(store, lambda: two.ingest(pieces, T0_MS))

        assert done.verdicts == (Verdict.BUSY,) * len(pieces)
        assert (dump(two), two.data_feed) == (before, life)
        assert two.ingest(pieces, T0_MS).events > 0
        assert two.data_feed != life


def test_the_seat_of_a_replica_is_kept():
    base = founder()
    store = SqliteStore()
    seat = join(store, identity("ann"), "ann", base.invite(Role.WRITER))

    ann = Replica(store, identity("ann"), T0_MS, Random(2))

    assert ann.seat == seat


def test_trouble_ends_when_the_disk_works_again(tmp_path: Path):
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        ann = open_replica("ann", store=store)
        large = segs(BOB.opening(), BOB.run_of(*[bytes(60_000)] * 4))
        assert with_full_disk(store, lambda: ann.ingest(large, T0_MS)).events == 0
        assert "full" in ann.trouble

        assert ann.ingest(large, T0_MS).events == 5

        assert ann.trouble == ""
