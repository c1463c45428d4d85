"""What our next statement says: as little as makes clear what we lack and what we hold."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

from meshlog.core.feed import FeedKey
from meshlog.sync.broadcast.loose import Loose, holes
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX
from meshlog.sync.broadcast.recall import (
    Heads,
    Recall,
    Stated,
    changes,
    heads_of,
    is_same,
    stated_vec,
    whole_digests,
)
from meshlog.sync.hints import HeadHint, HeadHints
from meshlog.sync.holdings import Holdings
from meshlog.sync.locators import locate
from meshlog.sync.messages import Beacon, Message, encode_message
from meshlog.sync.statements import (
    BASE_SIZE,
    FEED_DIGEST_MAX,
    FEEDS_MAX,
    ROSTER_DIGEST_SIZE,
    STEPS_MAX,
    Delta,
    Digests,
    Loc,
    Step,
    Vec,
    statement_id,
)

BASE_TRIES = 2
"""Statements that count from a remembered root, before one that needs no memory; where that is in
vain, too, the next tells hints: a feed may have forked without a seq that differs."""

POINTS_PER_PACKET = 40
"""Points of a locator that fit a packet beside its head."""

DIGESTS_SURE = 120
"""Digests that fit a packet in any case: 445 bytes, at most 28 bits for each."""

LOCATED_MAX = 4
"""Forked feeds that wait to be located; the others come up again."""

OWN_MAX = 8


class Wording:
    """Chooses between a beacon, DELTA, VEC, DIGESTS and LOC."""

    def __init__(
        self,
        holdings: Holdings,
        loose: Loose,
        recall: Recall,
        credit_packets: int,
        rng: random.Random,
    ) -> None:
        """Take what we hold, keep and remember, and how many packets we take at a time."""
        self._holdings = holdings
        self._loose = loose
        self._recall = recall
        self._credit = credit_packets
        self._rng = rng
        self._answering: Stated | None = None
        self._openly = False
        self._rosters_differ = False
        self._locating: list[FeedKey] = []
        self._own: deque[bytes] = deque(maxlen=OWN_MAX)
        self.hints_wanted = False
        """Whether seqs told no difference, though there is one."""

    # ── reasons ─────────────────────────────────────────────────────────────────────

    def answer(self, stated: Stated) -> None:
        """Count the next statement from a neighbour's, which shows what we lack."""
        self._answering = stated

    def ask_openly(self) -> None:
        """Count the next statement from nothing: somebody does not know our base."""
        self._openly = True

    def rosters_differ(self) -> None:
        """Tell our control feeds next: indices mean different things."""
        self._rosters_differ = True

    def locate(self, feed: FeedKey) -> None:
        """Tell points of a forked feed next."""
        if feed not in self._locating and len(self._locating) < LOCATED_MAX:
            self._locating.append(feed)

    def seen_no_difference(self) -> None:
        """Tell hints next: a neighbour's seqs are ours."""
        self.hints_wanted = True

    def forget(self) -> None:
        """Drop every reason: a neighbour agrees."""
        self._answering = None
        self._openly = self._rosters_differ = self.hints_wanted = False
        self._locating.clear()

    def is_ours(self, base: bytes) -> bool:
        """Say whether a DELTA counts from a statement of ours."""
        return base in self._own

    def is_said_by(self, stated: Stated) -> bool:
        """Say whether a neighbour's statement makes ours needless.

        It holds nothing that we lack, and lacks all that we do, or stands where we stand.
        """
        ours = self._ours()
        if lacks(ours, stated.heads):
            return False
        if self._answering is not None:
            return lacks(stated.heads, self._answering.heads)
        return not lacks(stated.heads, ours)

    # ── words ───────────────────────────────────────────────────────────────────────

    def statement(self, odd: Beacon | None, says: int) -> list[Message] | None:
        """Return the messages of one packet; empty where a beacon says it, None for nothing.

        Args:
            odd: The beacon that we do not understand, if any.
            says: How many statements were in vain before this one.
        """
        if self._rosters_differ:
            self._rosters_differ = False
            return [self.digests()]
        messages: list[Message] = []
        if self._locating:
            feed = self._locating.pop(0)
            loc = locate(self._holdings, feed)
            messages.append(Loc(feed, loc.points[:POINTS_PER_PACKET]))
        ours = self._ours()
        if self._answering is not None and lacks(ours, self._answering.heads):
            messages += self._delta(self._answering.name, self._answering.heads, ours)
        elif odd is not None or self._openly or self.hints_wanted or len(self._loose):
            self._answering = None
            said = self._unprompted(ours, says)
            if not said and not messages:
                return []
            messages += said
        return _fitting(messages) or None

    def _unprompted(self, ours: Heads, says: int) -> list[Message]:
        """Return what to say to a stranger's root; empty where a beacon says it all."""
        base = self._recall.agreed
        before = self._recall.at(base) if base else None
        if says > BASE_TRIES:
            self.seen_no_difference()
        if self._openly or self.hints_wanted or before is None or says >= BASE_TRIES:
            self._openly = False
            return [self._vec(ours)]
        if base == self._holdings.root() and not len(self._loose):
            return []
        return self._delta(base[:BASE_SIZE], heads_of(before, self._holdings.indexed_feeds()), ours)

    def _delta(self, name: bytes, base: Heads, ours: Heads) -> list[Message]:
        digest = self._holdings.roster_digest()
        steps = self._with_holes(changes(base, ours), ours)
        delta = Delta(name, digest[:1], self._credit, steps)
        if len(steps) > STEPS_MAX or len(encode_message(delta)) > CARGO_SIZE_MAX:
            return [self._vec(ours)]
        self._made(Stated(statement_id(delta), digest[:ROSTER_DIGEST_SIZE], ours, self._credit))
        return [delta]

    def _with_holes(self, steps: tuple[Step, ...], ours: Heads) -> tuple[Step, ...]:
        """Return the steps with what waits behind our heads; feeds that forked are left alone."""
        waiting = self._loose.feeds()
        if not waiting:
            return steps
        by_place = {step.place: step for step in steps}
        for place, feed in enumerate(self._holdings.indexed_feeds()[:FEEDS_MAX]):
            heads = ours[place] or ()
            step = by_place.get(place, Step(place, 0))
            if feed in waiting and len(heads) <= 1 and not step.heads:
                head_seq = heads[0].seq if heads else 0
                by_place[place] = step._replace(holes=holes(head_seq, self._loose.spans(feed)))
        return tuple(by_place[place] for place in sorted(by_place))

    def _vec(self, ours: Heads) -> Vec:
        """Return all our heads, or as many from a random place on as a packet carries."""
        digest = self._holdings.roster_digest()[:ROSTER_DIGEST_SIZE]
        hashed, self.hints_wanted = self.hints_wanted, False
        feeds = tuple(_level(heads or (), hashed=hashed) for heads in ours[:FEEDS_MAX])
        vec = Vec(digest, hashed, feeds, credit=self._credit)
        size = len(encode_message(vec))
        if size > CARGO_SIZE_MAX:
            first = self._rng.randrange(self._early(len(feeds)))
            count = len(feeds) * CARGO_SIZE_MAX // size
            while size > CARGO_SIZE_MAX:
                vec = replace(vec, feeds=feeds[first : first + count], first=first, partial=True)
                size = len(encode_message(vec))
                count = count * 9 // 10
        self._made(stated_vec(vec, digest, len(feeds)))
        return vec

    def _early(self, count: int) -> int:
        """Return below which index a part of our feeds begins.

        Every other time it is among the first two feeds of every author, so that a crowd of
        feeds of one author delays its own most.
        """
        if self._rng.random() < 0.5:  # noqa: PLR2004 - every other time
            return count
        return min(2 * len({feed.author for feed in self._holdings.indexed_feeds()}), count)

    def digests(self) -> Digests:
        """Return our control feeds' digests, or as many from a random place on as fit."""
        whole = whole_digests(self._holdings.frontier())
        if len(whole.digests) <= DIGESTS_SURE and len(encode_message(whole)) <= CARGO_SIZE_MAX:
            return whole
        count = DIGESTS_SURE
        first = self._rng.randrange(len(whole.digests))
        named = whole.digests[first : first + count]
        last = named[-1] if first + count < len(whole.digests) else FEED_DIGEST_MAX
        return Digests(named[0] if first else 0, last, named)

    def _ours(self) -> Heads:
        return heads_of(self._holdings.frontier(), self._holdings.indexed_feeds())

    def _made(self, stated: Stated) -> None:
        self._recall.hear(stated)
        self._own.append(stated.name)


def lacks(ours: Heads, theirs: Heads) -> bool:
    """Say whether ``theirs`` shows anything that ``ours`` does not hold, judged by seqs."""
    for index, heads in enumerate(theirs):
        mine = (ours[index] if index < len(ours) else ()) or ()
        if heads and not is_same(mine, heads) and heads[-1].seq >= (mine[-1].seq if mine else 0):
            return True
    return False


def _level(heads: HeadHints, *, hashed: bool) -> HeadHints:
    if len(heads) != 1 or hashed:
        return heads
    return (HeadHint(heads[0].seq, b""),)


def _fitting(messages: list[Message]) -> list[Message]:
    """Return the messages that one packet carries, first come first served."""
    room = CARGO_SIZE_MAX
    out = []
    for message in messages:
        room -= len(encode_message(message))
        if room < 0:
            break
        out.append(message)
    return out
