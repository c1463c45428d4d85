"""Reading a bundle file frame by frame; what is torn or flipped is named and stepped over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from meshlog.core.bundlefile import (
    FOOT_EXTRA_SIZE,
    FRAME_HEAD_SIZE,
    FRAME_SIZE_MAX,
    HEAD_SIZE_MAX,
    MAGIC,
    MARK,
    About,
    BundleHead,
    Frame,
    FrameSealer,
    dataset_tag,
    read_about,
    read_frame_head,
    read_head,
    read_holds,
    unlock,
)
from meshlog.core.event import DatasetId
from meshlog.core.feed import FeedKey, Head
from meshlog.core.identity import Identity
from meshlog.errors import InputError, MalformedError

CHUNK_SIZE = 65_536
"""Bytes looked through at once for the next frame."""

REREAD_MAX = 4
"""How often a file may be read in all while it is looked through for frames inside of damaged
ones. Beginnings that somebody made up would have each be read to its size."""

FEEDS_MAX = 100_000
"""Feeds that a bundle's frontier may name: some 20 MB in memory. A choice."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A frame that is what was sealed."""

    number: int
    type: int
    content: bytes
    at_bytes: int
    """Where it begins in the file."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of the file that is no frame."""

    at_bytes: int
    size_bytes: int
    what: str
    """A sentence's end: ``"… is torn"``."""


Piece: TypeAlias = Whole | Damage


