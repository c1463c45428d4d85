"""What becomes of what others wrote: verdict by verdict, and a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.compact.run import write_segment
from meshlog.core.event import BODY_SIZE_MAX, Event, encode_body
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role, admit
from meshlog.core.hlc import COUNTER_MAX, SKEW_MS_MAX, WALL_MS_MAX, Stamp
from meshlog.core.segment import decode_segment
from meshlog.errors import MalformedError
from meshlog.replica import Replica
from meshlog.replica.intake import judge
from meshlog.store import SqliteStore
from meshlog.sync.holdings import Verdict
from tests.replica.devices import (
    T0_MS,
    Stranger,
    chain,
    dump,
    forged,
    founder,
    holds_alike,
    identity,
    invited,
    note,
    open_replica,
    segs,
)

BOB = Stranger(identity("bob"))
RUN = BOB.run([1, 2, 3, 4])


def verdicts(replica: Replica, *segments: bytes, now_ms: int = T0_MS) -> list[Verdict]:
    return list(replica.ingest(segments, now_ms).verdicts)


def acquainted() -> Replica:
    """Return a replica that knows Bob and holds events of its own."""
    ann = open_replica("ann")
    note(ann, "mine")
    assert verdicts(ann, *segs(BOB.opening())) == [Verdict.ACCEPTED]
    return ann


def at(*stamps: Stamp) -> list[Event]:
    return chain(BOB.who, BOB.data, stamps)


def texts(replica: Replica) -> list[str]:
    record = replica.record("r")
    return sorted(text.text for text in record.notes) if record else []


# ── Accepted ──


def test_a_run_is_accepted_kept_and_shown():
    ann = acquainted()

    done = ann.ingest(segs(RUN), T0_MS)

    assert (done.events, done.verdicts, done.refused) == (4, (Verdict.ACCEPTED,), 0)
    assert ann.ledger.frontier[BOB.data][0].id == RUN[-1].id
    assert texts(ann) == ["0", "1", "2", "3", "mine"]
    assert ann.ledger.clock == RUN[-1].stamp


def test_a_duplicate_changes_nothing():
    ann = acquainted()
    ann.ingest(segs(RUN), T0_MS)
    before = dump(ann)

    assert verdicts(ann, *segs(RUN), *segs(BOB.opening())) == [Verdict.DUPLICATE] * 2
    assert verdicts(ann, *segs([*RUN[:1], RUN[1].signed(BOB.who)])) == [Verdict.DUPLICATE]
    assert dump(ann) == before


def test_a_segment_that_overlaps_brings_its_rest():
    ann = acquainted()
    ann.ingest(segs([RUN[0], RUN[1].signed(BOB.who)]), T0_MS)

    done = ann.ingest(segs(RUN), T0_MS)

    assert (done.events, done.verdicts) == (2, (Verdict.ACCEPTED,))
    (head,) = ann.ledger.frontier[BOB.data]
    assert ann.store.branch(head, BOB.data, 0, 9) == RUN


def test_a_fork_is_welcome_and_both_branches_stay():
    ann = acquainted()
    other = BOB.run([5, 6], RUN[1], "other ")

    assert verdicts(ann, *segs(RUN), *segs(other)) == [Verdict.ACCEPTED] * 2
    assert {head.id for head in ann.ledger.frontier[BOB.data]} == {RUN[-1].id, other[-1].id}
    assert texts(ann) == ["0", "1", "2", "3", "mine", "other 0", "other 1"]


def test_a_fork_in_the_middle_of_a_run_that_overlaps():
    """The held prefix is recognised by its ids, not by its seqs."""
    ann = acquainted()
    other = [*RUN[:2], *BOB.run([5, 6], RUN[1], "other ")]
    ann.ingest(segs(RUN), T0_MS)

    done = ann.ingest(segs(other), T0_MS)

    assert (done.events, done.verdicts) == (2, (Verdict.ACCEPTED,))
    assert len(ann.ledger.frontier[BOB.data]) == 2


def test_openings_may_come_after_what_they_allow():
    ann = open_replica("ann")

    backwards = segs(RUN[2:], [RUN[0], RUN[1].signed(BOB.who)], BOB.opening())

    assert verdicts(ann, *backwards) == [Verdict.ACCEPTED] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"not CBOR at all",
        b"\x82\x61x",
        b"\x82\x01\xa0",
        b"\x81" * 5_000,
        b"\xc1" * 100,
        bytes(BODY_SIZE_MAX),
        encode_body("future.kind", {"anything": [1, 2]}),
        encode_body("record.put", {"record_id": "r", "fields": 7}),
        encode_body("field.set", {"record_id": ["r"], "field": {}, "value": None}),
        encode_body("note.add", {"record_id": "\x00", "text": "\x00"}),
        encode_body("feed.open", {"keys": b"", "data": -1}),
        encode_body("dataset.genesis", {"keys": identity("bob").keys}),
        encode_body("member.revoke", {"who": b"x"}),
    ],
)
def test_a_body_is_never_a_reason_to_refuse(body: bytes):
    """Unknown and unreadable events are kept and relayed; views skip them."""
    ann = acquainted()

    assert verdicts(ann, *segs(BOB.run_of(body))) == [Verdict.ACCEPTED]
    (head,) = ann.ledger.frontier[BOB.data]
    (again,), reached = ann.segments(BOB.data, head, 0, 10**6)
    assert decode_segment(again).bodies[0] == body
    assert reached == 1
    control = chain(BOB.who, BOB.control, [9], BOB.opening()[0], bodies=[body])
    assert verdicts(ann, *segs(control)) == [Verdict.ACCEPTED]
    assert ann.view.check() == []


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_whatever_the_bodies_hold(bodies: list[bytes]):
    ann = acquainted()

    assert verdicts(ann, *segs(BOB.run_of(*bodies))) == [Verdict.ACCEPTED]
    assert ann.view.check() == []


# ── Time ──


def test_a_stamp_far_ahead_is_stored_and_held_until_the_horizon_passes():
    ann = acquainted()
    far_ms = SKEW_MS_MAX * 4
    clock = ann.ledger.clock

    assert verdicts(ann, *segs(BOB.run([far_ms]))) == [Verdict.ACCEPTED]

    assert ann.ledger.clock == clock
    assert texts(ann) == ["mine"]
    ann.advance_horizon(T0_MS + far_ms - SKEW_MS_MAX - 1)
    assert texts(ann) == ["mine"]
    ann.advance_horizon(T0_MS + far_ms - SKEW_MS_MAX)
    assert texts(ann) == ["0", "mine"]
    assert note(ann, "later").stamp.wall_ms == T0_MS + far_ms, "later than all that is seen"


def test_what_follows_a_stamp_far_ahead_is_accepted():
    """A bad clock never blocks replication."""
    ann = acquainted()
    ahead = at(Stamp(WALL_MS_MAX, 0), Stamp(WALL_MS_MAX, 1), Stamp(WALL_MS_MAX, COUNTER_MAX))

    assert verdicts(ann, *segs(ahead)) == [Verdict.ACCEPTED]
    assert verdicts(ann, *segs(at(Stamp(0, 0), Stamp(0, 1)))) == [Verdict.ACCEPTED]


# ── Refused, and nothing changed ──


def flipped(run: list[Event], at_byte: int) -> bytes:
    (data,) = segs(run)
    return data[:at_byte] + bytes([data[at_byte] ^ 1]) + data[at_byte + 1 :]


small = Stranger(identity("small"))
small_keys = bytes(32) + b"\x01" + bytes(31)

REFUSED: dict[str, tuple[Callable[[], bytes], Verdict]] = {
    "nothing": (lambda: b"", Verdict.MALFORMED),
    "noise": (lambda: b"\x99" * 300, Verdict.MALFORMED),
    "cut short": (lambda: segs(RUN)[0][:-1], Verdict.MALFORMED),
    "one byte more": (lambda: segs(RUN)[0] + b"\x00", Verdict.MALFORMED),
    "an author nobody heard of": (lambda: segs(Stranger(identity("x")).run([1]))[0], Verdict.GAP),
    "a life that was not opened": (
        lambda: segs(replace(BOB, life=8).run([1]))[0],
        Verdict.GAP,
    ),
    "signed by somebody else": (lambda: segs(forged(RUN, identity("x")))[0], Verdict.FORGED),
    "a body changed": (lambda: flipped(RUN, 60), Verdict.FORGED),
    "a signature changed": (lambda: flipped(RUN, len(segs(RUN)[0]) - 1), Verdict.FORGED),
    "a base that is not held": (lambda: segs(BOB.run([9], RUN[3]))[0], Verdict.GAP),
    "a wrong base hint": (lambda: flipped(RUN, 23), Verdict.GAP),
    "stamps that stand still": (lambda: segs(at(Stamp(5, 5), Stamp(5, 6)))[0], Verdict.ACCEPTED),
    "a control feed without opening": (
        lambda: segs(chain(identity("x"), Stranger(identity("x")).control, [1]))[0],
        Verdict.STRANGER,
    ),
    "an opening with another's keys": (
        lambda: segs(Stranger(identity("x")).opening(keys=BOB.who.keys))[0],
        Verdict.STRANGER,
    ),
    "an opening with keys of small order": (
        lambda: segs(Stranger(identity("x")).opening(keys=small_keys))[0],
        Verdict.STRANGER,
    ),
    "an opening signed by another": (
        lambda: segs(forged(Stranger(identity("x")).opening(), BOB.who))[0],
        Verdict.FORGED,
    ),
    "somebody's own genesis": (
        lambda: segs(
            chain(
                identity("x"),
                Stranger(identity("x")).control,
                [1],
                bodies=[encode_body("dataset.genesis", {"keys": identity("x").keys})],
            )
        )[0],
        Verdict.STRANGER,
    ),
    "of another dataset": (
        lambda: segs(Stranger(BOB.who, founder().dataset).run([1]))[0],
        Verdict.FORGED,
    ),
}
del REFUSED["stamps that stand still"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(name: str):
    make, verdict = REFUSED[name]
    ann = acquainted()
    ann.root()
    before = dump(ann)

    assert verdicts(ann, make()) == [verdict]

    assert dump(ann) == before
    assert ann.refused == {verdict: 1}


def test_a_stamp_that_runs_backwards_is_refused():
    """A segment cannot say it; so only the base can be too late."""
    ann = acquainted()
    ann.ingest(segs(at(Stamp(T0_MS, 7))), T0_MS)
    before = dump(ann)
    base = at(Stamp(T0_MS, 7))[0]

    for stamp in (Stamp(T0_MS, 7), Stamp(T0_MS, 6), Stamp(T0_MS - 1, 9)):
        assert verdicts(ann, *segs(BOB.run([stamp], base))) == [Verdict.FORGED]
    assert dump(ann) == before
    assert verdicts(ann, *segs(BOB.run([Stamp(T0_MS, 8)], base))) == [Verdict.ACCEPTED]


def test_no_flipped_bit_is_accepted():
    ann = acquainted()
    ann.ingest(segs([RUN[0].signed(BOB.who)]), T0_MS)
    ann.root()
    before = dump(ann)
    (good,) = segs(RUN[1:])

    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        (verdict,) = verdicts(ann, bytes(bad))
        assert verdict is not Verdict.ACCEPTED, bit
        try:
            assert verdict is not Verdict.DUPLICATE or decode_segment(bytes(bad)).last_seq == 1
        except MalformedError:
            assert verdict is Verdict.MALFORMED
    assert dump(ann) == before


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_change_nothing(segments: list[bytes]):
    ann = QUIET

    done = ann.ingest(segments, T0_MS)

    assert done.events == 0
    assert dump(ann) == QUIET_DUMP


QUIET = acquainted()
QUIET.root()
QUIET_DUMP = dump(QUIET)


def test_one_bad_segment_does_not_spoil_the_batch():
    ann = acquainted()

    done = ann.ingest([b"noise", *segs(RUN), *segs(forged(BOB.run([9], RUN[3]), identity("x")))], 0)

    assert done.verdicts == (Verdict.MALFORMED, Verdict.ACCEPTED, Verdict.FORGED)
    assert (done.events, done.refused) == (4, 2)


# ── Roles ──


@pytest.mark.parametrize(
    ("role", "verdict"),
    [
        (Role.OBSERVER, Verdict.STRANGER),
        (Role.RELAY, Verdict.STRANGER),
        (Role.WRITER, Verdict.ACCEPTED),
        (Role.COORDINATOR, Verdict.ACCEPTED),
    ],
)
def test_only_writers_write_data(role: Role, verdict: Verdict):
    base = founder()
    invite = base.invite(role)
    proof = admit(invite.grant, invite.seed, BOB.who.author, base.dataset)
    bob = Stranger(BOB.who, base.dataset, more={"admission": proof})

    assert verdicts(base, *segs(bob.opening())) == [Verdict.ACCEPTED]
    assert verdicts(base, *segs(bob.run([1]))) == [verdict]


def test_a_later_grant_opens_what_an_earlier_refused():
    base = founder()
    low, high = base.invite(Role.OBSERVER), base.invite(Role.WRITER)
    author = BOB.who.author
    observer = Stranger(
        BOB.who,
        base.dataset,
        more={"admission": admit(low.grant, low.seed, author, base.dataset)},
    )
    proof = admit(high.grant, high.seed, author, base.dataset)
    writer = replace(observer, life=8, more={"admission": proof})

    assert verdicts(base, *segs(observer.opening(), observer.run([1]))) == [
        Verdict.ACCEPTED,
        Verdict.STRANGER,
    ]
    assert (
        verdicts(base, *segs(writer.opening(), observer.run([1]), writer.run([1])))
        == [Verdict.ACCEPTED] * 3
    )


def test_without_a_grant_nobody_gets_in():
    base = founder()
    base.root()
    before = dump(base)
    nobody = Stranger(BOB.who, base.dataset)
    borrowed = base.invite(Role.WRITER)
    for_ann = admit(borrowed.grant, borrowed.seed, identity("ann").author, base.dataset)

    for more in ({}, {"admission": b"noise"}, {"admission": for_ann}, {"admission": 7}):
        stranger = replace(nobody, more=more)
        assert verdicts(base, *segs(stranger.opening())) == [Verdict.STRANGER]
        assert verdicts(base, *segs(stranger.run([1]))) == [Verdict.GAP]
    assert dump(base) == before


def test_the_genesis_may_come_last():
    """A newcomer holds feeds of his own before he can check anybody's."""
    base = founder()
    ann, bob = invited(base, "ann"), invited(base, "bob")
    note(bob, "from bob")
    pieces = [
        data
        for replica in (bob, base)
        if replica.root()
        for feed, heads in replica.ledger.frontier.items()
        for data in replica.segments(feed, heads[0], 0, 10**6)[0]
    ]
    genesis = [data for data in pieces if decode_segment(data).feed.incarnation == 0]
    rest = [data for data in pieces if data not in genesis]

    assert set(verdicts(ann, *rest)) == {Verdict.GAP}
    assert ann.ledger.roster.members == {}
    assert set(verdicts(ann, *rest, *genesis)) == {Verdict.ACCEPTED}
    assert set(ann.ledger.roster.members) == {
        replica.identity.author for replica in (base, ann, bob)
    }
    assert texts(ann) == ["from bob"]


