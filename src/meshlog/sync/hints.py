"""What statements say of heads and of places on branches: hints, and tables of very many.

A peer may state 20,000 feeds. As objects that takes 5 MB; here it takes a few bytes for each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, overload

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.errors import MalformedError

HEAD_HINT_SIZE = 4
POINT_HINT_SIZE = 8

HEADS_STATED_MAX = 65_536
"""Heads that one statement may tell, of all its feeds: half a megabyte. Who holds more leaves
the last feeds unsaid."""

_ID_SIZE = AUTHOR_ID_SIZE + 4


class HeadHint(NamedTuple):
    """A head as a statement carries it."""

    seq: int
    hint: bytes
    """First 4 bytes of its id; empty in a VEC of level 0 for a feed with one head."""


HeadHints: TypeAlias = tuple[HeadHint, ...]


class Point(NamedTuple):
    """A place on a branch: seq and the first 8 bytes of the id there."""

    seq: int
    hint: bytes


class HeadTable(Sequence[HeadHints]):
    """The heads of many feeds; 13 bytes for each that has one."""

    __slots__ = ("_bare", "_ends", "_hints", "_seqs")

    def __init__(self, feeds: Iterable[HeadHints] = ()) -> None:
        """Take the heads of each feed. See ``append``."""
        self._ends, self._seqs = array("I"), array("I")
        self._hints, self._bare = bytearray(), bytearray()
        for heads in feeds:
            self.append(heads)

    def append(self, heads: HeadHints) -> None:
        """Add the heads of one feed; all of them have a hint, or none.

        Raises:
            MalformedError: These are more than a statement may tell.
        """
        if len(self._seqs) + len(heads) > HEADS_STATED_MAX:
            raise MalformedError("number past its limit")
        for seq, hint in heads:
            self._seqs.append(seq)
            self._hints += hint.ljust(HEAD_HINT_SIZE, b"\0")
        self._bare.append(bool(heads) and not heads[0].hint)
        self._ends.append(len(self._seqs))

    def has_room(self, heads: Sequence[object]) -> bool:
        """Say whether so many more may be appended."""
        return len(self._seqs) + len(heads) <= HEADS_STATED_MAX

    def __len__(self) -> int:
        """Return how many feeds there are."""
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> HeadHints: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[HeadHints]: ...
    def __getitem__(self, place: int | slice) -> HeadHints | Sequence[HeadHints]:
        """Return the heads of one feed, or of a stretch of them."""
        if isinstance(place, slice):
            return HeadTable(self[at] for at in range(*place.indices(len(self))))
        if not 0 <= place < len(self):
            raise IndexError(place)
        first = self._ends[place - 1] if place else 0
        heads = range(first, self._ends[place])
        if self._bare[place]:
            return tuple(HeadHint(self._seqs[at], b"") for at in heads)
        return tuple(HeadHint(self._seqs[at], self._hint(at)) for at in heads)

    def _hint(self, at: int) -> bytes:
        return bytes(self._hints[at * HEAD_HINT_SIZE : (at + 1) * HEAD_HINT_SIZE])

    def __eq__(self, other: object) -> bool:
        """Say whether these are the same heads, whatever holds them."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """Return the hash of the heads."""
        return hash(tuple(self))


class IdTable(Sequence[tuple[FeedKey, HeadHints]]):
    """Control feeds by explicit id, with their heads; 33 bytes for each that has one."""

    __slots__ = ("_heads", "_ids")

    def __init__(self, feeds: Iterable[tuple[FeedKey, HeadHints]] = ()) -> None:
        """Take feeds and their heads. See ``append``."""
        self._ids, self._heads = bytearray(), HeadTable()
        for feed, heads in feeds:
            self.append(feed.author + feed.incarnation.to_bytes(4, "big"), heads)

    def has_room(self, heads: Sequence[object]) -> bool:
        """Say whether a feed with so many heads may be appended."""
        return self._heads.has_room(heads)

    def append(self, name: bytes, heads: HeadHints) -> None:
        """Add a feed by author ‖ incarnation (20 bytes). See ``HeadTable.append``."""
        self._heads.append(heads)
        self._ids += name

    def __len__(self) -> int:
        """Return how many feeds there are."""
        return len(self._heads)

    @overload
    def __getitem__(self, place: int) -> tuple[FeedKey, HeadHints]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[FeedKey, HeadHints]]: ...
    def __getitem__(
        self, place: int | slice
    ) -> tuple[FeedKey, HeadHints] | Sequence[tuple[FeedKey, HeadHints]]:
        """Return one feed and its heads, or a stretch of them."""
        if isinstance(place, slice):
            return IdTable(self[at] for at in range(*place.indices(len(self))))
        heads = self._heads[place]
        name = bytes(self._ids[place * _ID_SIZE : (place + 1) * _ID_SIZE])
        author = AuthorId(name[:AUTHOR_ID_SIZE])
        life = int.from_bytes(name[AUTHOR_ID_SIZE:], "big")
        return FeedKey(author, FeedKind.CONTROL, life), heads

    def __eq__(self, other: object) -> bool:
        """Say whether these are the same feeds and heads, whatever holds them."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """Return the hash of feeds and heads."""
        return hash(tuple(self))


class PointTable(Sequence[Point]):
    """Points of one feed; 12 bytes for each."""

    __slots__ = ("_hints", "_seqs")

    def __init__(self, points: Iterable[Point] = ()) -> None:
        """Take points, in order."""
        self._seqs, self._hints = array("I"), bytearray()
        for seq, hint in points:
            self._seqs.append(seq)
            self._hints += hint

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self._seqs)

    def __iter__(self) -> Iterator[Point]:
        """Yield the points, in order."""
        return (self[at] for at in range(len(self)))

    @overload
    def __getitem__(self, place: int) -> Point: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Point]: ...
    def __getitem__(self, place: int | slice) -> Point | Sequence[Point]:
        """Return one point, or a stretch of them."""
        if isinstance(place, slice):
            return PointTable(self[at] for at in range(*place.indices(len(self))))
        seq = self._seqs[place]
        at = place * POINT_HINT_SIZE
        return Point(seq, bytes(self._hints[at : at + POINT_HINT_SIZE]))

    def __eq__(self, other: object) -> bool:
        """Say whether these are the same points, whatever holds them."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """Return the hash of the points."""
        return hash(tuple(self))
