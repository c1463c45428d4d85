"""Rows are compared with their events in passes over the log, and every data event is read once."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import Event
from meshlog.store.sqlite import SqliteStore
from meshlog.views import recordlots, rowcheck
from meshlog.views.changes import unreadable
from meshlog.views.lot import Lot
from meshlog.views.rowcheck import RowCheck
from tests.views.world import ANN, FAR_MS, Pen, apply, arrivals, looking, lots_of, settle


@given(arrivals(), st.integers(1, 20), st.integers(0, 20), st.sampled_from([FAR_MS, 3]))
def test_what_no_view_can_read_is_told_once_however_many_passes(
    events: list[Event], lot: int, settled: int, horizon_ms: int
):
    told: list[tuple[int, bytes, str]] = []
    with closing(SqliteStore()) as store, lots_of(lot):
        view = looking(store, horizon_ms)
        apply(store, *events[:settled])
        settle(store, view)
        apply(store, *events[settled:])

        assert view.check(lambda *witnessed: told.append(witnessed)) == []

    assert sorted(told) == [
        (position, event.id, reason)
        for position, event in enumerate(events, 1)
        if (reason := unreadable(event)) is not None
    ]


@pytest.mark.parametrize("lot", [1, 3, 100])
def test_rows_that_are_wrong_are_named_by_their_records_whichever_pass_finds_them(lot: int):
    ann = Pen(ANN)
    with closing(SqliteStore()) as store, lots_of(lot):
        view = looking(store)
        for number in range(6):
            apply(store, ann(number + 1, "note.add", record_id=f"r{number}", text="x"))
        settle(store, view)
        kept = {row.record_id: row for row in store.records()}
        with store.transaction():
            store.put_records([("r4", kept["r4"]._replace(form="f"))], 6)
            store.put_records([("r1", None)], 6)
            store.put_records([("r3", kept["r3"])], 1)
            store.put_records([("r9", kept["r3"]._replace(record_id="r9"))], 6)

        assert view.check() == [
            "record 'r9' has a row, and no counted event touches it",
            "record 'r1': its row differs from what its events make",
            "record 'r3': its row lacks an event",
            "record 'r4': its row differs from what its events make",
        ]


def test_large_events_are_brought_together_in_more_passes():
    ann = Pen(ANN)
    with closing(SqliteStore()) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordlots, "LOT_SIZE", 20_000)
        for number in range(20):
            at = number * 6 + 1
            of, small = {"record_id": f"r{number}"}, "x" * 1_500
            apply(store, ann(at, "note.add", text="x" * 6_000, **of))
            # two of them in a row are kept in some 100 bytes
            apply(store, *(ann(at + i, "note.add", text=small, **of) for i in (1, 2)))
        lots: list[int] = []
        whole = rowcheck.RowCheck._check

        def check(self: RowCheck, lot: Lot, number: int) -> list[tuple[bool, str, str]]:
            lots.append(len(lot))
            return whole(self, lot, number)

        patch.setattr(rowcheck.RowCheck, "_check", check)

        assert looking(store).check() == []
        assert sum(lots) == 60
        assert max(lots) <= 6
