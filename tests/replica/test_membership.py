"""Revoke, readmit, rotate on real replicas: what everybody sees, in whatever order it hears."""

from __future__ import annotations

from random import Random

import pytest

from meshlog.core.decrees import Mode
from meshlog.core.event import encode_body
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Invite, Role, admit
from meshlog.errors import IdentityError, InputError
from meshlog.replica import Replica, membership
from meshlog.replica.membership import Since, find_member, seated
from meshlog.views.standing import Standing
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    founder,
    holds_alike,
    identity,
    invited,
    open_replica,
    segs,
)

HOUR_MS = 3_600_000
NOW = Since()


def put(replica: Replica, record: str, value: object, now_ms: int = T0_MS) -> None:
    payload = {"record_id": record, "field": "depth", "value": value}
    replica.append("field.set", payload, now_ms)


def revoke(
    by: Replica, who: Replica, mode: Mode = Mode.SOFT, since: Since = NOW, now_ms: int = T0_MS
) -> None:
    author = who.identity.author
    by.decree(
        "member.revoke", membership.revocation(by.store, by.ledger, author, mode, since), now_ms
    )


def readmit(by: Replica, who: Replica, until_seq: int | None = None) -> None:
    said = membership.readmission(by.store, by.ledger, who.identity.author, until_seq)
    by.decree("member.readmit", said, T0_MS)


def depths(replica: Replica) -> dict[str, object]:
    return {name: row["fields"].get("depth") for name, row in replica.view.snapshot().items()}


def meet_all(pump: Pump, *replicas: Replica) -> None:
    for _ in range(2):
        for one in replicas:
            for other in replicas:
                if one is not other:
                    pump.meet(one, other)


def test_what_a_revoked_device_wrote_later_is_kept_relayed_and_not_shown():
    base = founder()
    lost, team = invited(base, "lost"), invited(base, "team")
    pump = Pump(base, lost, team)
    put(lost, "W-1", 10)
    meet_all(pump, base, lost, team)
    revoke(base, lost)
    put(lost, "W-1", 66)
    put(lost, "W-2", 66)

    Pump(lost, team).meet(team, lost)
    assert depths(team) == {"W-1": 66, "W-2": 66}, "team has not heard of it yet"
    meet_all(pump, base, lost, team)

    assert holds_alike(base, lost, team)
    assert depths(base) == depths(team) == depths(lost) == {"W-1": 10}
    waiting = {one.name: one.review_events for one in seated(base.store, base.ledger)}
    assert waiting == {"base": 0, "lost": 2, "team": 0}
    with pytest.raises(InputError, match="was revoked by base"):
        put(lost, "W-3", 1)


def test_a_coordinator_takes_the_review_queue_back_in_up_to_an_event():
    base = founder()
    lost = invited(base, "lost")
    pump = Pump(base, lost)
    meet_all(pump, base, lost)
    revoke(base, lost)
    for number in range(1, 4):
        put(lost, f"W-{number}", number)
    meet_all(pump, base, lost)
    assert depths(base) == {}

    readmit(base, lost, until_seq=2)
    assert depths(base) == {"W-1": 1, "W-2": 2}

    readmit(base, lost)
    assert depths(base) == {"W-1": 1, "W-2": 2, "W-3": 3}
    meet_all(pump, base, lost)
    assert holds_alike(base, lost)


def test_a_hard_revocation_offers_no_review():
    base = founder()
    stolen = invited(base, "stolen")
    pump = Pump(base, stolen)
    meet_all(pump, base, stolen)
    revoke(base, stolen, Mode.HARD)
    put(stolen, "W-1", 1)
    meet_all(pump, base, stolen)

    assert seated(base.store, base.ledger)[1].review_events == 0
    with pytest.raises(InputError, match="for good"):
        readmit(base, stolen)


