"""What a replica holds in memory: heads, roster, forms, clock, horizon.

It changes only after a commit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from meshlog.core.chain import Chain
from meshlog.core.compact.names import Codebook
from meshlog.core.decrees import DecreeLog, Decrees
from meshlog.core.event import DatasetId, Event
from meshlog.core.feed import (
    ROOT_DOMAIN,
    ROSTER_DOMAIN,
    FeedKey,
    FeedKind,
    Frontier,
    Head,
    digest,
)
from meshlog.core.form import FormBook, FormLog, fold_forms
from meshlog.core.hlc import COUNTER_MAX, SKEW_MS_MAX, WALL_MS_MAX, ZERO, Stamp
from meshlog.core.identity import AuthorId
from meshlog.core.keylog import KeyLog, fold_keys
from meshlog.core.lives import Seals, Twin, fold_seals, quarantine, sealed, twins
from meshlog.core.roster import Roster, data_feeds, enrol, fold
from meshlog.core.seniority import settle
from meshlog.ports.store import Store
from meshlog.replica.waiting import Waiting, waiting
from meshlog.views.lineage import StoreLineage
from meshlog.views.standing import Standings

_CONTROL = FeedKind.CONTROL
READ_CHUNK = 1_024
"""Events of a branch in memory at once. A choice."""
STAMPS_MAX = 4_096
"""Heads whose stamps are remembered: about a megabyte."""


@dataclass
class Ledger:
    """The sums of one replica's log. ``copy``, change, and keep the copy once it is durable."""

    roster: Roster
    frontier: dict[FeedKey, tuple[Head, ...]]
    clock: Stamp
    """The greatest stamp made, or seen and believed."""
    horizon_ms: int
    form_log: FormLog = field(default_factory=FormLog)
    """Every form that a control event pins."""
    decree_log: DecreeLog = field(default_factory=DecreeLog)
    """Every decree that a control event says, counted or not."""
    seals: Seals = field(default_factory=dict)
    """Lives that ended."""
    forks: dict[FeedKey, int] = field(default_factory=dict)
    """Feeds with several branches: seq of the last event before the first fork."""
    key_log: KeyLog = field(default_factory=KeyLog)
    """Every rotation of the dataset's key."""
    life: int | None = None
    """The incarnation that this device writes in; None before its first."""
    _saved: tuple[Stamp, int] | None = None
    """Clock and horizon as the store tells them; None before they were first written."""
    _told: Stamp = ZERO
    """The greatest stamp of what was written since the copy: so far the log tells the clock."""
    _root: bytes | None = None
    _roster_digest: bytes | None = None
    _indexed: list[FeedKey] | None = None
    _codebook: Codebook | None = None
    _decrees: Decrees | None = None
    _waiting: Waiting | None = None
    _may_hold: bool | None = None
    """See ``may_hold``; None where it is to be looked up."""
    _stamps: dict[bytes, Stamp] = field(default_factory=dict)
    """Of some heads, by id. Copies share it: an id commits to its stamp."""

    @classmethod
    def load(cls, store: Store, dataset: DatasetId) -> Ledger:
        """Read the sums from a store. Cost: O(feeds + control events)."""
        frontier = store.heads()
        life = store.get_meta("incarnation")
        return cls(
            fold(dataset, _control_events(store, frontier)),
            frontier,
            kept_clock(store),
            kept_horizon_ms(store),
            fold_forms(_control_events(store, frontier)),
            DecreeLog().put(_control_events(store, frontier)),
            key_log=fold_keys(_control_events(store, frontier)),
            seals=fold_seals(_control_events(store, frontier)),
            forks=first_forks(store, frontier),
            life=int.from_bytes(life, "big") if life else None,
        )

    def copy(self) -> Ledger:
        """Return a copy whose changes do not show here. Cost: O(feeds)."""
        twin = object.__new__(Ledger)
        twin.__dict__.update(self.__dict__)
        twin.frontier, twin.forks = dict(self.frontier), dict(self.forks)
        twin._told = ZERO  # a checkpoint may come next, and what was told before is before it
        return twin

    def later(self, horizon_ms: int) -> Ledger:
        """Return this with a later horizon, to be kept once that is durable.

        It shares the heads: ``copy`` it before more changes.
        """
        twin = object.__new__(Ledger)
        twin.__dict__.update(self.__dict__)
        twin._told = ZERO
        twin.reach(horizon_ms)
        return twin

    def advance(self, chain: Chain, store: Store) -> None:
        """Take in what was written to ``store``."""
        self._root = None
        feed, prev, last = chain.feed, chain.prev, Head(chain.last_seq, chain.ids[-1])
        before = self.frontier.get(feed, ())
        heads = [head for head in before if head.id != prev]
        if before and len(heads) == len(before):
            seq = chain.first_seq
            self.forks[feed] = min(self.forks.get(feed, seq), seq - 1)
        self.frontier[feed] = tuple(sorted([*heads, last])) if heads else (last,)
        self._note_stamp(prev, last.id, Stamp.unpacked(chain.stamps[-1]))
        if feed.kind is _CONTROL:
            self._obey(chain.events(), store)
        elif chain.stamps[-1] >> 16 > self.horizon_ms:
            self._may_hold = True
        if self._waiting is not None and self.is_fixed(feed):
            self._waiting = self._waiting.joined(chain.events(), self.standings(store))

    def _obey(self, events: Sequence[Event], store: Store) -> None:
        """Take in control events of one branch."""
        self.decree_log = self.decree_log.put(events)
        for event in events:
            self.roster = enrol(self.roster, event)
            self.form_log = self.form_log.put(event)
            self.seals = sealed(self.seals, event)
            self.key_log = self.key_log.put(event)
            if event.id == self.roster.dataset:
                self.roster = fold(self.roster.dataset, _control_events(store, self.frontier))
        self._decrees = self._roster_digest = self._indexed = self._codebook = None

    def _note_stamp(self, prev: bytes, event_id: bytes, stamp: Stamp) -> None:
        """Remember the stamp of a head that took the place of another."""
        self._stamps.pop(prev, None)
        if len(self._stamps) >= STAMPS_MAX:
            self._stamps.clear()
        self._stamps[event_id] = stamp
        if stamp.wall_ms <= self.horizon_ms:
            self._told = max(self._told, stamp)

    def events_at(self, feed: FeedKey, seq: int, store: Store) -> list[tuple[bytes, Stamp]]:
        """Return id and stamp of the events at one place of a feed. O(1) at most feeds' ends."""
        heads = self.frontier.get(feed, ())
        if not heads or heads[-1].seq < seq:
            return []
        stamp = self._stamps.get(heads[0].id)
        if len(heads) == 1 and heads[0].seq == seq and stamp is not None:
            return [(heads[0].id, stamp)]
        return [(event.id, event.stamp) for event in store.at(feed, seq)]

    def may_hold(self, store: Store) -> bool:
        """Say whether a data event may be stamped beyond the horizon. Cost: a look-up, once."""
        if self._may_hold is None:
            self._may_hold = store.latest_between(self.horizon_ms, WALL_MS_MAX) > ZERO
        return self._may_hold

    def believe(self, chain: Chain, store: Store) -> None:
        """Let the clock follow what the view counts: what a person saw is before what it writes.

        Far-future stamps, which are held, move nothing. Along a branch stamps rise, fixed or not:
        the last that counts is the greatest.

        Args:
            chain: Came, or was written here.
            store: Holds it.
        """
        if self.is_fixed(chain.feed):
            standings = self.standings(store)
            stamps = (standings.stamp(event) for event in reversed(chain.events()))
            latest = next((at for at in stamps if at.wall_ms <= self.horizon_ms), ZERO)
        else:
            if chain.stamps[-1] <= self.clock.packed():  # as of what was written here
                return
            counting = bisect_right(chain.stamps, self.horizon_ms << 16 | COUNTER_MAX)
            latest = Stamp.unpacked(chain.stamps[counting - 1]) if counting else ZERO
        self.clock = max(self.clock, latest)

    def is_fixed(self, feed: FeedKey) -> bool:
        """Say whether a clock fix bears on a feed.

        Of a control feed that is known without judging the decrees anew, which a batch of them
        would cost for each of its segments.
        """
        return feed.kind is FeedKind.DATA and bool(self.decrees.shifts(feed))

    def fixed_feeds(self) -> list[FeedKey]:
        """Return the held feeds of which a clock fix says something."""
        named = {feed for feeds in self.decrees.fixes.values() for feed in feeds}
        return sorted(named & self.frontier.keys())

    def waiting(self, store: Store) -> Waiting:
        """Return what is due next in fixed feeds. Cost: O(their events) after a new fix."""
        known, fixes = self._waiting, self.decrees.fixes
        if known is not None and known.fixes is not fixes and known.fixes == fixes:
            known = self._waiting = replace(known, fixes=fixes)
        if known is None or known.fixes is not fixes:
            events = self._fixed_events(store) if fixes else ()
            known = self._waiting = waiting(fixes, events, self.standings(store))
        return known

    def _fixed_events(self, store: Store) -> Iterator[Event]:
        for feed in self.fixed_feeds():
            for tip in self.frontier[feed]:
                yield from events_of(store, feed, tip)

    def reach(self, horizon_ms: int) -> None:
        """Let the horizon stand later than it did."""
        self.horizon_ms = horizon_ms
        if self._waiting is not None:
            is_known = self._waiting.knows(horizon_ms)
            self._waiting = self._waiting.after(horizon_ms) if is_known else None

    def set_back(self, clock: Stamp, now_ms: int) -> None:
        """Go on with an honest clock and horizon: those kept so far were ahead."""
        self.clock, self.horizon_ms = clock, horizon_for(now_ms)
        self._waiting = self._may_hold = None

    @property
    def root(self) -> bytes:
        """32 bytes over every feed. Cost: O(feeds · log feeds) after a change."""
        if self._root is None:
            self._root = digest(ROOT_DOMAIN, self.frontier.items())
        return self._root

    @property
    def roster_digest(self) -> bytes:
        """32 bytes over the control feeds."""
        if self._roster_digest is None:
            control = ((k, heads) for k, heads in self.frontier.items() if k.kind is _CONTROL)
            self._roster_digest = digest(ROSTER_DOMAIN, control)
        return self._roster_digest

    @property
    def indexed(self) -> list[FeedKey]:
        """The members' data feeds in the order that gives them their index."""
        if self._indexed is None:
            self._indexed = data_feeds(self.roster)
        return self._indexed

    @property
    def quarantine(self) -> dict[FeedKey, int]:
        """Feeds with too many branches, and the last seq that counts there. O(forks)."""
        return quarantine(self.frontier, self.forks)

    def twins(self) -> dict[AuthorId, Twin]:
        """Return whose identity lived on two devices at once. Cost: O(members + forks)."""
        return twins(self.roster, self.seals, self.frontier, self.forks)

    @property
    def codebook(self) -> Codebook:
        """What compact segments may leave out. Cost: O(feeds) after a control event."""
        if self._codebook is None:
            self._codebook = Codebook.of(self.roster, self.form_log.book(self.roster))
        return self._codebook

    @property
    def forms(self) -> FormBook:
        """The forms that members pinned."""
        return self.codebook.forms

    @property
    def decrees(self) -> Decrees:
        """What counts of what was decreed. Cost: O(members + decrees) after a control event."""
        if self._decrees is None:
            self._decrees = settle(self.roster, self.decree_log)
        return self._decrees

    def standings(self, store: Store) -> Standings:
        """Return what counts in the view that ``store`` keeps."""
        return Standings(
            self.decrees,
            self.roster,
            StoreLineage(store, self.forks.keys()),
            self.horizon_ms,
            self.quarantine,
        )

    def save(self, store: Store) -> None:
        """Write clock and horizon where they moved, inside the caller's transaction.

        A horizon that moved on over nothing need not be known after a restart: it is written when
        the clock has come up to the one that is, so that what counted once counts ever after.
        A clock that stands where an event of the log is, not beyond that horizon, need not be
        written at once: see ``kept_clock``.
        """
        before, horizon_ms = self._saved or (ZERO, -1)
        if self.clock.wall_ms > horizon_ms or self.horizon_ms < horizon_ms:
            horizon_ms = self.horizon_ms
            store.set_meta("horizon", horizon_ms.to_bytes(8, "big"))
        if self._saved is None or self.clock != before:
            value = self.clock.packed().to_bytes(8, "big")
            if self._saved is not None and before < self.clock == self._told:
                store.set_meta_later("clock", value)
            else:
                store.set_meta("clock", value)
            if self._saved is None:
                store.set_meta_later("clock", value)  # then the store knows what a checkpoint has
        self._saved = self.clock, horizon_ms


