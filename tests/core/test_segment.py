"""Segments: every run comes back, and nothing else ever passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.chain import Chain
from meshlog.core.codec import varint
from meshlog.core.event import (
    BODY_SIZE_MAX,
    NO_PREV,
    OPEN_DATASET,
    SEQ_MAX,
    DatasetId,
    Event,
    EventId,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import BEFORE_ALL, COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.segment import (
    SEGMENT_EVENTS_MAX,
    SEGMENT_SIZE_MAX,
    Segment,
    decode_segment,
    encode_segment,
    is_signed,
    link_events,
    placed,
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

    assert linked.events() == events
    assert linked.events()[-1].signature == events[-1].signature
    assert segment.last_seq == events[-1].seq
    assert is_signed(linked, ANN.keys)
    assert stamps_rise(linked.stamps, BEFORE_ALL)
    assert encode_segment(linked.events()) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_malformed_or_a_segment(data: bytes):
    try:
        segment = decode_segment(data)
    except MalformedError:
        return

    assert 1 <= len(segment.bodies) <= SEGMENT_EVENTS_MAX
    assert all(stamp >> 16 <= WALL_MS_MAX for stamp in segment.stamps)


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


@pytest.mark.parametrize("size", [127, 128, 300, 16_383, 16_384, BODY_SIZE_MAX])
def test_a_body_of_any_size_comes_back(size: int):
    events = run_of([(0, 0), (0, 0), (1, 0)], [b"x", b"y" * size, b""])

    assert decode_segment(encode_segment(events)).bodies == [b"x", b"y" * size, b""]


@pytest.mark.parametrize(
    ("last", "is_good"),
    [
        (Stamp(T0_MS, COUNTER_MAX), True),
        (Stamp(T0_MS, COUNTER_MAX + 1), False),
        (Stamp(WALL_MS_MAX, 0), True),
        (Stamp(WALL_MS_MAX + 1, 0), False),
    ],
)
def test_a_stamp_stays_in_its_bits(last: Stamp, is_good: bool):
    """A counter past its end does not run over into the milliseconds."""
    events = run_of([(0, 0)] * 2, [b"x"] * 2)
    before = Stamp(T0_MS, COUNTER_MAX - 1) if last.wall_ms == T0_MS else Stamp(WALL_MS_MAX - 1, 9)
    if last.counter > COUNTER_MAX:
        before = Stamp(T0_MS, COUNTER_MAX)
    events = [events[0]._replace(stamp=before), events[1]._replace(stamp=last)]
    data = encode_segment(events)

    if is_good:
        assert decode_segment(data).stamps == [before.packed(), last.packed()]
    else:
        with pytest.raises(MalformedError, match="stamp out of range"):
            decode_segment(data)


def test_a_counter_that_was_to_be_expected_is_not_told():
    data = encode_segment(run_of([(1, 0)], [b"x"]))
    told, odd = varint(T0_MS + 1 << 1), varint(T0_MS + 1 << 1 | 1)
    assert decode_segment(data.replace(told, odd + b"\x01")).stamps == [T0_MS + 1 << 16 | 1]

    with pytest.raises(MalformedError, match="stamp out of range"):
        decode_segment(data.replace(told, odd + b"\x00"))


@pytest.mark.parametrize(
    ("base", "step", "found"),
    [
        (Stamp(5, 9), Stamp(0, 3), Stamp(5, 13)),
        (Stamp(5, 9), Stamp(2, 3), Stamp(7, 3)),
        (Stamp(5, COUNTER_MAX - 1), Stamp(0, 0), Stamp(5, COUNTER_MAX)),
        (Stamp(5, COUNTER_MAX), Stamp(0, 0), None),
        (Stamp(5, COUNTER_MAX), Stamp(1, COUNTER_MAX), Stamp(6, COUNTER_MAX)),
        (Stamp(WALL_MS_MAX, 0), Stamp(1, 0), None),
    ],
)
def test_a_stamp_that_counts_from_the_base_follows_it(
    base: Stamp, step: Stamp, found: Stamp | None
):
    segment = Segment(FEED, 2, bytes(2), [step.packed()], [b"x"], bytes(64), is_relative=True)

    whole = placed(segment, base)

    assert (whole and whole.stamps) == (found and [found.packed()])


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
    assert stamps_rise([stamp.packed() for stamp in stamps], Stamp(0, 0)) == rise


def test_a_key_of_small_order_signs_nothing():
    """OpenSSL takes any message under such a key, so it has to be refused before."""
    events = run_of([(0, 0)], [b""])
    forged = [events[0]._replace(signature=b"\x01" + bytes(63))]

    assert not is_signed(Chain.of(forged), bytes(32) + b"\x01" + bytes(31))
    assert AuthorId(ANN.author) == events[0].author
