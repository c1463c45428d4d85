"""The live view equals the pure fold of what counts, after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import OPEN_DATASET, Event
from meshlog.ports.records import RecordRow
from meshlog.store.sqlite import SqliteStore
from meshlog.views import live
from meshlog.views.live import SETTLE_SIZE, LiveView
from meshlog.views.materialize import materialize, shown
from meshlog.views.records import Record, decode, encode
from tests.views.world import (
    ANN,
    BOB,
    FAR_MS,
    RECORDS,
    Pen,
    after,
    apply,
    arrivals,
    looking,
    lots_of,
    rules,
    settle,
)


def counted(events: list[Event], horizon_ms: int) -> bytes:
    return encode_cbor(shown(events, OPEN_DATASET, horizon_ms))


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@given(arrivals(), st.integers(1, 4), st.lists(st.sampled_from([0, 1, 2, 99]), min_size=16))
def test_equals_the_pure_fold_whatever_is_settled_when(
    events: list[Event], batch: int, settled: list[int]
):
    """After every batch; 0 settles nothing, others so many events."""
    with closing(SqliteStore(":memory:")) as store:
        view = looking(store)
        for start, some in zip(range(0, len(events), batch), settled, strict=False):
            apply(store, *events[start : start + batch])
            if some:
                settle(store, view, some)

            held = events[: start + batch]
            assert encode_cbor(view.snapshot()) == counted(held, FAR_MS)
            assert list(view.rows()) == list(filter(None, map(row_of(view), sorted(RECORDS))))
            assert list(map(view.get, RECORDS)) == [decode_maybe(view.row(r)) for r in RECORDS]
            assert view.check() == []
        settle(store, view)
        assert view.is_settled()
        assert list(store.records()) == list(view.rows())
        assert list(view.unsettled()) == []
        assert view.check() == []


def decode_maybe(row: RecordRow | None) -> Record | None:
    """What is read without a row in between is what that row says, to the order of its parts."""
    return decode(row) if row else None


def row_of(view: LiveView) -> Callable[[str], RecordRow | None]:
    def row(record_id: str) -> RecordRow | None:
        record = view.get(record_id)
        return encode(record) if record else None

    return row


@given(
    arrivals(),
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.lists(st.sampled_from([0, 1, 99]), min_size=4, max_size=4),
)
def test_equals_the_pure_fold_while_the_horizon_moves_on_and_back(
    events: list[Event], horizons: list[int], settled: list[int]
):
    share = -(-len(events) // len(horizons))
    horizon_ms = 0
    with closing(SqliteStore(":memory:")) as store:
        view = LiveView(store, lambda: rules(store, horizon_ms))
        for turn, (next_ms, some) in enumerate(zip(horizons, settled, strict=False)):
            apply(store, *events[turn * share : (turn + 1) * share])
            if some:
                settle(store, view, some)
            with store.transaction():
                view.mark(store.touched_between(*sorted((horizon_ms, next_ms))))
            horizon_ms = next_ms

            held = events[: (turn + 1) * share]
            assert encode_cbor(view.snapshot()) == counted(held, horizon_ms)
            assert view.check() == []
            if some:
                settle(store, view)
                assert list(store.records()) == list(view.rows())
                assert view.check() == []


@given(arrivals(), st.integers(1, 20), st.integers(0, 20), st.sampled_from([FAR_MS, 3]))
def test_a_rebuild_changes_no_row(events: list[Event], lot: int, settled: int, horizon_ms: int):
    """By lots of records, whatever of the log was in the rows; what did not change is not told."""
    with closing(SqliteStore(":memory:")) as store, lots_of(lot):
        view = looking(store, horizon_ms)
        apply(store, *events[:settled])
        settle(store, view)
        number = store.last_change()
        with store.transaction():
            view.rebuild()
        assert store.last_change() == number

        apply(store, *events[settled:])
        before = list(view.rows())
        with store.transaction():
            view.rebuild()

        assert view.is_settled()
        assert list(store.records()) == list(view.rows()) == before
        assert encode_cbor(view.snapshot()) == counted(events, horizon_ms)
        assert view.check() == []


@given(arrivals(), st.integers(1, 5))
def test_rows_that_are_all_marked_stay_as_they_are_while_they_are_made_anew(
    events: list[Event], some: int
):
    with closing(SqliteStore(":memory:")) as store:
        view = looking(store)
        apply(store, *events)
        settle(store, view)
        before, number = list(store.records()), store.last_change()

        with store.transaction():
            view.mark_all()
        assert list(view.rows()) == before
        settle(store, view, some)
        assert list(view.rows()) == before
        settle(store, view)

        assert list(store.records()) == before
        assert store.last_change() == number


def test_a_fork_elsewhere_leaves_the_rows_of_untouched_records_right(store):
    """Nobody refolds r1 when its feed forks in r2, so nothing in r1 may depend on it."""
    ann = Pen(ANN)
    base = ann.set(1, "x")
    events = [base, ann.set(2, "y"), ann.set(3, "z")]
    fork = after(base, ANN, 2, "note.add", record_id="r2", text="from a backup")
    view = looking(store)
    apply(store, *events)
    settle(store, view)

    apply(store, fork)
    settle(store, view)

    assert view.check() == []
    assert view.snapshot() == materialize([*events, fork])


def test_get_returns_hidden_records_and_the_snapshot_omits_them(store):
    ann = Pen(ANN)
    view = looking(store)
    apply(store, ann.set(1, "x"), ann(2, "record.delete", record_id="r1"))

    hidden = view.get("r1")

    assert hidden is not None
    assert not hidden.visible
    assert view.snapshot() == {}
    assert view.get("never") is None


def test_check_names_rows_that_are_wrong_and_a_rebuild_mends_them(store):
    ann, bob = Pen(ANN), Pen(BOB)
    view = looking(store)
    apply(store, ann.set(1, "x"), bob.set(2, "y"), bob(3, "note.add", record_id="r2", text="t"))
    settle(store, view)
    kept = store.get_record("r1")
    assert kept is not None
    assert kept.row is not None

    with store.transaction():
        store.put_records([("r1", kept.row._replace(state=kept.row.state[:-1]))], 3)
        store.put_records([("ghost", kept.row._replace(record_id="ghost"))], 3)
        store.put_records([("r2", None)], 2)
    assert view.check() == [
        "record 'ghost' has a row, and no counted event touches it",
        "record 'r1': its row differs from what its events make",
        "record 'r2': its row lacks an event",
    ]

    with store.transaction():
        view.rebuild()
    assert view.check() == []
    assert [row.record_id for row in store.records()] == ["r1", "r2"]


def test_a_body_that_only_looks_as_if_it_named_a_record_makes_none(store):
    ann = Pen(ANN)
    view = looking(store)
    apply(
        store,
        ann(1, "note.add", record_id="r1", text="irecord_idbr2"),
        ann(2, "else", text="irecord_idbr2"),
    )

    assert set(view.snapshot()) == {"r1"}
    settle(store, view)
    assert set(view.snapshot()) == {"r1"}
    assert view.check() == []


def test_settling_stops_after_so_many_events_whether_or_not_they_touch_a_record(store):
    """A stretch of kinds that no view reads must not hold the node's lock for its whole length."""
    ann = Pen(ANN)
    view = looking(store)
    apply(store, *(ann(ms, "else", text="x") for ms in range(1, 8)), ann.set(8, "x"))

    settled = []
    for _ in range(3):
        settle(store, view, 3)
        settled.append((view.position, view.is_settled()))

    assert settled == [(3, False), (6, False), (8, True)]
    assert [row.record_id for row in store.records()] == ["r1"]


def test_settling_stops_after_so_many_bytes_of_bodies_that_touch_no_record(store):
    ann = Pen(ANN)
    view = looking(store)
    apply(store, *(ann(ms, "else", text="x" * 60_000) for ms in range(1, 201)))

    settle(store, view, 1_000)
    stopped_at = view.position
    settle(store, view)

    assert stopped_at == -(-SETTLE_SIZE // 60_000)
    assert view.is_settled()


def test_settling_stops_within_a_run_where_enough_bytes_of_bodies_came(store):
    ann = Pen(ANN)
    view = looking(store)
    events = [ann.set(ms, "x" * 20) for ms in range(1, 21)]
    apply(store, *events)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SETTLE_SIZE", len(events[0].body) * 3 - 1)
        settle(store, view, 1_000)
    stopped_at = view.position

    assert view.check() == []
    settle(store, view)
    assert (stopped_at, view.position, view.check()) == (3, 20, [])
