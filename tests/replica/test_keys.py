"""Rotations of the dataset's key, seen from the devices: which key counts, who holds it."""

from itertools import pairwise, permutations
from random import Random

import pytest

from meshlog.core.decrees import Mode
from meshlog.core.grant import Role
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.core.keylog import (
    EPOCH_MAX,
    EVENTS_PER_AUTHOR_MAX,
    KEYS_MAX,
    fold_keys,
    key_id,
    key_payload,
)
from meshlog.core.sealedbox import seal_boxes
from meshlog.errors import InputError
from meshlog.ports.links import Peer
from meshlog.replica import Replica
from meshlog.replica.keeper import BATCHES_MAX, TEND_FIRST_MS, TEND_REST_MS, standing_members
from meshlog.replica.membership import Since, revocation
from meshlog.store import SqliteStore
from meshlog.sync.effects import Woke
from meshlog.sync.keyring import PROVED_MAX, KeyRing
from tests.replica.devices import T0_MS, founder, identity, invited, name_of, open_replica

HOUR_MS = 3_600_000


def tell(source: Replica, *others: Replica) -> None:
    """Hand over everything that ``source`` holds."""
    source.root()
    segments = []
    for feed, heads in source.frontier().items():
        for head in heads:
            segments += source.segments(feed, head, 0, 1_000_000)[0]
    for other in others:
        other.ingest(segments, T0_MS)


def camp(*names: str, role: Role = Role.WRITER) -> tuple[Replica, ...]:
    """Return a founder and members who hold each other's openings."""
    base = founder()
    members = tuple(invited(base, name, role) for name in names)
    for member in members:
        tell(member, base)
    tell(base, *members)
    return base, *members


def test_every_member_turns_to_the_new_key_and_keeps_the_old_one():
    base, ann, bob = camp("ann", "bob")
    old = base.ring.current

    base.rotate_key(T0_MS)
    tell(base, ann, bob)

    assert base.ring.current != old
    assert {replica.ring.keys for replica in (base, ann, bob)} == {(base.ring.current, old)}


def test_a_restart_holds_the_same_keys_with_and_without_the_copy_in_the_store():
    base, ann = camp("ann")
    base.rotate_key(T0_MS)
    tell(base, ann)

    again = Replica(ann.store, ann.identity, T0_MS, Random(1))
    with ann.store.transaction():
        ann.store.set_meta("keys", b"")
    bare = Replica(ann.store, ann.identity, T0_MS, Random(2))

    assert again.ring.keys == bare.ring.keys == base.ring.keys


def test_no_device_keeps_more_than_four_keys():
    base, ann = camp("ann")
    for number in range(6):
        base.rotate_key(T0_MS + number)
    tell(base, ann)

    assert len(ann.ring.keys) == KEYS_MAX
    assert ann.ring.current == base.ring.current


def test_of_two_rotations_at_once_everybody_takes_the_same():
    base, ann, bob = camp("ann", "bob", role=Role.COORDINATOR)

    base.rotate_key(T0_MS + 1)
    ann.rotate_key(T0_MS + 2)
    tell(base, bob)
    tell(ann, bob, base)
    tell(base, ann)

    assert base.ring.keys == ann.ring.keys == bob.ring.keys
    assert len(bob.ring.keys) == 3


def test_the_newest_key_does_not_depend_on_the_order_of_events():
    base, ann = camp("ann", role=Role.COORDINATOR)
    events = [ann.rotate_key(T0_MS + 5), base.rotate_key(T0_MS), base.rotate_key(T0_MS + 1)]

    newest = {
        tuple(rotation.key_id for rotation in fold_keys(order).rotations(lambda _: True))
        for order in permutations(events)
    }

    assert newest == {tuple(event.payload["id"] for event in (events[2], events[0], events[1]))}


def test_writers_and_the_open_dataset_rotate_nothing():
    _, ann = camp("ann")

    with pytest.raises(InputError, match="only the founder and coordinators"):
        ann.rotate_key(T0_MS)
    with pytest.raises(InputError, match="public"):
        open_replica("bob").rotate_key(T0_MS)


def test_what_a_writer_rotates_all_the_same_counts_for_nobody():
    """A program of its own can write any control event."""
    base, ann, bob = camp("ann", "bob")
    held = bob.ring.keys

    payload = ann._keeper.rotation(ann.ledger, Random(1))
    ann._keeper._write(ann._desk, payload, T0_MS)
    tell(ann, bob, base)

    assert bob.ring.keys == base.ring.keys == held


def test_a_new_invite_carries_the_new_key_and_whoever_joins_with_it_needs_no_box():
    base, _ = camp("ann")
    base.rotate_key(T0_MS)
    cat = invited(base, "cat")
    tell(cat, base)

    base.handle(Woke(), T0_MS + HOUR_MS)
    base.handle(Woke(), T0_MS + 2 * HOUR_MS)

    assert cat.ring.keys == (base.ring.current,)
    assert len(base.ledger.key_log.by_author[base.identity.author]) == 1


