"""Who removes whom, and whom an invite lets in: the same for any order of the control events."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core import seniority
from meshlog.core.decrees import (
    CUTS_MAX,
    KEEPS_MAX,
    WELCOMES_MAX,
    DecreeLog,
    Decrees,
    is_within,
    place_of,
    read_decree,
)
from meshlog.core.event import Event, EventId
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.grant import Role, issue
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster, fold, label
from meshlog.core.seniority import DECREES_PER_PAIR_MAX, fold_decrees, settle
from tests.views.members import SHARED, Person, found, invited

CONTROL, DATA = FeedKind.CONTROL, FeedKind.DATA
NOTHING = {CONTROL: 0, DATA: 0}


def control(*people: Person) -> list[Event]:
    return [e for person in people for e in person.said if e.feed.kind is CONTROL]


def roster_of(*people: Person) -> Roster:
    return fold(people[0].dataset, control(*people))


def judged(*people: Person) -> Decrees:
    """Return what counts; the first is the founder. Every order must say the same."""
    events, roster = control(*people), roster_of(*people)
    decrees = fold_decrees(roster, events)
    for seed in range(5):
        shuffled = Random(seed).sample(events, len(events))
        assert fold_decrees(fold(people[0].dataset, shuffled), shuffled) == decrees
    return decrees


def removed(decrees: Decrees, people: Sequence[Person]) -> list[bool]:
    return [person.author in decrees.removals for person in people]


@pytest.fixture
def camp() -> tuple[Person, Person, Person, Person]:
    """A founder, two coordinators (cora joined first), a writer whom cora let in."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR, 1)
    carl = invited(base, "carl", Role.COORDINATOR, 2)
    return base, cora, carl, invited(cora, "wim", wall_ms=3)


def test_only_coordinators_remove_others(camp):
    _, cora, _, wim = camp
    wim.revoke(cora, 10)
    assert judged(*camp).removals == {}

    cora.revoke(wim, 10)
    assert removed(judged(*camp), camp) == [False, False, False, True]


def test_nobody_removes_the_founder_but_the_founder_itself(camp):
    base, cora, *_ = camp
    cora.revoke(base, 10, "hard", NOTHING)
    assert judged(*camp).removals == {}

    base.revoke(base, 11)
    assert removed(judged(*camp), camp) == [True, False, False, False]


def test_everybody_may_remove_itself_and_the_first_time_counts(camp):
    *_, wim = camp
    first = wim.revoke(wim, 10)
    wim.revoke(wim, 11, "hard", NOTHING)

    [counted] = judged(*camp).removals[wim.author]
    assert counted.place.id == first.id


def test_of_two_who_remove_each_other_the_senior_stays(camp):
    _, cora, carl, _ = camp
    """Neither had seen what the other decreed; the clock of the junior is behind, or set back."""
    cora.revoke(carl, 20)
    carl.revoke(cora, 10, "hard", NOTHING)

    assert removed(judged(*camp), camp) == [False, False, True, False]


def test_a_senior_who_leaves_the_juniors_decree_in_its_cut_accepts_it(camp):
    _, cora, carl, _ = camp
    carl.revoke(cora, 10)
    cora.revoke(carl, 20)

    assert removed(judged(*camp), camp) == [False, True, True, False]


def test_what_a_coordinator_decrees_after_its_cut_does_not_count(camp):
    base, cora, carl, wim = camp
    base.revoke(carl, 10)
    carl.revoke(wim, 11)
    carl.revoke(cora, 12)

    assert removed(judged(*camp), camp) == [False, False, True, False]


def test_a_junior_may_remove_a_senior_who_then_decides_about_its_juniors_no_more(camp):
    _, cora, carl, wim = camp
    carl.revoke(cora, 10, keeps=[wim.author])
    cora.revoke(wim, 11)

    assert removed(judged(*camp), camp) == [False, True, False, False]


def test_whom_a_revoked_coordinator_let_in_counts_only_if_it_was_kept(camp):
    base, cora, _, wim = camp
    wes = invited(cora, "wes", wall_ms=4)
    base.revoke(cora, 10, keeps=[wim.author])

    assert judged(*camp, wes).lapsed == {
        wes.author: f"let in by {label(roster_of(*camp, wes), cora.author)},"
        " who was revoked without keeping it"
    }


