"""Events: whatever differs makes another id, and odd input is one of our errors."""

from __future__ import annotations

from typing import Any

import pytest

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
