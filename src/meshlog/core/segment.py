"""A segment: a run of one feed that ends at a cut, everything predictable left out.

docs/protocol.md §5 is normative. Author, seq, prev and id are elided: they follow from
the feed's name, the first seq and the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import lt
from struct import Struct
from typing import NamedTuple

from meshlog.core.chain import Chain
from meshlog.core.codec import VARINT_BYTE_MAX, block, read_varint, varint
from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import (
    BODY_SIZE_MAX,
    CUT_DOMAIN,
    NO_DATASET,
    SEQ_MAX,
    DatasetId,
    Event,
    chained_ids,
    feed_prefix,
)
from meshlog.core.feed import FEED_KEY_SIZE, FeedKey, FeedKind
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId, verify
from meshlog.errors import MalformedError

PLAIN = 0
"""The coding byte of the layout below; compact ones are in core/compact."""

CUT_EVENTS_MAX = 64
"""An author signs at the latest this many events after its last cut: 64 signature bytes
then cost one per event, and a slow link can serve a part of a feed."""

CUT_SIZE_MAX = 16_384
"""…or after this many body bytes, about what SF8 moves in a minute."""

SEGMENT_EVENTS_MAX = 256
"""Eight cuts' worth. No two cuts of a feed are further apart, so every relay can serve it."""

SEGMENT_SIZE_MAX = 262_144
BASE_HINT_SIZE = 4

_FEED = Struct(f">{AUTHOR_ID_SIZE}sBI")
"""See ``FeedKey.packed``."""

_KINDS = {int(kind): kind for kind in FeedKind}


class Segment(NamedTuple):
    """A decoded run that is not linked to its base yet: nothing in it is verified."""

    feed: FeedKey
    first_seq: int
    base_hint: bytes
    """First bytes of the id of the event before, 4 or 2; a hint, wrong costs a round trip."""
    stamps: list[int]
    """Packed."""
    bodies: list[bytes]
    """As many, in order."""
    signature: bytes
    is_relative: bool = False
    """Whether the stamps count from that of the base; see ``placed``."""

    @property
    def last_seq(self) -> int:
        """Seq of the cut that ends it."""
        return self.first_seq + len(self.bodies) - 1


def encode_segment(events: Sequence[Event]) -> bytes:
    """Return the bytes of a run of one branch whose last event carries a signature."""
    first = events[0]
    assert events[-1].signature, "a segment ends at a cut"
    out = [bytes((PLAIN,)), first.feed.packed(), varint(first.seq), first.prev[:BASE_HINT_SIZE]]
    out.append(varint(len(events)))
    wall_ms, counter = 0, -1
    for event in events:
        delta_ms = event.stamp.wall_ms - wall_ms
        expected = counter + 1 if delta_ms == 0 else 0
        odd = event.stamp.counter != expected
        out.append(varint(delta_ms << 1 | odd))
        if odd:
            out.append(varint(event.stamp.counter))
        out.append(block(event.body))
        wall_ms, counter = event.stamp
    out.append(events[-1].signature)
    return b"".join(out)


def decode_segment(data: bytes) -> Segment:
    """Return the segment in ``data``.

    Raises:
        MalformedError: Not a segment, or past a limit.
    """
    if len(data) > SEGMENT_SIZE_MAX:
        raise MalformedError("segment too large")
    if not data:
        raise MalformedError("truncated")
    if data[0] != PLAIN:
        raise MalformedError("unknown coding")
    feed, first_seq, hint_at = read_feed_place(data, 1)
    at = hint_at + BASE_HINT_SIZE
    count, at = read_varint(data, at, SEGMENT_EVENTS_MAX)
    if not count >= 1 or first_seq < 1 or first_seq + count - 1 > SEQ_MAX:
        raise MalformedError("seq out of range")
    stamps, bodies, at = _read_entries(data, at, count)
    end = at + SIGNATURE_SIZE
    if end != len(data):
        raise MalformedError("truncated" if end > len(data) else "trailing bytes")
    hint = data[hint_at : hint_at + BASE_HINT_SIZE]
    return Segment(feed, first_seq, hint, stamps, bodies, data[at:])


