"""A watch tells every change of the view once, in order, and goes on where it stopped."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import Event
from meshlog.errors import InputError
from meshlog.ports.records import RecordRow
from meshlog.store.sqlite import SqliteStore
from meshlog.views import watch
from meshlog.views.fold import fold_record
from meshlog.views.records import encode
from meshlog.views.watch import Cursor, changes_after, cursor_now, resumed
from tests.views.world import apply, arrivals, looking, settle

EMPTY = encode(fold_record("r", ()))


@given(arrivals(), st.lists(st.booleans(), min_size=16, max_size=16))
def test_who_applies_the_changes_has_the_view_whenever_it_looks(
    events: list[Event], looks: list[bool]
):
    copy: dict[str, Any] = {}
    with closing(SqliteStore(":memory:")) as store:
        view = looking(store)
        place, _ = resumed(store, None)
        for event, look in zip(events, looks, strict=False):
            apply(store, event)
            if not look:
                continue
            settle(store, view)
            found, place = changes_after(store, place)
            for change in found:
                if change.record is None:
                    copy.pop(change.record_id, None)
                else:
                    copy[change.record_id] = change.record

            assert copy == view.snapshot()
            assert changes_after(store, place) == ([], place)


class List:
    """A reader's own list of wells, kept by what it is told."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.place, _ = resumed(store, None)
        self.names: set[str] = set()
        self.times_taken_off = 0

    def look(self, deals_with: int = 99) -> bool:
        """Read once, and keep the cursor of the last change that was dealt with."""
        found, then = changes_after(self.store, self.place, "well")
        is_still = then == self.place
        for change in found[:deals_with]:
            if change.record is None or change.left:
                self.names.discard(change.record_id)
                self.times_taken_off += 1
            else:
                self.names.add(change.record_id)
            self.place = Cursor.parse(change.cursor)
        if deals_with >= len(found):
            self.place = then
        return not is_still


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from(["well", "road", None]),
            st.none() | st.integers(0, 4),
        ),
        max_size=24,
    )
)
def test_who_follows_a_form_has_its_records_wherever_it_was_cut_off(
    steps: list[tuple[str, str | None, int | None]],
):
    forms: dict[str, str | None] = {}
    times_left = 0
    with closing(SqliteStore(":memory:")) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "CHUNK_CHANGES", 2)
        wells = List(store)
        for number, (name, form, deals_with) in enumerate(steps):
            with store.transaction():
                row = form and RecordRow(name, form, True, number, EMPTY.state)
                store.put_records([(name, row or None)], number)
            times_left += forms.get(name) == "well" != form
            forms[name] = form
            if deals_with is not None:
                wells.look(deals_with)
        while wells.look():
            pass

    assert wells.names == {name for name, form in forms.items() if form == "well"}
    assert wells.times_taken_off <= times_left


def test_more_that_left_than_are_read_at_once_are_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    """They leave, and change again after that: their rows come later than the leaving."""
    monkeypatch.setattr(watch, "CHUNK_CHANGES", 2)
    with closing(SqliteStore(":memory:")) as store:
        wells = List(store)
        for number, form in enumerate(["well", "road", "road"]):
            with store.transaction():
                rows = [RecordRow(name, form, True, number, EMPTY.state) for name in "abcde"]
                store.put_records([(row.record_id, row) for row in rows], number)
            if form == "well":
                while wells.look():
                    pass
        assert len(wells.names) == 5

        while wells.look():
            pass

    assert (wells.names, wells.times_taken_off) == (set(), 5)


@pytest.mark.parametrize(
    "text", ["", "x", "12", "00000001", "00000001-", "00000001-x", "0001-3", "00000001--1",
             "00000001-03", "zz000001-3", "00000001-3-4"],
)  # fmt: skip
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(InputError, match="is no cursor"):
        Cursor.parse(text)


def test_a_cursor_is_what_its_text_says():
    cursor = Cursor(b"\x01\x02\x03\x04", 77)

    assert Cursor.parse(str(cursor)) == Cursor.parse(f" {cursor}\n") == cursor


def test_a_cursor_of_another_store_or_of_the_future_begins_anew():
    with closing(SqliteStore(":memory:")) as store:
        start = cursor_now(store)

        assert resumed(store, start) == (start, True)
        assert resumed(store, start._replace(era=b"else")) == (start, False)
        assert resumed(store, start._replace(number=1)) == (start, False)
