"""A feed's name, its heads, and the frontier and root that sum up what a replica holds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId

FEED_KEY_SIZE = AUTHOR_ID_SIZE + 5
ROOT_DOMAIN = b"meshlog.root.1"
ROSTER_DOMAIN = b"meshlog.rost.1"


class FeedKind(IntEnum):
    """Control feeds say who belongs; data feeds carry records. Control syncs first."""

    CONTROL = 0
    DATA = 1


class FeedKey(NamedTuple):
    """Name of one hash-linked log: author, kind, and the life of the device that writes it."""

    author: AuthorId
    kind: FeedKind
    incarnation: int
    """32 random bits, new after create, copy and restore."""

    def packed(self) -> bytes:
        """Return the 21 bytes that the wire and the store use."""
        return self.author + bytes((self.kind,)) + self.incarnation.to_bytes(4, "big")


class Head(NamedTuple):
    """Last event of a branch: its seq (from 1) and its 32-byte id."""

    seq: int
    id: bytes


Frontier: TypeAlias = Mapping[FeedKey, tuple[Head, ...]]
"""The heads that a replica holds, sorted within a feed; more than one where a feed forked."""


def by_turns(feeds: Iterable[FeedKey]) -> list[FeedKey]:
    """Return feeds with the first of every author before the second of any, and so on.

    Whoever opens thousands stands in its own way alone. Cost: O(feeds · log feeds).

    Example:
        >>> [feed.incarnation for feed in by_turns(FeedKey(a, 0, n) for a, n in
        ...     [(b"eve", 7), (b"eve", 1), (b"zoe", 3)])]
        [1, 3, 7]
    """
    seen: Counter[tuple[AuthorId, FeedKind]] = Counter()
    ranked = []
    for feed in sorted(feeds):
        ranked.append((seen[feed.author, feed.kind], feed))
        seen[feed.author, feed.kind] += 1
    return [feed for _, feed in sorted(ranked)]


def digest(domain: bytes, frontier: Iterable[tuple[FeedKey, tuple[Head, ...]]]) -> bytes:
    """Return the 32 bytes that stand for every event below these heads.

    Same digest ⇒ same events, because a head's id commits to all of its branch.
    Cost: O(feeds · log feeds).

    Example:
        >>> digest(ROOT_DOMAIN, []).hex()[:8]
        '07768912'
    """
    state = hashlib.blake2b(domain, digest_size=32)
    for key, heads in sorted((key.packed(), heads) for key, heads in frontier):
        state.update(key)
        state.update(len(heads).to_bytes(4, "big"))
        for head in sorted(heads):
            state.update(head.seq.to_bytes(4, "big") + head.id)
    return state.digest()