def test_a_member_left_out_can_be_taken_back_in_by_a_coordinator(camp):
    base, cora, carl, wim = camp
    said = base.revoke(cora, 10)
    payload = {"author": cora.author, "answers": [said.id], "cuts": [], "keeps": [wim.author]}
    wim.decree("member.readmit", payload, 11)
    assert wim.author in judged(*camp).lapsed

    carl.decree("member.readmit", payload, 12)
    assert judged(*camp).lapsed == {}


def shared(base: Person, **marks: Any) -> list[Person]:
    grant = issue(base.who, b"", base.dataset, SHARED, Role.WRITER, **marks)
    names = ("ann", "bob", "cat")
    return [invited(base, name, wall_ms=n * 1_000, grant=grant) for n, name in enumerate(names, 1)]


def test_an_invite_for_two_lets_the_first_two_in():
    base = found()
    ann, bob, cat = shared(base, uses=2)

    assert judged(base, ann, bob, cat).lapsed == {
        cat.author: "joined with an invite that 2 had used already"
    }


def test_who_joined_after_the_invite_expired_uses_nothing_up():
    base = found()
    ann, bob, cat = shared(base, uses=3, expires_s=2)

    assert judged(base, ann, bob, cat).lapsed == {cat.author: "joined after the invite had expired"}


def test_nobody_joins_through_a_member_who_joined_too_late():
    base = found()
    grant = issue(base.who, b"", base.dataset, SHARED, Role.COORDINATOR, 1)
    late = invited(base, "late", wall_ms=5_000, grant=grant)
    guest = invited(late, "guest", wall_ms=6_000)

    assert set(judged(base, late, guest).lapsed) == {late.author, guest.author}
    assert judged(base, guest).lapsed == {
        guest.author: "let in by a member whose own opening is not held yet"
    }


def heir_of(person: Person, name: str, wall_ms: int, **said: Any) -> Person:
    """Hand a seat over to new keys."""
    grant = issue(
        person.who, person.admission, person.dataset, SHARED, Role.WRITER, is_succession=True
    )
    heir = invited(person, name, wall_ms=wall_ms, grant=grant)
    payload = {"to": heir.author, "cuts": said.get("cuts", []), "keeps": []}
    if said.get("is_said", True):
        person.decree("member.rotate", payload, wall_ms)
    return heir


def test_new_keys_have_the_seat_only_if_the_old_ones_hand_it_over(camp):
    *_, wim = camp
    thief = heir_of(wim, "thief", 10, is_said=False)
    assert judged(*camp, thief).lapsed[thief.author].startswith("its keys claim the seat of")

    heir = heir_of(wim, "heir", 11)
    decrees = judged(*camp, thief, heir)
    assert set(decrees.lapsed) == {thief.author}
    assert decrees.removals[wim.author][0].successor == heir.author


def test_a_seat_is_handed_over_once(camp):
    *_, wim = camp
    first, second = heir_of(wim, "first", 10), heir_of(wim, "second", 11)

    assert set(judged(*camp, first, second).lapsed) == {second.author}


def test_the_founders_new_keys_stand_in_its_place():
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR, 2)
    grant = issue(base.who, b"", base.dataset, SHARED, Role.COORDINATOR, is_succession=True)
    heir = invited(base, "heir", wall_ms=50, grant=grant)
    base.decree("member.rotate", {"to": heir.author, "cuts": [], "keeps": [cora.author]}, 51)
    cora.revoke(heir, 60, "hard", NOTHING)
    assert heir.author not in judged(base, cora, heir).removals

    heir.revoke(cora, 70)
    assert cora.author in judged(base, cora, heir).removals


def test_a_flood_of_decrees_is_looked_at_up_to_a_limit(camp):
    _, cora, _, wim = camp
    for wall_ms in range(10, 200):
        cora.revoke(wim, wall_ms)

    assert len(judged(*camp).removals[wim.author]) == DECREES_PER_PAIR_MAX


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**33), st.binary(max_size=33), st.text(max_size=3)
)
ODD = st.recursive(
    SCALARS,
    lambda odd: st.lists(odd, max_size=4) | st.dictionaries(st.text(max_size=4), odd, max_size=3),
    max_leaves=12,
)


