"""What a node adds to the seed's surface: whole records, deletes, status, other ways to open."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import meshlog
from meshlog import HLC, IdentityError, InputError, Node, SimNetwork, SimTransport, materialize
from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.replica import Replica, found, join
from meshlog.store.sqlite import SqliteStore

QUARTER_MS = 15 * 60_000
NOW_MS = 1_700_000_000_000


@pytest.fixture
def pair() -> tuple[Node, Node]:
    air = SimNetwork()
    ann, bob = (Node(name, SimTransport(name, air)) for name in ("ann", "bob"))
    return ann, bob


def identity(number: int) -> Identity:
    return Identity(bytes([number]) * 64)


# ── Writing ──


def test_one_event_writes_many_fields_and_may_create_the_record(pair: tuple[Node, Node]):
    ann, bob = pair

    ann.put_record("r", {"a": 1, "b": [True]}, form="site")
    ann.put_record("r", {"b": None})
    bob.gossip_round()

    assert bob.frontier() == {"ann": 2}
    assert bob.view()["r"]["form"] == "site"
    assert bob.view()["r"]["created_by"] == "ann"
    assert bob.view()["r"]["fields"] == {"a": 1, "b": None}


def test_events_written_together_are_all_there_or_none(pair: tuple[Node, Node]):
    ann, _ = pair
    good = ("note.add", {"record_id": "r", "text": "x"})

    with pytest.raises(InputError):
        ann.emit_many([good, ("note.add", {"record_id": "r", "text": "\ud800"})])
    assert ann.frontier() == {}

    assert [event.seq for event in ann.emit_many([good, good])] == [1, 2]
    assert ann.emit_many([]) == []


def test_a_deleted_record_is_gone_everywhere_and_kept_in_the_log(pair: tuple[Node, Node]):
    ann, bob = pair
    ann.create_record("r", "site")
    bob.gossip_round()

    bob.delete_record("r")
    ann.gossip_round()

    assert ann.view() == bob.view() == {}
    kept = ann.record("r")
    assert kept is not None
    assert not kept.visible
    assert ann.record("never heard of") is None
    assert sum(ann.frontier().values()) == 2


def test_an_edit_that_a_delete_had_not_seen_keeps_the_record(pair: tuple[Node, Node]):
    ann, bob = pair
    ann.create_record("r", "site")
    bob.gossip_round()

    bob.delete_record("r")
    ann.set_field("r", "status", "occupied")
    bob.gossip_round()

    assert ann.view() == bob.view()
    assert ann.view()["r"]["fields"] == {"status": "occupied"}


# ── Reading ──


def test_the_status_is_made_for_scripts(pair: tuple[Node, Node]):
    ann, bob = pair
    ann.set_field("r", "f", 1)
    bob.set_field("r", "f", 2)
    bob.gossip_round()

    status = json.loads(json.dumps(ann.status()))

    assert (status["name"], status["dataset_name"]) == ("ann", "open")
    assert (status["records"], status["conflicts"], status["members"]) == (1, 1, 2)
    assert status["root"] == bob.status()["root"]
    assert status["refused"] == {}


def test_an_event_from_the_future_waits_outside_the_view_and_is_passed_on():
    """The pure fold has no horizon: it shows the event at once."""
    air = SimNetwork()
    clock = [NOW_MS]
    ann = Node("ann", SimTransport("ann", air), None, HLC(clock=lambda: clock[0]))
    fast = Node("fast", SimTransport("fast", air), None, HLC(clock=lambda: NOW_MS + 86_400_000))
    fast.set_field("r", "f", 1)
    ann.gossip_round()

    assert ann.frontier() == {"fast": 1}
    assert ann.view() == {}
    assert ann.status()["held_records"] == 1
    assert set(materialize(ann.store.all_events())) == {"r"}
    assert ann.set_field("mine", "f", 1).hlc[0] == NOW_MS, "our own clock is not dragged along"

    clock[0] += 86_400_000
    assert set(ann.view()) == {"r", "mine"}


def test_a_stamp_within_the_quarter_counts_and_moves_our_clock():
    air = SimNetwork()
    ann = Node("ann", SimTransport("ann", air), None, HLC(clock=lambda: NOW_MS))
    ahead = NOW_MS + QUARTER_MS - 1
    fast = Node("fast", SimTransport("fast", air), None, HLC(clock=lambda: ahead))
    seen = fast.set_field("r", "f", 1)
    ann.gossip_round()

    edit = ann.set_field("r", "f", 2)

    assert edit.hlc > seen.hlc
    assert ann.view()["r"]["fields"] == {"f": 2}


# ── Opening ──


def test_a_stores_identity_stands_beside_it_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "base.db"
    Node("base", SimTransport("base", SimNetwork()), path).close()

    beside = tmp_path / "base.db.identity"
    assert len(beside.read_bytes()) == 64
    assert beside.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_identity_is_an_error_and_never_a_new_one(tmp_path: Path):
    path = tmp_path / "base.db"
    Node("base", SimTransport("base", SimNetwork()), path).close()
    for file in tmp_path.glob("base.db.identity*"):
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    before = {file: file.read_bytes() for file in tmp_path.glob("base.db.identity*")}

    with pytest.raises(IdentityError):
        Node("base", SimTransport("base", SimNetwork()), path)

    assert {file: file.read_bytes() for file in tmp_path.glob("base.db.identity*")} == before


def test_a_store_of_somebody_else_is_refused(tmp_path: Path):
    path = tmp_path / "base.db"
    Node(identity(1), SimTransport("base", SimNetwork()), path).close()

    with pytest.raises(IdentityError, match="belongs to"):
        Node(identity(2), SimTransport("base", SimNetwork()), path)


def test_an_identity_as_author_is_named_by_its_id():
    node = Node(identity(1), SimTransport("x", SimNetwork()))

    assert node.author == identity(1).author.hex()
    node.set_field("r", "f", 1)
    assert node.frontier() == {node.author: 1}


def test_a_dataset_with_a_roster_opens_over_its_store():
    now_ms, luck = NOW_MS, random.Random(1)
    stores = [SqliteStore(":memory:") for _ in range(2)]
    found(stores[0], identity(1), "base", "flood 2027", now_ms, luck)
    base = Node.over(stores[0], identity(1))
    invite = base.replica.invite(Role.WRITER)
    join(stores[1], identity(2), "team", invite)
    team = Node.over(stores[1], identity(2))

    team.set_field("r", "f", 1)

    assert base.author == "base"
    assert (base.status()["dataset_name"], team.author) == ("flood 2027", "team")
    assert base.replica.dataset == team.replica.dataset
    with pytest.raises(InputError, match="transport"):
        team.gossip_round()
    with pytest.raises(InputError, match="no invite"):
        Node("x", SimTransport("x", SimNetwork())).replica.invite(Role.WRITER)


def test_strangers_to_a_dataset_are_not_heard_over_the_seam():
    """An open node and one with a roster hold different keys: not a word passes."""
    air = SimNetwork()
    store = SqliteStore(":memory:")
    found(store, identity(1), "base", "flood", NOW_MS, random.Random(1))
    Replica(store, identity(1), NOW_MS, random.Random(2))
    closed = Node(identity(1), SimTransport("closed", air), seated=store)
    opened = Node("open", SimTransport("open", air))
    closed.set_field("secret", "f", 1)
    opened.set_field("public", "f", 1)

    for node in (closed, opened, closed, opened):
        node.gossip_round()

    assert set(opened.view()) == {"public"}
    assert set(closed.view()) == {"secret"}


# ── The front door ──


def test_the_front_door_has_what_it_names():
    for name in meshlog.__all__:
        if name != "RNSTransport":
            assert getattr(meshlog, name) is not None
    with pytest.raises(AttributeError, match="Ledger"):
        meshlog.Ledger  # noqa: B018


# ── A program that never closes, and other manners of the seed ──


def test_a_forgotten_node_lets_go_of_its_file(tmp_path: Path):
    air = SimNetwork()
    node = Node("base", SimTransport("base", air), tmp_path / "base.db")
    node.set_field("r", "f", 1)
    del node

    with Node("base", SimTransport("base", air), tmp_path / "base.db") as again:
        assert again.frontier() == {"base": 1}


def test_a_forgotten_node_without_a_file_still_answers():
    """The seed's network kept its nodes alive; a relay needs no variable."""
    air = SimNetwork()
    Node("relay", SimTransport("relay", air))
    ann, bob = (Node(name, SimTransport(name, air)) for name in ("ann", "bob"))
    ann.set_field("r", "f", 1)
    air.set_partitions([{"ann", "relay"}, {"bob"}])
    ann.gossip_round()
    air.set_partitions([{"ann"}, {"bob", "relay"}])
    bob.gossip_round()

    assert bob.view() == ann.view()