def test_the_order_of_segments_does_not_matter():
    base = founder()
    devices = [invited(base, name) for name in ("ann", "bob")]
    for device in devices:
        note(device, device.seat.name)
    pieces = [
        data
        for replica in (base, *devices)
        if replica.root()
        for feed, heads in replica.ledger.frontier.items()
        for data in replica.segments(feed, heads[0], 0, 10**6)[0]
    ]
    invite = base.invite(Role.WRITER)
    cats = [invited(base, "cat", invite=invite) for _ in range(3)]

    for cat, order in zip(cats, (pieces, pieces[::-1], sorted(pieces)), strict=True):
        for data in order * 3:
            cat.ingest([data], T0_MS)

    assert cats[0].ledger.root == cats[1].ledger.root == cats[2].ledger.root
    assert cats[0].ledger.roster == cats[1].ledger.roster == cats[2].ledger.roster
    assert {feed.kind for feed in cats[0].ledger.frontier} == set(FeedKind)


def one_by_one(replica: Replica, *, compact: bool) -> list[bytes]:
    """Return everything by feeds, a segment for each cut."""
    replica.root()
    found: list[bytes] = []
    for feed, (head,) in sorted(replica.frontier().items()):
        stamp, run = None, []
        for event in replica.store.branch(head, feed, 0, head.seq):
            run.append(event)
            if event.signature:
                found.append(write_segment(run, replica.ledger.codebook, stamp, compact=compact))
                stamp, run = event.stamp, []
    return found


