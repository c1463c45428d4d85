"""A bundle file: segments on a stick or a card, sealed; docs/protocol.md §12 is normative.

Every frame stands alone: one that is torn, flipped or forged costs itself and no other.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from meshlog.core.cbor import decode_cbor, encode_cbor
from meshlog.core.codec import Reader, block, varint
from meshlog.core.event import SEQ_MAX, DatasetId
from meshlog.core.feed import FeedKey, FeedKind, Frontier, Head
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId, Identity
from meshlog.core.sealedbox import (
    BOX_SIZE,
    EPHEMERAL_SIZE,
    are_boxes,
    open_box,
    seal_boxes,
)
from meshlog.core.segment import SEGMENT_SIZE_MAX
from meshlog.errors import MalformedError

MAGIC = b"MESHLOG-BUNDLE"
VERSION = 1
TAG_SIZE = 8
SALT_SIZE = 16
CHECK_SIZE = 4
LOCKS_MAX = 255
LOCK_SIZE_MAX = 255

DATASET_LOCK = 1
"""Type of a lock that a holder of the dataset's key opens. Unknown types are skipped."""

MEMBERS_LOCK = 2
"""Type of a lock that each of a few members opens with its own key, whichever of the dataset's
keys it has by now."""

BOXES_MAX = (LOCK_SIZE_MAX - EPHEMERAL_SIZE) // BOX_SIZE

MARK = b"\xfemlf"
FRAME_HEAD_SIZE = len(MARK) + 1 + 4 + 4 + CHECK_SIZE
SEAL_SIZE = 16
FRAME_SIZE_MAX = SEGMENT_SIZE_MAX + SEAL_SIZE

HEAD_SIZE_MAX = (
    len(MAGIC) + 1 + TAG_SIZE + SALT_SIZE + 1 + LOCKS_MAX * (3 + LOCK_SIZE_MAX) + CHECK_SIZE
)
FOOT_EXTRA_SIZE = 4 + len(MAGIC)
"""What the copy of the head at the end is followed by: its size, and the magic once more."""

HOLDS_FEEDS_MAX = 256
"""Feeds whose heads one frame names: at most 40 kB where none forked."""

HEADS_MAX = 64
"""Heads in one entry; a feed of more branches has several entries."""

NUMBER_MAX = 2**53


class Frame(IntEnum):
    """What a frame carries; unknown types are skipped."""

    ABOUT = 1
    HOLDS = 2
    SEGMENT = 3
    END = 4


@dataclass(frozen=True, slots=True)
class Lock:
    """One way to the file's key."""

    type: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BundleHead:
    """What stands in clear: whose it is, and how it may be opened."""

    tag: bytes
    """8 bytes that the dataset's members recognise it by."""
    salt: bytes
    """16 random bytes, the file's own."""
    locks: tuple[Lock, ...]

    def encode(self) -> bytes:
        """Return the head with its check."""
        assert len(self.locks) <= LOCKS_MAX, "the count has one byte"
        body = MAGIC + bytes((VERSION,)) + self.tag + self.salt + bytes((len(self.locks),))
        body += b"".join(bytes((lock.type,)) + block(lock.data) for lock in self.locks)
        return body + _check(b"", body)

    def foot(self) -> bytes:
        """Return the copy of the head that ends the file."""
        head = self.encode()
        return head + len(head).to_bytes(4, "big") + MAGIC


def read_head(data: bytes) -> tuple[BundleHead, int]:
    """Return the head that ``data`` begins with, and its size.

    Args:
        data: At least ``HEAD_SIZE_MAX`` bytes, or all there are. Hostile.

    Raises:
        MalformedError: ``not a bundle file``, ``newer version``, or damaged.
    """
    if not data.startswith(MAGIC):
        raise MalformedError("not a bundle file")
    reader = Reader(data[:HEAD_SIZE_MAX])
    reader.take(len(MAGIC))
    version = reader.uint(1)
    if version != VERSION:
        raise MalformedError("newer version" if version > VERSION else "unknown version")
    tag, salt = reader.take(TAG_SIZE), reader.take(SALT_SIZE)
    locks = tuple(Lock(reader.uint(1), reader.block(LOCK_SIZE_MAX)) for _ in range(reader.uint(1)))
    size = min(len(data), HEAD_SIZE_MAX) - reader.left
    if reader.take(CHECK_SIZE) != _check(b"", data[:size]):
        raise MalformedError("damaged head")
    return BundleHead(tag, salt, locks), size + CHECK_SIZE


