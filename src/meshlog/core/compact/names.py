"""What both ends of a compact segment know: the feeds by their hints, who writes, the forms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.form import FormBook
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster, data_feeds

FEED_HINT_SIZE = 4
"""Bytes that name the feed of a segment: two of 1,000 devices share one once in 10,000 teams."""

REF_HINT_SIZE = 3
"""Bytes that name the feed of a value that was seen: of 1,000 feeds, two share one in 3 % of
teams; those are written out."""


@dataclass(frozen=True, slots=True)
class Codebook:
    """A function of the control events held. What it resolves wrongly has no signature."""

    feeds: Mapping[bytes, FeedKey | None] = field(default_factory=dict)
    """By their hints of 4 bytes; None where two share one."""
    refs: Mapping[bytes, bytes | None] = field(default_factory=dict)
    """References to data feeds, 20 bytes each, by their hints of 3 bytes; None as above."""
    names: Mapping[AuthorId, str] = field(default_factory=dict)
    """What an author's device calls itself: what it writes as `by`."""
    forms: FormBook = field(default_factory=FormBook)

    @classmethod
    def of(cls, roster: Roster, forms: FormBook) -> Self:
        """Return what a roster and its forms let a segment leave out. Cost: O(feeds)."""
        feeds: dict[bytes, FeedKey | None] = {}
        refs: dict[bytes, bytes | None] = {}
        for feed in data_feeds(roster):
            for key in (feed, feed._replace(kind=FeedKind.CONTROL)):
                hint = feed_hint(key)
                feeds[hint] = None if hint in feeds else key
            ref = feed.author + feed.incarnation.to_bytes(4, "big")
            hint = ref_hint(ref)
            refs[hint] = None if hint in refs else ref
        names = {author: member.name for author, member in roster.members.items()}
        return cls(feeds, refs, names, forms)


def feed_hint(feed: FeedKey) -> bytes:
    """Return the bytes that name a feed in front of a segment."""
    return hashlib.blake2b(feed.packed(), digest_size=FEED_HINT_SIZE).digest()


def ref_hint(ref: bytes) -> bytes:
    """Return the bytes that name a feed in a list of what was seen."""
    return hashlib.blake2b(ref, digest_size=REF_HINT_SIZE).digest()
