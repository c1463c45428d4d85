"""Events in columns are the events that they were made of."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.chain import Chain, Events
from meshlog.core.event import NO_PREV, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import LAST, Stamp
from meshlog.core.identity import AuthorId

FEED = FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 7)


def row_of(length: int, signed: set[int]) -> list[Event]:
    """Return events in a row from seq 5 on, with a signature at some places."""
    events: list[Event] = []
    prev = b"\x01" * 32
    for at in range(length):
        stamp = LAST if at == length - 1 else Stamp(1_000 + at, at % 3)
        event = Event.make(FEED, 5 + at, stamp, prev, b"body %d" % at)
        events.append(event._replace(signature=b"s" * 64) if at in signed else event)
        prev = event.id
    return events


def same(one: list[Event], other: list[Event]) -> bool:
    """Say whether events are equal, signatures included, which ``==`` leaves out."""
    return list(map(tuple, one)) == list(map(tuple, other))


@given(st.integers(1, 9), st.sets(st.integers(0, 8)), st.data())
def test_events_come_back_whole_and_one_by_one(length: int, signed: set[int], data: st.DataObject):
    events = row_of(length, signed)

    chain = Chain.of(events)

    assert (len(chain), chain.first_seq, chain.last_seq) == (length, 5, 4 + length)
    assert same(chain.events(), events)
    assert same([chain.event(at) for at in range(length)], events)
    start = data.draw(st.integers(0, length - 1))
    rest = chain.after(start)
    assert same(rest.events(), events[start:])
    assert (rest.prev, rest.first_seq) == (events[start].prev, events[start].seq)
    assert rest == Chain.of(events[start:])
    parts = [Chain.of(events[:start])] if start else []
    assert Chain.joined([*parts, rest]) == chain


def test_events_that_nobody_has_looked_at_are_like_a_list_of_them():
    listed = row_of(4, {3})
    events = Events(Chain.of(listed))

    assert events == listed
    assert listed == events
    assert events == Events(Chain.of(listed))
    assert events != listed[:3]
    assert Events(Chain.of(listed[:3])) != events
    assert events != tuple(listed)
    assert events != 4
    assert same(events[1:3], listed[1:3])
    assert same([events[-1], *reversed(events)], [listed[3], *listed[::-1]])
    assert repr(events) == repr(listed)
    for again in (pickle.loads(pickle.dumps(events)), copy.deepcopy(events)):
        assert same(list(again), listed)
    with pytest.raises(IndexError):
        events[4]
    with pytest.raises(TypeError, match="unhashable"):
        hash(events)


def test_what_does_not_follow_is_no_chain():
    events = row_of(3, set())
    other = Event.make(FEED, 6, Stamp(2_000, 0), NO_PREV, b"other")

    for wrong in ([events[0], events[2]], [events[0], other], [events[1], events[0]]):
        with pytest.raises(AssertionError, match="follows"):
            Chain.of(wrong)
