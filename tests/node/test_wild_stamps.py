"""Stamps and places that no clock and no feed can have, at every door of the library.

Whatever comes: it is refused, or held; our own clock does not move; and every order of arrival
makes the same view.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest

from meshlog import HLC, Event, FeedStore, Node, SimNetwork, SimTransport, materialize
from meshlog.core.event import check_place
from meshlog.core.hlc import COUNTER_MAX, LAST, SKEW_MS_MAX, WALL_MS_MAX, Stamp, tick
from meshlog.errors import InputError, MalformedError
from meshlog.node.clock import wall_ms

NOW_MS = 1_795_000_000_000
HUGE = 10**4_299
"""4,300 digits: the most that Python reads by itself."""

WILD: tuple[Any, ...] = (
    *(math.nan, math.inf, -math.inf, True, False, 1.5, -1),
    *(2**47, 2**48, 2**63, 2**64, HUGE, 10**5_000, "7", b"7", None, [1], {}),
)
IDS = [f"{type(value).__name__}-{number}" for number, value in enumerate(WILD)]

wild = pytest.mark.parametrize("value", WILD, ids=IDS)


@wild
def test_a_clock_refuses_them(value: Any):
    clock = HLC(5, 3, clock=lambda: 10)

    for bad in ((value, 0), (5, value), value):
        with pytest.raises(InputError):
            clock.update(bad)
        with pytest.raises(InputError):
            HLC(*bad) if isinstance(bad, tuple) else HLC(bad)
    assert clock.latest == Stamp(5, 3)


@wild
def test_an_event_refuses_them(value: Any):
    for seq, hlc in ((value, (1, 0)), (1, (value, 0)), (1, (1, value)), (1, value)):
        with pytest.raises(InputError):
            Event.from_parts("ann", seq, hlc, "note.add", {})
        with pytest.raises(InputError):
            check_place(seq, hlc, b"")


@wild
def test_the_seeds_wire_form_refuses_them(value: Any):
    wire = Node("ann", None).set_field("r", "f", 1).to_wire()
    store = FeedStore()

    for key, bad in (("s", value), ("h", [value, 0]), ("h", [1, value]), ("h", value)):
        with pytest.raises(MalformedError):
            Event.from_wire(wire | {key: bad})
    assert store.event_count() == 0


@pytest.mark.parametrize("told", [math.nan, True, "7", None, [1]])
def test_a_machine_that_tells_no_time_is_refused(told: Any):
    with pytest.raises(InputError, match="milliseconds"):
        Node("ann", None, hlc=HLC(clock=lambda: told))


@pytest.mark.parametrize("told", [-math.inf, -1, 0, 1.5, 2**47, 2**63, HUGE, math.inf])
def test_a_machine_whose_time_is_out_of_range_writes_and_stays_in_it(told: Any):
    node = Node("ann", None, hlc=HLC(clock=lambda: told))

    stamps = [node.set_field("r", "f", n).hlc for n in range(3)]

    assert stamps == sorted(set(stamps))
    assert all(0 <= wall <= WALL_MS_MAX for wall, _ in stamps)
    assert node.view()["r"]["fields"] == {"f": 2}


def test_the_last_stamp_has_no_next_and_a_clock_that_is_right_never_gets_there():
    assert tick(Stamp(WALL_MS_MAX, COUNTER_MAX - 1), 0) == LAST
    with pytest.raises(InputError, match="set this device's clock"):
        tick(LAST, NOW_MS)

    node = Node("ann", None, hlc=HLC(*LAST, clock=lambda: NOW_MS))
    assert node.set_field("r", "f", 1).hlc[0] == NOW_MS, "what lies far ahead moves nothing"


def test_every_order_of_arrival_makes_one_view_and_no_clock_moves():
    """Four authors: at the end of time, in 2099, in 1970 and right."""
    clocks = (WALL_MS_MAX, 4_070_908_800_000, 0, NOW_MS)
    events = []
    for number, at_ms in enumerate(clocks):
        writer = Node(f"a{number}", None, hlc=HLC(clock=partial(int, at_ms)))
        events.append([writer.set_field("r", "f", number), writer.set_field("r", "g", number)])

    views, later = [], []
    for order in itertools.permutations(range(4)):
        air = SimNetwork()
        reader = Node("base", SimTransport("base", air), hlc=HLC(clock=lambda: NOW_MS))
        for number in order:
            reader.store.ingest_many(events[number])
        assert reader.hlc.latest.wall_ms <= NOW_MS
        views.append(reader.view())
        reader.hlc._tell = lambda: WALL_MS_MAX
        later.append(reader.view())

    assert all(view == views[0] for view in views)
    assert views[0]["r"]["fields"] == {"f": 3, "g": 3}, "what is stamped ahead is held"
    assert later == [materialize([event for some in events for event in some])] * 24
    assert later[0]["r"]["fields"] == {"f": 0, "g": 0}


def test_an_event_of_our_own_making_that_is_stamped_ahead_is_refused():
    node = Node("ann", None, hlc=HLC(clock=lambda: NOW_MS))
    node.set_field("r", "f", 1)
    ahead = Event.from_parts(
        node.author,
        node.store.next_seq(node.author),
        (wall_ms() + 2 * SKEW_MS_MAX, 0),
        "note.add",
        {"record_id": "r", "text": "x"},
        node.store.last_id(node.author),
    )

    with pytest.raises(InputError, match="ahead of this device's clock"):
        node.store.append_local(ahead)
    assert node.set_field("r", "f", 2).hlc == (NOW_MS, 2)
