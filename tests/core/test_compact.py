"""Compact segments: every run comes back, whatever its bodies, and nothing hostile costs much."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshlog.core.compact.memory import SEGMENT_BODIES_MAX
from meshlog.core.compact.names import Codebook
from meshlog.core.compact.run import (
    RunWriter,
    decode_compact,
    encode_compact,
    fitting,
    read_segment,
    write_segment,
)
from meshlog.core.event import NO_PREV, OPEN_DATASET, SEQ_MAX, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.form import FormBook, form_body, read_form
from meshlog.core.grant import Role
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.roster import Member, Roster
from meshlog.core.segment import encode_segment, link_events, placed
from meshlog.errors import MalformedError

ANN, BEN = Identity(bytes(range(64))), Identity(bytes(range(1, 65)))
FEED = FeedKey(ANN.author, FeedKind.DATA, 7)
T0_MS = 1_760_000_000_000
BASE, BASE_STAMP = b"\x05" * 32, Stamp(T0_MS, 0)

FORM = read_form(
    form_body(
        {
            "form": "well",
            "fields": [
                ["status", "choice", {"options": ["ok", "dry", 7], "weights": [23, 9, 0]}],
                ["depth_m", "int"],
                ["lat", "decimal", {"scales": [5, 7], "low": -150_000_000, "high": -130_000_000}],
                ["on", "date", {"pattern": "%d/%m/%Y", "first": 738_000}],
                ["at", "date", {"pattern": "%Y-%m-%dT%H:%M:%S", "first": 738_000}],
                ["photo", "uuid", {"prefix": "https://x/"}],
                ["uid", "uuid", {"dashed": True}],
                ["problems", "choices", {"options": ["leak", "noise", "rust"]}],
                ["working", "bool"],
                ["remark", "text"],
            ],
        }
    )
)  # fmt: skip


def book_of(*forms: Any, members: tuple[Identity, ...] = (ANN, BEN)) -> Codebook:
    known = {
        who.author: Member(who.author, who.keys, "ann", Role.WRITER, b"", (7,), (0, b"", 0, 0, b""))
        for who in members
    }
    return Codebook.of(Roster(OPEN_DATASET, members=known), FormBook(forms))


BOOK = book_of(FORM)


def run_of(
    bodies: list[bytes], stamps: list[Stamp] | None = None, seq: int = 9, feed: FeedKey = FEED
) -> list[Event]:
    prev, events = (BASE if seq > 1 else NO_PREV), []
    stamps = stamps or [Stamp(T0_MS + 1000 * at, 0) for at in range(1, len(bodies) + 1)]
    for at, (body, stamp) in enumerate(zip(bodies, stamps, strict=True)):
        events.append(Event.make(feed, seq + at, stamp, prev, body))
        prev = events[-1].id
    return [*events[:-1], events[-1].signed(ANN)]


def back(
    events: list[Event], book: Codebook = BOOK, base: Stamp | None = BASE_STAMP
) -> tuple[int, list[Event]]:
    """Return the size of a run's compact segment, and the run that comes back from it."""
    data = encode_compact(events, book, base)
    assert data is not None
    segment = decode_compact(data, book)
    assert segment is not None
    whole = placed(segment, base or Stamp(0, 0))
    assert whole is not None
    assert events[0].prev.startswith(segment.base_hint)
    linked = link_events(whole, events[0].prev, OPEN_DATASET).events()
    assert linked == events
    assert linked[-1].signature == events[-1].signature
    return len(data), linked


# ── Whatever a body holds, it comes back ──

texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["ok", "dry", "well", "WP-0017", "WP-0018", "17", "00", "deadbeef01", ""]),
    st.uuids().map(str),
    st.uuids().map(lambda found: f"https://x/{found.hex}"),
    st.dates().map(lambda day: day.strftime("%d/%m/%Y")),
    st.lists(st.sampled_from(["leak", "noise", "rust"])).map(", ".join),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-16, 16, places=5).map(float),
    texts,
    st.binary(max_size=30),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from([*FORM.places, "other", "record_id"])
refs = st.lists(
    st.tuples(
        st.sampled_from([who.author + (7).to_bytes(4, "big") for who in (ANN, BEN)] + [bytes(20)]),
        st.integers(1, SEQ_MAX),
    ).map(list),
    max_size=3,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "record_id": texts | values,
        "form": st.just("well") | values,
        "by": st.just("ann") | values,
        "fields": st.dictionaries(names, values, max_size=5) | values,
        "field": names | values,
        "value": values,
        "replaces": refs | st.dictionaries(names, refs, max_size=3) | values,
        "text": values,
        "blob_hash": values,
        "size": values,
        "mime": values,
        "odd": values,
    },
)
kinds = st.sampled_from(
    ["record.put", "record.create", "field.set", "note.add", "attachment.add", "record.delete",
     "feed.open", "camp.report"]
)  # fmt: skip
bodies = st.one_of(st.builds(encode_body, kinds, payloads), st.binary(max_size=60))


@given(st.lists(bodies, min_size=1, max_size=4))
@example([encode_body("record.put", {"value": -0.0}), encode_body("x", {"a": [-0.0, 5e-324]})])
def test_any_bodies_come_back(listed: list[bytes]):
    back(run_of(listed))
    back(run_of(listed), book_of())
    back(run_of(listed, seq=1), base=None)


@given(st.lists(bodies, min_size=2, max_size=4), st.data())
def test_what_was_cut_early_comes_back(listed: list[bytes], data: st.DataObject):
    events = run_of(listed)
    size = data.draw(st.integers(60, 400))
    count = fitting(events, BOOK, Stamp(T0_MS, 0), size)
    start = [*events[: count - 1], events[count - 1].signed(ANN)]

    coded, _ = back(start)

    assert count == 1 or coded <= size


