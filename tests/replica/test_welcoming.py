"""A host says whom its invites let in once it has met them, and nobody takes their places."""

from __future__ import annotations

from random import Random

from meshlog.core.decrees import Welcome
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Invite, Role
from meshlog.core.joining import taken_by, welcomes_by_host
from meshlog.replica import Replica
from meshlog.replica.membership import seated
from meshlog.replica.seat import join
from meshlog.replica.welcoming import WELCOME_REST_MS
from meshlog.store import SqliteStore
from meshlog.sync.effects import Woke
from tests.replica.devices import T0_MS, Pump, founder, holds_alike, identity, invited


def standings(replica: Replica) -> dict[str, str]:
    return {one.name: one.standing for one in seated(replica.store, replica.ledger)}


def joined(name: str, invite: Invite, now_ms: int) -> Replica:
    """Return a device whose clock shows ``now_ms`` when it joins."""
    store, who = SqliteStore(), identity(name)
    join(store, who, name, invite)
    return Replica(store, who, now_ms, Random(name))


def welcomed(replica: Replica, host: Replica) -> list[str]:
    said = welcomes_by_host(replica.ledger.decree_log.said.values())
    taken = taken_by(said.get(host.identity.author, ()))
    return [replica.ledger.roster.members[author].name for author in taken]


def control_events(replica: Replica) -> int:
    return sum(a.event.feed.kind is FeedKind.CONTROL for a in replica.store.scan())


def test_the_honest_one_keeps_its_seat_from_a_copied_invite_and_a_clock_set_back():
    base = founder()
    invite = base.invite(Role.WRITER, uses=1)
    ann = joined("ann", invite, T0_MS)
    Pump(base, ann).meet(ann, base)
    assert welcomed(base, base) == ["ann"]

    eve = joined("eve", invite, T0_MS - 10**9)
    pump = Pump(base, ann, eve)
    pump.meet(eve, base)
    for _ in range(2):  # whom base leaves out, it leaves out of the next key, too
        pump.meet(ann, base)
        pump.meet(eve, ann)

    assert holds_alike(base, ann, eve)
    for replica in (base, ann, eve):
        assert standings(replica) == {"base": "member", "ann": "member", "eve": "excluded"}


def test_until_the_host_was_met_the_stamps_decide_and_members_say_so():
    base = founder()
    invite = base.invite(Role.WRITER, uses=1)
    ann = joined("ann", invite, T0_MS)
    other = invited(base, "other")
    other.ingest(everything(base) + everything(ann), T0_MS)

    [why] = [one.why for one in seated(other.store, other.ledger) if one.name == "ann"]
    assert why == "not met yet by base: a copy of its invite may take its place"

    pump = Pump(base, ann, other)
    pump.meet(ann, base)
    pump.meet(other, base)
    assert [one.why for one in seated(other.store, other.ledger)] == ["", "", ""]


def everything(replica: Replica) -> list[bytes]:
    replica.root()
    return [
        segment
        for feed, heads in replica.frontier().items()
        for head in heads
        for segment in replica.segments(feed, head, 0, 1_000_000)[0]
    ]


def test_who_comes_in_company_is_welcomed_in_one_event_and_a_restart_says_nothing_again():
    base = founder()
    invite = base.invite(Role.WRITER, uses=40)
    guests = [joined(f"guest {number}", invite, T0_MS + number) for number in range(20)]
    before = control_events(base)
    base.ingest([segment for guest in guests for segment in everything(guest)], T0_MS)

    base.handle(Woke(), T0_MS)

    assert control_events(base) == before + len(guests) + 1
    assert welcomed(base, base) == [f"guest {number}" for number in range(20)]
    again = Replica(base.store, base.identity, T0_MS, Random(1))
    again.handle(Woke(), T0_MS + WELCOME_REST_MS)
    assert control_events(again) == control_events(base)


def test_copies_of_a_used_invite_and_free_invites_cost_the_host_no_event():
    base = founder()
    once, free = base.invite(Role.WRITER, uses=1), base.invite(Role.WRITER)
    names = ("ann", "eve", "eva", "ewa")
    crowd = [joined(name, once, T0_MS + place) for place, name in enumerate(names)]
    crowd += [joined(f"free {number}", free, T0_MS) for number in range(3)]

    for number, one in enumerate(crowd):
        base.ingest(everything(one), T0_MS)
        base.handle(Woke(), T0_MS + number * WELCOME_REST_MS)

    said = [one for one in base.ledger.decree_log.said.values() if isinstance(one, Welcome)]
    assert [len(one.guests) for one in said] == [1]
    assert welcomed(base, base) == ["ann"]


def test_coordinators_are_welcomed_in_the_order_in_which_the_host_met_them():
    """So that a second opening with a clock set back makes nobody the senior."""
    base = founder()
    cora, carl = (invited(base, name, Role.COORDINATOR) for name in ("cora", "carl"))
    for number, one in enumerate((cora, carl)):
        base.ingest(everything(one), T0_MS)
        base.handle(Woke(), T0_MS + number * WELCOME_REST_MS)

    assert welcomed(base, base) == ["cora", "carl"]
