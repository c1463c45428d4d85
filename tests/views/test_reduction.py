"""A reducer's state equals the fold of what counts, in total order, however events arrive."""

from __future__ import annotations

import sqlite3
from collections import Counter as TallyOf
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.chain import Chain
from meshlog.core.event import Event
from meshlog.core.feed import FeedKind
from meshlog.core.identity import AuthorId
from meshlog.errors import InputError, ReducerError
from meshlog.replica.ledger import Ledger
from meshlog.store.sqlite import SqliteStore
from meshlog.views import reduction as module
from meshlog.views.reducer import WHY_LENGTH_MAX, SkipEvent
from meshlog.views.reduction import Reduction
from meshlog.views.standing import Standings
from tests.views.test_standing import arrive, stories
from tests.views.world import ANN, BOB, CAT, Pen, arrivals, rules, take

FAR_MS = 2**47 - 1
NO_CHANGE: dict[AuthorId, bytes] = {}


class Order:
    """Remembers every event that it took, so that any other order is another state."""

    name, version, kinds = "order", 1, ("field.set", "note.add")

    def initial(self) -> Any:
        return {"ids": []}

    def apply(self, state: Any, event: Event) -> Any:
        if event.payload.get("value") == "1":
            raise SkipEvent("a one in quotes")
        state["ids"].append(event.id)
        return state


class Counter(Order):
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def apply(self, state: Any, event: Event) -> Any:
        self.asked += 1
        return super().apply(state, event)


def expected(events: list[Event], standings: Standings) -> dict[str, Any]:
    counted = [
        standings.placed(event)
        for event in events
        if event.feed.kind is FeedKind.DATA
        and event.kind in Order.kinds
        and standings.counts(event)
    ]
    counted.sort(key=lambda event: event.order)
    return {"ids": [event.id for event in counted if event.payload.get("value") != "1"]}


@pytest.fixture(autouse=True, scope="module")
def _checkpoints_everywhere():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHECKPOINT_EVENTS", 2)
        patch.setattr(module, "_CHUNK", 3)
        patch.setattr(module, "FRESH_SIZE_MAX", 4_500)
        yield


@given(arrivals(), st.integers(1, 4), st.lists(st.integers(0, 40), max_size=8), st.data())
def test_equals_the_fold_whatever_comes_late_and_wherever_the_horizon_moves(
    events: list[Event], batch: int, horizons: list[int], data: st.DataObject
):
    with closing(SqliteStore(":memory:")) as store:
        reduction = Reduction(store, Order())
        for turn, start in enumerate(range(0, len(events), batch)):
            with store.transaction():
                take(store, *events[start : start + batch])
            if data.draw(st.booleans()):
                continue  # nobody looks
            if data.draw(st.booleans()):
                reduction = Reduction(store, Order())  # another start
            standings = rules(store, horizons[turn] if turn < len(horizons) else FAR_MS)

            held = events[: start + batch]
            assert reduction.state(standings, NO_CHANGE) == expected(held, standings)
            assert reduction.state(standings, NO_CHANGE) == expected(held, standings)


@settings(deadline=None)
@given(stories(), st.integers(0, 2**32), st.integers(1, 5))
def test_equals_the_fold_when_members_come_and_go_late(events: list[Event], seed: int, batch: int):
    dataset = next(e.id for e in events if e.kind == "dataset.genesis")
    events = list({event.id: event for event in events}.values())
    arrived = arrive(events, Random(seed))
    with closing(SqliteStore(":memory:")) as store:
        reduction = Reduction(store, Order())
        ledger = Ledger.load(store, dataset)  # type: ignore[arg-type]
        ledger.horizon_ms = FAR_MS
        for start in range(0, len(arrived), batch):
            some = arrived[start : start + batch]
            with store.transaction():
                for event in some:
                    store.add(Chain.of([event]), 0)
                    ledger.advance(Chain.of([event]), store)
            standings = ledger.standings(store)
            authors = {feed.author for feed in ledger.frontier if feed.kind is FeedKind.DATA}

            state = reduction.state(standings, standings.grounds(authors))

            assert state == expected(arrived[: start + batch], standings)


