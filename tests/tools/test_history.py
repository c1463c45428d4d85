"""History: who wrote what, when, and what became of it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

from meshlog.tools.arrivals import log_entries
from meshlog.views.history import Fate
from meshlog.views.standing import Standing
from tests.tools.camp import T0_MS, Device


def test_tells_of_overwritten_values_and_of_conflicts(base: Device):
    team = Device("team", 3, at=base)
    with closing(team.store):
        base.write("record.put", record_id="w1", form="well", fields={"a": 1, "b": "x"})
        base.give(team)
        base.write("field.set", record_id="w1", field="a", value=2)
        team.now_ms += 60_000
        team.write("field.set", record_id="w1", field="a", value=3)
        team.give(base)
        first, ours, theirs = base.history("w1")

    assert [e.who for e in (first, ours, theirs)] == ["base", "base", "team"]
    assert [w.fate for w in first.wrote] == [Fate.SUPERSEDED, Fate.SHOWN]
    assert first.wrote[0].superseded_by == ours.event_id
    assert first.form == "well"
    assert (ours.wrote[0].value, ours.wrote[0].fate) == (2, Fate.CONFLICT)
    assert (theirs.wrote[0].value, theirs.wrote[0].fate) == (3, Fate.SHOWN)
    assert theirs.arrived_ms >= theirs.stamp.wall_ms > T0_MS


def test_a_value_that_another_feed_replaced_names_its_successor(base: Device):
    team = Device("team", 3, at=base)
    with closing(team.store):
        base.write("field.set", record_id="w1", field="a", value=1)
        base.give(team)
        team.write("field.set", record_id="w1", field="a", value=2)
        first, second = team.history("w1")

    assert first.wrote[0] == ("a", 1, Fate.SUPERSEDED, second.event_id)


def test_what_was_written_can_be_written_down(base: Device):
    """An audit goes to a file: lists and dicts, not the frozen ones of an event."""
    value = {"sizes": [1, {"of": "pipe"}]}
    base.write("field.set", record_id="w1", field="a", value=value)

    [entry] = base.history("w1")

    assert json.loads(json.dumps(entry.wrote[0].value)) == value
    assert asdict(entry)["wrote"][0].value == value


def test_the_same_value_twice_agrees(base: Device):
    team = Device("team", 3, at=base)
    with closing(team.store):
        base.write("field.set", record_id="w1", field="a", value=1)
        team.write("field.set", record_id="w1", field="a", value=1)
        base.give(team)

        assert sorted(e.wrote[0].fate for e in team.history("w1")) == [Fate.AGREES, Fate.SHOWN]


def test_an_event_beyond_the_horizon_waits(base: Device):
    team = Device("team", 3, at=base)
    with closing(team.store):
        now_ms = base.now_ms
        team.now_ms += 3_600_000
        team.write("field.set", record_id="w1", field="a", value=1)
        team.give(base)
        base.now_ms = now_ms
        (entry,) = base.history("w1")

    assert entry.standing is Standing.HELD
    assert entry.wrote[0].fate is Fate.WAITS


def test_notes_deletes_and_attachments_are_told(base: Device):
    base.write("note.add", record_id="w1", text="dry")
    base.write("attachment.add", record_id="w1", field="p", blob_hash="ab")
    base.write("record.delete", record_id="w1")

    note, attachment, delete = base.history("w1")

    assert note.note == "dry"
    assert attachment.attachment is not None
    assert delete.kind == "record.delete"
    assert base.history("nobody") == []


def test_what_a_delete_hides_is_told_until_the_record_comes_back(base: Device):
    base.write("record.put", record_id="w1", form="well", fields={"a": 1, "b": "x"})
    base.write("field.set", record_id="w1", field="a", value=2)
    base.write("record.delete", record_id="w1")
    hidden = [wrote.fate for entry in base.history("w1") for wrote in entry.wrote]
    base.write("field.set", record_id="w1", field="b", value="y")
    back = [wrote.fate for entry in base.history("w1") for wrote in entry.wrote]

    assert hidden == [Fate.SUPERSEDED, Fate.DELETED, Fate.DELETED]
    assert back == [Fate.SUPERSEDED, Fate.SUPERSEDED, Fate.SHOWN, Fate.SHOWN]


def test_the_log_reads_on_from_a_position(base: Device):
    for value in range(5):
        base.write("field.set", record_id="w1", field="a", value=value)

    def label(_: bytes) -> str:
        return "me"

    first = log_entries(base.store, label, limit=4)
    rest = log_entries(base.store, label, after=first[-1].position)

    assert [line.kind for line in first] == ["dataset.genesis", "feed.open", *["field.set"] * 2]
    assert [line.payload["value"] for line in rest] == [2, 3, 4]
    assert {line.who for line in first} == {"me"}
    assert log_entries(base.store, label, after=rest[-1].position) == []
