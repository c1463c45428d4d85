"""A run: events at consecutive positions, each the next of one branch, in one row.

A feed, a seq, a time of arrival are then written once for all of them, and taking a run in
costs one row. Rows are never changed.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count, pairwise
from operator import sub

from meshlog.core.cbor import decode_kept, encode_checked
from meshlog.core.chain import Chain
from meshlog.core.event import ID_SIZE, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.touch import touched_each
from meshlog.errors import MalformedError
from meshlog.ports.log import Arrival

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
"""As zlib's ``wbits``, for reading: any window, no header and no checksum of its own."""

_RAW_WINDOW, _MEMORY_LEVEL = -12, 5
"""As zlib's ``wbits`` and ``memLevel``: 4 KiB back see all of a run, and 32 kB are made ready
instead of 256, which costs a third less time."""

_CRC_SIZE = 4

RunRow = tuple[int, int, int, int | None, int, bytes, bytes, bytes, bytes | None]
"""A row of ``run``: position, feed, seq, base, crc, places, ids, bodies, signature."""

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
    _split: list[bytes] = field(default_factory=list)
    _names: list[bytes] = field(default_factory=list)

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
        if not self._split:
            self._split = [self.bodies[start:end] for start, end in pairwise(self.ends)]
        return self._split

    def names(self) -> list[bytes]:
        """See ``Stretch.names``."""
        if not self._names and self.feed.kind is FeedKind.DATA:
            self._names = touched_each(self.all_bodies())
        return self._names

    def event(self, index: int) -> Event:
        """Return an event, from 0."""
        return Event(
            self.feed,
            self.seq + index,
            Stamp.unpacked(self.stamps[index]),
            self.id_at(index - 1) if index else self.prev,
            self.body_at(index),
            EventId(self.id_at(index)),
            self.cuts.get(self.position + index, b""),
        )

    def events(self) -> list[Event]:
        """Return all of them; a quarter of the cost of one after the other."""
        ids = [self.ids[at : at + ID_SIZE] for at in range(0, len(self.ids), ID_SIZE)]
        cuts = {position - self.position: signed for position, signed in self.cuts.items()}
        bodies = self.all_bodies()
        return Chain(self.feed, self.seq, self.prev, self.stamps, bodies, ids, cuts).events()

    def arrival(self, index: int) -> Arrival:
        """Return an event, from 0, and when it came."""
        return Arrival(self.position + index, self.event(index), self.arrivals_ms[index])

    def arrivals(self, first: int = 0, last: int | None = None) -> Iterator[Arrival]:
        """Yield its events between two indices, inclusive."""
        if first == 0 and last is None:
            return map(Arrival, count(self.position), self.events(), self.arrivals_ms)
        return map(self.arrival, range(first, len(self) if last is None else last + 1))


def pack_runs(
    chain: Chain, position: int, feed: int, base: int | None, arrived_ms: int
) -> list[RunRow]:
    """Return the rows of a chain.

    Args:
        chain: What is written.
        position: Of the first event.
        feed: Its number.
        base: Position of the event before the first; None at seq 1.
        arrived_ms: When they came.
    """
    seq, rows = chain.first_seq, []
    stamps, bodies, ids, signatures = chain.stamps, chain.bodies, chain.ids, chain.signatures
    sizes = list(map(len, bodies))
    for start, end in pairwise(_ends(sizes, [at + 1 for at in signatures])):
        places = places_of(stamps[start:end], sizes[start:end], [arrived_ms])
        place = (position + start, feed, seq + start, base)
        columns = places, b"".join(ids[start:end]), pack_bodies(bodies[start:end])
        crc, signature = crc_of_run(*place, places), signatures.get(end - 1)
        rows.append((*place, crc, *columns, signature))
        base = position + end - 1
    return rows