def test_a_device_stolen_last_week_is_cut_back_to_last_week():
    base = founder()
    stolen = invited(base, "stolen")
    pump = Pump(base, stolen, now_ms=T0_MS + 10 * HOUR_MS)
    for number in range(4):
        put(stolen, f"W-{number}", number, T0_MS + number * HOUR_MS)
    base.advance_horizon(T0_MS + 10 * HOUR_MS)
    meet_all(pump, base, stolen)
    assert len(depths(base)) == 4

    revoke(base, stolen, Mode.HARD, Since(wall_ms=T0_MS + HOUR_MS), T0_MS + 10 * HOUR_MS)
    assert depths(base) == {"W-0": 0, "W-1": 1}

    revoke(base, stolen, Mode.HARD, Since(seq=2), T0_MS + 10 * HOUR_MS)
    assert depths(base) == {"W-0": 0}


def test_new_keys_go_on_where_the_old_ones_stopped():
    base = founder()
    team = invited(base, "team", Role.COORDINATOR)
    Pump(base, team).meet(team, base)
    guest = invited(team, "guest")
    pump = Pump(base, team, guest)
    put(team, "W-1", 1)
    put(guest, "W-2", 2)
    meet_all(pump, base, team, guest)

    heir = identity("team's new keys")
    team.rotate(heir, T0_MS)
    with pytest.raises(IdentityError, match="belongs to"):
        Replica(team.store, team.identity, T0_MS, Random(1))
    anew = Replica(team.store, heir, T0_MS, Random(2))
    put(anew, "W-1", 3)
    pump = Pump(base, anew, guest)
    meet_all(pump, base, anew, guest)

    assert holds_alike(base, anew, guest)
    assert depths(base) == {"W-1": 3, "W-2": 2}, "guest, whom the old keys let in, stays"
    states = {(one.name, one.standing) for one in seated(base.store, base.ledger)}
    assert states == {
        ("base", "member"),
        ("team", "rotated"),
        ("team", "member"),
        ("guest", "member"),
    }
    late = invited(anew, "late")
    pump = Pump(base, late)
    meet_all(pump, base, late)
    assert seated(base.store, base.ledger)[-1].standing == "member"


def test_the_founder_rotates_and_stays_the_most_senior():
    base = founder()
    team = invited(base, "team", Role.COORDINATOR)
    meet_all(Pump(base, team), base, team)
    heir = identity("base's new keys")
    base.rotate(heir, T0_MS)
    anew = Replica(base.store, heir, T0_MS, Random(2))
    meet_all(Pump(anew, team), anew, team)

    said = membership.revocation(team.store, team.ledger, heir.author, Mode.HARD, Since())
    team.decree("member.revoke", said, T0_MS)
    meet_all(Pump(anew, team), anew, team)
    assert [one.standing for one in seated(team.store, team.ledger)] == [
        "rotated", "member", "member"
    ]  # fmt: skip

    revoke(anew, team)
    assert seated(anew.store, anew.ledger)[1].standing == "revoked (soft)"


def test_what_would_not_count_is_refused_before_it_is_written():
    base = founder()
    team, other = invited(base, "team"), invited(base, "other")
    meet_all(Pump(base, team, other), base, team, other)
    before = base.store.event_count()

    with pytest.raises(InputError, match="only the founder and coordinators"):
        revoke(team, other)
    with pytest.raises(InputError, match="not revoked"):
        readmit(base, other)
    with pytest.raises(InputError, match="no decree"):
        base.decree("member.revoke", {"author": team.identity.author}, T0_MS)
    lone = open_replica("lone")
    with pytest.raises(InputError, match="open dataset has no roster"):
        lone.decree("member.revoke", {"author": bytes(16)}, T0_MS)
    assert base.store.event_count() == before


def test_a_member_is_found_by_name_or_id_and_a_shared_name_asks_for_the_id():
    base = founder()
    team, twin = invited(base, "team"), invited(base, "twin")
    meet_all(Pump(base, team, twin), base, team, twin)
    roster = base.ledger.roster
    author = team.identity.author

    assert find_member(roster, "team") == author
    assert find_member(roster, author.hex()[:8]) == author
    with pytest.raises(InputError, match="there is no member 'nobody'"):
        find_member(roster, "nobody")


