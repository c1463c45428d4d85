"""Heads in memory: what the frontier is made of, with the way back if the disk refuses."""

from __future__ import annotations

from typing import NamedTuple

from meshlog.core.feed import FeedKey, Head


class Tip(NamedTuple):
    """Where a branch ends."""

    seq: int
    position: int
    """Of its last event."""


HeadOf = tuple[FeedKey, bytes, Tip]
"""A head: of which feed, its event's id, and where it is."""


class Heads:
    """The last event of every branch of every feed.

    Changes belong to the open transaction until ``accept`` or ``restore``.
    """

    def __init__(self) -> None:
        self._tips: dict[FeedKey, dict[bytes, Tip]] = {}
        self._before: dict[FeedKey, dict[bytes, Tip]] = {}
        """Of feeds that the open transaction changes: as they are durable."""
        self._written: dict[FeedKey, dict[bytes, Tip]] = {}
        """Of feeds that changed since the checkpoint: as it has them."""
        self._summary: dict[FeedKey, tuple[Head, ...]] = {}
        self._stale: set[FeedKey] = set()

    def load(self, feed: FeedKey, event_id: bytes, tip: Tip) -> None:
        """Take one head from the file, outside any transaction."""
        self._tips.setdefault(feed, {})[event_id] = tip
        self._stale.add(feed)

    def summary(self) -> dict[FeedKey, tuple[Head, ...]]:
        """Return the heads, in order of feeds and sorted within one; the caller's own copy.

        The order is that of the names, not of arrival: the same seed gives the same run.
        O(feeds).
        """
        known = len(self._summary)
        for feed in self._stale:
            tips = self._tips.get(feed)
            if tips:
                self._summary[feed] = tuple(sorted(Head(tip.seq, id_) for id_, tip in tips.items()))
            elif self._summary.pop(feed, None):
                known -= 1
        self._stale.clear()
        if len(self._summary) > known:
            self._summary = dict(sorted(self._summary.items()))
        return dict(self._summary)

    def tips(self, feed: FeedKey) -> dict[bytes, Tip]:
        """Return the heads of one feed by event id; empty for an unknown feed. Read only."""
        return self._tips.get(feed, {})

    def edit(self, feed: FeedKey) -> dict[bytes, Tip]:
        """Return the heads of one feed for changing them within the open transaction."""
        tips = self._tips.get(feed)
        if tips is None:
            tips = self._tips[feed] = {}
        if feed not in self._before:
            self._before[feed] = before = dict(tips)
            self._written.setdefault(feed, before)
        self._stale.add(feed)
        return tips

    def extend(self, feed: FeedKey, base: int | None, event_id: bytes, tip: Tip) -> None:
        """Let the branch that ends at a position, or a new one, end in ``tip``."""
        tips = self.edit(feed)
        for id_, before in tips.items():
            if before.position == base:
                del tips[id_]
                break
        tips[event_id] = tip

    def changes(self) -> tuple[list[HeadOf], list[HeadOf]]:
        """Return what is a head no more since the checkpoint, and the new heads."""
        gone: list[HeadOf] = []
        new: list[HeadOf] = []
        for feed, before in self._written.items():
            now = self._tips.get(feed, {})
            gone += [(feed, id_, tip) for id_, tip in before.items() if id_ not in now]
            new += [(feed, id_, tip) for id_, tip in now.items() if id_ not in before]
        return gone, new

    def accept(self, *, is_checkpoint: bool) -> None:
        """Keep the changes: the transaction is durable, and perhaps a checkpoint."""
        self._before.clear()
        if is_checkpoint:
            self._written.clear()

    def restore(self) -> None:
        """Undo the changes: the transaction never was."""
        for feed, before in self._before.items():
            if before:
                self._tips[feed] = dict(before)
            else:
                del self._tips[feed]
            self._stale.add(feed)
        self._before.clear()
