"""What a record shows, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest

from meshlog.core.cbor import encode_cbor
from meshlog.core.decrees import Decrees
from meshlog.core.event import NO_PREV, OPEN_DATASET, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.roster import Roster
from meshlog.errors import MalformedError
from meshlog.ports.records import RecordRow
from meshlog.views.changes import read_change, record_of, unreadable
from meshlog.views.fold import HeldEvents, fold_record
from meshlog.views.materialize import materialize
from meshlog.views.records import decode, encode
from meshlog.views.standing import Standing, Standings
from tests.views.world import ANN, GARBAGE, Pen, after, ref


def live(*events: Event, field: str = "a") -> list[Any]:
    """Return the live values of a field of r1, the shown one first."""
    return [write.value for write in fold_record("r1", events).fields.get(field, ())]


def visible(*events: Event) -> bool:
    return "r1" in materialize(events)


# Fields


def test_keeps_the_loser_of_a_concurrent_edit_as_a_conflict(ann, bob):
    first, second = ann.set(1, "x"), bob.set(2, "y")

    assert materialize([first, second]) == {
        "r1": {
            "record_id": "r1",
            "form": "",
            "created_by": "",
            "fields": {"a": "y"},
            "attachments": [],
            "notes": [],
            "conflicts": {
                "a": [
                    {
                        "value": "x",
                        "author": "aa" * 16,
                        "stamp": [1, 0],
                        "feed": "aa" * 16 + "000000aa",
                        "seq": 1,
                    },
                ],
            },
        },
    }


def test_lists_losers_from_the_highest_down(ann, bob, cat):
    assert live(bob.set(2, "y"), cat.set(3, "z"), ann.set(1, "x")) == ["z", "y", "x"]


def test_supersedes_what_a_write_names(ann, bob):
    first = ann.set(1, "x")

    assert live(first, bob.set(2, "y", first)) == ["y"]


def test_resolving_ends_a_conflict(ann, bob, cat):
    first, second = ann.set(1, "x"), bob.set(2, "y")

    assert live(first, second, cat.set(3, "z", first, second)) == ["z"]


def test_resolving_stays_open_to_a_value_it_had_not_seen(ann, bob, cat):
    first, second = ann.set(1, "x"), bob.set(2, "y")

    assert live(first, second, cat.set(3, "z", first)) == ["z", "y"]


def test_a_superseded_write_still_supersedes(ann, bob, cat):
    """Cat saw only Bob's value, and Bob's had replaced Ann's."""
    first = ann.set(1, "x")
    second = bob.set(2, "y", first)

    assert live(first, second, cat.set(3, "z", second)) == ["z"]


def test_naming_a_higher_write_does_not_supersede_it(ann, bob):
    first = ann.set(9, "x")

    assert live(first, bob.set(2, "y", first)) == ["x", "y"]


def test_a_feed_supersedes_its_own_earlier_values_without_naming_them(ann):
    assert live(ann.set(1, "x"), ann.set(2, "y"), ann.set(3, "z")) == ["z"]


def test_a_feed_supersedes_what_it_wrote_long_before_even_where_its_stamps_run_back(ann):
    """No store admits such a feed; the pure fold takes what it is given."""
    assert live(ann.set(5, "x"), ann.set(1, "y"), ann.set(9, "z")) == ["z"]
    assert live(ann.set(15, "x"), ann.set(11, "y")) == ["x", "y"]


def test_a_new_incarnation_is_another_feed(ann):
    reborn = Pen(ANN._replace(incarnation=7))

    assert live(ann.set(1, "x"), reborn.set(2, "y")) == ["y", "x"]


def test_one_field_says_nothing_about_another(ann, bob):
    first = ann.set(1, "x", field="a")
    other = bob.set(2, "y", first, field="b")

    assert live(first, other) == ["x"]


def test_agreeing_is_no_conflict_but_both_values_are_live(ann, bob):
    first, second = ann.set(1, 5), bob.set(2, 5)

    record = fold_record("r1", [first, second])

    assert "conflicts" not in record.public()
    assert encode(record).conflicts == 0
    assert [write.origin.ref for write in record.fields["a"]] == [ref(second), ref(first)]


@pytest.mark.parametrize("other", [1.0, True, "1", b"1", (1,)], ids=repr)
def test_comparison_never_depends_on_the_types_of_python(ann, bob, other):
    public = fold_record("r1", [ann.set(1, 1), bob.set(2, other)]).public()

    assert [type(lost["value"]) for lost in public["conflicts"]["a"]] == [int]


def test_a_put_writes_many_fields_and_names_what_it_saw_per_field(ann, bob):
    first = ann(1, "record.put", record_id="r1", fields={"a": 1, "b": 2})
    second = bob(
        2, "record.put", record_id="r1", fields={"a": 3, "b": 4}, replaces={"a": [ref(first)]}
    )

    record = fold_record("r1", [first, second])

    assert record.public()["fields"] == {"a": 3, "b": 4}
    assert list(record.conflicts()) == ["b"]


# Forks


