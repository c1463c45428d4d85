"""The seed's store: its methods, and events that programs carry by hand."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshlog import (
    Event,
    FeedStore,
    IdentityError,
    InputError,
    Node,
    SimNetwork,
    SimTransport,
    StoreBusyError,
    StoreError,
    materialize,
)
from meshlog.node.waiting import WAITING_MAX

NOTHING_HELD: tuple[dict[str, int], int, list[int]] = ({}, 0, [])


def feed(author: str, length: int) -> list[Event]:
    """Return a feed as a program of the seed makes one by hand."""
    made: list[Event] = []
    for seq in range(1, length + 1):
        payload = {"record_id": f"r{seq % 3}", "field": "f", "value": seq}
        prev = made[-1].id if made else ""
        made.append(Event.from_parts(author, seq, (1_000 + seq, 0), "field.set", payload, prev))
    return made


def apart(*names: str) -> list[Node]:
    """Return nodes that never meet: what they share is carried by hand."""
    air = SimNetwork()
    nodes = [Node(name, SimTransport(f"{index}", air)) for index, name in enumerate(names)]
    air.set_partitions([])
    return nodes


def held(store: FeedStore) -> tuple[dict[str, int], int, list[int]]:
    return store.frontier(), store.event_count(), sorted(e.seq for e in store.all_events())


# ── One store ──


def test_an_empty_store_holds_nothing():
    store = FeedStore()

    assert held(store) == NOTHING_HELD
    assert (store.last_id("ann"), store.next_seq("ann")) == ("", 1)
    assert store.delta_for({}) == []
    assert not store.has("ab" * 32)
    assert not store.has("no id at all")


def test_appended_events_are_counted_found_and_followed():
    store = FeedStore()
    events = feed("ann", 3)

    for seq, event in enumerate(events, start=1):
        assert store.next_seq("ann") == seq
        store.append_local(event)
        assert store.has(event.id)

    assert held(store) == ({"ann": 3}, 3, [1, 2, 3])
    assert store.all_events() == events
    assert store.has(store.last_id("ann"))
    assert store.next_seq("ann") == 4
    assert store.frontier() == {"ann": 3}


def test_append_refuses_what_does_not_follow():
    store = FeedStore()
    first, _, third = feed("ann", 3)
    store.append_local(first)

    with pytest.raises(InputError, match="does not follow"):
        store.append_local(third)

    assert held(store) == ({"ann": 1}, 1, [1])


def test_a_refused_event_is_not_stored_later_behind_the_callers_back():
    store = FeedStore()
    first, second, third = feed("ann", 3)
    store.append_local(first)
    with pytest.raises(InputError):
        store.append_local(third)

    store.append_local(second)

    assert held(store) == ({"ann": 2}, 2, [1, 2])


@pytest.mark.parametrize("seed", range(20))
def test_order_and_repetition_do_not_matter(seed: int):
    luck = random.Random(seed)
    events = feed("ann", 6) + feed("bob", 4)
    shuffled = events + luck.sample(events, 5)
    luck.shuffle(shuffled)
    store = FeedStore()

    while shuffled:
        cut = luck.randint(1, 5)
        store.ingest_many(shuffled[:cut])
        del shuffled[:cut]

    assert store.frontier() == {"ann": 6, "bob": 4}
    assert materialize(store.all_events()) == materialize(events)


def test_an_event_waits_for_the_one_before_it():
    store = FeedStore()
    first, second, third = feed("ann", 3)

    assert not store.ingest(third)
    assert not store.ingest(second)
    assert held(store) == NOTHING_HELD
    assert store.ingest(first)

    assert held(store) == ({"ann": 3}, 3, [1, 2, 3])
    assert not store.ingest(first), "it is held"


def test_both_branches_of_a_fork_are_kept_and_counted():
    """The seed refused the second; here a cloned SD card loses nobody's work."""
    store = FeedStore()
    first, second = feed("ann", 2)
    payload = {"record_id": "r", "text": "the other second"}
    other = Event.from_parts("ann", 2, (1_500, 0), "note.add", payload, first.id)

    assert store.ingest_many([first, second, other]) == 3

    assert held(store) == ({"ann": 3}, 3, [1, 2, 2])