def chain_of_guests(base: Replica, length: int) -> Replica:
    """Let members invite each other, pin forms, and write over what the one before wrote.

    Returns:
        The last, which holds everything.
    """
    host = base
    for number in range(length):
        guest = invited(host, f"guest {number}", Role.COORDINATOR)
        assert set(verdicts(guest, *one_by_one(host, compact=False))) == {Verdict.ACCEPTED}
        for form in ("well", "camp"):
            fields = [[f"field {number}", "int", {}]]
            guest.put_form({"form": f"{form} {number}", "fields": fields}, T0_MS)
            guest.root()
            put = {"record_id": form, "form": f"{form} {number}", "fields": {"status": number}}
            guest.append("record.put", put, T0_MS)
            guest.root()
        host = guest
    return host


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("order", ["feeds", "reversed", *range(8)])
def test_a_batch_is_taken_whatever_its_order(order: str | int, compact: bool):
    """Genesis, a chain of five invites, forms, data and what they replace: all in one batch."""
    last = chain_of_guests(founder(), 5)
    pieces = one_by_one(last, compact=compact)
    bob = invited(last, "bob")
    if order == "reversed":
        pieces.reverse()
    elif order != "feeds":
        Random(order).shuffle(pieces)

    assert set(verdicts(bob, *pieces)) == {Verdict.ACCEPTED}

    assert verdicts(last, *one_by_one(bob, compact=False)).count(Verdict.ACCEPTED) == 1
    assert holds_alike(last, bob)