class BundleReader:
    """An open bundle file whose key is known. Reads one frame at a time.

    Args:
        file: Seekable; stays the caller's.
        name: What people call it.
        dataset: Ours.
        keys: The dataset's keys that we hold, the latest first.
        identity: This device's: its own lock opens where none of the keys does.

    Raises:
        InputError: No bundle file, a newer one, another dataset's, or sealed under a key that
            we do not hold.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        dataset: DatasetId,
        keys: Sequence[bytes],
        identity: Identity | None,
    ) -> None:
        self._file = file
        self.size_bytes = file.seek(0, 2)
        self.head, self._start, self.head_is_damaged = _head_of(file, name, self.size_bytes)
        if self.head.tag != dataset_tag(dataset):
            raise InputError(f"{name} is a bundle of another dataset: nothing of it was taken")
        key = unlock(self.head, keys, dataset, identity)
        if key is None:
            raise InputError(
                f"{name} is sealed under a key of the dataset that this device does not have:"
                " let it meet a member first, or have the bundle exported again by one"
                " who knows this device"
            )
        self._sealer = FrameSealer(key, self.head.salt)
        self.done_bytes = self._opened_bytes = 0
        self.frames: int | None = None
        """How many frames stand before the end mark; None until that was read."""

    def pieces(self) -> Iterator[Piece]:
        """Yield what the file consists of, in order, up to its end mark."""
        at = self._start
        self.frames, self._opened_bytes = None, 0
        while at < self.size_bytes and self.frames is None:
            self.done_bytes = at
            self._file.seek(at)
            head = read_frame_head(self._file.read(FRAME_HEAD_SIZE), self.head.salt)
            if head is None:
                found = self._next_frame(at + 1)
                if self._is_foot(at, found):
                    break
                yield Damage(at, found - at, "is no part of a bundle")
                at = found
                continue
            type_, number, size = head
            piece = self._read(type_, number, size, at)
            at += piece.size_bytes if isinstance(piece, Damage) else FRAME_HEAD_SIZE + size
            if isinstance(piece, Whole) and type_ == Frame.END:
                self.frames = number
                if not self._is_foot(at, self.size_bytes):
                    yield Damage(at, self.size_bytes - at, "is not the copy of its head")
            else:
                yield piece
        self.done_bytes = self.size_bytes

    def _read(self, type_: int, number: int, size: int, at: int) -> Piece:
        """Return the frame that begins at ``at``; where it is none, all up to the next beginning.

        Bytes may be missing in it: the next frame then begins sooner than its size says.
        """
        sealed = self._file.read(size)
        self._opened_bytes += len(sealed)
        what = f"is torn: part {number}"
        if len(sealed) == size:
            try:
                return Whole(number, type_, self._sealer.open(type_, number, sealed), at)
            except MalformedError:
                what = f"was changed or damaged: part {number}"
        end = at + FRAME_HEAD_SIZE + len(sealed)
        if self._opened_bytes <= REREAD_MAX * self.size_bytes + FRAME_SIZE_MAX:
            end = min(end, self._next_frame(at + FRAME_HEAD_SIZE))
        return Damage(at, end - at, what)

    def _next_frame(self, at: int) -> int:
        """Return where the next frame begins, or the end of the file. O(bytes passed)."""
        while at < self.size_bytes:
            self._file.seek(at)
            data = self._file.read(CHUNK_SIZE + FRAME_HEAD_SIZE)
            place = data.find(MARK)
            while 0 <= place < CHUNK_SIZE:
                whole = data[place : place + FRAME_HEAD_SIZE]
                if read_frame_head(whole, self.head.salt) is not None:
                    return at + place
                place = data.find(MARK, place + 1)
            at += CHUNK_SIZE
        return self.size_bytes

    def _is_foot(self, at: int, end: int) -> bool:
        """Say whether the copy of the head is all that is left: the end mark alone is missing."""
        self._file.seek(at)
        return end == self.size_bytes and self._file.read(HEAD_SIZE_MAX) == self.head.foot()


def _head_of(file: BinaryIO, name: str, size: int) -> tuple[BundleHead, int, bool]:
    """Return the head, where the frames begin, and whether its copy at the end had to serve."""
    file.seek(0)
    start = file.read(HEAD_SIZE_MAX)
    try:
        head, head_size = read_head(start)
    except MalformedError as error:
        spare = _foot_of(file, size)
        if spare is not None:
            return spare, len(spare.encode()), True
        if error.reason == "newer version":
            raise InputError(f"{name} was written by a newer meshlog: update this one") from error
        if error.reason == "not a bundle file":
            raise InputError(
                f"{name} is not a bundle: name a file that `bundle export` wrote"
            ) from error
        raise InputError(
            f"the start of {name} is damaged, and so is its copy at the end:"
            " nothing in it can be read, have it exported again"
        ) from error
    return head, head_size, False


def _foot_of(file: BinaryIO, size: int) -> BundleHead | None:
    """Return the copy of the head at the end of a file, or None where it does not hold."""
    file.seek(max(size - HEAD_SIZE_MAX - FOOT_EXTRA_SIZE, 0))
    end = file.read(HEAD_SIZE_MAX + FOOT_EXTRA_SIZE)
    if len(end) < FOOT_EXTRA_SIZE or not end.endswith(MAGIC):
        return None
    copy_size = int.from_bytes(end[-FOOT_EXTRA_SIZE : -len(MAGIC)], "big")
    copy = end[-FOOT_EXTRA_SIZE - copy_size : -FOOT_EXTRA_SIZE]
    try:
        head, _ = read_head(copy)
    except MalformedError:
        return None
    return head


@dataclass(slots=True)
class Summary:
    """What a bundle file says of itself."""

    about: About | None = None
    frontier: dict[FeedKey, tuple[Head, ...]] | None = None


def summary_of(piece: Whole, summary: Summary) -> None:
    """Take what a frame says about the file; a frame that cannot be read says nothing."""
    try:
        if piece.type == Frame.ABOUT:
            summary.about = read_about(piece.content)
        elif piece.type == Frame.HOLDS:
            known = summary.frontier or {}
            for feed, heads in read_holds(piece.content):
                if len(known) < FEEDS_MAX:
                    known[feed] = known.get(feed, ()) + heads
            summary.frontier = known
    except MalformedError:
        return


def read_summary(
    path: Path, dataset: DatasetId, keys: Sequence[bytes], identity: Identity | None = None
) -> Summary:
    """Return what stands before the segments of a bundle file.

    Raises:
        InputError: As ``BundleReader``.
        OSError: It cannot be read.
    """
    summary = Summary()
    with path.open("rb") as file:
        for piece in BundleReader(file, str(path), dataset, keys, identity).pieces():
            if isinstance(piece, Whole):
                if piece.type == Frame.SEGMENT:
                    break
                summary_of(piece, summary)
    return summary