def test_a_late_event_costs_what_comes_after_it_and_not_the_log():
    ann, bob = Pen(ANN), Pen(BOB)
    early = bob.set(1, "early")
    with closing(SqliteStore(":memory:")) as store:
        reducer = Counter()
        reduction = Reduction(store, reducer)
        with store.transaction():
            take(store, early, *(ann.set(10 * n, "x") for n in range(1, 2_001)))
        reduction.state(rules(store, FAR_MS), NO_CHANGE)
        assert reducer.asked == 2_001
        costs: list[tuple[int, int]] = []
        for before_end in (0, 10, 100, 1_000):
            reducer.asked = 0
            with store.transaction():
                take(store, bob.set(20_005 - 10 * before_end + len(costs) - 4, "late"))
            bob.last = early
            reduction.state(rules(store, FAR_MS), NO_CHANGE)
            costs.append((reducer.asked, 2 * before_end + 10))

        assert all(0 < cost <= bound for cost, bound in costs), costs
        assert len(store.checkpoints("order")) < 30


def test_goes_on_from_what_the_store_keeps():
    pen = Pen(ANN)
    with closing(SqliteStore(":memory:")) as store:
        with store.transaction():
            take(store, *(pen.set(n, "x") for n in range(1, 101)))
        Reduction(store, Order()).state(rules(store, FAR_MS), NO_CHANGE)
        reducer = Counter()

        state = Reduction(store, reducer).state(rules(store, FAR_MS), NO_CHANGE)

        assert len(state["ids"]) == 100
        assert reducer.asked <= 2


class Picky(Order):
    """Sees the order of keys, and what its lists and dicts are made of."""

    def apply(self, state: Any, event: Event) -> Any:
        value = event.payload["value"]
        assert (type(event.payload), type(value["sizes"])) == (dict, list)
        state["again"] = state.get("again", 0) + (state.get("last") == value["sizes"])
        state["last"] = list(value["sizes"])
        value["first"] = next(iter(state.get("parts", {})), None)
        state.setdefault("parts", {})[value["name"]] = value
        state["parts"][value["name"]]["sizes"].append(len(state["parts"]))
        return state


def test_comes_to_the_same_whenever_somebody_looked():
    """A state that was kept and read back is what it was in memory, for whoever looks closely."""
    pen = Pen(ANN)
    events = [pen.set(n, {"name": f"{'x' * (9 - n)}", "sizes": [7]}) for n in range(1, 9)]
    with closing(SqliteStore(":memory:")) as seldom, closing(SqliteStore(":memory:")) as often:
        for event in events:
            with often.transaction():
                take(often, event)
            Reduction(often, Picky()).state(rules(often, FAR_MS), NO_CHANGE)
        with seldom.transaction():
            take(seldom, *events)

        states = [Reduction(store, Picky()).state(rules(store, FAR_MS), NO_CHANGE)
                  for store in (often, seldom)]  # fmt: skip

        assert repr(states[0]) == repr(states[1])


def test_two_readers_of_one_reducer_lose_nothing_to_each_other():
    ann, bob, cat = Pen(ANN), Pen(BOB), Pen(CAT)
    with closing(SqliteStore(":memory:")) as store:
        standings = rules(store, FAR_MS)
        one, two = Reduction(store, Order()), Reduction(store, Order())
        held: list[Event] = []
        for reader, event in (
            (one, ann.set(10, "x")),
            (two, bob.set(5, "late")),
            (one, ann.set(20, "x")),
            (two, cat.set(1, "later still")),
        ):
            with store.transaction():
                take(store, event)
            held.append(event)
            assert reader.state(standings, NO_CHANGE) == expected(held, standings)

        for reader in (one, two, Reduction(store, Order())):
            assert reader.state(standings, NO_CHANGE) == expected(held, standings)