@given(
    st.sampled_from(["member.revoke", "member.rotate", "member.readmit", "member.welcome"]),
    st.dictionaries(
        st.sampled_from(["author", "cuts", "mode", "keeps", "to", "answers", "guests"]), ODD
    ),
)
def test_no_payload_makes_the_fold_raise(kind: str, payload: dict[str, Any]):
    base = found()
    base.decree(kind, payload, 10)

    settle(roster_of(base), DecreeLog().put(base.said))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cuts": [[0, 1, 1, bytes(32)]] * (CUTS_MAX + 1)},
        {"cuts": [[2, 1, 1, bytes(32)]]},
        {"cuts": [[0, 1, 0, bytes(32)]]},
        {"cuts": [[0, True, 1, bytes(32)]]},
        {"cuts": [[0, 1, 1, bytes(31)]]},
        {"keeps": [bytes(16)] * (KEEPS_MAX + 1)},
        {"mode": "gone"},
        {"mode": None},
        {"author": bytes(15)},
    ],
)
def test_an_unreadable_revocation_is_none(wrong: dict[str, Any]):
    base = found()
    good = {"author": bytes(16), "cuts": [[0, 1, 1, bytes(32)]], "mode": "soft", "keeps": []}

    assert read_decree(base.decree("member.revoke", good, 2)) is not None
    assert read_decree(base.decree("member.revoke", good | wrong, 3)) is None


# ── What a hostile member writes ──


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 31), st.integers(-1, 1)), min_size=1, max_size=4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_what_lies_within_cuts_of_a_tree_is_what_a_walk_finds(
    parents: list[int], tips: list[tuple[int, int]], lenient: bool, luck: Random
):
    """Some cuts name an event at a seq that is not its own: that one is held nowhere."""
    wim = invited(found(), "wim")
    tree = [wim.last[CONTROL]]
    for parent in parents:
        tree.append(wim.write(CONTROL, "x", {}, 10, tree[parent % len(tree)]))
    log = DecreeLog().put(luck.sample(tree, len(tree)))
    by_id = {event.id: event for event in tree}
    named = [(tree[place % len(tree)], ahead) for place, ahead in tips]
    cuts = {tree[0].feed: tuple(Head(event.seq + ahead, event.id) for event, ahead in named)}

    walked: set[bytes] = set()
    for event, ahead in named:
        if ahead:
            walked.update(e.id for e in tree if lenient and e.seq <= event.seq + ahead)
            continue
        at: Event | None = event
        while at is not None:
            walked.add(at.id)
            at = by_id.get(EventId(at.prev))

    assert log.within(cuts, lenient=lenient) == walked
    for event in tree:
        within = is_within(place_of(event), cuts, Walk(by_id), lenient=lenient)
        assert within == (event.id in walked), "as for data events"


@dataclass(frozen=True)
class Walk:
    """Who descends from whom, step by step."""

    by_id: Mapping[EventId, Event]

    def ancestor(self, feed: FeedKey, tip: Head, seq: int) -> bytes | None:
        at = self.by_id.get(EventId(tip.id))
        if at is None or at.seq != tip.seq:
            return None
        while at.seq > seq:
            at = self.by_id[EventId(at.prev)]
        return at.id


def test_many_cuts_on_a_long_feed_cost_no_memory_for_each():
    """A writer that removes itself, and names 255 places of a branch that it is not on."""
    base = found()
    wim = invited(base, "wim")
    root = wim.last[CONTROL]
    line = [root]
    for _ in range(1_000):
        line.append(wim.write(CONTROL, "x", {}, 10, line[-1]))
    cuts = [[0, wim.life, event.seq, event.id] for event in line[-CUTS_MAX + 1 :]]
    cuts.append([0, wim.life, 2**31, bytes(32)])
    payload = {"author": wim.author, "cuts": cuts, "mode": "soft"}
    head = wim.write(CONTROL, "member.revoke", payload, 2, root)
    wim.write(CONTROL, "member.revoke", payload, 3, head)
    roster, log = roster_of(base, wim), DecreeLog().put(control(base, wim))

    tracemalloc.start()
    decrees = settle(roster, log)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(decrees.removals[wim.author]) == 2
    assert peak_bytes < 2_000_000


