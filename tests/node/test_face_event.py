"""The event as programs see it: text and plain dicts over the core's event, in any process."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog import Event, FeedStore, InputError, MalformedError, Node, materialize
from meshlog.core.event import NO_PREV, encode_body
from meshlog.core.event import Event as CoreEvent
from meshlog.core.hlc import Stamp
from meshlog.node.names import named
from meshlog.node.opening import make_opening
from tests.support.feeds import control_feed

NOTE = {"record_id": "r", "text": "hello"}


def note(author: str = "ann", seq: int = 1, prev: str = "", **changed: Any) -> Event:
    return Event.from_parts(author, seq, (seq, 0), "note.add", NOTE | changed, prev)


def through_json(event: Event) -> Event:
    return Event.from_wire(json.loads(json.dumps(event.to_wire())))


# ── A value ──


def test_parts_are_text_and_plain_values():
    first = note()
    second = note(seq=2, prev=first.id)

    assert (first.author, first.seq, first.hlc, first.kind) == ("ann", 1, (1, 0), "note.add")
    assert first.payload == NOTE
    assert (first.prev, second.prev) == ("", first.id)
    assert [len(first.id), len(first.sig)] == [64, 128]
    assert first.core.id.hex() == first.id == first.recompute_id()


def test_events_are_equal_by_id_and_live_in_sets():
    event = note()

    assert event == through_json(event)
    assert event != note(text="other")
    assert event != event.id
    assert len({event, through_json(event), note(text="other")}) == 2


def test_an_event_cannot_be_changed():
    event: Any = note()

    with pytest.raises(FrozenInstanceError):
        event.seq = 2


def test_a_changed_payload_or_copy_is_found_out():
    mutated, good = note(), note()
    mutated.payload["text"] = "bye"

    assert good.is_authentic()
    assert not mutated.is_authentic()
    assert not replace(good, payload=NOTE | {"text": "bye"}).is_authentic()
    assert not replace(good, seq=2).is_authentic()
    assert not replace(good, hlc=(1, -1)).is_authentic()
    assert not replace(good, id="no hex").is_authentic()
    assert replace(good, payload=dict(NOTE)).is_authentic()
    assert FeedStore().ingest_many([mutated, replace(good, seq=2), replace(good, prev="x")]) == 0


def test_the_seeds_constructor_makes_the_same_event():
    event = note()

    same = Event("ann", 1, (1, 0), "note.add", NOTE, "", event.id)

    assert same == event
    assert same.is_authentic()
    assert not Event("ann", 1, (1, 0), "note.add", NOTE, "").is_authentic()


@pytest.mark.parametrize("author", ["", "x" * 65, "\ud800", b"short", None, 5])
def test_an_author_is_a_name_or_an_id(author: Any):
    with pytest.raises(InputError):
        Event.from_parts(author, 1, (1, 0), "k", {})


@pytest.mark.parametrize("hlc", [(1,), (1, 2, 3), "12", None, 5, (1.0, 0), (-1, 0)])
def test_a_stamp_is_two_whole_numbers(hlc: Any):
    with pytest.raises(InputError):
        Event.from_parts("ann", 1, hlc, "k", {})


def test_what_a_write_replaces_is_the_cores_matter():
    """Programs see the payload that they gave; the id still covers all of it."""
    ann, bob = Node("ann", None), Node("bob", None)
    ann.set_field("r", "f", 1)
    bob.store.ingest_many(ann.store.all_events())

    edit = bob.set_field("r", "f", 2)

    assert edit.payload == {"record_id": "r", "field": "f", "value": 2}
    assert edit.core.payload["replaces"]
    assert edit.is_authentic()
    assert through_json(edit).core.payload == edit.core.payload
    assert "conflicts" not in materialize([*ann.store.all_events(), through_json(edit)])["r"]


# ── In JSON ──


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00\xff",
        {"$b": "00"},
        {"$b": {"$b": 1}},
        {"$m": {"$b": "00"}},
        {"$m": 1},
        {"$b": "00", "more": b"1"},
        [{"$m": b"x"}, 1.0, -0.0, 2**63 - 1, None],
    ],
)
def test_any_payload_survives_json(value: object):
    event = Event.from_parts("ann", 1, (1, 0), "k", {"value": value, "$b": value})

    again = through_json(event)

    assert again.is_authentic()
    assert again.payload == event.payload
    assert again.to_wire() == event.to_wire()


def test_a_body_that_others_wrote_differently_survives_json():
    """Another implementation may write CBOR that ours would not: the id is over its bytes."""
    who = named("foreign")
    body = bytes.fromhex("82616ba161611801")  # ["k", {"a": 1}], the 1 in two bytes
    assert body != encode_body("k", {"a": 1})
    core = CoreEvent.make(who.feed, 1, Stamp(1, 0), NO_PREV, body).signed(who.identity)

    event = Event.of(core, "foreign", opening=who.opening)
    again = through_json(event)

    assert (again.kind, again.payload) == ("k", {"a": 1})
    assert again.is_authentic()
    assert not Event.from_wire(event.to_wire() | {"p": {"a": 2}}).is_authentic()
    assert FeedStore().ingest(again)


@pytest.mark.parametrize("body", [b"\xff\xfe", b""])
def test_a_body_that_nobody_can_read_survives_json(body: bytes):
    who = named("garbler")
    core = CoreEvent.make(who.feed, 1, Stamp(1, 0), NO_PREV, body).signed(who.identity)
    event = Event.of(core, "garbler", opening=who.opening)

    assert (event.kind, event.payload) == ("", {})
    wire = json.loads(json.dumps(event.to_wire()))

    with pytest.raises(MalformedError):
        Event.from_wire(wire | {"b": "zz"})
    again = Event.from_wire(wire)
    assert again.is_authentic()
    assert FeedStore().ingest(again)


@pytest.mark.parametrize(("wrote", "shows"), [(1, True), (1, 1.0), (True, 1), (0.0, -0.0)])
def test_a_value_that_python_alone_calls_the_same_is_another(wrote: object, shows: object):
    event = Event.from_parts("changer", 1, (1, 0), "k", {"a": [wrote]})
    assert event.is_authentic()

    event.payload["a"] = [shows]

    assert not event.is_authentic()
    assert not Event.from_wire(event.to_wire()).is_authentic()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.sampled_from("acshkpvigobd"), json_values)
def test_an_odd_wire_form_is_malformed(key: str, value: Any):
    wire = note().to_wire()

    try:
        event = Event.from_wire(wire | {key: value})
    except MalformedError:
        return
    assert isinstance(event.is_authentic(), bool)
    assert FeedStore().ingest(event) == (event.is_authentic() and event.sig == note().sig)


@pytest.mark.parametrize("wire", [{}, {"a": "00" * 16}, [], None, "text"])
def test_what_is_no_wire_form_is_malformed(wire: Any):
    with pytest.raises(MalformedError):
        Event.from_wire(wire)


def test_a_payload_nested_without_end_is_malformed():
    nested: list[Any] = []
    for _ in range(5_000):
        nested = [nested]

    with pytest.raises(MalformedError):
        Event.from_wire(note().to_wire() | {"p": {"f": nested}})


# ── The opening ──


def test_the_first_event_of_a_feed_brings_the_authors_own_opening():
    ann = Node("ann", None)
    emitted = [ann.add_note("r", text) for text in ("one", "two")]

    control = control_feed(ann.replica)
    (tip,) = ann.replica.frontier()[control]
    own = ann.replica.segments(control, tip, 0, 0)[0][0]

    assert [event.opening for event in emitted] == [own, b""]
    assert [event.opening for event in ann.store.delta_for({})] == [own, b""]


def test_an_opening_that_its_author_did_not_sign_introduces_nobody():
    who, forger = named("victim"), named("forger")
    core = CoreEvent.make(who.feed, 1, Stamp(1, 0), NO_PREV, encode_body("k", {}))
    forged = make_opening(forger.identity, "victim", who.incarnation)
    wire = Event.of(core.signed(forger.identity), "victim", opening=forged).to_wire()

    store = FeedStore()

    assert not store.ingest(Event.from_wire(wire))
    assert store.frontier() == {}


def test_an_event_as_emitted_can_be_handed_on():
    """The seed's ``other.store.ingest(node.emit(...))``; the signature comes with it."""
    ann, bob = Node("ann", None), Node("bob", None)

    taken = [bob.store.ingest(through_json(ann.add_note("r", text))) for text in "abc"]

    assert taken == [True, True, True]
    assert bob.frontier() == {"ann": 3}
    assert [event.author for event in bob.store.all_events()] == ["ann"] * 3
    assert bob.view() == ann.view()


# ── The fold ──


def test_the_fold_takes_both_kinds_of_event():
    event = Event.from_parts(
        "ann", 1, (1, 0), "field.set", {"record_id": "r", "field": "f", "value": 1}
    )

    assert materialize([event]) == materialize([event.core])
    assert materialize([event])["r"]["fields"] == {"f": 1}
