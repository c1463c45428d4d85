"""A fork proof: two signed branches that leave one place of a feed. docs/protocol.md §4.1.

It verifies alone: the author id commits to the keys that it carries. It shows that whoever holds
them signed both branches, in malice or on two copies of one card; it does not say which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from meshlog.core.codec import Reader, block
from meshlog.core.event import ID_SIZE, NO_PREV, DatasetId, EventId
from meshlog.core.feed import FeedKey
from meshlog.core.identity import KEYS_SIZE, author_id, keys_are_sound
from meshlog.core.segment import (
    BASE_HINT_SIZE,
    SEGMENT_SIZE_MAX,
    decode_segment,
    is_signed,
    link_events,
)
from meshlog.errors import MalformedError

MAGIC = b"MESHLOG-FORK"
VERSION = 1
PROOF_SIZE_MAX = 2 * SEGMENT_SIZE_MAX + 256
"""Bytes: two segments, each at most from the fork to the next cut. Mostly about 500."""


class Fork(NamedTuple):
    """What a proof shows."""

    feed: FeedKey
    seq: int
    """Of the two events."""
    ids: tuple[EventId, EventId]
    """Theirs; both name the same event before them."""


@dataclass(frozen=True, slots=True)
class ForkProof:
    """Two segments of one feed that follow one base and differ in their first event."""

    dataset: DatasetId
    keys: bytes
    """64 public bytes of the author."""
    base: bytes
    """Id of the last event that both branches share, 32 bytes; zeros where they share none."""
    one: bytes
    """A plain segment; ``one`` and ``other`` in order of their bytes."""
    other: bytes

    def encode(self) -> bytes:
        """Return the proof's bytes: as a file, or for a message."""
        head = MAGIC + bytes((VERSION,)) + self.dataset + self.keys + self.base
        return head + block(self.one) + block(self.other)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the proof in ``data``; nothing in it is verified.

        Raises:
            MalformedError: Not a fork proof, a newer one, or past a limit.
        """
        if len(data) > PROOF_SIZE_MAX:
            raise MalformedError("proof too large")
        if not data.startswith(MAGIC):
            raise MalformedError("not a fork proof")
        reader = Reader(data[len(MAGIC) :])
        if reader.uint(1) != VERSION:
            raise MalformedError("newer version")
        dataset = DatasetId(EventId(reader.take(ID_SIZE)))
        keys, base = reader.take(KEYS_SIZE), reader.take(ID_SIZE)
        one, other = reader.block(SEGMENT_SIZE_MAX), reader.block(SEGMENT_SIZE_MAX)
        reader.end()
        if one >= other:
            raise MalformedError("branches out of order")
        return cls(dataset, keys, base, one, other)

    def check(self) -> Fork | None:
        """Return what the proof shows, or None where it shows nothing.

        Cost: a hash per event, two signature checks.
        """
        if not keys_are_sound(self.keys):
            return None
        try:
            branches = [decode_segment(self.one), decode_segment(self.other)]
        except MalformedError:
            return None
        first = branches[0]
        if author_id(self.keys) != first.feed.author:
            return None
        if (first.first_seq == 1) != (self.base == NO_PREV):
            return None
        starts = []
        for branch in branches:
            if (branch.feed, branch.first_seq) != (first.feed, first.first_seq):
                return None
            if branch.base_hint != self.base[:BASE_HINT_SIZE]:
                return None
            chain = link_events(branch, self.base, self.dataset)
            if not is_signed(chain, self.keys):
                return None
            starts.append(EventId(chain.ids[0]))
        if starts[0] == starts[1]:
            return None
        return Fork(first.feed, first.first_seq, (starts[0], starts[1]))
