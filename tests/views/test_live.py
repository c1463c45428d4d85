"""The live view equals the pure fold of what counts, after every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.codec import encode_cbor
from meshlog.core.event import OPEN_DATASET, Event
from meshlog.ports import LogEntry
from meshlog.store.sqlite import SqliteStore
from meshlog.views.live import LiveView
from meshlog.views.materialize import materialize, shown
from tests.views.world import ANN, BOB, Pen, after, arrivals, rules, take

FAR_MS = 2**47 - 1


def counted(events: list[Event], horizon_ms: int) -> bytes:
    return encode_cbor(shown(events, OPEN_DATASET, horizon_ms))


def apply(store: SqliteStore, *events: Event, horizon_ms: int = FAR_MS) -> None:
    """Add events and bring the view up to date, in one transaction."""
    with store.transaction():
        told = take(store, *events)
        LiveView(store).applied(told, (), rules(store, horizon_ms))


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@given(arrivals(), st.integers(1, 4))
def test_equals_the_pure_fold_after_every_batch(events: list[Event], batch: int):
    with closing(SqliteStore(":memory:")) as store:
        view = LiveView(store)
        for start in range(0, len(events), batch):
            apply(store, *events[start : start + batch])

            assert encode_cbor(view.snapshot()) == counted(events[: start + batch], FAR_MS)
        assert view.check(rules(store, FAR_MS)) == []


@given(arrivals(), st.lists(st.integers(0, 40), min_size=1, max_size=4).map(sorted))
def test_equals_the_pure_fold_while_the_horizon_moves(events: list[Event], horizons: list[int]):
    share = -(-len(events) // len(horizons))
    horizon_ms = 0
    with closing(SqliteStore(":memory:")) as store:
        view = LiveView(store)
        for turn, next_ms in enumerate(horizons):
            apply(store, *events[turn * share : (turn + 1) * share], horizon_ms=horizon_ms)
            with store.transaction():
                view.advance(horizon_ms, rules(store, next_ms))
            horizon_ms = next_ms

            held = events[: (turn + 1) * share]
            assert encode_cbor(view.snapshot()) == counted(held, horizon_ms)
            assert view.check(rules(store, horizon_ms)) == []


@given(arrivals())
def test_a_rebuild_changes_no_row(events: list[Event]):
    with closing(SqliteStore(":memory:")) as store:
        apply(store, *events)
        before = list(store.records())

        with store.transaction():
            LiveView(store).rebuild(rules(store, FAR_MS))

        assert list(store.records()) == before


def test_a_fork_elsewhere_leaves_the_rows_of_untouched_records_right(store):
    """Nobody refolds r1 when its feed forks in r2, so nothing in r1 may depend on it."""
    ann = Pen(ANN)
    base = ann.set(1, "x")
    events = [base, ann.set(2, "y"), ann.set(3, "z")]
    fork = after(base, ANN, 2, "note.add", record_id="r2", text="from a backup")
    apply(store, *events)

    apply(store, fork)

    view = LiveView(store)
    assert view.check(rules(store, FAR_MS)) == []
    assert view.snapshot() == materialize([*events, fork])


def test_get_returns_hidden_records_and_the_snapshot_omits_them(store):
    ann = Pen(ANN)
    view = LiveView(store)
    apply(store, ann.set(1, "x"), ann(2, "record.delete", record_id="r1"))

    hidden = view.get("r1")

    assert hidden is not None
    assert not hidden.visible
    assert view.snapshot() == {}
    assert view.get("never") is None


def test_check_names_rows_that_are_wrong_and_a_rebuild_mends_them(store):
    ann, bob = Pen(ANN), Pen(BOB)
    view = LiveView(store)
    apply(store, ann.set(1, "x"), bob.set(2, "y"))
    row = store.get_record("r1")
    assert row is not None

    with store.transaction():
        store.put_record(row._replace(state=row.state[:-1]))
        store.put_record(row._replace(record_id="ghost"))
    assert view.check(rules(store, FAR_MS)) == [
        "record 'ghost' has a row, and no counted event touches it",
        "record 'r1': its row differs from what its events make",
    ]

    with store.transaction():
        view.rebuild(rules(store, FAR_MS))
    assert view.check(rules(store, FAR_MS)) == []


def test_check_does_not_trust_the_index(store):
    with store.transaction():
        store.add([LogEntry(Pen(ANN).set(1, "x"), None)], arrived_ms=0)

    assert LiveView(store).check(rules(store, FAR_MS)) == [
        "record 'r1': the index of its events is wrong"
    ]