def test_the_branches_of_a_fork_had_not_seen_each_other(ann):
    base = ann.set(1, "base")
    left = after(base, ANN, 2, "field.set", record_id="r1", field="a", value="left")
    right = after(base, ANN, 3, "field.set", record_id="r1", field="a", value="right")

    assert live(base, left, right) == ["right", "left"]


def test_a_longer_branch_does_not_supersede_the_other_one(ann):
    """Nothing in the record shows the fork: the chain through other records does."""
    base = ann.set(1, "base")
    left = after(base, ANN, 2, "field.set", record_id="r1", field="a", value="left")
    elsewhere = after(base, ANN, 3, "note.add", record_id="r2", text="other branch")
    right = after(elsewhere, ANN, 4, "field.set", record_id="r1", field="a", value="right")

    record = materialize([base, left, elsewhere, right])["r1"]

    assert record["fields"] == {"a": "right"}
    assert [lost["value"] for lost in record["conflicts"]["a"]] == ["left"]


def test_a_branch_supersedes_its_own_values_after_a_fork(ann):
    base = ann.set(1, "base")
    twin = after(base, ANN, 9, "note.add", record_id="r2", text="twin")
    gap = after(base, ANN, 2, "note.add", record_id="r2", text="between")
    late = after(gap, ANN, 3, "field.set", record_id="r1", field="a", value="late")

    assert materialize([base, twin, gap, late])["r1"].get("conflicts") is None


def test_a_reference_made_ambiguous_by_a_fork_supersedes_nothing(bob):
    left = after(None, ANN, 1, "field.set", record_id="r1", field="a", value="left")
    right = after(None, ANN, 2, "field.set", record_id="r1", field="a", value="right")

    assert live(left, bob.set(3, "b", left)) == ["b"]
    assert live(left, right, bob.set(3, "b", left)) == ["b", "right", "left"]


def test_a_fork_is_ambiguous_only_for_the_fields_that_both_twins_write(bob):
    left = after(None, ANN, 1, "field.set", record_id="r1", field="a", value="left")
    right = after(None, ANN, 2, "field.set", record_id="r1", field="b", value="right")

    assert live(left, right, bob.set(3, "b", left)) == ["b"]


# Deletes


def test_a_delete_hides_what_it_saw(ann, bob):
    made = ann(1, "record.create", record_id="r1", form="f")
    delete = bob(2, "record.delete", record_id="r1", replaces=[ref(made)])

    assert not visible(made, delete)
    assert not fold_record("r1", [made, delete]).visible


def test_a_delete_saw_everything_before_what_it_names(ann, bob):
    events = [
        ann(1, "record.create", record_id="r1", form="f"),
        ann.set(2, "x"),
        ann(3, "note.add", record_id="r1", text="hello"),
    ]
    delete = bob(4, "record.delete", record_id="r1", replaces=[ref(events[-1])])

    assert not visible(*events, delete)


def test_a_delete_saw_its_own_feed(ann):
    assert not visible(ann.set(1, "x"), ann(2, "record.delete", record_id="r1"))


def test_a_live_write_that_the_delete_had_not_seen_keeps_the_record_visible(ann, bob, cat):
    made = ann.set(1, "x")
    unseen = cat.set(2, "y", made)
    delete = bob(3, "record.delete", record_id="r1", replaces=[ref(made)])

    assert materialize([made, unseen, delete])["r1"]["fields"] == {"a": "y"}


def test_a_superseded_write_keeps_nothing_visible(ann, bob, cat):
    """The delete saw Bob's value only; Ann's was replaced, so it is not alive."""
    first = ann.set(1, "x")
    second = bob.set(2, "y", first)
    delete = cat(3, "record.delete", record_id="r1", replaces=[ref(second)])

    assert not visible(first, second, delete)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("note.add", {"text": "wait"}),
        ("attachment.add", {"field": "photo", "blob_hash": b"\x01"}),
        ("record.create", {"form": "f"}),
    ],
)
def test_nobodys_work_disappears_unseen(ann, bob, kind, payload):
    unseen = bob(2, kind, record_id="r1", **payload)

    assert visible(ann.set(1, "x"), unseen, ann(3, "record.delete", record_id="r1"))


def test_a_later_write_brings_the_whole_record_back(ann, bob):
    made, delete = ann.set(1, "x"), ann(2, "record.delete", record_id="r1")
    back = bob.set(3, "y", field="b")

    assert materialize([made, delete, back])["r1"]["fields"] == {"a": "x", "b": "y"}


def test_deletes_add_up(ann, bob, cat):
    """Each delete saw one of two writes, so nothing is left that nobody meant to delete."""
    first, second = ann.set(1, "x"), bob.set(2, "y")
    one = ann(3, "record.delete", record_id="r1")
    two = bob(3, "record.delete", record_id="r1")

    assert visible(first, second, one)
    assert not visible(first, second, one, two)


def test_a_delete_does_not_hide_what_is_higher_in_the_order(ann, bob):
    later = ann.set(9, "x")

    assert visible(later, bob(2, "record.delete", record_id="r1", replaces=[ref(later)]))


