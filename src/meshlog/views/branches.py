"""The branches of one feed that forked, as chains: who stands before whom, without a walk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from meshlog.core.event import ID_SIZE, Event

TRUNK = -1
"""The chain of all that stands before every fork."""

UNKNOWN = -2
"""The chain of what is not held: nothing stands on it."""


class Chain(NamedTuple):
    """Events that follow one another."""

    first_seq: int
    ids: bytearray
    """Joined."""
    parent: int
    """The chain that it leaves, just before ``first_seq``."""

    def holds(self, seq: int, event_id: bytes) -> bool:
        """Say whether an event stands here."""
        at = (seq - self.first_seq) * ID_SIZE
        return at >= 0 and self.ids[at : at + ID_SIZE] == event_id


class Branches:
    """Every event of a feed after its first fork, each on one chain."""

    def __init__(self, trunk_seq: int) -> None:
        """Begin with the trunk alone; ``trunk_seq`` is the last seq before the first fork."""
        self._trunk_seq = trunk_seq
        self.chains: list[Chain] = []
        self._number_of: dict[bytes, int] | None = None
        """By id; None where there may be more events than fit in memory."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Branches:
        """Return the chains in events at hand: where one lacks, a chain begins anew."""
        found = cls(0)
        number_of = found._number_of = {}
        for event in sorted(events, key=lambda event: event.seq):
            parent = number_of.get(event.prev, UNKNOWN) if event.seq > 1 else TRUNK
            number_of[event.id] = found.append(event.seq, event.id, parent)
        return found

    def append(self, seq: int, event_id: bytes, parent: int) -> int:
        """Add an event that follows the one at ``seq - 1`` on a chain; return its own chain."""
        if parent >= 0:
            chain = self.chains[parent]
            if chain.first_seq + len(chain.ids) // ID_SIZE == seq:
                chain.ids.extend(event_id)
                return parent
        self.chains.append(Chain(seq, bytearray(event_id), parent))
        return len(self.chains) - 1

    def grow(
        self, tip_seq: int, tip_id: bytes, read: Callable[[int, int], Sequence[bytes]], chunk: int
    ) -> None:
        """Add the branch that ends in a tip, down to what is known.

        Args:
            tip_seq: Seq of the tip.
            tip_id: Its id.
            read: Returns the ids of the branch after a seq, so many.
            chunk: How many to read at once.
        """
        new: list[bytes] = []
        seq, parent = tip_seq, self.chain_of(tip_seq, tip_id)
        while parent == UNKNOWN:
            start = max(seq - chunk, self._trunk_seq)
            ids = read(start, seq - start)
            known = next(
                (
                    at
                    for at in range(len(ids) - 1, -1, -1)
                    if self.chain_of(start + at + 1, ids[at]) != UNKNOWN
                ),
                -1,
            )
            new[:0] = ids[known + 1 :]
            seq = start + known + 1
            if known >= 0 or start == self._trunk_seq or not ids:
                parent = self.chain_of(seq, ids[known]) if known >= 0 else TRUNK
                break
        for at, event_id in enumerate(new, seq + 1):
            parent = self.append(at, event_id, parent)

    def chain_of(self, seq: int, event_id: bytes) -> int:
        """Return the chain that an event stands on. O(chains), of those at hand O(1)."""
        if seq <= self._trunk_seq:
            return TRUNK
        if self._number_of is not None:
            return self._number_of.get(event_id, UNKNOWN)
        for number, chain in enumerate(self.chains):
            if chain.holds(seq, event_id):
                return number
        return UNKNOWN
