"""Neighbours who missed a rotation of the dataset's key: what they are told under the old one.

Control feeds and nothing else, so that they find their box and move on. Whoever got none hears
no data. docs/protocol.md §6.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from meshlog.core.identity import AuthorId
from meshlog.sync.broadcast.recall import control_digests
from meshlog.sync.broadcast.repairs import Repairs
from meshlog.sync.broadcast.turns import Turns
from meshlog.sync.difference import Push
from meshlog.sync.holdings import Holdings
from meshlog.sync.keyring import KeyRing
from meshlog.sync.messages import Message, Run
from meshlog.sync.statements import Digests

WINDOW_MS = 600_000
PACKETS_MAX = 24
"""Packets under older keys within ``WINDOW_MS``: replays of old packets drain no budget."""

SAID_SLOTS = 40
"""What control feeds we hold is said again under one key no sooner than that."""

STRANGE_MS = 600_000
"""At most so often a packet that no key opens is answered: its sender may hold another branch of
rotations, and an older key in common. An outsider's junk gains one packet for it, too."""


class Told(NamedTuple):
    """What to say under an older key."""

    messages: list[Message]
    key: bytes


class Stragglers:
    """What is owed to those who hold an older key only, within a budget of its own."""

    def __init__(
        self,
        author: AuthorId,
        holdings: Holdings,
        turns: Turns,
        ring: KeyRing,
        statement: Callable[[], Digests],
    ) -> None:
        """Take who we are, the replica, turns, our keys, and our statement of control feeds."""
        self._author = author
        self._holdings = holdings
        self._turns = turns
        self._ring = ring
        self._statement = statement
        self._key = ring.current
        """The older key that was heard, or was ours, last."""
        self._repairs = Repairs(author, holdings, turns)
        self._say_ms: int | None = None
        self._said_ms = 0
        """Until when our statement is not said again."""
        self._strange_ms = 0
        """Until when packets that no key opens are let go."""
        self._window_ms = 0
        self._sent = 0

    def rotated(self, key: bytes, news: Iterable[Push], now_ms: int) -> None:
        """Tell what brought the new key under the one before, so that all in range move on."""
        self._follow(key)
        for push in news:
            wait_ms = 0 if push.feed.author == self._author else self._turns.turn()
            self._repairs.owe_news([push], now_ms + wait_ms, urgent=True)

    def heard(
        self, key: bytes, messages: Iterable[Message], runs: Iterable[Run | None], now_ms: int
    ) -> None:
        """Take what somebody said under an older key.

        Args:
            key: The older one.
            messages: What was said; its segments are stored by now.
            runs: What those segments cover.
            now_ms: Wall time.
        """
        self._follow(key)
        self._repairs.overheard(runs, now_ms)
        digests = [message for message in messages if isinstance(message, Digests)]
        if not digests:
            self._plan(now_ms)
            return
        ours = control_digests(self._holdings.frontier())
        for said in digests:
            theirs = set(said.digests)
            near = {d: feed for d, feed in ours.items() if said.first <= d <= said.last}
            lacking = tuple(feed for digest, feed in near.items() if digest not in theirs)
            frontier = self._holdings.frontier()
            pushes = [Push(feed, tip, 0) for feed in lacking for tip in frontier[feed]]
            self._repairs.owe(pushes, PACKETS_MAX, now_ms, lack=lacking)
            if theirs - ours.keys():
                self._plan(now_ms)
            elif theirs == set(near):
                self._say_ms = None  # somebody said it for us

    def strange(self, now_ms: int) -> None:
        """Take that a packet came which none of our keys opens."""
        older = self._ring.keys[1:]
        if older and now_ms >= self._strange_ms:
            self._strange_ms = now_ms + STRANGE_MS
            self._follow(older[0])
            self._plan(now_ms)

    def set_back(self, by_ms: int) -> None:
        """Move with the wall clock."""
        self._repairs.set_back(by_ms)
        self._said_ms -= by_ms
        self._strange_ms -= by_ms
        self._window_ms -= by_ms
        if self._say_ms is not None:
            self._say_ms -= by_ms

    def next_ms(self) -> int | None:
        """Return when there is something to say; None where there is not."""
        times = [when for when in (self._say_ms, self._repairs.next_ms()) if when is not None]
        if not times:
            return None
        return max(min(times), self._window_ms if self._sent >= PACKETS_MAX else 0)

    def next_packet(self, now_ms: int) -> Told | None:
        """Return what to say now, if anything; it counts as said."""
        due_ms = self.next_ms()
        if due_ms is None or now_ms < due_ms:
            return None
        if self._key not in self._ring.keys[1:]:
            self._follow(self._ring.current)  # too old: its holders are met over links
            return None
        if now_ms >= self._window_ms:
            self._window_ms, self._sent = now_ms + WINDOW_MS, 0
        messages: list[Message] = []
        if self._repairs.due(now_ms) is not None:
            messages = self._repairs.load(now_ms)
        elif self._say_ms is not None and now_ms >= self._say_ms:
            messages = [self._statement()]
            self._say_ms = None
            self._said_ms = now_ms + SAID_SLOTS * self._turns.slot_ms
        if not messages:
            return None
        self._sent += 1
        return Told(messages, self._key)

    def _follow(self, key: bytes) -> None:
        """Turn to the holders of another key; what was owed under the last is let go."""
        if key != self._key:
            self._key = key
            self._repairs = Repairs(self._author, self._holdings, self._turns)
            self._say_ms, self._said_ms = None, 0

    def _plan(self, now_ms: int) -> None:
        if self._say_ms is None:
            self._say_ms = max(now_ms + self._turns.turn(), self._said_ms)