def dataset_tag(dataset: DatasetId) -> bytes:
    """Return the 8 bytes that mark a dataset's bundle files, whatever key it has by now."""
    return hashlib.blake2b(b"meshlog.bundle.tag.1\x00" + dataset, digest_size=TAG_SIZE).digest()


def file_key(secret: bytes, salt: bytes) -> bytes:
    """Return the 32-byte key of a file whose locks hold ``secret`` (16 bytes)."""
    purpose = b"meshlog.bundle.file.1\x00" + salt
    return hashlib.blake2b(purpose, key=secret, digest_size=32).digest()


def lock_for(key: bytes, dataset: DatasetId, salt: bytes, secret: bytes) -> Lock:
    """Return the lock that a holder of the dataset's 16-byte ``key`` opens."""
    sealed = ChaCha20Poly1305(_lock_key(key, dataset, salt)).encrypt(bytes(12), secret, None)
    return Lock(DATASET_LOCK, sealed)


def locks_for(
    members: Sequence[bytes], dataset: DatasetId, secret: bytes, luck: Callable[[int], bytes]
) -> list[Lock]:
    """Return locks that the holders of these public keys (64 bytes each) open, six to a lock.

    Args:
        members: Beyond the first 1,524 nobody gets one.
        dataset: Whose members.
        secret: 16 bytes.
        luck: Returns so many random bytes, used for nothing else.
    """
    few = [members[at : at + BOXES_MAX] for at in range(0, len(members), BOXES_MAX)]
    boxes = (seal_boxes(secret, some, luck(EPHEMERAL_SIZE), dataset) for some in few)
    return [Lock(MEMBERS_LOCK, data) for data, _ in zip(boxes, range(LOCKS_MAX - 1), strict=False)]


def unlock(
    head: BundleHead, keys: Iterable[bytes], dataset: DatasetId, identity: Identity | None = None
) -> bytes | None:
    """Return the file's key, or None where neither a key nor the identity opens a lock.

    Args:
        head: Hostile.
        keys: The dataset's, as many as we have.
        dataset: Ours.
        identity: This device's, for locks to members.
    """
    for key in keys:
        cipher = ChaCha20Poly1305(_lock_key(key, dataset, head.salt))
        for lock in head.locks:
            if lock.type != DATASET_LOCK:
                continue
            with contextlib.suppress(InvalidTag, ValueError):
                return file_key(cipher.decrypt(bytes(12), lock.data, None), head.salt)
    for lock in head.locks:
        if lock.type == MEMBERS_LOCK and identity is not None and are_boxes(lock.data):
            secret = open_box(lock.data, identity, dataset)
            if secret is not None:
                return file_key(secret, head.salt)
    return None


class FrameSealer:
    """Seals and opens the frames of one file."""

    def __init__(self, file_key: bytes, salt: bytes) -> None:
        """Take the file's key (32 bytes, used for this file alone) and its salt."""
        self._cipher = ChaCha20Poly1305(file_key)
        self._salt = salt

    def seal(self, type_: int, number: int, content: bytes) -> bytes:
        """Return a whole frame. No number is used twice under one key."""
        head = frame_head(self._salt, type_, number, len(content) + SEAL_SIZE)
        return head + self._cipher.encrypt(_nonce(number), content, self._salt + bytes((type_,)))

    def open(self, type_: int, number: int, sealed: bytes) -> bytes:
        """Return what a frame carries.

        Raises:
            MalformedError: It is not what was sealed as this frame of this file.
        """
        try:
            return self._cipher.decrypt(_nonce(number), sealed, self._salt + bytes((type_,)))
        except (InvalidTag, ValueError) as error:
            raise MalformedError("not sealed") from error