def test_an_event_of_the_review_queue_says_why_it_is_not_shown():
    base = founder()
    lost = invited(base, "lost")
    pump = Pump(base, lost)
    meet_all(pump, base, lost)
    revoke(base, lost)
    put(lost, "W-1", 1)
    meet_all(pump, base, lost)

    [event] = [a.event for a in base.store.scan() if a.event.feed.kind is FeedKind.DATA]
    standings = base.ledger.standings(base.store)

    assert standings.of(event) is Standing.EXCLUDED
    assert standings.why(event) == (
        "after the cut at which base revoked its author: waits for a review"
    )


# ── More than one decree can name ──


def crowd(host: Replica, count: int, invite: Invite | None = None) -> list[bytes]:
    """Return the openings of so many guests of one invite, as segments."""
    invite = invite or host.invite(Role.WRITER)
    found = []
    for number in range(count):
        who = identity(f"guest {number} of {invite.seed.hex()}")
        admission = admit(invite.grant, invite.seed, who.author, invite.dataset)
        found += segs(Stranger(who, invite.dataset, more={"admission": admission}).opening())
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """What one decree names, made small: a thousand members take a minute to make."""
    monkeypatch.setattr("meshlog.replica.membership.KEEPS_MAX", 4)
    return 4


@pytest.mark.parametrize("is_founder", [True, False])
def test_new_keys_keep_whom_the_last_word_of_the_old_ones_has_no_room_for(
    few: int, is_founder: bool
):
    base = founder()
    host = base if is_founder else invited(base, "cora", Role.COORDINATOR)
    if host is not base:
        Pump(base, host).meet(host, base)
    guests = crowd(host, 3 * few)
    unused = host.invite(Role.WRITER)
    host.ingest(guests, T0_MS)
    members = len(host.ledger.roster.members)

    heir = identity("new keys")
    host.rotate(heir, T0_MS)
    anew = Replica(host.store, heir, T0_MS, Random(2))

    assert anew.ledger.decrees.lapsed == {}
    assert membership.member_count(anew.ledger) == members
    anew.ingest(crowd(base, 1, unused), T0_MS)
    again = Replica(host.store, heir, T0_MS, Random(3))
    assert len(again.ledger.decrees.lapsed) == 1, "old invites stay void"


def test_whoever_revokes_a_host_keeps_all_of_its_many_guests(few: int):
    base = founder()
    cora = invited(base, "cora", Role.COORDINATOR)
    Pump(base, cora).meet(cora, base)
    base.ingest(crowd(cora, 3 * few), T0_MS)

    revoke(base, cora)

    assert {*base.ledger.decrees.removals} == {cora.identity.author}
    assert base.ledger.decrees.lapsed == {}


def test_who_retires_with_more_guests_than_its_own_word_can_keep_is_told_so(few: int):
    base = founder()
    base.ingest(crowd(base, 2 * few), T0_MS)

    with pytest.raises(InputError, match="rotate its keys"):
        revoke(base, base)


def test_nobody_forks_so_often_that_it_cannot_be_revoked(monkeypatch: pytest.MonkeyPatch):
    """A decree names so many branches: those that came first, so what was honest counts."""
    monkeypatch.setattr("meshlog.replica.membership.CUTS_MAX", 4)
    base = founder()
    wim = invited(base, "wim")
    put(wim, "W-1", 1)
    Pump(base, wim).meet(wim, base)
    more = {"admission": wim.seat.admission}
    for number in range(6):
        life = Stranger(wim.identity, wim.dataset, life=number, more=more)
        payload = {"record_id": f"X-{number}", "field": "depth", "value": 66}
        base.ingest(segs(life.opening(), life.run_of(encode_body("field.set", payload))), T0_MS)
    assert len(depths(base)) == 7

    revoke(base, wim, Mode.HARD)

    assert depths(base) == {"W-1": 1, "X-0": 66}
