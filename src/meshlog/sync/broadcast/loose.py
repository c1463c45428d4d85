"""Segments that came before what they follow: kept a while, so that only the hole is repaired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meshlog.core.feed import FeedKey, Frontier
from meshlog.sync.difference import Span
from meshlog.sync.messages import Run
from meshlog.sync.statements import HOLES_MAX

READY_MAX = 16
"""Segments that are linked at a time: each may be hostile, and cost its work again."""

LOOSE_BYTES_MAX = 65_536
"""What may wait, of all feeds together: about 150 packets. The oldest goes first."""

ASKED_MAX = 8
"""Statements in a row that ask for holes in vain; then nobody near has what fills them, and a
segment that a hostile member made up is not asked about for ever. A choice."""


class _Piece(NamedTuple):
    run: Run
    data: bytes


class Loose:
    """Unverified segments whose base is not held. A cache: losing it costs air, nothing else."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._pieces: list[_Piece] = []
        self._size_bytes = 0
        self._asked = 0

    def __len__(self) -> int:
        """Return how many segments wait."""
        return len(self._pieces)

    def keep(self, run: Run, data: bytes) -> None:
        """Keep a segment that nothing could be done with yet."""
        if any(piece.data == data for piece in self._pieces):
            return
        if not self._pieces:
            self._asked = 0
        self._pieces.append(_Piece(run, data))
        self._size_bytes += len(data)
        while self._size_bytes > LOOSE_BYTES_MAX:
            self._size_bytes -= len(self._pieces.pop(0).data)

    def asked(self) -> None:
        """Count a statement that asked for what lacks; too many in vain end the wait."""
        self._asked += 1
        if self._asked > ASKED_MAX:
            self._pieces, self._size_bytes, self._asked = [], 0, 0

    def take_ready(self, frontier: Frontier) -> list[bytes]:
        """Return the segments that may be linked now, and keep them no more.

        Control feeds first: others may wait for what opens them.
        """
        ready = [piece for piece in self._pieces if piece.run.first <= _reach(frontier, piece) + 1]
        ready.sort(key=lambda piece: (piece.run.feed.kind, piece.run.first))
        ready = ready[:READY_MAX]
        if ready:
            self._asked = 0
            self._pieces = [piece for piece in self._pieces if piece not in ready]
            self._size_bytes = sum(len(piece.data) for piece in self._pieces)
        return [piece.data for piece in ready]

    def spans(self, feed: FeedKey) -> list[Span]:
        """Return what waits of a feed, joined, ascending."""
        found: list[Span] = []
        for piece in sorted(self._pieces, key=lambda piece: piece.run.first):
            if piece.run.feed != feed:
                continue
            first, last = piece.run.first, piece.run.last
            if found and first <= found[-1].last + 1:
                found[-1] = Span(found[-1].first, max(found[-1].last, last))
            else:
                found.append(Span(first, last))
        return found

    def feeds(self) -> set[FeedKey]:
        """Return the feeds of which something waits."""
        return {piece.run.feed for piece in self._pieces}


def holes(head_seq: int, spans: Sequence[Span]) -> tuple[tuple[int, int], ...]:
    """Return what lacks and what waits after a head, in turns, as a DELTA says it.

    Example:
        >>> holes(10, [Span(13, 20), Span(22, 22)])
        ((2, 8), (1, 1))
    """
    found = []
    at = head_seq
    for first, last in spans[:HOLES_MAX]:
        if first > at + 1:
            found.append((first - at - 1, last - first + 1))
            at = last
    return tuple(found)


def _reach(frontier: Frontier, piece: _Piece) -> int:
    return max((head.seq for head in frontier.get(piece.run.feed, ())), default=0)