def test_the_host_of_many_who_fell_is_looked_up_once(monkeypatch: pytest.MonkeyPatch):
    """Each look-up goes through the roster, and whoever has an invite can fill that."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR)
    grant = issue(cora.who, cora.admission, base.dataset, SHARED, Role.WRITER)
    crowd = [invited(cora, f"guest {number}", grant=grant) for number in range(40)]
    base.revoke(cora, 10)
    asked: list[AuthorId] = []

    def counted(roster: Roster, author: AuthorId) -> str:
        asked.append(author)
        return label(roster, author)

    monkeypatch.setattr(seniority, "label", counted)

    decrees = fold_decrees(roster_of(base, cora, *crowd), control(base, cora, *crowd))

    assert len(decrees.lapsed) == 40
    assert len(asked) == 1


def test_who_was_removed_displaces_no_removal_that_counts():
    """A thief with a revoked coordinator's key forks its feed, and says the same before."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR, 1)
    wim = invited(base, "wim", wall_ms=2)
    root = cora.last[CONTROL]
    true = cora.revoke(wim, 1_000)
    base.revoke(cora, 2_000)
    cora.last[CONTROL] = root
    for wall_ms in range(10, 10 + 2 * DECREES_PER_PAIR_MAX):
        cora.revoke(wim, wall_ms)

    removals = judged(base, cora, wim).removals[wim.author]

    assert [removal.place.id for removal in removals] == [true.id]


# ── Whom a host has met ──


def single_use(base: Person, name: str, wall_ms: int, role: Role = Role.WRITER) -> Person:
    """Join with one invite for one device."""
    grant = issue(base.who, base.admission, base.dataset, SHARED, role, uses=1)
    return invited(base, name, role, wall_ms, grant)


def test_a_copied_invite_is_of_whom_the_host_met_first_whatever_the_stamps_say():
    base = found()
    ann = single_use(base, "ann", 1_000)
    eve = single_use(base, "eve", 2)
    assert {*judged(base, ann, eve).lapsed} == {ann.author}, "for now: nobody knows better"

    base.welcome(2_000, ann)

    assert {*judged(base, ann, eve).lapsed} == {eve.author}


def test_who_was_welcomed_keeps_its_place_when_others_are_welcomed_too():
    """Of a host that lived twice, each copy met another one."""
    base = found()
    ann, eve = single_use(base, "ann", 1_000), single_use(base, "eve", 2)
    root = base.last[CONTROL]
    base.welcome(2_000, ann)
    base.last[CONTROL] = root
    base.welcome(2_001, eve)

    assert {*judged(base, ann, eve).lapsed} == {eve.author}


def test_only_the_host_welcomes_its_guests():
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR)
    ann, eve = single_use(base, "ann", 1_000), single_use(base, "eve", 2)
    for stranger in (cora, ann):
        stranger.welcome(2_000, ann)

    assert {*judged(base, cora, ann, eve).lapsed} == {ann.author}


def test_a_host_that_was_revoked_takes_nobodys_place_any_more():
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR)
    ann, eve = single_use(cora, "ann", 1_000), single_use(cora, "eve", 2)
    root = cora.last[CONTROL]
    cora.welcome(2_000, ann)
    base.revoke(cora, 3_000, keeps=[ann.author, eve.author])
    cora.last[CONTROL] = root
    cora.welcome(10, eve)

    assert {*judged(base, cora, ann, eve).lapsed} == {eve.author}


def test_no_coordinator_becomes_the_senior_by_a_second_opening_with_a_clock_set_back():
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR, 1_000)
    carl = invited(base, "carl", Role.COORDINATOR, 2_000)
    base.welcome(2_500, cora, carl)
    again = replace(carl, life=9, last={}, said=[])
    again.open(1)
    cora.revoke(carl, 3_000)
    carl.revoke(cora, 3_001, "hard", NOTHING)

    assert {*judged(base, cora, carl, again).removals} == {carl.author}


def test_a_coordinator_orders_its_own_guests_and_nobody_elses():
    """Whom the senior coordinator let in is senior to whom the junior one did."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR, 1_000)
    carl = invited(base, "carl", Role.COORDINATOR, 2_000)
    base.welcome(2_500, cora, carl)
    ann = invited(cora, "ann", Role.COORDINATOR, 5_000)
    eve = invited(carl, "eve", Role.COORDINATOR, 3_000)
    carl.welcome(2_001, eve)
    ann.revoke(eve, 7_000)
    eve.revoke(ann, 6_000, "hard", NOTHING)

    assert {*judged(base, cora, carl, ann, eve).removals} == {eve.author}


@pytest.mark.parametrize("guests", [[], [bytes(16)] * (WELCOMES_MAX + 1), [bytes(15)], bytes(16)])
def test_an_unreadable_welcome_is_none(guests: object):
    base = found()

    assert read_decree(base.decree("member.welcome", {"guests": guests}, 2)) is None