def test_newcomers_with_an_old_invite_get_their_boxes_in_one_event():
    base, _ = camp("ann")
    invite = base.invite(Role.WRITER)
    base.rotate_key(T0_MS)
    late = [invited(base, name, invite=invite) for name in ("cat", "dan", "eve")]
    for device in late:
        tell(device, base)

    base.handle(Woke(), T0_MS)
    base.handle(Woke(), T0_MS + TEND_FIRST_MS)
    tell(base, *late)

    assert {device.ring.current for device in late} == {base.ring.current}
    assert len(base.ledger.key_log.by_author[base.identity.author]) == 2


def test_boxes_are_written_unasked_at_most_every_ten_minutes_and_in_the_end_as_a_rotation():
    base, _ = camp("ann")
    invite = base.invite(Role.WRITER)
    base.rotate_key(T0_MS)
    first = base.ring.current
    now_ms, times = T0_MS, []
    for number in range(BATCHES_MAX + 1):
        tell(invited(base, f"late {number}", invite=invite), base)
        events = base.event_count()
        while base.event_count() == events:
            now_ms += 5_000
            base.handle(Woke(), now_ms)
        times.append(now_ms)
        assert (base.ring.current == first) == (number < BATCHES_MAX)

    assert min(b - a for a, b in pairwise(times)) >= TEND_REST_MS


def test_a_clock_that_goes_back_keeps_nobody_waiting():
    base, _ = camp("ann")
    invite = base.invite(Role.WRITER)
    base.rotate_key(T0_MS)
    cat = invited(base, "cat", invite=invite)
    tell(cat, base)

    base.handle(Woke(), T0_MS + 1_000 * HOUR_MS)
    base.handle(Woke(), T0_MS)
    base.handle(Woke(), T0_MS + TEND_FIRST_MS)
    tell(base, cat)

    assert cat.ring.current == base.ring.current


def test_a_key_that_is_not_what_its_event_names_is_not_taken():
    base, ann = camp("ann")
    payload = dict(base._keeper.rotation(base.ledger, Random(1)))
    payload["id"] = key_id(b"another" + bytes(9))
    base._keeper._write(base._desk, payload, T0_MS)
    tell(base, ann)

    assert len(ann.ring.keys) == 1


@pytest.mark.parametrize("change", [
    {"epoch": 0}, {"epoch": 2**32}, {"epoch": True}, {"epoch": None}, {"id": b"abc"},
    {"id": "abcd"}, {"boxes": b""}, {"boxes": bytes(33)}, {"boxes": "x"},
])  # fmt: skip
def test_a_malformed_rotation_is_kept_and_ignored(change: dict[str, object]):
    base, ann = camp("ann")
    payload = {**base._keeper.rotation(base.ledger, Random(1)), **change}
    base._keeper._write(base._desk, payload, T0_MS)
    tell(base, ann)

    assert ann.root() == base.root()
    assert len(ann.ring.keys) == len(base.ring.keys) == 1


# ── who may talk to us ──


def greet(dialler: Replica, dialled: Replica) -> tuple[Peer | None, Peer | None]:
    """Return whom either end takes the other for, the dialled one first."""
    link = b"l" * 16
    ours, theirs = dialled.gate(), dialler.gate()
    who = ours.check(link, theirs.prove(link, initiator=True), initiator=True)
    return who, theirs.check(link, ours.prove(link, initiator=False), initiator=False)


def test_members_link_whatever_keys_they_hold():
    base, ann = camp("ann")
    for _ in range(6):
        base.rotate_key(T0_MS)

    assert greet(base, ann) == (name_of(base), name_of(ann))
    assert greet(ann, base) == (name_of(ann), name_of(base))
    assert base.may_hear(name_of(ann))


def test_a_newcomer_with_an_old_invite_gets_in_and_is_told_control_events_only():
    base, _ = camp("ann")
    cat = invited(base, "cat", invite=base.invite(Role.WRITER))
    base.rotate_key(T0_MS)

    assert greet(cat, base) == (name_of(cat), name_of(base))
    assert not base.may_hear(name_of(cat))
    tell(cat, base)
    assert base.may_hear(name_of(cat))


def test_a_newcomer_with_a_new_invite_is_told_everything():
    base, _ = camp("ann")
    base.rotate_key(T0_MS)
    cat = invited(base, "cat")

    assert greet(cat, base) == (name_of(cat), name_of(base))
    assert base.may_hear(name_of(cat))


