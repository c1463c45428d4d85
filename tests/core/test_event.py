"""Events: whatever differs makes another id, and odd input is one of our errors."""

from __future__ import annotations

import math
import re
from enum import Enum
from http import HTTPStatus
from itertools import islice
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor, plain
from meshlog.core.event import (
    NO_PREV,
    OPEN_DATASET,
    DatasetId,
    Event,
    EventId,
    encode_body,
    event_id,
    read_body,
    write_bodies,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.errors import InputError

ANN = Identity(bytes(range(64)))
FEED = FeedKey(ANN.author, FeedKind.DATA, 7)
PARTS: tuple[Any, ...] = (bytes(32), FEED, 3, Stamp(5, 1), b"p" * 32, b"b")


@pytest.mark.parametrize(
    ("at", "other"),
    [
        (0, b"\x01" + bytes(31)),
        (1, FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 7)),
        (1, FeedKey(ANN.author, FeedKind.CONTROL, 7)),
        (1, FeedKey(ANN.author, FeedKind.DATA, 8)),
        (2, 4),
        (3, Stamp(6, 1)),
        (3, Stamp(5, 2)),
        (4, b"q" * 32),
        (5, b"c"),
        (5, b""),
    ],
)
def test_every_part_is_in_the_id(at: int, other: object):
    changed = [*PARTS[:at], other, *PARTS[at + 1 :]]

    assert event_id(*changed) != event_id(*PARTS)


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 0},
        {"seq": 2**32},
        {"seq": True},
        {"hlc": (-1, 0)},
        {"hlc": (2**47, 0)},
        {"hlc": (0, 2**16)},
        {"prev": "zz"},
        {"prev": b"short"},
        {"author": b"short"},
        {"author": ""},
        {"incarnation": 2**32},
        {"incarnation": -1},
    ],
)
def test_a_part_out_of_range_is_an_input_error(changed: dict[str, Any]):
    parts: dict[str, Any] = {"author": ANN.author, "seq": 1, "hlc": (1, 0), "kind": "x"}

    with pytest.raises(InputError):
        Event.from_parts(**(parts | {"payload": {}} | changed))


def test_an_id_belongs_to_one_dataset():
    event = Event.make(PARTS[1], 1, Stamp(1, 0), NO_PREV, b"")

    assert event.is_authentic(OPEN_DATASET)
    assert not event.is_authentic(DatasetId(EventId(b"d" * 32)))


def test_a_body_of_too_many_maps_is_written_by_nobody_and_read_by_nobody():
    """An empty map is one byte on the wire, and 138 in memory."""
    most: dict[str, Any] = {"x": [{}] * 2_046}
    assert read_body(encode_body("x", most)) is not None
    with pytest.raises(InputError, match="texts, lists and maps"):
        encode_body("x", {"x": [{}] * 2_047})
    assert read_body(encode_cbor(["x", {"x": [{}] * 2_047}])) is None


def test_a_body_may_be_full_of_numbers():
    said = {"x": [1] * 60_000}

    content = read_body(encode_body("x", said))

    assert content is not None
    assert content.payload == {"x": (1,) * 60_000}


def test_an_event_is_the_same_signed_or_not():
    who = Identity(bytes(range(64)))
    event = Event.from_parts(who.author, 1, (1, 0), "note.add", {"text": "x"})
    signed, other = event.signed(who), event._replace(seq=2)

    assert signed.signature
    assert (signed == event, signed != event, len({signed, event})) == (True, False, 1)
    assert (other == event, other != event) == (False, True)
    assert event != tuple(event)


def test_what_is_written_is_what_is_read():
    """A program's own kinds of text and numbers become plain ones, as they will come back."""

    class Colour(str, Enum):  # noqa: UP042 - str() of one is not its text
        RED = "red"

    payload = {"a": Colour.RED, "b": HTTPStatus.OK, Colour.RED: [1.5, (b"x", None, True)]}
    [(body, (kind, said))] = write_bodies([("k", payload)])
    read = read_body(body)

    assert read is not None
    assert (kind, read.kind) == ("k", "k")
    assert said == {"a": "red", "b": 200, "red": [1.5, [b"x", None, True]]}
    assert [type(value) for value in said.values()] == [str, int, list]
    assert {type(key) for key in said} == {str}
    assert encode_body("k", read.payload) == body


RARE = (2**63, -(2**63), 2**63 - 1, -(2**63) - 1, 0.5, 1e300, math.nan, math.inf, "\ud800", 1 + 2j)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()
) | st.sampled_from(RARE)
FLAT = st.dictionaries(st.text(max_size=3) | st.sampled_from(["\ud800", "a" * 30]), ANYTHING)


@given(st.dictionaries(st.text(max_size=3) | st.just(7), ANYTHING | FLAT | st.lists(FLAT)))
def test_a_body_is_the_one_deterministic_encoding(payload):
    try:
        said = plain(["k", payload])
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            [*write_bodies([("k", payload)])]
        return

    assert [*write_bodies([("k", payload)])] == [
        (cbor2.dumps(said, canonical=True), ("k", said[1]))
    ]


MARKED = st.lists(st.sampled_from([b"Hmeshlog\xff", b"meshlog\xff", b"meshlog", b"H"])).map(
    b"".join
)


@given(st.lists(st.dictionaries(st.text(max_size=3), ANYTHING | MARKED | FLAT), max_size=40))
def test_bodies_written_together_are_those_written_one_by_one(payloads):
    wrote: list[object] = []
    try:
        for payload in payloads:
            wrote += write_bodies([("k", payload)])
    except InputError as error:
        refused = str(error)
    else:
        refused = ""

    together = write_bodies([("k", payload) for payload in payloads])

    assert list(islice(together, len(wrote))) == wrote
    if refused:
        with pytest.raises(InputError, match=re.escape(refused)):
            next(together)
    else:
        assert [*together] == []
