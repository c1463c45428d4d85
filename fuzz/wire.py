"""Targets that arrive by radio or over a link: bundles, packets, frames, proofs, statements."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.target import MIB, Target
from fuzz.vectors import hexes, load
from meshlog.core.codec import Reader
from meshlog.core.event import DatasetId, EventId
from meshlog.core.identity import Identity
from meshlog.core.segment import event_count
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX, AirKey
from meshlog.sync.bundle import Bundle, decode_bundle, encode_bundle
from meshlog.sync.frame import decode_frame, encode_frame
from meshlog.sync.gate import KeyGate
from meshlog.sync.keyring import KeyRing
from meshlog.sync.messages import Kind, Seg, decode_messages, encode_messages
from meshlog.sync.statements import (
    encode_delta,
    encode_digests,
    encode_ids,
    encode_loc,
    encode_vec,
    read_delta,
    read_digests,
    read_ids,
    read_loc,
    read_vec,
)

_HELLO = load("hello")
_DATASET = DatasetId(EventId(bytes.fromhex(_HELLO["dataset"])))
_KEY = bytes.fromhex(_HELLO["key"])
_BINDING = bytes.fromhex(_HELLO["binding"])
_RING = KeyRing((_KEY, bytes(16)))
_AIR = AirKey(_DATASET, _RING)
_GATE = KeyGate(Identity(bytes.fromhex(_HELLO["private"])), _DATASET, _RING)


def _bundle(data: bytes) -> None:
    messages = decode_bundle(data)
    assert decode_bundle(encode_bundle(messages)) == messages
    bundle = Bundle(data)
    assert bundle.said == [message for message in messages if not isinstance(message, Seg)]
    segments = [message.data for message in messages if isinstance(message, Seg)]
    assert [*bundle.segments()] == segments


def _pieces(data: bytes) -> None:
    """A bundle as a node reads it: all but its segments, then those one by one."""
    bundle = Bundle(data)
    count = sum(1 for segment in bundle.segments() if event_count(segment) >= 0)
    assert bool(count) == bundle.has_segments


def _bundle_seeds() -> Iterator[bytes]:
    yield from hexes("message", "bundles", "deflated", "refused")
    yield from (b"\x01" + data for data in hexes("message", "good"))


def _messages(data: bytes) -> None:
    messages = decode_messages(data)
    assert decode_messages(encode_messages(messages)) == messages


def _packet(data: bytes) -> None:
    opened = _AIR.open(data, 70_000)
    assert opened.key in _RING.keys
    assert None not in opened.messages


def _packet_seeds() -> Iterator[bytes]:
    vectors = load("packet")
    yield bytes.fromhex(vectors["beacon"]["hex"])
    yield bytes.fromhex(vectors["sealed"]["hex"])
    yield from hexes("packet", "refused")


def _cargo(data: bytes) -> None:
    """The cargo of a packet that somebody with the key sealed."""
    cargo = data[:CARGO_SIZE_MAX]
    messages = _AIR.open(_AIR.seal_bytes(b"ab" + cargo), 70_000).messages
    if len(encode_messages(messages)) <= CARGO_SIZE_MAX:
        assert _AIR.open(_AIR.seal(messages, b"ab"), 70_000).messages == messages


def _hello(data: bytes) -> None:
    initiator = bool(data[:1] and data[0] & 1)
    peer = _GATE.check(_BINDING, data[1:], initiator=initiator)
    assert peer is None or len(peer) == 32  # noqa: PLR2004 - hex digits of a name


def _hello_seeds() -> Iterator[bytes]:
    for proof in _HELLO["proofs"]:
        yield bytes((proof["initiator"],)) + bytes.fromhex(proof["proof"])
    yield from (b"\x00" + bytes.fromhex(case["proof"]) for case in _HELLO["refused"])


def _frame(data: bytes) -> None:
    frame = decode_frame(_GATE, data)
    if frame is not None:
        assert encode_frame(_GATE, *frame) == data
    if len(data) > 5:  # noqa: PLR2004 - kind and number; then with a MAC that holds
        made = encode_frame(_GATE, data[0], int.from_bytes(data[1:5], "big"), data[5:])
        decode_frame(_GATE, made)


_STATEMENTS = (
    (read_vec, encode_vec),
    (read_delta, encode_delta),
    (read_digests, encode_digests),
    (read_ids, encode_ids),
    (read_loc, encode_loc),
)
_STATEMENT_KINDS = (Kind.VEC, Kind.DELTA, Kind.DIGESTS, Kind.IDS, Kind.LOC)


def _statement(data: bytes) -> None:
    """One statement; the first byte says which."""
    read, encode = _STATEMENTS[data[0] % len(_STATEMENTS) if data else 0]
    reader = Reader(data[1:])
    found = read(reader)
    reader.end()
    again = read(Reader(encode(found)))  # type: ignore[arg-type]  # the pair of one kind
    assert again == found


def _statement_seeds() -> Iterator[bytes]:
    for message in hexes("message", "good"):
        if message[0] in _STATEMENT_KINDS:
            reader = Reader(message[1:])
            yield bytes((_STATEMENT_KINDS.index(Kind(message[0])),)) + reader.block(len(message))


TARGETS = (
    Target("bundle", _bundle, _bundle_seeds, 24 * MIB, 8_192),
    Target("pieces", _pieces, _bundle_seeds, 2 * MIB, 8_192),
    Target("messages", _messages, lambda: hexes("message", "good"), 24 * MIB),
    Target("packet", _packet, _packet_seeds, 24 * MIB, 512),
    Target("cargo", _cargo, lambda: hexes("message", "good"), 24 * MIB, CARGO_SIZE_MAX),
    Target("statement", _statement, _statement_seeds, 24 * MIB),
    Target("hello", _hello, _hello_seeds, MIB, 256),
    Target("frame", _frame, lambda: hexes("hello", "frames"), MIB),
)
