"""A row made from bytes is the row that the fold makes, or there is none."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import NO_PREV, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.ports.records import RecordRow
from meshlog.store.sqlite import SqliteStore
from meshlog.views import lot as lots
from meshlog.views.changes import feed_ref
from meshlog.views.fold import HeldEvents, fold_state, told_by
from meshlog.views.lot import NO_RECORD, Lot, RecordNumbers
from meshlog.views.plainrow import plain_rows
from meshlog.views.rowstate import pack
from tests.core.test_cbor import scalars
from tests.views.world import ANN, FAR_MS, FEEDS, Pen, apply, arrivals, rules

RECORD = "r1"
DAN = FeedKey(AuthorId(b"\xdd" * 16), FeedKind.DATA, 0xDD)


def made(events: list[Event], horizon_ms: int = FAR_MS) -> RecordRow | None:
    """Return the row that the bytes of these events make, as a store holds them."""
    with closing(SqliteStore()) as store:
        apply(store, *events)
        lot = Lot(rules(store, horizon_ms))
        for stretch in store.stretches():
            lot.take(stretch, stretch.all_bodies(), [1] * len(stretch))
        forked = {feed_ref(feed) for feed in HeldEvents(events).forked}
        [row] = plain_rows([(RECORD, next(lot.by_record())[0])], forked)
        return row


def folded(events: list[Event]) -> RecordRow:
    told = [item for item in told_by(events) if item.change.record_id == RECORD]
    return pack(fold_state(RECORD, told, HeldEvents(events)))


def in_feeds(bodies: list[tuple[FeedKey, int, bytes]]) -> list[Event]:
    """Return the events of bodies, each the next of its feed, so many ms after the last."""
    last: dict[FeedKey, Event] = {}
    events = []
    for feed, after_ms, body in bodies:
        prev = last.get(feed)
        seq, prev_id = (prev.seq + 1, prev.id) if prev else (1, NO_PREV)
        wall_ms = (prev.stamp.wall_ms if prev else 0) + after_ms
        last[feed] = Event.make(feed, seq, Stamp(wall_ms, after_ms % 3), prev_id, body)
        events.append(last[feed])
    return events


def written(*names: str) -> st.SearchStrategy[list[tuple[FeedKey, int, bytes]]]:
    """Draw writes of these fields by three authors, each some ms after its last."""
    sets = st.builds(
        lambda name, value: encode_body(
            "field.set", {"record_id": RECORD, "field": name, "value": value}
        ),
        st.sampled_from(names),
        st.sampled_from([0, 1, 1.0, True, "1", None, b"1", "evalue", 2**40]) | scalars,
    )
    return st.lists(st.tuples(st.sampled_from(FEEDS), st.integers(1, 4), sets), min_size=1)


@given(written("a", "bb", "ü", "a" * 23))
def test_plain_writes_make_the_row_that_their_fold_makes(bodies: list[Any]):
    assert made(in_feeds(bodies)) == folded(in_feeds(bodies))


@given(written("a", "value", "evalue", "evaluea", "a" * 24))
def test_names_that_look_odd_in_bytes_make_the_same_row_or_none(bodies: list[Any]):
    assert made(in_feeds(bodies)) in (None, folded(in_feeds(bodies)))


@given(arrivals())
def test_where_not_all_is_plain_a_fold_makes_the_row_or_it_is_the_same(events: list[Event]):
    if events:
        row = made(events)
        note("folded" if row is None else "from bytes")
        assert row is None or row == folded(events)


GOOD = encode_body("field.set", {"record_id": RECORD, "field": "a", "value": 5})


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_bytes_that_are_nearly_plain_make_the_same_row_or_none(at: int, put: bytes, cut: int):
    events = in_feeds([(ANN, 1, GOOD), (ANN, 1, GOOD[:at] + put + GOOD[at + cut :])])
    row = made(events)

    assert row is None or row == folded(events)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\x18\x05", b"\xfb" + b"\x00" * 8, b"\x78\x011", b"\x61\xff", b"\xf7",
        b"\xf9\x7c\x00",
        b"\x05\x05", b"\x1b" + b"\xff" * 8, b"\x80", b"\xa0", b"\x5f\x41a\xff", b"\xc2\x41a",
        b"\x62a", b"\x05\x65value\x06",
    ],
)  # fmt: skip
def test_a_value_that_is_encoded_oddly_is_no_matter_for_bytes(value: bytes):
    body = GOOD.replace(b"\x65value\x05", b"\x65value" + value)

    assert made(in_feeds([(ANN, 1, GOOD), (ANN, 1, body)])) is None


def test_a_row_of_very_many_values_is_folded():
    few, many = ([(ANN, 1, named(number)) for number in range(n)] for n in (256, 257))

    assert made(in_feeds(few)) == folded(in_feeds(few))
    assert made(in_feeds(many)) is None


def named(number: int, record_id: str = RECORD) -> bytes:
    payload = {"record_id": record_id, "field": f"f{number}", "value": number}
    return encode_body("field.set", payload)


def test_what_does_not_count_is_in_no_row_from_bytes():
    ann = Pen(ANN)
    events = [ann.set(1, "now"), ann.set(9, "ahead")]

    assert made(events, horizon_ms=5) is None
    assert made(events, horizon_ms=9) == folded(events)


@given(arrivals(), st.integers(1, 20))
def test_records_of_any_kind_together_have_each_the_row_that_its_fold_makes_or_none(
    events: list[Event], read: int
):
    """What one of them cannot have made from its bytes is no matter for the others."""
    plain = in_feeds([(DAN, 1, named(number % 3, f"p{number % 4}")) for number in range(20)])
    rows: dict[str, RecordRow | None] = {}
    with closing(SqliteStore()) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lots, "READ_EVENTS", read)
        apply(store, *events, *plain)
        lot, number_of = Lot(rules(store, FAR_MS)), RecordNumbers()
        for stretch in store.stretches():
            numbers = list(map(number_of.__getitem__, stretch.names()))
            lot.take(stretch, stretch.all_bodies(), numbers)
        names, held = ["", *number_of.names()], HeldEvents([*events, *plain])
        forked = {feed_ref(feed) for feed in held.forked}
        for came in lot.by_record():
            some = [(names[each.record], each) for each in came if each.record != NO_RECORD]
            rows.update(zip([name for name, _ in some], plain_rows(some, forked), strict=True))
    for name, row in rows.items():
        told = [item for item in told_by([*events, *plain]) if item.change.record_id == name]
        assert row in (None, pack(fold_state(name, told, held)) if told else None)
    assert all(rows[f"p{number}"] for number in range(4))


def test_a_name_is_as_long_as_a_view_reads_it():
    for length in (64, 65, 256, 257):
        name = "r" * length
        body = encode_cbor(["field.set", {"record_id": name, "field": "a", "value": 1}])
        [event] = in_feeds([(ANN, 1, body)])
        with closing(SqliteStore()) as store:
            apply(store, event)
            lot = Lot(rules(store, FAR_MS))
            for stretch in store.stretches():
                lot.take(stretch, stretch.all_bodies(), [1])
            [row] = plain_rows([(name, next(lot.by_record())[0])], frozenset())

        assert (row is None) == (length > 64)
