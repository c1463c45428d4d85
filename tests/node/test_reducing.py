"""A node's reducer looks again at what it must, and at nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from meshlog.core.clockfix import Shift
from meshlog.core.event import Event
from meshlog.core.identity import Identity
from meshlog.node import Node
from meshlog.ports.log import Arrival
from meshlog.replica import join_open
from meshlog.store import SqliteStore

FORM = {"form": "well", "fields": [["depth_m", "int"]]}


class CountingStore(SqliteStore):
    """Counts which events are read at their places."""

    events_read = 0

    def arrivals(self, positions: Iterable[int]) -> list[Arrival]:
        found = super().arrivals(positions)
        self.events_read += len(found)
        return found


class Ticks:
    name, version, kinds = "ticks", 1, {"tick"}

    def initial(self) -> Any:
        return 0

    def apply(self, state: Any, event: Event) -> Any:
        return state + event.payload["n"]


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def node(store: CountingStore) -> Node:
    identity = Identity(random.Random(7).randbytes(64))
    join_open(store, identity, "base")
    return Node.over(store, identity)


def test_new_events_are_read_once(node: Node, store: CountingStore):
    ticks = node.reduction(Ticks())
    for count in (10, 3, 1):
        node.emit_many([("tick", {"n": 1})] * count)
        ticks.state()

    assert (ticks.state(), store.events_read) == (14, 0)


def test_a_control_event_about_nobody_with_data_judges_nothing_again(
    node: Node, store: CountingStore
):
    ticks = node.reduction(Ticks())
    node.emit_many([("tick", {"n": 1})] * 10)
    ticks.state()

    assert node.put_form(FORM)
    newcomer = Node("newcomer", None)
    newcomer.emit("tick", {"n": 5})
    assert node.store.ingest_many(newcomer.store.all_events()) == 1

    assert (ticks.state(), store.events_read) == (15, 0)


def test_a_clock_fix_judges_again(node: Node, store: CountingStore):
    ticks = node.reduction(Ticks())
    node.emit_many([("tick", {"n": 1})] * 10)
    ticks.state()

    node.fix_clock(node.replica._desk.own_feeds[1], Shift(1, 5, -1_000))

    assert ticks.state() == 10
    assert store.events_read >= 10
