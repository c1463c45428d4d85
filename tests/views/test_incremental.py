"""A row that grew event by event is the row that the fold makes, byte for byte."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import Event
from meshlog.ports.log import Arrival
from meshlog.ports.records import KeptRow
from meshlog.store.sqlite import SqliteStore
from meshlog.views.changes import feed_ref
from meshlog.views.fold import HeldEvents, fold_record, told_by
from meshlog.views.incremental import grown
from meshlog.views.live import ROWS_KEY
from meshlog.views.records import encode
from meshlog.views.rowstate import RowState, pack, unpack
from tests.replica.devices import T0_MS, open_replica
from tests.views.world import ANN, BOB, CAT, Pen, after, apply, arrivals, looking, ref, settle

FAR_MS = 2**47 - 1


def grow(state: RowState, made: Event, *others: Event) -> bool:
    """Let a row grow by an event, forks as among all that is held."""
    [told] = told_by([made])
    forked = HeldEvents([made, *others]).forked
    return grown(state, told, {feed_ref(feed) for feed in forked})


def folded(record_id: str, events: list[Event]) -> RowState:
    return unpack(encode(fold_record(record_id, events, HeldEvents(events))))


@given(st.booleans().flatmap(lambda has_forks: arrivals(has_forks=has_forks)))
def test_a_row_grows_to_what_the_fold_makes_or_says_that_it_cannot(events: list[Event]):
    states: dict[str, RowState] = defaultdict(lambda: RowState("r1"))
    for count, made in enumerate(events, start=1):
        for told in told_by([made]):
            record_id = told.change.record_id
            states.setdefault(record_id, RowState(record_id))
            held = events[:count]
            whole = encode(fold_record(record_id, held, HeldEvents(held)))
            if grow(states[record_id], made, *held):
                note("grown")
                assert pack(states[record_id]) == whole
            else:
                note("folded")
                states[record_id] = folded(record_id, held)


@given(arrivals(has_forks=False), st.integers(1, 5))
def test_what_is_settled_at_once_is_one_write_of_each_row(events: list[Event], batch: int):
    with closing(SqliteStore(":memory:")) as store:
        view = looking(store)
        for start in range(0, len(events), batch):
            some = events[start : start + batch]
            before = store.last_change()
            apply(store, *some)
            settle(store, view)

            touched = {told.change.record_id for told in told_by(some)}
            assert len(store.changes(before, 99)) <= len(touched)
            assert view.check() == []


class Unread(SqliteStore):
    """A store whose events nobody may read back from the first."""

    def touching(self, record_id: str, after_position: int = 0) -> list[Arrival]:
        if after_position == 0 and self.event_count() > 1:
            pytest.fail(f"the events of {record_id} were read again")
        return super().touching(record_id, after_position)


def test_new_events_are_applied_without_a_look_at_those_before():
    """Writes that replace, in conflict, resolved, deleted and back, notes, photos, a late one."""
    ann, bob, cat = Pen(ANN), Pen(BOB), Pen(CAT)
    made = ann(1, "record.put", record_id="r1", form="well", fields={"a": 1, "b": 2})
    late = cat.set(2, 7, field="c")
    events = [
        made,
        ann.set(3, 5),
        bob.set(4, 6, made),
        ann.set(5, 8, bob.last or made),
        bob(6, "note.add", record_id="r1", text="x"),
        ann(7, "attachment.add", record_id="r1", field="photo", blob_hash="00"),
        late,
    ]
    saw_all = [ref(event) for event in (ann.last, late) if event]
    events += [
        bob(8, "record.delete", record_id="r1", replaces=saw_all),
        ann.set(9, 9),
        cat(10, "record.create", record_id="r1", form="spring"),
    ]
    with closing(Unread(":memory:")) as store:
        for made in events:
            apply(store, made)
            settle(store, looking(store))

        assert store.get_record("r1") == KeptRow(encode(fold_record("r1", events)), len(events))


# Where only the fold can tell


def cannot(*events: Event) -> bool:
    """Say whether the last of these events needs the fold, and all before it do not."""
    state = RowState("r1")
    *first, last = events
    assert all(grow(state, made, *events) for made in first)
    return not grow(state, last, *events)


def test_an_event_that_a_higher_write_named_before_it_came():
    ann, bob = Pen(ANN), Pen(BOB)
    first, second = ann.set(1, "x"), ann.set(2, "y", field="b")
    seen = bob.set(9, "z", first)

    assert cannot(seen, first)
    assert not cannot(bob.set(10, "w"), second)


def test_an_event_that_a_lower_write_named_is_above_it():
    """Nothing is superseded by what is before it, named or not."""
    ann, bob = Pen(ANN), Pen(BOB)
    first = ann.set(9, "x")

    assert not cannot(bob.set(1, "z", first), first)


def test_a_fork_of_the_own_feed_or_of_one_that_is_named():
    base = after(None, ANN, 1, "field.set", record_id="r1", field="a", value="x")
    left = after(base, ANN, 2, "field.set", record_id="r1", field="a", value="left")
    right = after(base, ANN, 3, "field.set", record_id="r1", field="a", value="right")
    state = folded("r1", [base, left, right])

    assert not grow(state, Pen(BOB).set(4, "y", left), base, left, right)
    follows = after(right, ANN, 5, "field.set", record_id="r1", field="a", value="z")
    assert not grow(state, follows, base, left, right)
    assert grow(state, Pen(CAT).set(6, "w"), base, left, right), "says nothing about the fork"


def test_a_delete_that_had_not_seen_everything():
    ann, bob, cat = Pen(ANN), Pen(BOB), Pen(CAT)
    first, second = ann.set(1, "x"), bob.set(2, "y")

    assert cannot(first, second, cat(3, "record.delete", record_id="r1", replaces=[ref(first)]))
    assert cannot(second, ann(1, "record.delete", record_id="r1"))


def test_a_form_that_is_said_late_or_after_the_record_began():
    ann, bob = Pen(ANN), Pen(BOB)

    assert cannot(ann.set(2, "x"), bob(1, "record.create", record_id="r1", form="f"))
    assert cannot(ann.set(3, "x"), bob(4, "record.create", record_id="r1", form="f"))


def test_a_late_photo_that_is_there_already():
    ann, bob = Pen(ANN), Pen(BOB)
    photo = {"record_id": "r1", "field": "photo", "blob_hash": "00"}

    assert cannot(ann(2, "attachment.add", **photo, size=1), bob(1, "attachment.add", **photo))


def test_a_row_that_is_damaged_is_folded_anew():
    ann = Pen(ANN)
    with closing(SqliteStore(":memory:")) as store:
        view = looking(store)
        apply(store, ann.set(1, "x"))
        settle(store, view)
        kept = store.get_record("r1")
        assert kept is not None
        assert kept.row is not None
        with store.transaction():
            store.put_records([("r1", kept.row._replace(state=kept.row.state[:-1]))], 1)
        apply(store, ann.set(2, "y"))
        settle(store, view)

        assert view.check() == []


def test_rows_of_an_older_form_are_folded_anew_when_the_replica_opens():
    base = open_replica("base")
    base.append("record.put", {"record_id": "r1", "fields": {"a": 1}}, T0_MS)
    base.settle()
    [row] = base.view.rows()
    with base.store.transaction():
        old = row._replace(state=encode_cbor(["as", "before"]))
        base.store.put_records([("r1", old)], base.event_count())
        base.store.set_meta(ROWS_KEY, b"")

    again = open_replica("base", store=base.store)  # type: ignore[arg-type]

    assert list(again.view.rows()) == [row]
    assert again.view.is_current()
