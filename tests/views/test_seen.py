"""What a local write says that its author saw."""

from __future__ import annotations

import pytest

from meshlog.core.event import Event, encode_body
from meshlog.core.feed import FeedKey
from meshlog.views.changes import REFS_MAX, Ref, feed_ref
from meshlog.views.fold import fold_record
from meshlog.views.materialize import materialize
from meshlog.views.records import encode
from meshlog.views.rowstate import unpack
from meshlog.views.seen import Others, others_of, replaces_for, with_replaces
from tests.views.world import ANN, BOB, CAT, Pen, ref


def seen_of(own: FeedKey, *events: Event) -> Others | None:
    """Return what a writer to a feed sees of others in the record that these events make."""
    return others_of(unpack(encode(fold_record("r1", events))), feed_ref(own))


def test_a_write_names_the_live_values_of_other_feeds_only(ann, bob, cat):
    events = [ann.set(1, "x"), bob.set(2, "y"), cat.set(3, "z")]
    payload = {"record_id": "r1", "field": "a", "value": "w"}

    filled = with_replaces("field.set", payload, seen_of(CAT, *events))

    assert filled["replaces"] == (ref(events[1]), ref(events[0]))
    assert [*materialize([*events, cat(4, "field.set", **filled)])["r1"]["fields"].values()] == [
        "w"
    ]


def test_a_put_names_values_per_field_and_leaves_out_empty_lists(ann, bob):
    events = [ann.set(1, "x"), bob.set(2, "y", field="b")]
    payload = {"record_id": "r1", "fields": {"a": 1, "b": 2, "c": 3}}

    filled = with_replaces("record.put", payload, seen_of(ANN, *events))

    assert filled["replaces"] == {"b": (ref(events[1]),)}


def test_a_delete_names_one_event_per_other_feed_and_hides_the_record(ann, bob, cat):
    events = [
        ann(1, "record.create", record_id="r1", form="f"),
        ann(2, "note.add", record_id="r1", text="x"),
        bob.set(3, "y"),
        cat.set(4, "z", field="c"),
    ]
    filled = with_replaces("record.delete", {"record_id": "r1"}, seen_of(CAT, *events))

    assert filled["replaces"] == (ref(events[1]), ref(events[2]))
    assert materialize([*events, cat(5, "record.delete", **filled)]) == {}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": []}),
        ("field.set", {"record_id": "r1", "field": 7}),
        ("record.put", {"record_id": "r1", "fields": 7}),
        ("record.create", {"record_id": "r1", "form": "f"}),
        ("field.set", {"record_id": "r1", "field": "fresh", "value": 1}),
    ],
)
def test_leaves_a_payload_alone_that_has_nothing_to_name(ann, kind, payload):
    assert with_replaces(kind, payload, seen_of(BOB, ann.set(1, "x"))) == payload
    assert with_replaces(kind, payload, None) == payload


def test_names_no_more_values_than_a_reader_accepts():
    feeds = [ANN._replace(incarnation=life) for life in range(REFS_MAX + 1)]
    others = seen_of(BOB, *(Pen(feed).set(1 + at, at) for at, feed in enumerate(feeds)))
    assert others is not None

    refs = replaces_for(others, "a")

    assert len(refs) == REFS_MAX
    assert refs[0] == Ref(ANN.author + REFS_MAX.to_bytes(4, "big"), 1)


def crowd(fields: int) -> list[Event]:
    """What one more feeds than a write may name say of each field, none having seen another."""
    pens = [Pen(ANN._replace(incarnation=life)) for life in range(REFS_MAX + 1)]
    return [
        pen(1 + at, "record.put", record_id="r1", fields=dict.fromkeys(names(fields), at))
        for at, pen in enumerate(pens)
    ]


def names(fields: int) -> list[str]:
    return [f"field {number}" for number in range(fields)]


def test_a_crowd_of_values_leaves_room_in_an_event_for_what_is_written():
    for fields in (1, 50, 1_000):
        payload = {"record_id": "r1", "fields": dict.fromkeys(names(fields), "ours")}

        filled = with_replaces("record.put", payload, seen_of(BOB, *crowd(fields)))

        assert len(encode_body("record.put", filled)) < 65_536
        assert {len(refs) for refs in filled["replaces"].values()} == {
            {1: REFS_MAX, 50: 20, 1_000: 1}[fields]
        }


def test_a_conflict_of_more_values_than_a_write_names_is_settled_by_two():
    events = crowd(1)
    [conflict] = fold_record("r1", events).disputed()

    first, second = conflict.resolution("ours")

    bob = Pen(BOB)
    settled = [bob(100 + at, "field.set", **said) for at, said in enumerate((first, second))]
    record = fold_record("r1", [*events, *settled])
    assert len(conflict.writes) == REFS_MAX + 1
    assert [write.value for write in record.fields["field 0"]] == ["ours"]