# ── The disk ──


def limit_pages(store: SqliteStore, more: int) -> None:
    ((pages,),) = store._file.run("PRAGMA page_count")
    store._file.run(f"PRAGMA max_page_count = {pages + more}")


def test_a_full_disk_says_busy_and_changes_nothing(tmp_path: Path):
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        ann = open_replica("ann", store=store)
        ann.ingest(segs(BOB.opening()), T0_MS)
        ann.root()
        before = dump(ann)
        large = BOB.run_of(*[bytes(60_000)] * 4)
        limit_pages(store, 2)

        done = ann.ingest(segs(large), T0_MS)

        assert (done.events, done.verdicts, done.refused) == (0, (Verdict.BUSY,), 0)
        assert dump(ann) == before
        assert ann.refused == {Verdict.BUSY: 1}
        limit_pages(store, 10_000)
        assert verdicts(ann, *segs(large)) == [Verdict.ACCEPTED]


# ── What it costs ──


def test_segments_in_reverse_order_cost_about_the_same(monkeypatch: pytest.MonkeyPatch):
    """Anybody who holds the key can put honest segments into the worst order."""
    judged = 0

    def counting(*args: Any) -> Any:
        nonlocal judged
        judged += 1
        return judge(*args)

    monkeypatch.setattr("meshlog.replica.intake.judge", counting)
    pieces, last = [], None
    for number in range(300):
        (last,) = BOB.run([number], last)
        pieces += segs([last])

    assert set(verdicts(acquainted(), *pieces[::-1])) == {Verdict.ACCEPTED}
    assert judged <= 3 * len(pieces) + 1
