"""The part of fsck that follows every feed from event to event, in arrival order."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat
from operator import lt
from typing import Protocol

from meshlog.core.event import (
    CUT_DOMAIN,
    ID_SIZE,
    NO_DATASET,
    NO_PREV,
    SEQ_MAX,
    Event,
    chained_ids,
    feed_prefix,
)
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.grant import Role
from meshlog.core.hlc import BEFORE_ALL, Stamp
from meshlog.core.identity import author_id, verify
from meshlog.core.roster import Roster, label
from meshlog.core.segment import SEGMENT_EVENTS_MAX
from meshlog.errors import MeshlogError, StoreError
from meshlog.ports.log import Stretch
from meshlog.ports.store import Store

RESTORE = "`meshlog fsck --repair` writes the store anew from all in it that holds"
REFETCH = f"{RESTORE}; the others still have the rest"

DAMAGE = (MeshlogError, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What reading a file can raise in which any byte may have been flipped."""


class Sink(Protocol):
    """Where problems go."""

    def add(self, *problems: str) -> None:
        """Take problems."""


@dataclass(slots=True)
class _Tip:
    """The last event of a branch, as far as it was read."""

    seq: int
    stamp: Stamp
    signed_seq: int
    """Of the last cut on the branch whose signature holds; before the first, of the event before
    the branch, which another one has to sign."""