def _ends(sizes: Sequence[int], cuts: Sequence[int]) -> list[int]:
    """Return where the runs of events with bodies of these sizes end, and 0 before the first.

    At the last cut that fits, where one does: then its signature needs no row of its own.
    """
    totals = list(accumulate([size + _EVENT_SIZE for size in sizes], initial=0))
    ends, last = [0], len(sizes)
    while (start := ends[-1]) < last:
        end = bisect_right(totals, totals[start] + RUN_SIZE_MAX) - 1
        end = max(min(end, start + RUN_EVENTS_MAX), start + 1)
        cut = bisect_right(cuts, end)
        ends.append(cuts[cut - 1] if cut and cuts[cut - 1] > start else end)
    return ends


def pack_bodies(bodies: Sequence[bytes]) -> bytes:
    """Return the column ``bodies`` of a run.

    Bodies of one form repeat each other: those of several events are compressed, where that takes
    fewer bytes; so fewer than ``places`` says are compressed.
    """
    joined = b"".join(bodies)
    return min(joined, _compressed(joined), key=len) if len(bodies) > 1 else joined


def places_of(stamps: Sequence[int], sizes: Sequence[int], arrivals_ms: Sequence[int]) -> bytes:
    """Return CBOR of [arrivals, first stamp, differences of the stamps, sizes of the bodies].

    Args:
        stamps: Packed, of every event.
        sizes: Bytes of every body.
        arrivals_ms: Of every event; one alone where all came at once.
    """
    differences = list(map(sub, stamps[1:], stamps))
    return encode_checked([list(arrivals_ms), stamps[0], differences, list(sizes)])


def events_told_by(places: bytes) -> int:
    """Return how many events ``places`` tells of, which unlike ids has a checksum; 0 where none."""
    try:
        _, _, _, sizes = decode_kept(places)
        return len(sizes)
    except (MalformedError, TypeError, ValueError):
        return 0


def size_told_by(places: bytes) -> int:
    """Return how many bytes the bodies of a run have together, as they came; 0 where none tells."""
    try:
        _, _, _, sizes = decode_kept(places)
        return max(int(sum(sizes)), 0)
    except (MalformedError, TypeError, ValueError, OverflowError):
        return 0


def times_told_by(places: bytes) -> tuple[list[int], list[int]]:
    """Return the stamps, packed, and the times of arrival of the events of a run.

    Raises:
        MalformedError: The column is damaged.
    """
    try:
        arrivals_ms, first, differences, _ = decode_kept(places)
        stamps = list(accumulate(differences, initial=first))
        if len(arrivals_ms) == 1:
            arrivals_ms = arrivals_ms * len(stamps)
        whole = all(type(time) is int for time in (*stamps, *arrivals_ms))
    except (TypeError, ValueError) as error:
        raise MalformedError("run") from error
    if not whole or len(stamps) != len(arrivals_ms):
        raise MalformedError("run")
    return stamps, arrivals_ms


def unpack_run(
    position: int, feed: FeedKey, seq: int, prev: bytes, places: bytes, ids: bytes, bodies: bytes
) -> Run:
    """Return a run from its row, without signatures.

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
            type(seq) is int
            and len(sizes) == count == len(arrivals_ms)
            and len(ids) == ID_SIZE * count
            and ends[-1] == len(bodies)
            and min(sizes) >= 0
            and min(stamps) >= 0
            and max(stamps) < 1 << 63
            and set(map(type, arrivals_ms)) == {int}
        )
    except (TypeError, ValueError, LookupError, OverflowError, zlib.error) as error:
        raise MalformedError("run") from error
    if not holds:
        raise MalformedError("run")
    return Run(position, feed, seq, prev, stamps, arrivals_ms, ids, bodies, ends)


def _compressed(bodies: bytes) -> bytes:
    """Return raw deflate (RFC 1951) and a CRC-32 of it: so every bit of the column is covered."""
    deflate = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, _RAW_WINDOW, _MEMORY_LEVEL)
    found = deflate.compress(bodies) + deflate.flush()
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
    """Return the checksum of what neither an id nor a signature of a run covers, 32 bits.

    -1, which none is, where a damaged row has no bytes there.
    """
    if type(places) is not bytes:
        return -1
    return zlib.crc32(places, zlib.crc32(repr((position, feed, seq, base)).encode()))
