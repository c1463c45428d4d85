"""The roster: the same members, names and roles in whatever order the openings came."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import (
    NO_DATASET,
    NO_PREV,
    OPEN_DATASET,
    DatasetId,
    Event,
    encode_body,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role, admit, issue
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.roster import Roster, data_feeds, enrol, fold, label, read_opening

FOUNDER, ANN, BOB, CAT = (Identity(Random(number).randbytes(64)) for number in range(4))
SEED = b"s" * 16


def event(who: Identity, kind: str, payload: dict[str, Any], at_ms: int, life: int = 1) -> Event:
    key = FeedKey(who.author, FeedKind.CONTROL, life)
    dataset = NO_DATASET if kind == "dataset.genesis" else DATASET
    return Event.make(key, 1, Stamp(at_ms, 0), NO_PREV, encode_body(kind, payload), dataset)


DATASET = OPEN_DATASET
GENESIS = event(FOUNDER, "dataset.genesis", {"keys": FOUNDER.keys, "name": "valley"}, 1, 0)
DATASET = DatasetId(GENESIS.id)


def opening(
    who: Identity, data: int, at_ms: int, role: Role | None, name: str = "", **more: Any
) -> Event:
    payload: dict[str, Any] = {"keys": who.keys, "name": name, "data": data}
    if role is not None:
        grant = issue(FOUNDER, b"", DATASET, SEED, role)
        payload["admission"] = admit(grant, SEED, who.author, DATASET)
    return event(who, "feed.open", payload | more, at_ms, data)


EVENTS = [
    GENESIS,
    opening(FOUNDER, 11, 5, None, "base"),
    opening(ANN, 21, 10, Role.OBSERVER, "ann"),
    opening(ANN, 22, 30, Role.WRITER, "anna"),
    opening(ANN, 23, 20, Role.RELAY, "an"),
    opening(BOB, 31, 10, Role.COORDINATOR, "bob"),
    opening(BOB, 30, 10, Role.WRITER, "bob2"),
    opening(CAT, 41, 10, None, "cat"),
    event(BOB, "member.note", {"what": 1}, 99, 5),
    event(ANN, "feed.open", {"keys": BOB.keys, "data": 3}, 99, 6),
]


@given(st.permutations(EVENTS))
def test_order_does_not_matter(events: list[Event]):
    """Genesis last included."""
    assert fold(DATASET, events) == fold(DATASET, EVENTS)


@given(st.permutations(EVENTS[1:]))
def test_order_does_not_matter_one_by_one(events: list[Event]):
    """What a replica does once it holds the genesis."""
    roster = enrol(Roster(DATASET), GENESIS)
    for one in events:
        roster = enrol(enrol(roster, one), one)

    assert roster == fold(DATASET, EVENTS)


def test_latest_name_highest_role_every_feed():
    roster = fold(DATASET, EVENTS)
    ann, bob = roster.members[ANN.author], roster.members[BOB.author]

    assert (roster.name, roster.founder) == ("valley", FOUNDER.keys)
    assert set(roster.members) == {FOUNDER.author, ANN.author, BOB.author}
    assert (ann.name, ann.role, ann.feeds) == ("anna", Role.WRITER, (21, 22, 23))
    assert (bob.role, bob.feeds) == (Role.COORDINATOR, (30, 31))
    assert roster.members[FOUNDER.author].role is Role.FOUNDER


def test_before_the_genesis_nobody_belongs():
    assert fold(DATASET, EVENTS[1:]) == Roster(DATASET)


def test_another_genesis_founds_nothing():
    other = event(BOB, "dataset.genesis", {"keys": BOB.keys, "name": "mine"}, 1, 0)

    assert fold(DATASET, [*EVENTS, other]) == fold(DATASET, EVENTS)


def test_in_the_open_dataset_everybody_writes():
    payload = {"keys": CAT.keys, "name": "cat", "data": 9}
    key = FeedKey(CAT.author, FeedKind.CONTROL, 9)
    body = encode_body("feed.open", payload)

    roster = fold(OPEN_DATASET, [Event.make(key, 1, Stamp(1, 0), NO_PREV, body)])

    assert roster.is_open
    assert roster.members[CAT.author].role is Role.WRITER


def test_an_index_is_a_place_among_feeds_that_take_turns():
    """Whoever opens many stands behind everybody else's first."""
    feeds = data_feeds(fold(DATASET, EVENTS))

    firsts = len({feed.author for feed in feeds})
    assert feeds[:firsts] == sorted(feeds[:firsts])
    assert len({feed.author for feed in feeds[:firsts]}) == firsts
    assert {feed.kind for feed in feeds} == {FeedKind.DATA}
    assert [feed.incarnation for feed in feeds if feed.author == ANN.author] == [21, 22, 23]


plain = st.none() | st.booleans() | st.integers(-5, 2**33) | st.text(max_size=80) | st.binary()


@given(
    st.sampled_from(["feed.open", "dataset.genesis", "feed.other"]),
    st.dictionaries(st.sampled_from(["keys", "name", "data", "admission", "x"]), plain),
    st.booleans(),
)
def test_an_odd_opening_is_none_or_cut_down(kind: str, payload: dict[str, Any], sound: bool):
    if sound:
        payload["keys"] = ANN.keys

    found = read_opening(event(ANN, kind, payload, 1))

    if found is not None:
        assert found.keys == ANN.keys
        assert len(found.name.encode()) <= 64
        assert found.data is None or 0 <= found.data < 2**32


def test_keys_of_small_order_open_nothing():
    keys = bytes(32) + b"\x01" + bytes(31)
    small = Identity(bytes(64))
    small.keys, small.author = keys, AuthorId(keys[:16])

    assert read_opening(event(small, "feed.open", {"keys": keys, "data": 1}, 1)) is None


def test_namesakes_are_told_apart():
    twins = [opening(ANN, 1, 1, Role.WRITER, "team"), opening(BOB, 1, 1, Role.WRITER, "team")]
    roster = fold(DATASET, [GENESIS, *twins, opening(CAT, 1, 1, Role.WRITER, "cat")])

    assert label(roster, CAT.author) == "cat"
    assert label(roster, ANN.author) == f"team~{ANN.author.hex()[:8]}"
    assert label(roster, AuthorId(bytes(16))) == "00" * 16
