"""What the broadcast lane remembers: roots we stood at, statements we heard. A cache (I7)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FeedKey, FeedKind, Frontier
from meshlog.sync.difference import Span
from meshlog.sync.hints import HeadHint, HeadHints
from meshlog.sync.messages import Beacon, root_hint
from meshlog.sync.statements import (
    BASE_SIZE,
    FEED_DIGEST_MAX,
    FEEDS_MAX,
    HEADS_MAX,
    Delta,
    Digests,
    Step,
    Vec,
    feed_digest,
    hints,
    statement_id,
)

ROOTS_MAX = 24
"""Roots remembered: as many steps as a neighbour may be behind and still be served at once."""

STATEMENTS_MAX = 12

Heads = tuple[HeadHints | None, ...]
"""What somebody's data feeds are, by index; None where it did not say."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One statement, resolved: the heads of the sender's data feeds under a roster."""

    name: bytes
    """4 bytes by which a DELTA counts from it."""
    roster_digest: bytes
    """Of our roster when we resolved it."""
    heads: Heads
    credit: int
    skips: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)
    """By index: what its sender holds behind what it lacks."""


class Recall:
    """Remembers at most a fixed number of roots and statements; forgets the oldest."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._roots: OrderedDict[bytes, Frontier] = OrderedDict()
        self._stated: OrderedDict[bytes, Stated] = OrderedDict()
        self.agreed: bytes = b""
        """The last root at which a neighbour stood with us; empty before."""

    def stand(self, root: bytes, frontier: Frontier) -> None:
        """Remember that we stand at ``root``; ``frontier`` must not change afterwards."""
        self._roots[root] = frontier
        self._roots.move_to_end(root)
        while len(self._roots) > ROOTS_MAX:
            oldest = next(root for root in self._roots if root != self.agreed)
            del self._roots[oldest]

    def agree(self, root: bytes) -> None:
        """Remember that a neighbour stood at ``root``, where we stand."""
        self.agreed = root

    def place(self, beacon: Beacon) -> bytes | None:
        """Return which of our roots a beacon stands for, the latest first; None for none."""
        for root in reversed(self._roots):
            if root_hint(beacon.time_s, root) == beacon.root_hint:
                return root
        return None

    def at(self, root: bytes) -> Frontier | None:
        """Return the frontier that we held at a root, while we remember it."""
        return self._roots.get(root)

    def hear(self, stated: Stated) -> None:
        """Remember a statement, heard or made."""
        self._stated[stated.name] = stated
        self._stated.move_to_end(stated.name)
        while len(self._stated) > STATEMENTS_MAX:
            self._stated.popitem(last=False)

    def base(self, name: bytes, roster_digest: bytes, indexed: Sequence[FeedKey]) -> Heads | None:
        """Return the heads that a DELTA counts from, or None where we do not know its base."""
        stated = self._stated.get(name)
        if stated is not None and stated.roster_digest == roster_digest:
            return stated.heads
        for root, frontier in reversed(self._roots.items()):
            if root[:BASE_SIZE] == name:
                return heads_of(frontier, indexed)
        return None


def heads_of(frontier: Frontier, indexed: Sequence[FeedKey]) -> Heads:
    """Return the heads of a frontier as a statement tells them, all with hints."""
    return tuple(hints(frontier.get(feed, ()))[-HEADS_MAX:] for feed in indexed)


def is_same(one: HeadHints, other: HeadHints) -> bool:
    """Say whether two statements about a feed agree, as far as both say."""
    if len(one) == len(other) == 1 and not (one[0].hint and other[0].hint):
        return one[0].seq == other[0].seq
    return one == other


def changes(base: Heads, ours: Heads) -> tuple[Step, ...]:
    """Return what a DELTA says: where ``ours`` differs from ``base``, by index.

    A feed that the base left unsaid counts as empty there.
    """
    steps = []
    for index, told in enumerate(ours[:FEEDS_MAX]):
        heads = told or ()
        before = (base[index] if index < len(base) else ()) or ()
        if is_same(before, heads):
            continue
        was = before[-1].seq if before else 0
        now = heads[-1].seq if heads else 0
        plainly = not heads or (len(heads) == 1 and len(before) <= 1 and was != now)
        steps.append(Step(index, now - was) if plainly else Step(index, 0, heads))
    return tuple(steps)


def resolve(delta: Delta, base: Heads, feed_count: int) -> Heads:
    """Return the heads that a DELTA tells, given those of its base.

    Steps past our roster, or below zero, are left unsaid: nothing is believed of them.
    """
    heads = [*base[:feed_count], *[()] * (feed_count - len(base))]
    for step in delta.steps:
        if step.place >= feed_count:
            continue
        if step.heads:
            heads[step.place] = step.heads
            continue
        before = heads[step.place] or ()
        seq = (before[-1].seq if before else 0) + step.ahead
        heads[step.place] = (HeadHint(seq, b""),) if 0 < seq <= SEQ_MAX else None if seq else ()
    return tuple(heads)


def skips_of(delta: Delta, heads: Heads) -> dict[int, tuple[Span, ...]]:
    """Return what a DELTA's sender holds behind its heads, by index; ``heads`` as resolved."""
    found = {}
    for step in delta.steps:
        told = heads[step.place] if step.place < len(heads) else None
        if not step.holes or told is None:
            continue
        spans = []
        at = told[-1].seq if told else 0
        for lack, have in step.holes:
            spans.append(Span(at + lack + 1, at + lack + have))
            at += lack + have
        found[step.place] = tuple(spans)
    return found


def stated_vec(vec: Vec, roster_digest: bytes, feed_count: int) -> Stated:
    """Return what a VEC tells."""
    unsaid: list[HeadHints | None] = [None if vec.partial else ()] * feed_count
    for index, heads in enumerate(vec.feeds, vec.first):
        if index < feed_count:
            unsaid[index] = heads
    return Stated(statement_id(vec), roster_digest, tuple(unsaid), vec.credit)


def control_digests(frontier: Frontier) -> dict[int, FeedKey]:
    """Return our control feeds by their 24-bit digests, ascending."""
    found = {
        feed_digest(feed, heads): feed
        for feed, heads in frontier.items()
        if feed.kind is FeedKind.CONTROL
    }
    return dict(sorted(found.items()))


def whole_digests(frontier: Frontier) -> Digests:
    """Return the statement about all our control feeds."""
    return Digests(0, FEED_DIGEST_MAX, tuple(control_digests(frontier)))