def test_a_store_keeps_the_name_that_it_was_made_with(tmp_path: Path):
    Node("base", None, tmp_path / "base.db").close()

    with pytest.raises(InputError, match="belongs to 'base'"):
        Node("other", None, tmp_path / "base.db")

    Node("base", None, tmp_path / "base.db").close()


def test_a_clock_that_is_given_is_gone_on_with():
    clock = HLC(5_000, 3, lambda: 1_000)
    node = Node("ann", None, hlc=clock)

    assert node.set_field("r", "f", 1).hlc == (5_000, 4)
    assert node.hlc is clock
    assert (clock.wall, clock.counter) == (5_000, 4)


def test_the_clock_knows_what_came_in(pair: tuple[Node, Node]):
    ann, bob = pair
    ann.set_field("r", "f", 1)
    bob.gossip_round()
    (seen,) = bob.store.all_events()

    assert bob.hlc.latest >= seen.hlc
    assert bob.hlc.now() > seen.hlc


def test_a_reopened_node_goes_on_after_its_last_stamp(tmp_path: Path):
    with Node("ann", None, tmp_path / "a.db", HLC(clock=lambda: 9_000)) as node:
        last = node.set_field("r", "f", 1).hlc

    with Node("ann", None, tmp_path / "a.db", HLC(clock=lambda: 1_000)) as again:
        assert again.hlc.now() > last


