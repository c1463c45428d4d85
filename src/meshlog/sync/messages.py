"""What peers say to each other, and its bytes. docs/protocol.md §6 is normative.

Each message is a type byte, a length, a content; in a row they make a bundle or a packet.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias, assert_never

from meshlog.core.codec import Reader, block, varint
from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FeedKey
from meshlog.core.segment import SEGMENT_SIZE_MAX
from meshlog.errors import MalformedError
from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.statements import (
    ROSTER_DIGEST_SIZE,
    Delta,
    Digests,
    Ids,
    Loc,
    Vec,
    encode_delta,
    encode_digests,
    encode_ids,
    encode_loc,
    encode_vec,
    read_delta,
    read_digests,
    read_feed,
    read_ids,
    read_loc,
    read_vec,
)

BUNDLE_SIZE_MAX = 1_000_000
"""Bytes of one request or answer; a batch is far smaller, a long IDS may come near."""

MESSAGES_MAX = 8_192
"""Messages of a bundle, unknown ones included: half a million empty ones cost seconds."""

SEGMENTS_MAX = 4_096
LOCATORS_MAX = 16
"""Locators are the costliest to answer; the feeds that do not fit come in the next exchange."""

PART_NAME_SIZE = 4
PARTS_MAX = 160
RUNS_MAX = 1_024
"""Runs that a WANT names; the rest is wanted in the next exchange."""

ROOT_HINT_SIZE = 8


class Kind(IntEnum):
    """Type byte of a message."""

    BEACON = 1
    IDS = 2
    VEC = 3
    WANT = 4
    SEG = 5
    LOC = 6
    ACK = 7
    SUM = 8
    DELTA = 9
    DIGESTS = 10
    PART = 11


_PER_BUNDLE: Mapping[int, int] = {Kind.SEG: SEGMENTS_MAX, Kind.LOC: LOCATORS_MAX}
"""How often a type may stand in one bundle; the others once, or work would multiply."""

_SIZE_MAX: Mapping[int, int] = {
    Kind.BEACON: 64,
    Kind.ACK: 64,
    Kind.SUM: 64,
    Kind.WANT: 65_536,
    Kind.LOC: 32_768,
    Kind.SEG: SEGMENT_SIZE_MAX,
    Kind.VEC: SEGMENT_SIZE_MAX,
    Kind.DELTA: SHOUT_SIZE_MAX,
    Kind.DIGESTS: SHOUT_SIZE_MAX,
    Kind.PART: SHOUT_SIZE_MAX,
}
"""Bytes of content, of which no correct one has as many. The last three travel in packets. An IDS
may fill its bundle."""


@dataclass(frozen=True, slots=True)
class Beacon:
    """Where the sender stands: enough to see agreement, too little to find a difference."""

    time_s: int
    root_hint: bytes
    """8 bytes of H(time ‖ root): a collision lasts one beacon (I4)."""
    roster_digest: bytes
    """4 bytes; equal digests mean that indices mean the same."""
    event_count: int


class Run(NamedTuple):
    """A stretch of one feed, both ends included."""

    feed: FeedKey
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Want:
    """Runs that the sender lacks, most wanted first, and how many bytes it takes now."""

    credit_bytes: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Seg:
    """One segment, as ``core.segment`` encodes it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """Where the sender stands after applying the segments of the same exchange."""

    beacon: Beacon
    accepted: int
    """Events that were new and are durable now."""
    refused: int
    """Segments that were refused, for whatever reason."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What the receiver still lacks of the sender's after this bundle: an honest estimate."""

    events: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a segment that no broadcast packet carries."""

    name: bytes
    """4 bytes of the hash of the whole segment."""
    place: int
    """From 0."""
    count: int
    """1 … 160."""
    data: bytes


Message: TypeAlias = Beacon | Ids | Vec | Want | Seg | Loc | Ack | Sum | Delta | Digests | Part


def root_hint(time_s: int, root: bytes) -> bytes:
    """Return the 8 bytes that stand for ``root`` in a beacon sent at ``time_s``."""
    return hashlib.blake2b(time_s.to_bytes(4, "big") + root, digest_size=ROOT_HINT_SIZE).digest()


def encode_messages(messages: Iterable[Message]) -> bytes:
    """Return messages in a row: the inside of a bundle, and of a broadcast packet."""
    return b"".join(encode_message(message) for message in messages)


def encode_message(message: Message) -> bytes:
    """Return one message with its type and length."""
    kind, content = _content(message)
    return bytes((kind,)) + block(content)


def decode_messages(data: bytes) -> list[Message]:
    """Return the messages in a row that ``data`` is: the inside of a broadcast packet.

    Raises:
        MalformedError: See ``walk``.
    """
    return [message for _, message in walk(Reader(data), DECODERS) if message is not None]


def walk(reader: Reader, wanted: Container[int]) -> Iterator[tuple[int, Message | None]]:
    """Yield the type of each message, and what it says if that type is wanted; else None.

    Args:
        reader: Hostile bytes, at the first message.
        wanted: Types that are decoded.

    Raises:
        MalformedError: Too many messages, one that is too large, or one that cannot be read.
    """
    seen: Counter[int] = Counter()
    count = 0
    while reader.left:
        kind, size = reader.uint(1), reader.varint(BUNDLE_SIZE_MAX)
        count += 1
        if count > MESSAGES_MAX:
            raise MalformedError("repeated message")
        if kind in DECODERS:
            seen[kind] += 1
            if seen[kind] > _PER_BUNDLE.get(kind, 1):
                raise MalformedError("repeated message")
            if size > _SIZE_MAX.get(kind, BUNDLE_SIZE_MAX):
                raise MalformedError(
                    "segment too large" if kind == Kind.SEG else "number past its limit"
                )
        if kind not in DECODERS or kind not in wanted:
            reader.skip(size)
            yield kind, None
        elif kind == Kind.IDS:  # may be half of a bundle: read where it stands
            end = reader.position + size
            ids = read_ids(reader)
            if reader.position != end:
                raise MalformedError("truncated" if reader.position > end else "trailing bytes")
            yield kind, ids
        else:
            content = Reader(reader.take(size))
            message = DECODERS[kind](content)
            content.end()
            yield kind, message


def _content(message: Message) -> tuple[Kind, bytes]:
    match message:
        case Beacon():
            return Kind.BEACON, _beacon(message)
        case Ids():
            return Kind.IDS, encode_ids(message)
        case Vec():
            return Kind.VEC, encode_vec(message)
        case Delta():
            return Kind.DELTA, encode_delta(message)
        case Digests():
            return Kind.DIGESTS, encode_digests(message)
        case Loc():
            return Kind.LOC, encode_loc(message)
        case Part(name, place, count, data):
            return Kind.PART, name + bytes((place, count)) + data
        case Want(credit_bytes, runs):
            named = runs[:RUNS_MAX]
            parts = [run.feed.packed() + varint(run.first) + varint(run.last) for run in named]
            return Kind.WANT, varint(credit_bytes) + varint(len(named)) + b"".join(parts)
        case Seg(data):
            return Kind.SEG, data
        case Ack(beacon, accepted, refused):
            return Kind.ACK, varint(accepted) + varint(refused) + _beacon(beacon)
        case Sum(events, size_bytes):
            return Kind.SUM, varint(events) + varint(size_bytes)
        case _:
            assert_never(message)


def _beacon(beacon: Beacon) -> bytes:
    return (
        beacon.time_s.to_bytes(4, "big")
        + beacon.root_hint
        + beacon.roster_digest
        + varint(beacon.event_count)
    )


def _read_beacon(reader: Reader) -> Beacon:
    return Beacon(
        reader.uint(4),
        reader.take(ROOT_HINT_SIZE),
        reader.take(ROSTER_DIGEST_SIZE),
        reader.varint(),
    )


def _read_want(reader: Reader) -> Want:
    credit_bytes, count = reader.varint(), reader.varint(RUNS_MAX)
    runs = tuple(
        Run(read_feed(reader), reader.varint(SEQ_MAX), reader.varint(SEQ_MAX)) for _ in range(count)
    )
    return Want(credit_bytes, runs)


def _read_seg(reader: Reader) -> Seg:
    return Seg(reader.take(reader.left))


def _read_ack(reader: Reader) -> Ack:
    accepted, refused = reader.varint(), reader.varint()
    return Ack(_read_beacon(reader), accepted, refused)


def _read_part(reader: Reader) -> Part:
    name, place, count = reader.take(PART_NAME_SIZE), reader.uint(1), reader.uint(1)
    if not place < count <= PARTS_MAX:
        raise MalformedError("number past its limit")
    if not reader.left:
        raise MalformedError("truncated")
    return Part(name, place, count, reader.take(reader.left))


def _read_sum(reader: Reader) -> Sum:
    return Sum(reader.varint(), reader.varint())


DECODERS: Mapping[int, Callable[[Reader], Message]] = {
    Kind.BEACON: _read_beacon,
    Kind.IDS: read_ids,
    Kind.VEC: read_vec,
    Kind.WANT: _read_want,
    Kind.SEG: _read_seg,
    Kind.LOC: read_loc,
    Kind.ACK: _read_ack,
    Kind.SUM: _read_sum,
    Kind.DELTA: read_delta,
    Kind.DIGESTS: read_digests,
    Kind.PART: _read_part,
}