def test_a_new_version_begins_anew():
    pen = Pen(ANN)
    newer = Counter()
    newer.version = 2
    with closing(SqliteStore(":memory:")) as store:
        with store.transaction():
            take(store, *(pen.set(n, "x") for n in range(1, 51)))
        Reduction(store, Order()).state(rules(store, FAR_MS), NO_CHANGE)

        Reduction(store, newer).state(rules(store, FAR_MS), NO_CHANGE)

        assert newer.asked == 50


def test_what_it_cannot_read_is_skipped_and_listed_in_order():
    pen = Pen(ANN)
    events = [pen.set(1, "1"), pen.set(2, "x"), pen.set(3, "1")]
    with closing(SqliteStore(":memory:")) as store:
        reduction = Reduction(store, Order())
        with store.transaction():
            take(store, *events)

        state = reduction.state(rules(store, FAR_MS), NO_CHANGE)

        assert state == {"ids": [events[1].id]}
        assert reduction.skipped() == [
            (events[0].id, "a one in quotes"),
            (events[2].id, "a one in quotes"),
        ]


@pytest.mark.parametrize(
    ("said", "kept"), [("\ud800?", "??"), ("x" * 70_000, "x" * WHY_LENGTH_MAX), ("", "skipped")]
)
def test_a_reason_that_quotes_a_payload_is_kept_as_text_and_short(said: str, kept: str):
    """A reducer reads JSON in a text, and says what it found: half a surrogate pair, or 64 KiB."""

    class Quoting(Order):
        def apply(self, _: Any, event: Event) -> Any:
            del event
            raise SkipEvent(said)

    event = Pen(ANN).set(1, "x")
    with closing(SqliteStore(":memory:")) as store:
        reduction = Reduction(store, Quoting())
        with store.transaction():
            take(store, event)

        assert reduction.state(rules(store, FAR_MS), NO_CHANGE) == {"ids": []}
        assert reduction.skipped() == [(event.id, kept)]


class Fragile(Order):
    """Breaks at the fourth event."""

    is_mended = False

    def apply(self, state: Any, event: Event) -> Any:
        state = super().apply(state, event)
        if len(state["ids"]) == 4 and not self.is_mended:
            raise KeyError("depth_m")
        return state


def test_a_reducer_that_raises_names_the_event_and_leaves_the_store_as_it_was():
    pen = Pen(ANN)
    events = [pen.set(n, "x") for n in range(1, 7)]
    with closing(SqliteStore(":memory:")) as store:
        reducer = Fragile()
        reduction = Reduction(store, reducer)
        with store.transaction():
            take(store, *events[:3])
        reduction.state(rules(store, FAR_MS), NO_CHANGE)
        before = (store.get_reduction("order"), store.entries("order", -1, 99))
        with store.transaction():
            take(store, *events[3:])

        with pytest.raises(ReducerError, match=r"[0-9a-f]{8} \(KeyError: 'depth_m'\)") as e:
            reduction.state(rules(store, FAR_MS), NO_CHANGE)

        assert e.value.event_id == events[3].id
        assert (store.get_reduction("order"), store.entries("order", -1, 99)) == before
        reducer.is_mended = True
        state = reduction.state(rules(store, FAR_MS), NO_CHANGE)
        assert state == {"ids": [event.id for event in events]}


def test_a_reducer_that_cannot_begin_says_so_and_nothing_is_done():
    class Unready(Order):
        def initial(self) -> Any:
            raise KeyError("depots")

    class Odd(Order):
        def initial(self) -> Any:
            return {1, 2}

    with closing(SqliteStore(":memory:")) as store:
        with pytest.raises(ReducerError, match=r"before the first event \(KeyError: 'depots'\)"):
            Reduction(store, Unready()).state(rules(store, FAR_MS), NO_CHANGE)
        with pytest.raises(InputError, match="state of reducer 'order' cannot be kept"):
            Reduction(store, Odd()).state(rules(store, FAR_MS), NO_CHANGE)
        assert store.get_reduction("order") is None


