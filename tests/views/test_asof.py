"""A view as of a stamp is the fold of the events up to it."""

from __future__ import annotations

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import OPEN_DATASET, Event
from meshlog.core.hlc import Stamp
from meshlog.store.sqlite import SqliteStore
from meshlog.views.asof import record_as_of, records_as_of
from meshlog.views.materialize import shown
from tests.views.world import ANN, BOB, FAR_MS, Pen, apply, arrivals, looking, rules, take


@given(arrivals(), st.integers(0, 40), st.integers(0, 40))
def test_equals_the_fold_of_the_events_up_to_a_stamp(
    events: list[Event], until_ms: int, horizon_ms: int
):
    with closing(SqliteStore(":memory:")) as store:
        with store.transaction():
            take(store, *events)
        rows = records_as_of(store, Stamp(until_ms, 0), rules(store, horizon_ms))

        # a fork that came later splits the feed for the fold of all that is held, too
        expected = shown(events, OPEN_DATASET, min(until_ms, horizon_ms))

        assert encode_cbor({one.record_id: one.public() for one in rows}) == encode_cbor(expected)


def test_tells_how_many_records_it_has_looked_at():
    """Those that were not there yet cost time, too."""
    pen, told = Pen(ANN), list[tuple[int, int]]()
    with closing(SqliteStore(":memory:")) as store:
        apply(store, pen.set(5, "x"), pen(9, "field.set", record_id="r2", field="a", value="x"))

        then = records_as_of(
            store, Stamp(1, 0), rules(store, FAR_MS), lambda *now: told.append(now)
        )

        assert list(then) == []
        assert told == [(0, 2), (1, 2)]


def test_the_counter_decides_within_a_millisecond():
    ann, bob = Pen(ANN), Pen(BOB)
    first, second = ann.set(5, "x"), bob.set(6, "y")
    with closing(SqliteStore(":memory:")) as store:
        apply(store, first, second)
        standings = rules(store, FAR_MS)

        then = record_as_of(store, "r1", Stamp(5, 0xFFFF), standings)

        assert then is not None
        assert then.public()["fields"] == {"a": "x"}
        assert record_as_of(store, "r1", Stamp(4, 0xFFFF), standings) is None
        assert record_as_of(store, "r1", Stamp(6, 0), standings) == looking(store).get("r1")
        assert record_as_of(store, "never", Stamp(6, 0), standings) is None
