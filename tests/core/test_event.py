"""Events: whatever differs makes another id, and odd input is one of our errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import (
    NO_PREV,
    OPEN_DATASET,
    DatasetId,
    Event,
    EventId,
    event_id,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity, name_identity
from meshlog.errors import InputError, MalformedError

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


def test_a_wire_form_comes_back():
    name_identity("ann", ANN)
    event = Event.from_parts("ann", 1, (5, 0), "note.add", {"record_id": "r", "text": "ü"})

    again = Event.from_wire(event.to_wire())

    assert again == event
    assert again.signature == event.signature
    assert again.is_authentic()


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.sampled_from("acshkpvig"), json)
def test_an_odd_wire_form_is_malformed(key: str, value: Any):
    name_identity("ann", ANN)
    wire = Event.from_parts("ann", 1, (5, 0), "x", {}).to_wire()

    try:
        event = Event.from_wire(wire | {key: value})
    except MalformedError:
        return
    assert isinstance(event.is_authentic(), bool)


@pytest.mark.parametrize("wire", [{}, {"a": "00" * 16}, [], None, "text"])
def test_what_is_no_wire_form_is_malformed(wire: Any):
    with pytest.raises(MalformedError):
        Event.from_wire(wire)


OVERFLOWS = pytest.mark.xfail(
    strict=True, raises=OverflowError, reason="M5: an incarnation past 32 bits overflows"
)


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
        pytest.param(
            {"incarnation": 2**32},
            marks=pytest.mark.xfail(
                strict=True,
                raises=OverflowError,
                reason="M5: an incarnation past 32 bits is an OverflowError",
            ),
        ),
        pytest.param(
            {"incarnation": -1},
            marks=pytest.mark.xfail(
                strict=True,
                raises=OverflowError,
                reason="M5: an incarnation past 32 bits is an OverflowError",
            ),
        ),
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
