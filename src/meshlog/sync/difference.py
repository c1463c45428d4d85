"""Finding differences: pure comparisons of what we hold with what a peer says it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice, repeat
from typing import NamedTuple, TypeVar

from meshlog.core.feed import FeedKey, FeedKind, Frontier, Head, by_turns
from meshlog.sync.hints import (
    HEADS_STATED_MAX,
    HeadHint,
    HeadHints,
    HeadTable,
    IdTable,
)
from meshlog.sync.holdings import Holdings
from meshlog.sync.messages import RUNS_MAX, Run
from meshlog.sync.statements import (
    FEEDS_MAX,
    HEADS_MAX,
    ROSTER_DIGEST_SIZE,
    Ids,
    Vec,
    hints,
)

T = TypeVar("T")


class Span(NamedTuple):
    """Seqs of one feed, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Push:
    """A stretch that the peer lacks: a branch, from just after a seq."""

    feed: FeedKey
    tip: Head
    after_seq: int
    skips: tuple[Span, ...] = ()
    """Stretches in between that the peer holds already, ascending."""


@dataclass(slots=True)
class Difference:
    """What to push, what to want, and the feeds that need a locator first; so many of each.

    What does not fit shows again in the next statement.
    """

    pushes: list[Push] = field(default_factory=list)
    wants: list[Run] = field(default_factory=list)
    locate: list[FeedKey] = field(default_factory=list)
    is_cut: bool = False
    """Whether something did not fit."""

    def add(self, other: Difference) -> None:
        """Take in another difference, as far as it fits."""
        self.push(other.pushes)
        self.wants += other.wants[: RUNS_MAX - len(self.wants)]
        self.locate += other.locate[: RUNS_MAX - len(self.locate)]
        self.is_cut |= RUNS_MAX in (len(self.wants), len(self.locate))

    def push(self, pushes: Iterable[Push]) -> None:
        """Take in what to push, as far as it fits."""
        self.pushes += islice(pushes, RUNS_MAX - len(self.pushes))
        self.is_cut |= len(self.pushes) == RUNS_MAX

    def take_turns(self) -> None:
        """Order all by turns: what differs first of every author, then second. Sorted by feed."""
        _by_turn(self.pushes, [push.feed for push in self.pushes])
        _by_turn(self.wants, [run.feed for run in self.wants])
        _by_turn(self.locate, self.locate)


def _by_turn(items: list[T], feeds: Sequence[FeedKey]) -> None:
    turns: list[int] = []
    for place, feed in enumerate(feeds):
        before = feeds[place - 1] if place else None
        if before is None or before.author != feed.author:
            turns.append(0)
        else:
            turns.append(turns[-1] + (before != feed))
    items[:] = [items[place] for place in sorted(range(len(items)), key=turns.__getitem__)]


_NOTHING = Difference()