class Tally(TallyOf[str]):
    """A dict that is one no more when it was read back."""


TWICE = [7]


class Mark(StrEnum):
    X = "x"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({1: "x"}, "key"),
        ({"a": {1, 2}}, "set"),
        ({"a": float("nan")}, "finite"),
        ({"a": 2**64}, "64 bits"),
        ({"a": (1, 2)}, "tuple"),
        (Tally("aab"), "Tally"),
        ({"a": Mark.X}, "Mark"),
        ({Mark.X: 1}, "Mark"),
        ({"a": TWICE, "b": [TWICE]}, "twice"),
        ([[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]], "deeper"),
        ("\ud800", "surrogate"),
        ("x" * (16 * 1024 * 1024), "limit"),
    ],
)
def test_a_state_that_cannot_be_kept_is_refused_and_nothing_is_done(state: Any, said: str):
    class Odd(Order):
        def apply(self, _: Any, event: Event) -> Any:
            del event
            return state

    with closing(SqliteStore(":memory:")) as store:
        with store.transaction():
            take(store, Pen(ANN).set(1, "x"))

        with pytest.raises(InputError, match=f"state of reducer 'order'.*{said}"):
            Reduction(store, Odd()).state(rules(store, FAR_MS), NO_CHANGE)
        assert store.get_reduction("order") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""}, {"name": 7}, {"name": "é" * 33}, {"version": -1}, {"version": True},
        {"kinds": ()}, {"kinds": "field.set"}, {"kinds": [1]}, {"kinds": iter(["field.set"])},
        {"kinds": None}, {"initial": {}}, {"apply": None},
    ],
)  # fmt: skip
def test_what_is_no_reducer_is_refused(wrong: dict[str, Any]):
    reducer = Order()
    for name, value in wrong.items():
        setattr(reducer, name, value)

    with closing(SqliteStore(":memory:")) as store, pytest.raises(InputError, match="reducer"):
        Reduction(store, reducer)


def test_damage_in_what_is_kept_heals_by_itself_and_fsck_sees_it(tmp_path):
    pen = Pen(ANN)
    events = [pen.set(n, "x") for n in range(1, 20)]
    with closing(SqliteStore(tmp_path / "store")) as store:
        with store.transaction():
            take(store, *events)
        Reduction(store, Order()).state(rules(store, FAR_MS), NO_CHANGE)
        assert store.integrity() == []
    with closing(sqlite3.connect(tmp_path / "store")) as raw, raw:
        raw.execute("UPDATE checkpoint SET state = zeroblob(length(state))")

    with closing(SqliteStore(tmp_path / "store")) as store:
        assert [line for line in store.integrity() if "reducer of yours" in line]
        state = Reduction(store, Order()).state(rules(store, FAR_MS), NO_CHANGE)

        assert state == {"ids": [event.id for event in events]}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE checkpoint SET events = events + 1",
        "UPDATE checkpoint SET stamp = stamp + 1",
        "UPDATE checkpoint SET stamp = stamp - (1 << 16)",
        "DELETE FROM reduction_entry WHERE position = 3",
        "UPDATE reduction_entry SET position = position + 100 WHERE position = 3",
    ],
)
def test_fsck_sees_that_a_state_is_of_other_events_than_are_listed(tmp_path: Path, sql: str):
    pen = Pen(ANN)
    with closing(SqliteStore(tmp_path / "store")) as store:
        with store.transaction():
            take(store, *[pen.set(n, "x") for n in range(1, 20)])
        Reduction(store, Order()).state(rules(store, FAR_MS), NO_CHANGE)
    with closing(sqlite3.connect(tmp_path / "store")) as raw, raw:
        assert raw.execute(sql).rowcount > 0

    with closing(SqliteStore(tmp_path / "store", read_only=True)) as store:
        assert [line for line in store.integrity() if "reducer of yours" in line]
