"""A run: events at consecutive positions, each the next of one branch, in one row.

A feed, a seq, a time of arrival are then written once for all of them, and taking a run in
costs one row. Rows are never changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from meshlog.core.codec import decode_kept, encode_checked
from meshlog.core.event import ID_SIZE, Event, EventId
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import Stamp
from meshlog.errors import MalformedError
from meshlog.ports import Arrival

RUN_EVENTS_MAX = 64
"""Longest run: whoever looks for a place in a feed reads at most this many runs per branch
around it, and whoever wants one event reads its run. A choice."""

RUN_SIZE_MAX = 3_400
"""Bytes of bodies, ids and places in a run of more than one event, the bodies as they came: a
segment of 32 small events is one row then, half as long. Of 1,000 to 5,000 what leaves least of a
page of 4 KiB empty, for segments of 8 to 256 small events and for records of a survey."""

_COMPRESSION_LEVEL = 1
"""Of zlib's; 6 takes 10 % fewer bytes and half again as long."""

_RAW_DEFLATE = -15
"""As zlib's ``wbits``: no header and no checksum of its own."""

_CRC_SIZE = 4

_EVENT_SIZE = ID_SIZE + 4
"""What an event takes in a run beside its body, about."""


@dataclass(slots=True)
class Run:
    """A run as it was read."""

    position: int
    """Of its first event."""
    feed: FeedKey
    seq: int
    """Of its first event."""
    prev: bytes
    """Id of the event before its first; zeros at seq 1."""
    stamps: list[int]
    """Packed."""
    arrivals_ms: list[int]
    ids: bytes
    """All of them, joined."""
    bodies: bytes
    """All of them, joined; as they came."""
    ends: list[int]
    """Where each body ends, and 0 before the first."""
    cuts: dict[int, bytes] = field(default_factory=dict)
    """Signatures by position."""

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.stamps)

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return 1_000 + len(self.bodies) + len(self.ids) + 100 * len(self.stamps)

    def id_at(self, index: int) -> bytes:
        """Return the id of an event, from 0."""
        return self.ids[index * ID_SIZE : (index + 1) * ID_SIZE]

    def body_at(self, index: int) -> bytes:
        """Return the body of an event, from 0."""
        return self.bodies[self.ends[index] : self.ends[index + 1]]

    def all_bodies(self) -> list[bytes]:
        """Return the body of each event."""
        return [self.bodies[start:end] for start, end in pairwise(self.ends)]

    def arrival(self, index: int) -> Arrival:
        """Return an event, from 0."""
        position = self.position + index
        event = Event(
            self.feed,
            self.seq + index,
            Stamp.unpacked(self.stamps[index]),
            self.id_at(index - 1) if index else self.prev,
            self.body_at(index),
            EventId(self.id_at(index)),
            self.cuts.get(position, b""),
        )
        return Arrival(position, event, self.arrivals_ms[index])

    def arrivals(self, first: int = 0, last: int | None = None) -> Iterator[Arrival]:
        """Yield its events between two indices, inclusive."""
        return map(self.arrival, range(first, len(self) if last is None else last + 1))


def pack_run(events: Sequence[Event], arrived_ms: int) -> tuple[bytes, bytes, bytes]:
    """Return the columns ``places``, ``ids`` and ``bodies`` of a run.

    Bodies of one form repeat each other: those of several events are compressed, where that takes
    fewer bytes; so fewer than ``places`` says are compressed.
    """
    stamps = [event.stamp.wall_ms << 16 | event.stamp.counter for event in events]
    bodies = [event.body for event in events]
    ids = b"".join([event.id for event in events])
    kept = joined = b"".join(bodies)
    if len(events) > 1:
        kept = min(joined, _compressed(joined), key=len)
    return places_of(stamps, list(map(len, bodies)), [arrived_ms]), ids, kept


def places_of(stamps: Sequence[int], sizes: Sequence[int], arrivals_ms: Sequence[int]) -> bytes:
    """Return CBOR of [arrivals, first stamp, differences of the stamps, sizes of the bodies].

    Args:
        stamps: Packed, of every event.
        sizes: Bytes of every body.
        arrivals_ms: Of every event; one alone where all came at once.
    """
    differences = [later - earlier for earlier, later in pairwise(stamps)]
    return encode_checked([list(arrivals_ms), stamps[0], differences, list(sizes)])


def unpack_run(
    position: int, feed: FeedKey, seq: int, prev: bytes, places: bytes, ids: bytes, bodies: bytes
) -> Run:
    """Return a run from its row.

    Raises:
        MalformedError: The row is damaged.
    """
    try:
        arrivals_ms, first, differences, sizes = decode_kept(places)
        stamps = list(accumulate(differences, initial=first))
        ends = list(accumulate(sizes, initial=0))
        count = len(stamps)
        if len(bodies) < ends[-1]:
            bodies = _decompressed(bodies, ends[-1])
        if len(arrivals_ms) == 1:
            arrivals_ms = arrivals_ms * count
        holds = (
            len(sizes) == count == len(arrivals_ms)
            and len(ids) == ID_SIZE * count
            and ends[-1] == len(bodies)
            and min(sizes) >= 0
            and min(stamps) >= 0
            and max(stamps) < 1 << 63
            and all(type(arrived_ms) is int for arrived_ms in arrivals_ms)
        )
    except (TypeError, ValueError, LookupError, OverflowError, zlib.error) as error:
        raise MalformedError("run") from error
    if not holds:
        raise MalformedError("run")
    return Run(position, feed, seq, prev, stamps, arrivals_ms, ids, bodies, ends)


def _compressed(bodies: bytes) -> bytes:
    """Return raw deflate (RFC 1951) and a CRC-32 of it: so every bit of the column is covered."""
    found = zlib.compress(bodies, _COMPRESSION_LEVEL, _RAW_DEFLATE)
    return found + zlib.crc32(found).to_bytes(_CRC_SIZE, "big")


def _decompressed(kept: bytes, size: int) -> bytes:
    """Return what was compressed: ``size`` bytes, or a few more or less of a damaged row.

    Raises:
        MalformedError: They are damaged, or would be more than any run has.
        zlib.error: They are no deflate.
    """
    found, crc = kept[:-_CRC_SIZE], kept[-_CRC_SIZE:]
    if size > RUN_SIZE_MAX or zlib.crc32(found).to_bytes(_CRC_SIZE, "big") != crc:
        raise MalformedError("run")
    return zlib.decompressobj(_RAW_DEFLATE).decompress(found, size + 1)


def crc_of_run(position: int, feed: int, seq: int, base: int | None, places: bytes) -> int:
    """Return the checksum of what neither an id nor a signature of a run covers, 32 bits."""
    return zlib.crc32(places, zlib.crc32(repr((position, feed, seq, base)).encode()))


def split(events: Iterable[Event], last_id: bytes) -> Iterator[list[Event]]:
    """Yield events as runs, in order; ``last_id`` is that of the event before all of them."""
    run: list[Event] = []
    size = 0
    for event in events:
        size += len(event.body) + _EVENT_SIZE
        if run and (event.prev != last_id or len(run) >= RUN_EVENTS_MAX or size > RUN_SIZE_MAX):
            yield run
            run, size = [], len(event.body) + _EVENT_SIZE
        run.append(event)
        last_id = event.id
    if run:
        yield run
