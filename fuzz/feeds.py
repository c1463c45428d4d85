"""Targets inside feeds: bodies, segments, forms, openings, grants, invites, views."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from fuzz.target import MIB, Target
from fuzz.vectors import codebook, hexes, load
from meshlog.core.cbor import decode_cbor, encode_cbor
from meshlog.core.codec import Reader
from meshlog.core.compact.run import decode_compact, encode_compact
from meshlog.core.event import (
    NO_PREV,
    OPEN_DATASET,
    DatasetId,
    Event,
    EventId,
    encode_body,
    read_body,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.form import fold_forms, form_body, read_form
from meshlog.core.grant import INVITE_PREFIX, Grant, Invite, check_admission
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, author_id
from meshlog.core.roster import fold, read_opening
from meshlog.core.segment import decode_segment, encode_segment, link_events, placed
from meshlog.errors import InputError
from meshlog.views.changes import read_change
from meshlog.views.materialize import materialize

_BOOK = codebook()
_BASE = Stamp(1_750_000_000_000, 3)
_GRANT = load("grant")
_DATASET = DatasetId(EventId(bytes.fromhex(_GRANT["dataset"])))
_FOUNDER = bytes.fromhex(_GRANT["founder_keys"])
_AUTHOR = author_id(_FOUNDER)


def _body(data: bytes) -> None:
    content = read_body(data)
    value = decode_cbor(data)
    encoded = encode_cbor(value)
    assert decode_cbor(encoded) == value
    assert encode_cbor(decode_cbor(encoded)) == encoded
    if content is not None:
        assert value[1] == content.payload


def _view(data: bytes) -> None:
    """A body in a data feed, once as a record's first event and once after another."""
    first = _event(encode_body("record.put", {"record_id": "r", "fields": {"a": 1}}))
    event = _event(data, 2, first.id)
    read_change(event)
    materialize([first, event])
    materialize([event])


def _opening(data: bytes) -> None:
    """A body in a control feed: what it says of members and forms."""
    for dataset in (OPEN_DATASET, _DATASET):
        key = FeedKey(_AUTHOR, FeedKind.CONTROL, 7)
        event = Event.make(key, 1, _BASE, NO_PREV, data, dataset)
        read_opening(event)
        assert fold(dataset, [event]) == fold(dataset, [event, event])
        fold_forms([event, event])


def _event(body: bytes, seq: int = 1, prev: bytes = NO_PREV) -> Event:
    key = FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 7)
    return Event.make(key, seq, Stamp(_BASE.wall_ms + seq, 0), prev, body)


def _segment(data: bytes) -> None:
    segment = decode_segment(data)
    chain = link_events(segment, segment.base_hint.ljust(32, b"\0"), OPEN_DATASET)
    assert encode_segment(chain.events()) == data


def _compact(data: bytes) -> None:
    segment = decode_compact(data, _BOOK)
    whole = segment and placed(segment, _BASE)
    if segment is None or whole is None:
        return
    events = link_events(whole, whole.base_hint.ljust(32, b"\0"), OPEN_DATASET).events()
    base = _BASE if segment.is_relative else None
    again = encode_compact(events, _BOOK, base)
    if again is not None:
        found = decode_compact(again, _BOOK)
        assert found is not None
        place = placed(found, _BASE)
        assert place is not None
        assert (place.stamps, place.bodies) == (whole.stamps, whole.bodies)
        assert (found.feed, found.first_seq) == (segment.feed, segment.first_seq)


def _form(data: bytes) -> None:
    form = read_form(data)
    again = read_form(form_body(form.definition))
    assert (again.name, again.fields) == (form.name, form.fields)
    assert isinstance(form.words, bytes)


def _form_seeds() -> Iterator[bytes]:
    yield bytes.fromhex(load("compact")["form"])
    for kind, params in (
        ("int", {}), ("decimal", {"scales": [1, 2]}), ("choice", {"options": ["a", 1, True]}),
        ("choices", {"options": ["a", "b"], "separator": " "}), ("moment", {"pattern": "%Y-%m-%d"}),
        ("uuid", {}), ("hex", {}), ("text", {}),
    ):  # fmt: skip
        yield encode_body("form.put", {"form": "w", "fields": [["x", kind, params]]})


def _grant(data: bytes) -> None:
    check_admission(data, _AUTHOR, _DATASET, _FOUNDER)
    reader = Reader(data)
    grant = Grant.read(reader)
    reader.end()
    assert grant.encode() == data


def _grant_seeds() -> Iterator[bytes]:
    for case in _GRANT["chains"]:
        yield bytes.fromhex(case["grant"])
        yield bytes.fromhex(case["admission"])
    yield from hexes("grant", "refused", key="admission")


def _invite(data: bytes) -> None:
    """A text as it was typed, and the bytes behind a text whose checksum holds."""
    checked = data + hashlib.blake2b(data, digest_size=4).digest()
    word = INVITE_PREFIX + base64.b32encode(checked).decode().rstrip("=")
    refused = 0
    for text in (data.decode(errors="replace"), word):
        try:
            invite = Invite.parse(text)
        except InputError:
            refused += 1
            continue
        assert Invite.parse(invite.text()) == invite


def _invite_seeds() -> Iterator[bytes]:
    for case in _GRANT["chains"]:
        yield case["invite"].encode()
        word = case["invite"].removeprefix(INVITE_PREFIX)
        yield base64.b32decode(word + "=" * (-len(word) % 8))[:-4]


def _body_seeds() -> Iterator[bytes]:
    yield from hexes("body", "good", "accepted", "refused", "contents", "unreadable")
    yield from hexes("event", "cases", key="body")


def _view_seeds() -> Iterator[bytes]:
    ref = [bytes(20), 1]
    for kind, payload in (
        ("record.create", {"record_id": "r", "form": "w", "by": "a"}),
        ("record.put", {"record_id": "r", "fields": {"a": 2}, "replaces": {"a": [ref]}}),
        ("field.set", {"record_id": "r", "field": "a", "value": {"b": [1.5]}, "replaces": [ref]}),
        ("note.add", {"record_id": "r", "text": "x"}),
        ("attachment.add", {"record_id": "r", "field": "a", "blob_hash": b"x", "size": 1}),
        ("record.delete", {"record_id": "r", "replaces": [ref]}),
    ):
        yield encode_body(kind, payload)


def _segment_seeds() -> Iterator[bytes]:
    yield from hexes("segment", "good", "refused")


def _compact_seeds() -> Iterator[bytes]:
    yield from hexes("compact", "good", "refused")


def _opening_seeds() -> Iterator[bytes]:
    yield from hexes("event", "cases", key="body")
    yield from _form_seeds()
    yield encode_body("feed.open", {"keys": _FOUNDER, "name": "x", "data": 7, "admission": b"x"})


TARGETS = (
    Target("body", _body, _body_seeds, 8 * MIB),
    Target("view", _view, _view_seeds, 8 * MIB),
    Target("opening", _opening, _opening_seeds, 8 * MIB),
    Target("segment", _segment, _segment_seeds, 8 * MIB),
    Target("compact", _compact, _compact_seeds, 24 * MIB, 1_024),
    Target("form", _form, _form_seeds, 8 * MIB),
    Target("grant", _grant, _grant_seeds, MIB, 2_048),
    Target("invite", _invite, _invite_seeds, MIB, 2_048),
)
