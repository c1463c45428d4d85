"""Segments: every run comes back, and nothing else ever passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import NO_PREV, OPEN_DATASET, SEQ_MAX, DatasetId, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.segment import (
    SEGMENT_EVENTS_MAX,
    SEGMENT_SIZE_MAX,
    decode_segment,
    encode_segment,
    is_signed,
    link_events,
    stamps_rise,
)
from meshlog.errors import MalformedError

ANN = Identity(bytes(range(64)))
FEED = FeedKey(ANN.author, FeedKind.DATA, 7)
T0_MS = 1_750_000_000_000

gaps = st.tuples(st.sampled_from([0, 0, 1, 5, 60_000]), st.sampled_from([0, 0, 1, 3, 400]))


def run_of(
    steps: list[tuple[int, int]],
    bodies: list[bytes],
    first_seq: int = 1,
    base: bytes = NO_PREV,
    start_ms: int = T0_MS,
) -> list[Event]:
    """Return a signed run whose stamps advance by (ms, counter) steps."""
    events: list[Event] = []
    stamp, prev = Stamp(start_ms, 0), base
    for offset, ((wall, counter), body) in enumerate(zip(steps, bodies, strict=True)):
        later = stamp.counter + 1 + counter if wall == 0 else counter
        stamp = Stamp(stamp.wall_ms + wall, min(later, COUNTER_MAX))
        event = Event.make(FEED, first_seq + offset, stamp, prev, body)
        events.append(event)
        prev = event.id
    events[-1] = events[-1].signed(ANN)
    return events


runs = st.integers(1, 8).flatmap(
    lambda size: st.builds(
        run_of,
        st.lists(gaps, min_size=size, max_size=size),
        st.lists(st.binary(max_size=40), min_size=size, max_size=size),
        st.sampled_from([1, 2, 127, 2**32 - 8]),
    )
)


@given(runs)
def test_a_run_comes_back_from_its_base(events: list[Event]):
    data = encode_segment(events)

    segment = decode_segment(data)
    linked = link_events(segment, events[0].prev, OPEN_DATASET)

    assert linked == events
    assert linked[-1].signature == events[-1].signature
    assert segment.last_seq == events[-1].seq
    assert is_signed(linked, ANN.keys)
    assert stamps_rise(linked, Stamp(-1, 0))
    assert encode_segment(linked) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_malformed_or_a_segment(data: bytes):
    try:
        segment = decode_segment(data)
    except MalformedError:
        return

    assert 1 <= len(segment.bodies) <= SEGMENT_EVENTS_MAX
    assert all(stamp.wall_ms <= WALL_MS_MAX for stamp in segment.stamps)


@given(runs, st.data())
def test_damage_never_keeps_the_signature(events: list[Event], data: st.DataObject):
    good = encode_segment(events)
    at = data.draw(st.integers(0, len(good) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]

    try:
        segment = decode_segment(damaged)
    except MalformedError:
        return
    linked = link_events(segment, events[0].prev, OPEN_DATASET)

    # The base hint is the only part that no signature covers: it chooses among held bases.
    assert segment.base_hint != events[0].prev[:4] or not is_signed(linked, ANN.keys)


@given(runs)
def test_a_segment_has_one_encoding(events: list[Event]):
    data = encode_segment(events)

    for size in range(len(data)):
        with pytest.raises(MalformedError):
            decode_segment(data[:size])


def test_another_base_or_dataset_breaks_the_signature():
    events = run_of([(0, 0), (1, 0)], [b"a", b"b"], first_seq=5, base=b"\x01" * 32)
    segment = decode_segment(encode_segment(events))

    other_base = link_events(segment, b"\x01" * 31 + b"\x02", OPEN_DATASET)
    other_dataset = link_events(segment, b"\x01" * 32, DatasetId(EventId(b"d" * 32)))

    assert not is_signed(other_base, ANN.keys)
    assert not is_signed(other_dataset, ANN.keys)


def test_predictable_counters_cost_nothing():
    """One byte of body length and one of time per event: air is scarce."""
    one = run_of([(0, 0)], [b"x"])
    steady = run_of([(0, 0)] * 20, [b"x"] * 20)
    odd = run_of([(0, 5)] * 20, [b"x"] * 20)

    assert len(encode_segment(steady)) == len(encode_segment(one)) + 19 * 3
    assert len(encode_segment(odd)) == len(encode_segment(steady)) + 19


def test_the_largest_segment_passes_and_one_more_byte_does_not():
    assert SEGMENT_SIZE_MAX == 262_144
    with pytest.raises(MalformedError, match="too large"):
        decode_segment(bytes(SEGMENT_SIZE_MAX + 1))


@pytest.mark.parametrize("first_seq", [SEQ_MAX, SEQ_MAX - 1])
def test_seqs_end_with_32_bits(first_seq: int):
    size = SEQ_MAX - first_seq + 1
    events = run_of([(1, 0)] * size, [b"x"] * size, first_seq)
    segment = decode_segment(encode_segment(events))

    assert segment.last_seq == SEQ_MAX


@pytest.mark.parametrize(
    ("stamps", "rise"),
    [
        ([Stamp(1, 0)], True),
        ([Stamp(1, 0), Stamp(1, 1)], True),
        ([Stamp(1, 1), Stamp(1, 1)], False),
        ([Stamp(1, 1), Stamp(1, 0)], False),
        ([Stamp(0, 0)], False),
    ],
)
def test_stamps_rise_along_a_branch(stamps: list[Stamp], rise: bool):
    first = run_of([(0, 0)], [b""])[0]

    assert stamps_rise([first._replace(stamp=stamp) for stamp in stamps], Stamp(0, 0)) == rise


def test_a_key_of_small_order_signs_nothing():
    """OpenSSL takes any message under such a key, so it has to be refused before."""
    events = run_of([(0, 0)], [b""])
    forged = [events[0]._replace(signature=b"\x01" + bytes(63))]

    assert not is_signed(forged, bytes(32) + b"\x01" + bytes(31))
    assert AuthorId(ANN.author) == events[0].author