def kept_horizon_ms(store: Store) -> int:
    """Return the horizon that a store tells; 0 where none."""
    return int.from_bytes(store.get_meta("horizon") or b"", "big")


def kept_clock(store: Store) -> Stamp:
    """Return the greatest stamp that a store believes: as it was written, or as the log tells.

    Cost: O(events after the checkpoint); where the clock itself was lost, O(events).
    """
    kept = store.get_meta("clock")
    after_position = 0 if kept is None else store.checkpoint()
    clock = Stamp.unpacked(int.from_bytes(kept or b"", "big"))
    return max(clock, store.latest_stamp(kept_horizon_ms(store), after_position))


def events_of(store: Store, feed: FeedKey, tip: Head) -> Iterator[Event]:
    """Yield the events of a branch from its start on."""
    for after_seq in range(0, tip.seq, READ_CHUNK):
        yield from store.branch(tip, feed, after_seq, READ_CHUNK)


def first_forks(store: Store, frontier: Frontier) -> dict[FeedKey, int]:
    """Return each forked feed with the seq of the last event before its first fork."""
    return {feed: store.fork_seq(feed) or 0 for feed, tips in frontier.items() if len(tips) > 1}


def horizon_for(now_ms: int) -> int:
    """Return the horizon that a clock showing ``now_ms`` allows."""
    return min(max(now_ms, 0), WALL_MS_MAX) + SKEW_MS_MAX


def _control_events(store: Store, frontier: Mapping[FeedKey, tuple[Head, ...]]) -> Iterator[Event]:
    """Yield all control events: at start, and when the genesis comes after what it lets in."""
    for key, tips in frontier.items():
        if key.kind is _CONTROL:
            for tip in tips:
                yield from store.branch(tip, key, 0, tip.seq)
