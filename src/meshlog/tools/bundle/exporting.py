"""Writing a bundle file: what a replica holds, whole or since a point, as sealed segments."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from meshlog.core.bundlefile import (
    SALT_SIZE,
    About,
    BundleHead,
    Frame,
    FrameSealer,
    dataset_tag,
    file_key,
    holds_frames,
    lock_for,
    locks_for,
)
from meshlog.core.event import DatasetId
from meshlog.core.feed import FeedKey, FeedKind, Frontier, Head
from meshlog.core.identity import AuthorId
from meshlog.core.sealedbox import SECRET_SIZE
from meshlog.core.segment import SEGMENT_SIZE_MAX, decode_segment
from meshlog.ports.store import Store
from meshlog.replica.keeper import stands
from meshlog.replica.ledger import Ledger
from meshlog.replica.serving import segments

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Since:
    """From where on a bundle carries what is held; control feeds always travel whole.

    One of the two is given, or neither for everything.
    """

    frontier: Frontier | None = None
    """What whoever gets it holds already: that of an earlier bundle."""
    arrived_ms: int | None = None
    """What arrived on this device from this wall time on."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What a bundle file carries."""

    events: int
    segments: int
    feeds: int
    unsigned: int
    """Events that stay here because no signature covers them yet."""


def export_bundle(
    store: Store,
    ledger: Ledger,
    author: AuthorId,
    key: bytes,
    out: BinaryIO,
    *,
    since: Since,
    now_ms: int,
    rng: random.Random,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle file to ``out``; a segment at a time is in memory.

    Args:
        store: May be open for reading only, beside a writer.
        ledger: The store's.
        author: Who writes it, for whoever looks at it.
        key: The dataset's, 16 bytes: the file is sealed for those who hold it.
        out: Stays the caller's to sync and close.
        since: What to leave out.
        now_ms: Wall time.
        rng: ``random.SystemRandom()`` outside tests.
        progress: Told events done and events in all.
    """
    dataset: DatasetId = ledger.roster.dataset
    salt, secret = rng.randbytes(SALT_SIZE), rng.randbytes(SECRET_SIZE)
    locks = [lock_for(key, dataset, salt, secret)]
    locks += locks_for(_members(ledger), dataset, secret, rng.randbytes)
    head = BundleHead(dataset_tag(dataset), salt, tuple(locks))
    writer = _Writer(out, FrameSealer(file_key(secret, salt), salt), store.event_count(), progress)
    out.write(head.encode())
    whole = since.frontier is None and since.arrived_ms is None
    writer.frame(Frame.ABOUT, About(author, now_ms, store.event_count(), whole).encode())
    for content in holds_frames(ledger.frontier):
        writer.frame(Frame.HOLDS, content)
    first = _left_out(store, since)
    unsigned = feeds = 0
    for feed in in_order(ledger):
        before = writer.events
        unsigned += carry_feed(store, ledger, feed, first, writer.segment)
        feeds += writer.events > before
    writer.frame(Frame.END, b"")
    out.write(head.foot())
    return Exported(writer.events, writer.segments, feeds, unsigned)


def _members(ledger: Ledger) -> list[bytes]:
    """Return the public keys of all members that were not removed; none where all are."""
    roster = ledger.roster
    if roster.is_open:
        return []
    return [
        member.keys for author, member in sorted(roster.members.items()) if stands(ledger, author)
    ]


class _Writer:
    """Numbers the frames."""

    def __init__(
        self, out: BinaryIO, sealer: FrameSealer, total: int, progress: Progress | None
    ) -> None:
        self._out = out
        self._total = total
        self._progress = progress
        self._sealer = sealer
        self._number = 0
        self.events = 0
        self.segments = 0

    def frame(self, type_: Frame, content: bytes) -> None:
        self._out.write(self._sealer.seal(type_, self._number, content))
        self._number += 1

    def segment(self, data: bytes) -> None:
        self.frame(Frame.SEGMENT, data)
        self.events += len(decode_segment(data).bodies)
        self.segments += 1
        if self._progress is not None:
            self._progress(min(self.events, self._total), self._total)


def in_order(ledger: Ledger) -> list[FeedKey]:
    """Return the feeds as they can be taken in: the genesis, who belongs, what they wrote."""
    genesis = ledger.roster.genesis_feed
    return sorted(ledger.frontier, key=lambda feed: (feed.kind, feed != genesis, feed))


def _starts(store: Store, since: Since) -> dict[FeedKey, int]:
    """Return the first seq of each data feed that arrived since a time. O(events)."""
    starts: dict[FeedKey, int] = {}
    if since.arrived_ms is not None:
        for arrival in store.scan():
            feed, seq = arrival.event.feed, arrival.event.seq
            if arrival.arrived_ms >= since.arrived_ms:
                starts[feed] = min(starts.get(feed, seq), seq)
    return starts


def carry_feed(
    store: Store,
    ledger: Ledger,
    feed: FeedKey,
    first: Callable[[FeedKey, Head], int],
    put: Callable[[bytes], None],
    at_once_bytes: int = SEGMENT_SIZE_MAX,
) -> int:
    """Hand over all branches of a feed; return how many events no signature covers.

    Args:
        store: Read only.
        ledger: The store's.
        feed: Whose branches.
        first: Says up to which seq a branch may be left out.
        put: Takes a segment.
        at_once_bytes: Of segments that are read before they are handed over; of one at least.
    """
    tips = ledger.frontier[feed]
    unsigned = 0
    for index, tip in enumerate(tips):
        shared = (_common(store, feed, tip, other) for other in tips[:index])
        reached = max((first(feed, tip), *shared))
        while reached < tip.seq:
            found, reached = segments(
                store, ledger, feed, tip, reached, at_once_bytes, compact=False, size_max=None
            )
            if not found:
                unsigned += tip.seq - reached
                break
            for data in found:
                put(data)
    return unsigned


def _left_out(store: Store, since: Since) -> Callable[[FeedKey, Head], int]:
    """Return what says up to which seq of a branch nothing is to be written."""
    starts = _starts(store, since)

    def first(feed: FeedKey, tip: Head) -> int:
        if feed.kind is FeedKind.CONTROL:
            return 0
        if since.frontier is not None:
            return _known(store, feed, tip, since.frontier.get(feed, ()))
        if since.arrived_ms is not None:
            return starts.get(feed, tip.seq + 1) - 1
        return 0

    return first


def _known(store: Store, feed: FeedKey, tip: Head, heads: Sequence[Head]) -> int:
    """Return up to which seq of a branch somebody with these heads surely holds it."""
    return max(
        (head.seq for head in heads if _id_at(store, feed, tip, head.seq) == head.id), default=0
    )


def _common(store: Store, feed: FeedKey, one: Head, other: Head) -> int:
    """Return the last seq that two branches share. O(log seq) look-ups."""
    low, high = 0, min(one.seq, other.seq)
    while low < high:
        middle = (low + high + 1) // 2
        if _id_at(store, feed, one, middle) == _id_at(store, feed, other, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _id_at(store: Store, feed: FeedKey, tip: Head, seq: int) -> bytes:
    """Return the id at a seq of a branch; empty beyond its end."""
    if not 1 <= seq <= tip.seq:
        return b""
    return tip.id if seq == tip.seq else store.branch(tip, feed, seq - 1, 1)[0].id