def test_a_delete_of_an_ambiguous_place_hides_nothing(bob):
    left = after(None, ANN, 1, "note.add", record_id="r1", text="left")
    right = after(None, ANN, 2, "note.add", record_id="r1", text="right")
    delete = bob(3, "record.delete", record_id="r1", replaces=[ref(left)])

    assert not visible(left, delete)
    assert visible(left, right, delete)


# The rest of a record


def test_form_is_the_last_and_creator_the_first(ann, bob):
    first = ann(1, "record.create", record_id="r1", form="old", by="Ann")
    second = bob(2, "record.put", record_id="r1", form="new", by="Bob", fields={})

    record = materialize([second, first])["r1"]

    assert (record["form"], record["created_by"]) == ("new", "Ann")


def test_creator_is_the_author_where_nobody_is_named(ann):
    made = ann(1, "record.create", record_id="r1", form="f")

    assert materialize([made])["r1"]["created_by"] == "aa" * 16


def test_shows_notes_in_order_and_attachments_sorted(ann, bob):
    events = [
        bob(2, "note.add", record_id="r1", text="second"),
        ann(1, "note.add", record_id="r1", text="first"),
        ann(3, "attachment.add", record_id="r1", field="b", blob_hash="00"),
        ann(4, "attachment.add", record_id="r1", field="a", blob_hash=b"\xff", size=3, mime="x/y"),
    ]

    record = materialize(events)["r1"]

    assert record["notes"] == ["first", "second"]
    assert record["attachments"] == [
        {"field": "a", "blob_hash": "ff", "size": 3, "mime": "x/y"},
        {"field": "b", "blob_hash": "00", "size": 0, "mime": ""},
    ]


def test_a_field_named_like_an_internal_one_is_only_a_field(ann):
    names = ["record_id", "fields", "conflicts", "__class__", "a" * 256]
    made = ann(1, "record.put", record_id="r1", fields=dict.fromkeys(names, 1))

    record = fold_record("r1", [made])

    assert record.public()["fields"] == dict.fromkeys(sorted(names), 1)
    assert decode(encode(record)) == record


def test_public_values_are_plain_and_the_callers_own(ann):
    made = ann.set(1, {"k": [1, {"x": 2}]})

    shown = materialize([made])["r1"]["fields"]["a"]
    shown["k"].append(3)

    assert materialize([made])["r1"]["fields"]["a"] == {"k": [1, {"x": 2}]}


# Bad input


@pytest.mark.parametrize(("kind", "payload"), GARBAGE, ids=str)
def test_lists_a_payload_it_cannot_read_and_skips_it(ann, kind, payload):
    good = ann.set(1, "x")
    bad = ann(2, kind, **payload)

    assert (unreadable(bad) or "").startswith(kind)
    assert record_of(bad) is None
    assert materialize([good, bad]) == materialize([good])


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x80", encode_cbor(["field.set", [1]])])
def test_lists_a_body_that_is_no_content(body):
    event = Event.make(ANN, 1, Stamp(1, 0), NO_PREV, body)

    assert unreadable(event) == "body is not [kind, payload]"
    assert materialize([event]) == {}


def test_unknown_kinds_and_control_events_are_not_its_matter(ann):
    control = FeedKey(ANN.author, FeedKind.CONTROL, 0)
    body = encode_body("note.add", {"record_id": "r1", "text": "x"})
    events = [
        ann(1, "task.move", record_id="r1"),
        Event.make(control, 1, Stamp(1, 0), NO_PREV, body),
        Event.make(control, 1, Stamp(1, 0), NO_PREV, b"?"),
    ]

    assert [read_change(event) for event in events] == [None, None, None]
    assert materialize(events) == {}


def test_ignores_keys_it_does_not_know(ann):
    made = ann(1, "note.add", record_id="r1", text="x", colour="red")

    assert record_of(made) == "r1"


def test_the_deepest_value_of_an_event_fits_into_a_row(ann):
    value: Any = 1
    for _ in range(14):
        value = [value]
    made = ann.set(1, value)

    record = fold_record("r1", [made])

    assert decode(encode(record)).public() == record.public() == materialize([made])["r1"]


@pytest.mark.parametrize("state", [b"", b"\x80", encode_cbor(["x", b"", [1], [], [], [], []])])
def test_a_torn_row_is_an_error_of_ours(state):
    with pytest.raises(MalformedError):
        decode(RecordRow("r1", "", True, 0, state))


# Standing


def test_holds_what_is_beyond_the_horizon_but_never_a_control_event(ann):
    body = encode_body("feed.open", {})
    control = Event.make(FeedKey(ANN.author, FeedKind.CONTROL, 0), 1, Stamp(11, 0), NO_PREV, body)

    standings = Standings(Decrees(), Roster(OPEN_DATASET), HeldEvents([]), 10)

    assert standings.of(ann.set(10, "x")) is Standing.COUNTS
    assert standings.of(ann.set(11, "x")) is Standing.HELD
    assert standings.of(control) is Standing.COUNTS