def test_a_stranger_gets_no_link_even_under_a_members_name():
    base, ann = camp("ann")
    eve = founder("eve")
    forged = ann.gate().prove(b"l" * 16, initiator=True)

    assert greet(eve, base) == (None, None)
    assert base.gate().check(b"m" * 16, forged, initiator=True) is None


def test_a_removed_member_gets_no_link_whatever_key_it_holds():
    """Without the refusal it would still be told control events, and cost a link's air."""
    base, ann, out = camp("ann", "out")
    removal = revocation(base.store, base.ledger, out.identity.author, Mode.HARD, Since())
    base.decree("member.revoke", removal, T0_MS)

    assert greet(out, base)[0] is None
    assert greet(ann, base) == (name_of(ann), name_of(base))


def test_announces_are_recognised_across_rotations():
    base, ann = camp("ann")
    base.rotate_key(T0_MS)

    assert base.gate().tag() == ann.gate().tag()
    assert base.gate().tag() != founder("eve").gate().tag()


def test_a_rotation_is_durable_or_nowhere():
    """What stays of it after a restart is what the ring says."""
    base, _ = camp("ann")
    base.rotate_key(T0_MS)

    assert isinstance(base.store, SqliteStore)
    assert Replica(base.store, base.identity, T0_MS, Random(1)).ring.keys == base.ring.keys


# ── what a hostile member does to them ──


def test_a_newcomer_whose_old_key_was_forgotten_in_a_crowd_is_not_taken_for_one_with_the_new():
    new, old = bytes(16), bytes(range(16))
    ring = KeyRing((new, old))
    ring.prove(Peer("out"), old)
    for number in range(PROVED_MAX):
        ring.prove(Peer(f"crowd {number}"), old)

    assert not ring.is_current(Peer("out"))


def test_a_crowd_that_lacks_the_key_does_not_break_who_hands_it_out():
    """2,000 openings under one invite are a megabyte: boxes for all fit no event."""
    base, _ = camp("ann")
    base.rotate_key(T0_MS)
    crowd = [identity(f"crowd {n}").keys for n in range(2_000)]
    base._keeper._lacking = crowd

    base.handle(Woke(), T0_MS)
    base.handle(Woke(), T0_MS + TEND_FIRST_MS)


def test_a_revoked_coordinators_key_is_not_the_newest_for_good():
    """It names the last epoch there is and the last time there is, and keeps its own box back."""
    base, cora, ann = camp("cora", "ann", role=Role.COORDINATOR)
    stolen = b"known to cora..."
    members = [base.identity.keys, ann.identity.keys]
    boxes = seal_boxes(stolen, members, bytes(range(32)), base.dataset)
    cora._keeper._write(cora._desk, key_payload(EPOCH_MAX, stolen, boxes), WALL_MS_MAX - 10)
    tell(cora, base, ann)
    assert base.ring.current == stolen

    removal = revocation(base.store, base.ledger, cora.identity.author, Mode.HARD, Since())
    base.decree("member.revoke", removal, T0_MS + 1)
    base.rotate_key(T0_MS + 2)
    tell(base, ann)

    assert base.ring.current != stolen
    assert ann.ring.current == base.ring.current != stolen


def test_what_a_revoked_coordinator_writes_after_its_cut_displaces_no_key_that_counts():
    """Else the dataset fell back to an older key, which the thief of its keys holds as well."""
    base, cora, ann = camp("cora", "ann", role=Role.COORDINATOR)
    good = cora.rotate_key(T0_MS)
    tell(cora, base, ann)
    removal = revocation(base.store, base.ledger, cora.identity.author, Mode.HARD, Since())
    base.decree("member.revoke", removal, T0_MS + 1)
    for number in range(EVENTS_PER_AUTHOR_MAX + 1):
        boxes = seal_boxes(bytes(16), [ann.identity.keys], bytes(range(32)), base.dataset)
        payload = key_payload(EPOCH_MAX, bytes([number]) * 16, boxes)
        cora._keeper._write(cora._desk, payload, T0_MS + number)
    tell(cora, base, ann)
    tell(base, ann)

    rotations = ann.ledger.key_log.rotations(ann.ledger.decrees.stands)

    assert [rotation.key_id for rotation in rotations] == [good.payload["id"]]
    assert key_id(ann.ring.current) == good.payload["id"]


def test_whom_the_founder_let_in_gets_its_box_before_a_crowd_that_a_guest_let_in():
    base, cora = camp("cora", role=Role.COORDINATOR)
    invite = cora.invite(Role.WRITER)
    crowd = [invited(cora, f"guest {number}", invite=invite) for number in range(12)]
    honest = [invited(base, name) for name in ("zoe", "ann")]
    for device in (*crowd, *honest):
        tell(device, base)

    standing = [member.name for member in standing_members(base.ledger)]

    assert {*standing[:4]} == {"base", "cora", "zoe", "ann"}