@dataclass(slots=True)
class FeedCheck:
    """Takes every event in arrival order; knows the branches' ends, never all events.

    What holds is seen of a stretch at once; where anything is amiss, each of its events is looked
    at by itself, to say which and why.
    """

    store: Store
    roster: Roster
    problems: Sink
    events: int = 0
    cuts: int = 0
    unsigned: int = 0
    """Own events at the ends of branches that no cut covers; known after ``finish``."""
    own_latest: Stamp = BEFORE_ALL
    """Of the life that we live: a clock that was ahead comes back with a new one."""
    _tips: dict[FeedKey, dict[bytes, _Tip]] = field(default_factory=dict)
    _strangers: set[FeedKey] = field(default_factory=set)
    _own: bytes = b""
    _life: bytes = b""

    def __post_init__(self) -> None:
        """Note who we are."""
        self._own = meta_or_none(self.store, "author") or b""
        self._life = meta_or_none(self.store, "incarnation") or b""

    @property
    def feeds(self) -> int:
        """How many feeds were seen."""
        return len(self._tips)

    def forks(self) -> tuple[str, ...]:
        """Return the feeds that have more than one branch."""
        forked = (feed for feed, tips in sorted(self._tips.items()) if len(tips) > 1)
        return tuple(self._name(feed) for feed in forked)

    def take_all(self, stretch: Stretch) -> None:
        """Check a stretch of events against what came before it. Cost: a hash for each."""
        tip = self._end_of(stretch)
        if tip is None:
            for index in range(len(stretch)):
                self.take(stretch.event(index), stretch.position + index)
            return
        feed = stretch.feed
        self._check_member(feed)
        self.events += len(stretch)
        self.cuts += len(stretch.cuts)
        tips = self._tips.setdefault(feed, {})
        tips.pop(stretch.prev, None)
        tips[stretch.ids[-ID_SIZE:]] = tip
        if self._is_of_our_life(feed):
            self.own_latest = max(self.own_latest, tip.stamp)

    def _end_of(self, stretch: Stretch) -> _Tip | None:
        """Return what a stretch makes of the branch that it continues; None where it is not plain.

        So where it begins a fork, holds the genesis, or anything is amiss.
        """
        before = self._tips.get(stretch.feed, {}).get(stretch.prev)
        if stretch.prev == NO_PREV:
            before = _Tip(0, BEFORE_ALL, 0)
        if before is None:
            return None
        last_seq = stretch.seq + len(stretch) - 1
        stamps = [before.stamp.packed(), *stretch.stamps]
        if (
            stretch.seq != before.seq + 1
            or last_seq > SEQ_MAX
            or not all(map(lt, stamps, stretch.stamps))
            or self._ids_of(stretch) != stretch.ids
            or not all(map(self._holds, repeat(stretch), stretch.cuts))
        ):
            return None
        signed_seq = before.signed_seq
        if stretch.cuts:
            if stretch.seq + min(stretch.cuts) - stretch.position > signed_seq + SEGMENT_EVENTS_MAX:
                return None
            signed_seq = stretch.seq + max(stretch.cuts) - stretch.position
        return _Tip(last_seq, Stamp.unpacked(stamps[-1]), signed_seq)

    def _ids_of(self, stretch: Stretch) -> bytes:
        """Return the ids that its events hash to, joined."""
        prefix = feed_prefix(self.roster.dataset, stretch.feed)
        bodies = stretch.all_bodies()
        ids = chained_ids(prefix, stretch.seq, stretch.prev, stretch.stamps, bodies)
        return b"".join(ids)

    def _holds(self, stretch: Stretch, position: int) -> bool:
        """Say whether the signature at a position is its author's."""
        keys = self._keys(stretch.feed)
        at = (position - stretch.position) * ID_SIZE
        message = CUT_DOMAIN + stretch.ids[at : at + ID_SIZE]
        return bool(keys) and verify(keys, stretch.cuts[position], message)

    def take(self, event: Event, position: int) -> None:
        """Check one event against what came before it."""
        self.events += 1
        tips = self._tips.setdefault(event.feed, {})
        self._check_member(event.feed)
        if not self._is_authentic(event):
            self._wrong(event, "is not what its author wrote: its id does not fit")
        base = self._base(event, tips, position)
        if base is not None and event.seq != base.seq + 1:
            self._wrong(event, f"follows event {base.seq}: its place is wrong")
        if base is not None and event.stamp <= base.stamp:
            self._wrong(event, "is stamped before the event that it follows")
        signed_seq = base.signed_seq if base else event.seq - 1
        if event.signature and self._check_cut(event):
            self.cuts += 1
            if event.seq > signed_seq + SEGMENT_EVENTS_MAX:
                self._wrong(event, f"is the first that is signed after event {signed_seq}")
            signed_seq = event.seq
        tips[event.id] = _Tip(event.seq, event.stamp, signed_seq)
        if self._is_of_our_life(event.feed):
            self.own_latest = max(self.own_latest, event.stamp)

    def _is_of_our_life(self, feed: FeedKey) -> bool:
        return feed.author == self._own and feed.incarnation == int.from_bytes(self._life, "big")

    def finish(self) -> None:
        """Check what only the end can tell: open ends, heads and the count of events."""
        for feed, tips in sorted(self._tips.items()):
            for tip in tips.values():
                self._check_end(feed, tip)
        held = {feed: tuple(sorted(heads)) for feed, heads in self.store.heads().items()}
        for feed in sorted(held.keys() | self._tips.keys()):
            read = tuple(
                sorted(Head(tip.seq, id_) for id_, tip in self._tips.get(feed, {}).items())
            )
            if held.get(feed, ()) != read:
                self.problems.add(
                    f"{self._name(feed)}: its heads are not its last events. {RESTORE}"
                )
        if self.store.event_count() != self.events:
            counted = self.store.event_count()
            self.problems.add(f"{counted} events are counted, {self.events} are there. {RESTORE}")

    # ── one event ──

    def _is_authentic(self, event: Event) -> bool:
        dataset = self.roster.dataset
        return event.is_authentic(NO_DATASET if event.id == dataset else dataset)

    def _base(self, event: Event, tips: dict[bytes, _Tip], position: int) -> _Tip | None:
        """Return the event before: mostly a branch's end; where a fork begins, an older one."""
        if event.prev == NO_PREV:
            if event.seq != 1:
                self._wrong(event, "names no event before it")
            return None
        tip = tips.pop(event.prev, None)
        if tip is not None:
            return tip
        before = self.store.get(event.prev)
        if before is None or before.position >= position or before.event.feed != event.feed:
            self._wrong(event, "follows an event that is not held before it")
            return None
        return _Tip(before.event.seq, before.event.stamp, before.event.seq)

    def _check_member(self, feed: FeedKey) -> None:
        """A feed's author has to be a member, and its data feed one that the member opened."""
        if feed in self._strangers:
            return
        member = self.roster.members.get(feed.author)
        founder = bool(self.roster.founder) and author_id(self.roster.founder) == feed.author
        known = member is not None or (founder and feed.kind is FeedKind.CONTROL)
        if known and member and feed.kind is FeedKind.DATA:
            known = feed.incarnation in member.feeds and member.role >= Role.WRITER
        unproven = feed.author == self._own and not self.roster.founder
        if not known and not unproven:
            self._strangers.add(feed)
            self.problems.add(f"{self._name(feed)}: nobody let its author write it. {REFETCH}")

    def _check_cut(self, event: Event) -> bool:
        keys = self._keys(event.feed)
        if not keys:
            return False
        holds = verify(keys, event.signature, CUT_DOMAIN + event.id)
        if not holds:
            self._wrong(event, "carries a signature that does not hold")
        return holds

    def _keys(self, feed: FeedKey) -> bytes:
        member = self.roster.members.get(feed.author)
        if member is not None:
            return member.keys
        if self.roster.founder and author_id(self.roster.founder) == feed.author:
            return self.roster.founder
        return b""

    def _check_end(self, feed: FeedKey, tip: _Tip) -> None:
        if tip.signed_seq == tip.seq:
            return
        if feed.author == self._own:
            self.unsigned += tip.seq - tip.signed_seq
        elif feed not in self._strangers:
            self.problems.add(
                f"{self._name(feed)}: no signature covers what follows its event {tip.signed_seq}."
                f" {REFETCH}"
            )

    def _wrong(self, event: Event, what: str) -> None:
        name = f"event {event.id.hex()[:8]} (number {event.seq} of {self._name(event.feed)})"
        self.problems.add(f"{name} {what}. {RESTORE if event.author == self._own else REFETCH}")

    def _name(self, feed: FeedKey) -> str:
        kind = "data" if feed.kind is FeedKind.DATA else "control"
        return f"the {kind} feed {feed.incarnation:08x} of {label(self.roster, feed.author)}"


def meta_or_none(store: Store, key: str) -> bytes | None:
    """Return a small value; None where it is missing or damaged, which the file's check tells."""
    try:
        return store.get_meta(key)
    except StoreError:
        return None