def _read_entries(data: bytes, at: int, count: int) -> tuple[list[int], list[bytes], int]:
    """Return stamps and bodies of so many events from a place on, and the place behind them."""
    stamps: list[int] = []
    bodies: list[bytes] = []
    put_stamp, put_body = stamps.append, bodies.append
    stamp = -1
    try:
        for _ in repeat(None, count):
            stamp += 1
            if data[at]:  # seldom among events that were written together, as large sizes are
                stamp, at = _read_stamp(data, at, stamp)
            elif not stamp & COUNTER_MAX and stamp:
                raise MalformedError("stamp out of range")
            else:
                at += 1
            put_stamp(stamp)
            size = data[at]
            at += 1
            if size > VARINT_BYTE_MAX:
                size, at = read_varint(data, at - 1, BODY_SIZE_MAX)
            end = at + size
            put_body(data[at:end])
            at = end
    except IndexError as error:
        raise MalformedError("truncated") from error
    return stamps, bodies, at


def _read_stamp(data: bytes, at: int, following: int) -> tuple[int, int]:
    """Return a stamp, packed, that is not given as the one that follows, and the place behind it.

    Args:
        data: The segment.
        at: Where it says how far the stamp is from the one before.
        following: The next stamp in the millisecond of the one before; 0 at the first event.

    Raises:
        MalformedError: It would be one that follows by itself, or out of its range.
    """
    step, at = read_varint(data, at, WALL_MS_MAX << 1 | 1)
    wall_ms = (max(following - 1, 0) >> 16) + (step >> 1)
    stamp = expected = wall_ms << 16 if step > 1 else following
    if step & 1:
        counter, at = read_varint(data, at, COUNTER_MAX)
        stamp = wall_ms << 16 | counter
    if wall_ms > WALL_MS_MAX or (step & 1 and stamp == expected):
        raise MalformedError("stamp out of range")
    return stamp, at


def read_feed_place(data: bytes, at: int) -> tuple[FeedKey, int, int]:
    """Return the feed and the first seq of a plain segment, and the place behind them.

    Args:
        data: The segment, or its beginning.
        at: Place behind the coding byte.
    """
    end = at + FEED_KEY_SIZE
    if end > len(data):
        raise MalformedError("truncated")
    author, kind, incarnation = _FEED.unpack_from(data, at)
    if kind not in _KINDS:
        raise MalformedError("unknown feed kind")
    first_seq, end = read_varint(data, end, SEQ_MAX)
    return FeedKey(AuthorId(author), _KINDS[kind], incarnation), first_seq, end


def event_count(data: bytes) -> int:
    """Return how many events a segment claims; the most there can be where that is not plain."""
    try:
        if data[:1] == bytes((PLAIN,)):
            _, _, at = read_feed_place(data, 1)
            return read_varint(data, at + BASE_HINT_SIZE, SEGMENT_EVENTS_MAX)[0]
    except MalformedError:
        pass
    return SEGMENT_EVENTS_MAX


def placed(segment: Segment, base: Stamp) -> Segment | None:
    """Return the segment with its stamps as they follow that of a base.

    None where they would leave their range: it does not follow this base.
    """
    if not segment.is_relative:
        return segment
    stamps = []
    for step in segment.stamps:
        wall_ms, counter = base.wall_ms + (step >> 16), step & COUNTER_MAX
        if step <= COUNTER_MAX:  # in the base's millisecond
            counter += base.counter + 1
        if wall_ms > WALL_MS_MAX or counter > COUNTER_MAX:
            return None
        stamps.append(wall_ms << 16 | counter)
    return segment._replace(stamps=stamps, is_relative=False)


def link_events(segment: Segment, base: bytes, dataset: DatasetId) -> Chain:
    """Return the segment's events as they follow ``base`` (32 bytes; zeros at seq 1).

    The last one carries the signature, still unverified. A relative segment has to be placed
    before. Cost: one hash per event.
    """
    feed, seq, _, stamps, bodies, signature, _ = segment
    ids = chained_ids(feed_prefix(dataset, feed), seq, base, stamps, bodies)
    if seq == 1 and feed.kind is FeedKind.CONTROL:
        genesis = chained_ids(feed_prefix(NO_DATASET, feed), seq, base, stamps[:1], bodies)
        if genesis == [dataset]:
            prefix = feed_prefix(dataset, feed)
            ids = genesis + chained_ids(prefix, 2, dataset, stamps[1:], bodies[1:])
    return Chain(feed, seq, base, stamps, bodies, ids, {len(ids) - 1: signature})


def is_signed(chain: Chain, keys: bytes) -> bool:
    """Say whether the cut at the end of ``chain`` was signed by the holder of ``keys``."""
    last = len(chain) - 1
    return verify(keys, chain.signatures[last], CUT_DOMAIN + chain.ids[last])


def stamps_rise(stamps: Sequence[int], base: Stamp) -> bool:
    """Say whether each stamp, packed, is greater than the one before, the first than ``base``."""
    return all(map(lt, [base.packed(), *stamps], stamps))
