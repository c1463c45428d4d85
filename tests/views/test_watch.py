"""A watch tells every change of the view once, in order, and goes on where it stopped."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import Event
from meshlog.errors import InputError
from meshlog.store.sqlite import SqliteStore
from meshlog.views.live import LiveView
from meshlog.views.watch import Cursor, changes_after, cursor_now, resumed
from tests.views.world import arrivals, rules, take

FAR_MS = 2**47 - 1


@given(arrivals(), st.lists(st.booleans(), min_size=16, max_size=16))
def test_who_applies_the_changes_has_the_view_whenever_it_looks(
    events: list[Event], looks: list[bool]
):
    copy: dict[str, Any] = {}
    with closing(SqliteStore(":memory:")) as store:
        view = LiveView(store)
        place, _ = resumed(store, None)
        for event, look in zip(events, looks, strict=False):
            with store.transaction():
                view.applied(take(store, event), (), rules(store, FAR_MS))
            if not look:
                continue
            found, place = changes_after(store, place)
            for change in found:
                if change.record is None:
                    copy.pop(change.record_id, None)
                else:
                    copy[change.record_id] = change.record

            assert copy == view.snapshot()
            assert changes_after(store, place) == ([], place)


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