def frame_head(salt: bytes, type_: int, number: int, size: int) -> bytes:
    """Return the 17 bytes before a frame's content of ``size`` bytes."""
    words = bytes((type_,)) + number.to_bytes(4, "big") + size.to_bytes(4, "big")
    return MARK + words + _check(salt, words)


def read_frame_head(data: bytes, salt: bytes) -> tuple[int, int, int] | None:
    """Return type, number and size of the frame that begins with ``data``; None if none does."""
    if len(data) < FRAME_HEAD_SIZE or not data.startswith(MARK):
        return None
    words = data[len(MARK) : FRAME_HEAD_SIZE - CHECK_SIZE]
    if data[FRAME_HEAD_SIZE - CHECK_SIZE : FRAME_HEAD_SIZE] != _check(salt, words):
        return None
    size = int.from_bytes(words[5:], "big")
    if not SEAL_SIZE <= size <= FRAME_SIZE_MAX:
        return None
    return words[0], int.from_bytes(words[1:5], "big"), size


# ── What frames carry ───────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class About:
    """Who wrote the file, when, and what it held then."""

    author: AuthorId
    at_ms: int
    events: int
    """Held by who wrote it; the file may carry fewer."""
    is_whole: bool
    """Whether the file carries all of them; otherwise what came since a point."""

    def encode(self) -> bytes:
        """Return the content of an ABOUT frame: a CBOR map; further keys may come."""
        return encode_cbor(
            {
                "author": self.author,
                "at_ms": self.at_ms,
                "events": self.events,
                "whole": self.is_whole,
            }
        )


def read_about(content: bytes) -> About:
    """Return what an ABOUT frame says; MalformedError where it says nothing of the kind."""
    found = decode_cbor(content)
    if not isinstance(found, Mapping):
        raise MalformedError("no such number")
    author, at_ms, events = (found.get(key) for key in ("author", "at_ms", "events"))
    if (
        not isinstance(author, bytes)
        or len(author) != AUTHOR_ID_SIZE
        or type(at_ms) is not int
        or type(events) is not int
        or not 0 <= at_ms <= WALL_MS_MAX
        or not 0 <= events <= NUMBER_MAX
    ):
        raise MalformedError("no such number")
    return About(AuthorId(author), at_ms, events, found.get("whole") is True)


def holds_frames(frontier: Frontier) -> Iterator[bytes]:
    """Yield the contents of the HOLDS frames that say a frontier."""
    entries = [
        (feed, heads[start : start + HEADS_MAX])
        for feed, heads in sorted(frontier.items())
        for start in range(0, len(heads), HEADS_MAX)
    ]
    for start in range(0, len(entries), HOLDS_FEEDS_MAX):
        some = entries[start : start + HOLDS_FEEDS_MAX]
        yield varint(len(some)) + b"".join(_entry(feed, heads) for feed, heads in some)


def _entry(feed: FeedKey, heads: Sequence[Head]) -> bytes:
    said = b"".join(varint(head.seq) + head.id for head in heads)
    return feed.packed() + varint(len(heads)) + said


def read_holds(content: bytes) -> list[tuple[FeedKey, tuple[Head, ...]]]:
    """Return feeds and heads of a HOLDS frame.

    Raises:
        MalformedError: It is not one, or is past a limit.
    """
    reader = Reader(content)
    found = []
    for _ in range(reader.varint(HOLDS_FEEDS_MAX)):
        author, kind = AuthorId(reader.take(AUTHOR_ID_SIZE)), reader.uint(1)
        if kind not in (FeedKind.CONTROL, FeedKind.DATA):
            raise MalformedError("unknown feed kind")
        feed = FeedKey(author, FeedKind(kind), reader.uint(4))
        heads = tuple(
            Head(reader.varint(SEQ_MAX), reader.take(32)) for _ in range(reader.varint(HEADS_MAX))
        )
        found.append((feed, heads))
    reader.end()
    return found


def _lock_key(key: bytes, dataset: DatasetId, salt: bytes) -> bytes:
    purpose = b"meshlog.bundle.lock.1\x00" + dataset + salt
    return hashlib.blake2b(purpose, key=key, digest_size=32).digest()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _check(salt: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(salt + data, digest_size=CHECK_SIZE).digest()