stamps = st.lists(
    st.builds(Stamp, st.integers(0, WALL_MS_MAX), st.integers(0, COUNTER_MAX)),
    min_size=2, max_size=6, unique=True,
).map(sorted)  # fmt: skip


@given(stamps, st.booleans())
def test_any_rising_stamps_come_back(rising: list[Stamp], with_base: bool):
    base, *others = rising

    back(run_of([b""] * len(others), others), base=base if with_base else None)


@pytest.mark.parametrize("seq", [1, 2, 128, SEQ_MAX - 1])
def test_any_place_in_any_feed_comes_back(seq: int):
    back(run_of([b"x", b"y"], seq=seq))
    back(run_of([b"x", b"y"], seq=seq, feed=FEED._replace(kind=FeedKind.CONTROL)))
    back(run_of([b"x", b"y"], seq=seq, feed=FeedKey(AuthorId(b"s" * 16), FeedKind.DATA, 1)))


def test_256_events_come_back_and_no_more():
    events = run_of([encode_body("x", {"n": at}) for at in range(257)])
    back([*events[:255], events[255].signed(ANN)])
    writer = RunWriter(events[0], BOOK, None)
    for event in events[:256]:
        writer.add(event)

    with pytest.raises(AssertionError):
        writer.add(events[256])


# ── What is known costs little ──


def test_a_form_pays():
    answers = {"status": "dry", "depth_m": 30, "lat": -14.51567, "on": "06/04/2022"}
    listed = [
        encode_body("record.put", {"record_id": f"WP-{at:04}", "fields": answers, "form": "well"})
        for at in range(16)
    ]

    with_form, _ = back(run_of(listed))
    without, _ = back(run_of(listed), book_of())

    assert with_form < 64 + 16 * 8
    assert with_form < without - 16


def test_a_form_is_named_although_another_has_its_short_hint():
    """Two bytes can be made to collide by anybody who may pin forms; eight cannot."""
    seen: dict[bytes, Any] = {}
    for number in range(5_000):
        form = read_form(form_body({"form": f"f{number}", "fields": [["depth_m", "int"]]}))
        twin = seen.setdefault(form.hint, form)
        if twin is not form:
            break
    else:
        raise AssertionError("5,000 forms, and no two hints alike")
    listed = [
        encode_body("record.put", {"record_id": "W", "form": name, "fields": {"depth_m": 3}})
        for name in (form.name, twin.name) * 20
    ]

    size, _ = back(run_of(listed), book_of(form, twin))

    assert size < back(run_of(listed), book_of())[0]


def test_an_edit_alone_fits_a_hundred_bytes():
    edit = {
        "record_id": "93aef01c5d7b2244",
        "field": "status",
        "value": "dry",
        "replaces": [[BEN.author + (7).to_bytes(4, "big"), 4_711]],
    }

    size, _ = back(run_of([encode_body("field.set", edit)]))

    assert size <= 100


def test_fitting_takes_one_at_least():
    events = run_of([encode_body("x", {"a": bytes(600)})] * 2)

    assert fitting(events, BOOK, None, 100) == 1


# ── What is not known, and what is hostile ──


def test_a_feed_or_a_form_that_is_not_known_yet_is_no_fault():
    edit = encode_body("field.set", {"record_id": "a", "field": "status", "value": "dry"})
    data = encode_compact(run_of([edit]), BOOK, Stamp(T0_MS, 0))
    assert data is not None

    assert decode_compact(data, book_of()) is None
    assert decode_compact(data, book_of(FORM, members=(BEN,))) is None
    assert decode_compact(data, BOOK) is not None


def test_an_unreadable_coding_is_malformed():
    for data in (b"", b"\x02" + bytes(80), b"\x01" + bytes(63)):
        with pytest.raises(MalformedError):
            read_segment(data, BOOK)


def test_what_expands_too_far_goes_plain():
    events = run_of([encode_body("note.add", {"record_id": "a", "text": "z" * 20_000})])

    assert encode_compact(events, BOOK, None) is None
    assert write_segment(events, BOOK, None, compact=True) == encode_segment(events)


@pytest.mark.parametrize(
    "payload", [{"n": [1] * 60_000}, {"t": "\xe9" * 30_000}, {"b": bytes(60_000)}]
)
def test_the_largest_bodies_can_be_measured_whatever_a_reader_takes(payload: dict[str, Any]):
    events = run_of([encode_body("x", payload)] * 5)

    assert fitting(events[:1], BOOK, None, 420) == 1
    data = encode_compact(events, BOOK, None)
    assert data is None or decode_compact(data, BOOK) is not None


def test_hostile_bytes_are_malformed_unknown_or_a_segment():
    """A storm of random and of damaged segments: one error, bounded output."""
    rng = random.Random(7)
    listed = [
        encode_body("record.put", {"record_id": f"r{at}", "fields": {"status": "ok", "depth_m": at},
                                   "form": "well", "by": "ann"})
        for at in range(5)
    ]  # fmt: skip
    good = encode_compact(run_of([*listed, b"\xff raw"]), BOOK, Stamp(T0_MS, 0))
    assert good is not None
    for _ in range(1_500):
        if rng.random() < 0.3:
            data = b"\x01" + rng.randbytes(rng.randrange(64, 160))
        else:
            damaged = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                damaged[rng.randrange(1, len(good) - 64)] ^= 1 << rng.randrange(8)
            data = bytes(damaged)
        try:
            segment = decode_compact(data, BOOK)
        except MalformedError:
            continue
        if segment is not None:
            assert sum(map(len, segment.bodies)) <= SEGMENT_BODIES_MAX
