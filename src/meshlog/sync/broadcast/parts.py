"""A segment that no packet carries, in parts: a long note, a form. docs/protocol.md §6.6."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from meshlog.core.codec import block
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX
from meshlog.sync.messages import PART_NAME_SIZE, PARTS_MAX, Part

PART_SIZE_MAX = CARGO_SIZE_MAX - 3 - PART_NAME_SIZE - 2
"""Bytes of a segment in one part: what a packet leaves beside type, length, name and numbers."""

PARTED_SIZE_MAX = 69_000
"""A segment of one event of the largest size. Longer ones, signed so, go by link."""

KEPT_BYTES_MAX = 262_144
"""Parts that wait for the others, of all segments together; the oldest segment goes first."""

KEPT_MAX = 32
"""Segments that wait for their parts."""


def split(segment: bytes) -> list[Part]:
    """Return the parts of a segment of at most ``PARTED_SIZE_MAX`` bytes, as few as can be."""
    name = _name(segment)
    count = -(-len(segment) // PART_SIZE_MAX)
    size = -(-len(segment) // count)
    return [
        Part(name, place, count, segment[place * size : (place + 1) * size])
        for place in range(count)
    ]


class Parts:
    """Puts segments together. A cache of hostile bytes: what comes out is verified like any."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: OrderedDict[tuple[bytes, int], dict[int, bytes]] = OrderedDict()
        self._size_bytes = 0

    def add(self, part: Part) -> bytes | None:
        """Keep a part; return the whole segment when it was the last one that lacked."""
        if len(part.data) > PART_SIZE_MAX:
            return None
        key = (part.name, part.count)
        pieces = self._kept.setdefault(key, {})
        self._size_bytes += len(part.data) - len(pieces.get(part.place, b""))
        pieces[part.place] = part.data  # of two that differ the later one: either may be forged
        while self._size_bytes > KEPT_BYTES_MAX or len(self._kept) > KEPT_MAX:
            self._drop(next(iter(self._kept)))
        if len(pieces) < part.count:
            return None
        segment = b"".join(pieces[place] for place in range(part.count))
        if _name(segment) != part.name:
            return None
        self._drop(key)
        return segment

    def _drop(self, key: tuple[bytes, int]) -> None:
        self._size_bytes -= sum(map(len, self._kept.pop(key).values()))


def _name(segment: bytes) -> bytes:
    return hashlib.blake2b(block(segment), digest_size=PART_NAME_SIZE).digest()


assert -(-PARTED_SIZE_MAX // PART_SIZE_MAX) <= PARTS_MAX, "a part's number has one byte"
