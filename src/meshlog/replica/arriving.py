"""What was accepted and is not written yet: segments that follow one another are written as one.

A store, an index and a clock then take a branch, not each of its segments: half of what those of
32 events cost beside hashing and signatures.
"""

from __future__ import annotations

from meshlog.core.chain import Chain
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.segment import Segment
from meshlog.ports.store import Store
from meshlog.replica.ledger import Ledger

UNWRITTEN_SIZE_MAX = 262_144
"""Bytes of events that wait, and one more segment. A choice: some thousand small events."""

ENTRY_SIZE = 96
"""About what one decoded event takes beside its body: measured, 83 bytes."""


class Arriving:
    """Chains of one branch of a data feed, in order, which the ledger has and the store has not.

    Inside the caller's transaction; whoever asks the store for anything calls ``write`` before.
    """

    def __init__(self, store: Store, ledger: Ledger, now_ms: int) -> None:
        self._store, self._ledger, self._now_ms = store, ledger, now_ms
        self._chains: list[Chain] = []
        self._size_bytes = 0
        self.written: list[Chain] = []
        """Of data feeds."""

    def goes_on_with(self, segment: Segment) -> bool:
        """Say whether a segment can only follow what waits, so that the store is not asked."""
        last = self._chains[-1] if self._chains else None
        return (
            last is not None
            and (segment.feed, segment.first_seq) == (last.feed, last.last_seq + 1)
            and len(self._ledger.frontier[last.feed]) == 1
        )

    def take(self, chain: Chain) -> None:
        """Take events that were accepted; unless they go on with what waits, nothing does."""
        if self._may_wait(chain.feed):
            self._ledger.advance(chain, self._store)
            self._chains.append(chain)
            self._size_bytes += size_of(chain.bodies)
            if self._size_bytes >= UNWRITTEN_SIZE_MAX:
                self.write()
        else:
            self._store.add(chain, self._now_ms)
            self._ledger.advance(chain, self._store)
            self._follow(chain)

    def _may_wait(self, feed: FeedKey) -> bool:
        """Say whether the ledger takes a feed's events in without a look at the store."""
        return feed.kind is FeedKind.DATA and not self._ledger.is_fixed(feed)

    def write(self) -> None:
        """Write what waits."""
        if self._chains:
            chain = Chain.joined(self._chains)
            self._chains, self._size_bytes = [], 0
            self._store.add(chain, self._now_ms)
            self._follow(chain)

    def _follow(self, chain: Chain) -> None:
        self._ledger.believe(chain, self._store)
        if chain.feed.kind is FeedKind.DATA:
            self.written.append(chain)


def size_of(bodies: list[bytes]) -> int:
    """Return about how many bytes so many decoded events take."""
    return ENTRY_SIZE * len(bodies) + sum(map(len, bodies))