# ── Deltas ──


def test_a_delta_is_what_the_other_lacks_by_author_and_seq():
    store = FeedStore()
    store.ingest_many(feed("bob", 3) + feed("ann", 4))

    assert [(e.author, e.seq) for e in store.delta_for({})] == [
        (e.author, e.seq) for e in feed("ann", 4) + feed("bob", 3)
    ]
    assert [e.seq for e in store.delta_for({"ann": 2, "bob": 3})] == [3, 4]
    assert [e.seq for e in store.delta_for({}, 5)] == [1, 2, 3, 4, 1]
    assert [e.seq for e in store.delta_for({}, limit=2)] == [1, 2]
    assert store.delta_for(store.frontier()) == []


def test_stores_that_hand_over_deltas_agree():
    one, other = FeedStore(), FeedStore()
    one.ingest_many(feed("ann", 5))
    other.ingest_many(feed("bob", 7))

    other.ingest_many(one.delta_for(other.frontier()))
    one.ingest_many(other.delta_for(one.frontier()))

    assert one.frontier() == other.frontier() == {"ann": 5, "bob": 7}
    assert materialize(one.all_events()) == materialize(other.all_events())


# ── Events that a program carries between nodes ──


def test_a_node_takes_what_a_program_carries_to_it_as_json():
    ann, bob = apart("ann", "bob")
    for value in range(3):
        ann.set_field("r", "f", value)

    letter = json.dumps([event.to_wire() for event in ann.store.delta_for(bob.frontier())])
    stored = bob.store.ingest_many(Event.from_wire(wire) for wire in json.loads(letter))

    assert stored == 3
    assert bob.frontier() == {"ann": 3}
    assert bob.view() == ann.view()


def test_carrying_by_hand_leaves_the_author_in_peace():
    """What travels by hand and what travels by gossip are the same events: nothing forks."""
    air = SimNetwork()
    ann, bob = (Node(name, SimTransport(name, air)) for name in ("ann", "bob"))
    ann.set_field("r", "f", 1)
    feed_before = ann.replica.data_feed

    bob.store.ingest_many(ann.store.delta_for(bob.frontier()))
    for node in (ann, bob, ann):
        node.gossip_round()

    assert ann.replica.root() == bob.replica.root()
    assert ann.replica.data_feed == feed_before
    assert all(len(heads) == 1 for heads in bob.replica.ledger.frontier.values())


def test_events_reach_another_process_as_json():
    (ann,) = apart("ann")
    for value in range(3):
        ann.set_field("r", "f", value)
    letter = json.dumps([event.to_wire() for event in ann.store.delta_for({})])
    program = (
        "import json, sys; from meshlog import Event, FeedStore; store = FeedStore();"
        "store.ingest_many([Event.from_wire(wire) for wire in json.load(sys.stdin)]);"
        "print(json.dumps(store.frontier()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], input=letter, text=True, capture_output=True, check=True
    )

    assert json.loads(done.stdout) == {"ann": 3}


def test_an_event_made_by_hand_goes_on_a_nodes_own_feed():
    """The seed's own ``emit``, word for word."""
    (ann,) = apart("ann")
    ann.set_field("r", "f", 1)

    event = Event.from_parts(
        author=ann.author,
        seq=ann.store.next_seq(ann.author),
        hlc=ann.hlc.now(),
        kind="note.add",
        payload={"record_id": "r", "text": "by hand"},
        prev=ann.store.last_id(ann.author),
    )
    ann.store.append_local(event)
    ann.set_field("r", "f", 2)

    assert ann.frontier() == {"ann": 3}
    assert ann.view()["r"]["notes"] == ["by hand"]
    assert len({event.feed for event in ann.store.all_events()}) == 1