def state_control(holdings: Holdings, page: int = 0) -> Ids:
    """Return the statement about our control feeds.

    Of more than one statement names, half of it are always those whose turn comes first, and
    half a window on the others.

    Args:
        holdings: Ours.
        page: Which window; any number.
    """
    frontier = holdings.frontier()
    control = by_turns(key for key in frontier if key.kind is FeedKind.CONTROL)
    if len(control) > FEEDS_MAX:
        sure, rest = control[: FEEDS_MAX // 2], control[FEEDS_MAX // 2 :]
        room = FEEDS_MAX - len(sure)
        start = page * room % len(rest)
        control = sure + (rest[start:] + rest[:start])[:room]
    heads_left = HEADS_STATED_MAX
    named = []
    for feed in control:
        heads_left -= min(len(frontier[feed]), HEADS_MAX)
        if heads_left < 0:
            break
        named.append(feed)
    stated = IdTable()
    for feed in sorted(named):
        heads = frontier[feed][-HEADS_MAX:]
        stated.append(feed.author + feed.incarnation.to_bytes(4, "big"), hints(heads))
    return Ids(stated)


def state_data(holdings: Holdings, *, hashed: bool, page: int = 0) -> Vec:
    """Return the statement about our data feeds, trailing empty ones left out.

    Args:
        holdings: Ours.
        hashed: Whether every head is told with its hint.
        page: Of more feeds than one statement names, which part; any number.
    """
    frontier, indexed = holdings.frontier(), holdings.indexed_feeds()
    are_many = len(indexed) > FEEDS_MAX
    first = page * FEEDS_MAX % (-(-len(indexed) // FEEDS_MAX) * FEEDS_MAX) if are_many else 0
    held = [frontier.get(key, ()) for key in indexed[first : first + FEEDS_MAX]]
    while held and not held[-1] and not are_many:
        held.pop()
    stated = HeadTable()
    for heads in held:
        shown = heads[-HEADS_MAX:]
        if not stated.has_room(shown):
            break
        bare = not hashed and len(shown) == 1
        stated.append((HeadHint(shown[0].seq, b""),) if bare else hints(shown))
    is_partial = are_many or len(stated) < len(held)
    digest = holdings.roster_digest()[:ROSTER_DIGEST_SIZE]
    return Vec(digest, hashed, stated, first, is_partial)


def compare_control(holdings: Holdings, ids: Ids) -> Difference:
    """Return the difference between our control feeds and a peer's statement, by turns.

    The genesis' feed goes before all others: a peer that lacks it takes nothing else. Where we
    lack it we want nothing: we could not tell it among what is named, nor take the others in.

    A statement that is full leaves feeds unsaid: what it does not name the peer may hold.
    """
    frontier, genesis = holdings.frontier(), holdings.genesis_feed()
    ours = sorted(key for key in frontier if key.kind is FeedKind.CONTROL)
    is_full = len(ids.feeds) >= FEEDS_MAX

    def merged() -> Iterator[tuple[FeedKey, HeadHints]]:
        return _merged(ours, ids.feeds, only_theirs=is_full)

    def differing() -> Iterator[tuple[int, FeedKey, HeadHints]]:
        author, turn = None, 0
        for feed, theirs in merged():
            if feed == genesis:
                continue
            author, turn = feed.author, turn if feed.author == author else 0
            if compare_feed(holdings, feed, frontier.get(feed, ()), theirs) != _NOTHING:
                yield turn, feed, theirs
                turn += 1

    turns = _turns_that_fit(turn for turn, *_ in differing())
    others = _compare(holdings, ((feed, said) for turn, feed, said in differing() if turn < turns))
    others.take_turns()
    found = _compare(holdings, ((feed, said) for feed, said in merged() if feed == genesis))
    found.add(others)
    found.is_cut |= turns < RUNS_MAX
    if holdings.awaits_genesis():
        found.wants, found.locate = [], []
    return found


def _turns_that_fit(turns: Iterable[int]) -> int:
    """Return below which turn all feeds fit a difference, at least 1; ``RUNS_MAX`` for all.

    Where a turn is taken, so are those before it. Two passes, because a peer may name so many
    feeds that a list of those that differ is what it wants us to keep.
    """
    counts = [0] * RUNS_MAX
    past = 0
    for turn in turns:
        if turn < RUNS_MAX:
            counts[turn] += 1
        else:
            past += 1
    if sum(counts) + past <= RUNS_MAX:
        return RUNS_MAX
    fitting = sum(total <= RUNS_MAX for total in accumulate(counts))
    return min(max(fitting, 1), RUNS_MAX - 1)


def _merged(
    ours: Sequence[FeedKey],
    theirs: Iterable[tuple[FeedKey, HeadHints]],
    *,
    only_theirs: bool,
) -> Iterator[tuple[FeedKey, HeadHints]]:
    """Yield every feed of two ascending rows, or of theirs, with what the peer says of it."""
    at = 0
    for feed, heads in theirs:
        while at < len(ours) and ours[at] < feed and not only_theirs:
            yield ours[at], ()
            at += 1
        at += at < len(ours) and ours[at] == feed
        yield feed, heads
    if only_theirs:
        return
    yield from ((feed, ()) for feed in ours[at:])


def compare_data(holdings: Holdings, vec: Vec) -> Difference:
    """Return the difference between our data feeds and a peer's; digests must be equal."""
    indexed = holdings.indexed_feeds()[vec.first :]
    if vec.partial:
        indexed = indexed[: len(vec.feeds)]
    return _compare(holdings, zip(indexed, chain(vec.feeds, repeat(())), strict=False))


def _compare(holdings: Holdings, feeds: Iterable[tuple[FeedKey, HeadHints]]) -> Difference:
    frontier = holdings.frontier()
    total = Difference()
    for feed, theirs in feeds:
        total.add(compare_feed(holdings, feed, frontier.get(feed, ()), theirs))
    return total


def compare_feed(
    holdings: Holdings, feed: FeedKey, ours: Sequence[Head], theirs: HeadHints
) -> Difference:
    """Return what differs in one feed.

    One head on both sides is the common case and costs no look at the store, unless the
    peer gave a hint of its head's id; anything else is a fork, and asks for a locator.
    """
    if not theirs:
        return Difference(pushes=[Push(feed, head, 0) for head in ours[:RUNS_MAX]])
    if not ours:
        last = max(head.seq for head in theirs)
        return (
            Difference(wants=[Run(feed, 1, last)])
            if len(theirs) == 1
            else Difference(locate=[feed])
        )
    if len(ours) == 1 and len(theirs) == 1:
        return _compare_single(holdings, feed, ours[0], theirs[0])
    shown = set(hints(ours))
    if len(ours) <= HEADS_MAX and {(head.seq, head.hint) for head in theirs} == shown:
        return Difference()
    return Difference(locate=[feed])


def _compare_single(holdings: Holdings, feed: FeedKey, our: Head, their: HeadHint) -> Difference:
    if their.seq > our.seq:
        return Difference(wants=[Run(feed, our.seq + 1, their.seq)])
    if their.hint and not holdings.id_on_branch(feed, our, their.seq).startswith(their.hint):
        return Difference(locate=[feed])
    if their.seq < our.seq:
        return Difference(pushes=[Push(feed, our, their.seq)])
    return Difference()


def answer_want(holdings: Holdings, runs: Iterable[Run]) -> Iterator[Push]:
    """Yield what to push for the runs that a peer wants, in its order."""
    frontier = holdings.frontier()
    for run in runs:
        for tip in frontier.get(run.feed, ()):
            if tip.seq >= run.first >= 1:
                yield Push(run.feed, tip, run.first - 1)


def newly(before: Frontier, after: Frontier) -> list[Push]:
    """Return what was added between two frontiers of one replica, control feeds first."""
    pushes = []
    for feed, heads in after.items():
        was = before.get(feed, ())
        if heads is was or heads == was:
            continue
        after_seq = was[0].seq if len(was) == 1 and len(heads) == 1 else 0
        pushes += [Push(feed, tip, after_seq) for tip in heads if tip not in was]
    return sorted(pushes, key=lambda push: (push.feed.kind is not FeedKind.CONTROL, push.feed))