@pytest.mark.parametrize(
    ("place", "wrong"),
    [("transport", "lora"), ("transport", object()), ("persist_path", 5), ("hlc", 5)],
)
def test_an_argument_of_the_wrong_type_is_named(place: str, wrong: object):
    arguments: dict[str, Any] = {"author": "ann", "transport": None}

    with pytest.raises(InputError, match=place):
        Node(**(arguments | {place: wrong}))


def test_a_seat_needs_its_identity():
    with pytest.raises(InputError, match="identity"):
        Node("ann", None, seated=SqliteStore())


# ── Air ──


@pytest.mark.parametrize("seed", range(12))
def test_one_round_brings_everybody_in_reach_to_agree(seed: int):
    """However the islands were: whoever calls, the network runs until nobody has more to say."""
    luck = random.Random(seed)
    air = SimNetwork()
    names = [f"n{index}" for index in range(luck.randint(2, 6))]
    nodes = [Node(name, SimTransport(name, air)) for name in names]
    for _ in range(luck.randint(1, 3)):
        islands: list[set[str]] = [set(), set()]
        for node in nodes:
            luck.choice(islands).add(node.author)
        air.set_partitions(islands)
        for _ in range(luck.randint(0, 10)):
            luck.choice(nodes).set_field(f"r{luck.randrange(3)}", "f", luck.randrange(99))
        luck.choice(nodes).gossip_round()
    air.set_partitions([names])

    luck.choice(nodes).gossip_round()

    assert len({node.replica.root() for node in nodes}) == 1


def test_a_round_in_agreement_costs_two_beacons_a_peer():
    air = SimNetwork()
    nodes = [Node(name, SimTransport(name, air)) for name in ("ann", "bob", "cat", "dan")]
    nodes[0].set_field("r", "f", 1)
    for _ in range(2):
        nodes[0].gossip_round()
    bytes_before, messages_before = air.bytes_sent, air.messages_sent

    nodes[0].gossip_round()

    assert air.messages_sent - messages_before == 2 * 3
    assert air.bytes_sent - bytes_before == 2 * 3 * 33