def test_a_nodes_own_name_finds_its_own_feed_even_where_somebody_shares_it():
    air = SimNetwork()
    one, other = (Node("ann", SimTransport(place, air)) for place in ("camp", "valley"))
    one.set_field("r", "f", 1)
    other.gossip_round()

    assert one.store.next_seq("ann") == 2
    assert other.store.next_seq("ann") == 1
    assert one.store.has(one.store.last_id("ann"))


# ── In a file ──


def test_a_store_in_a_file_is_there_again(tmp_path: Path):
    path = str(tmp_path / "log.db")
    store: Any = FeedStore(path)
    store.ingest_many(feed("ann", 3))
    last = store.last_id("ann")
    store.close()

    again: Any = FeedStore(path)

    assert held(again) == ({"ann": 3}, 3, [1, 2, 3])
    assert again.last_id("ann") == last
    again.close()


def test_a_closed_nodes_file_opens_as_a_store(tmp_path: Path):
    path = str(tmp_path / "base.db")
    node = Node("base", SimTransport("base", SimNetwork()), path)
    node.set_field("r", "f", 1)
    node.close()

    store: Any = FeedStore(path)

    assert store.frontier() == {"base": 1}
    store.close()


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "log.db"
    path.write_bytes(b"shopping list: rope, rice\n" * 50)

    with pytest.raises(StoreError):
        FeedStore(str(path))

    assert path.read_bytes() == b"shopping list: rope, rice\n" * 50


# ── Threads ──


def test_a_nodes_store_may_be_read_while_another_thread_writes():
    (ann,) = apart("ann")
    failures: list[BaseException] = []
    is_done = threading.Event()

    def read() -> None:
        try:
            while not is_done.is_set():
                ann.store.all_events()
                ann.store.event_count()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for value in range(200):
            ann.set_field("r", "f", value)
    finally:
        is_done.set()
        for reader in readers:
            reader.join()

    assert failures == []
    assert ann.frontier() == {"ann": 200}


def test_a_store_that_is_forgotten_lets_go_of_its_file(tmp_path: Path):
    path = str(tmp_path / "log.db")
    store = FeedStore(path)
    store.ingest_many(feed("ann", 2))
    del store

    with FeedStore(path) as again:
        assert again.frontier() == {"ann": 2}
    FeedStore(path).close()


def test_a_file_that_this_process_has_open_is_named_so(tmp_path: Path):
    path = tmp_path / "log.db"
    with FeedStore(path), pytest.raises(StoreBusyError, match="open in this process: close"):
        FeedStore(path)


def test_a_store_without_its_identity_is_not_given_another(tmp_path: Path):
    path = tmp_path / "log.db"
    FeedStore(path).close()
    for file in tmp_path.glob("log.db.identity*"):
        file.unlink()

    with pytest.raises(IdentityError, match="missing"):
        FeedStore(path)

    assert not list(tmp_path.glob("log.db.identity*"))


@pytest.mark.parametrize("path", [5, b"x.db", ["x.db"]])
def test_a_path_is_a_path(path: Any):
    with pytest.raises(InputError, match="path"):
        FeedStore(path)


# ── More than a little ──


def test_more_events_than_may_wait_are_taken_at_once():
    ann = Node("ann", None)
    count = WAITING_MAX + 500
    ann.emit_many(
        [("field.set", {"record_id": "r", "field": "f", "value": value}) for value in range(count)]
    )
    events = ann.store.all_events()
    random.Random(1).shuffle(events)

    store = FeedStore()

    assert store.ingest_many(events) == count
    assert store.frontier() == {"ann": count}


def test_a_flood_of_events_that_wait_does_not_keep_others_out():
    strangers = [Event.from_parts(f"{n:032x}", 2, (1, 0), "k", {}, "ab" * 32) for n in range(50)]
    store = FeedStore()
    room = store._waiting
    for start in range(0, WAITING_MAX + 100, 50):
        store.ingest_many(
            Event.from_parts(e.author, 2, (1 + start, 0), "k", {}, "ab" * 32) for e in strangers
        )

    assert len(room._events) <= WAITING_MAX
    assert store.ingest_many(feed("ann", 3)) == 3


def test_a_stamp_that_falls_is_refused_without_a_fuss():
    store = FeedStore()
    first = Event.from_parts("ann", 1, (9, 0), "k", {})
    unsigned = replace(Event.from_parts("ann", 2, (8, 0), "k", {}, first.id), sig="")
    third = Event.from_parts("ann", 3, (10, 0), "k", {}, unsigned.id)

    assert store.ingest_many([first, unsigned, third]) == 1
    assert store.frontier() == {"ann": 1}


def test_small_deltas_get_through_a_relay_that_cannot_sign():
    """A relay holds a signature for each run only; a limit must not stop in front of it."""
    air = SimNetwork()
    ann, relay = (Node(name, SimTransport(name, air)) for name in ("ann", "relay"))
    ann.emit_many([("k", {"n": number}) for number in range(100)])
    relay.gossip_round()
    store, trips = FeedStore(), 0

    while letter := relay.store.delta_for(store.frontier(), limit=2):
        assert store.ingest_many(letter) == len(letter) <= 65
        trips += 1

    assert store.frontier() == {"ann": 100}
    assert trips < 60


def test_own_events_are_taken_one_by_one():
    (ann,) = apart("ann")
    for value in range(5):
        ann.set_field("r", "f", value)
    store = FeedStore()

    assert [store.ingest(event) for event in ann.store.all_events()] == [True] * 5


@pytest.mark.parametrize("remote", [None, 5, {"ann": "1"}, ["ann"]])
def test_a_frontier_is_a_mapping_to_numbers(remote: Any):
    with pytest.raises(InputError, match="frontier"):
        FeedStore().delta_for(remote)


@pytest.mark.parametrize("limit", [-1, "2", 1.5])
def test_a_limit_is_a_whole_number(limit: Any):
    with pytest.raises(InputError, match="limit"):
        FeedStore().delta_for({}, limit)


# ── By hand on a node's own feed ──


@pytest.mark.parametrize(
    "changed",
    [{"seq": 3}, {"seq": 1}, {"prev": ""}, {"hlc": (1, 0)}, {"kind": "note.add"}],
)
def test_what_does_not_go_on_a_nodes_own_feed_is_refused(changed: dict[str, Any]):
    (ann,) = apart("ann")
    ann.set_field("r", "f", 1)
    parts: dict[str, Any] = {
        "author": "ann",
        "seq": 2,
        "hlc": ann.hlc.now(),
        "kind": "k",
        "payload": {},
        "prev": ann.store.last_id("ann"),
    }

    with pytest.raises(InputError):
        ann.store.append_local(Event.from_parts(**(parts | changed)))

    assert ann.frontier() == {"ann": 1}
    ann.store.append_local(Event.from_parts(**parts))
    assert ann.frontier() == {"ann": 2}


def test_events_made_by_hand_travel_and_are_signed_as_any():
    air = SimNetwork()
    ann, bob = (Node(name, SimTransport(name, air)) for name in ("ann", "bob"))
    for number in range(40):
        ann.store.append_local(
            Event.from_parts(
                "ann",
                ann.store.next_seq("ann"),
                ann.hlc.now(),
                "note.add",
                {"record_id": "r", "text": str(number)},
                ann.store.last_id("ann"),
            )
        )
    bob.gossip_round()

    assert bob.frontier() == {"ann": 40}
    assert bob.view() == ann.view()
    assert bob.view()["r"]["notes"] == [str(number) for number in range(40)]
