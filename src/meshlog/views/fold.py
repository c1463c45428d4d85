"""How a record's events fold into it: order, supersession, deletes, forks.

Everything here is a function of the events of one record and of who descends from whom on
a branch, and that never changes: so a record is folded alone, and no event elsewhere can
make its row wrong.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from meshlog.core.event import Event, EventId
from meshlog.core.feed import FeedKey, Head
from meshlog.core.hlc import ZERO, Stamp
from meshlog.views.branches import TRUNK, UNKNOWN, Branches
from meshlog.views.changes import Change, Ref, read_change
from meshlog.views.records import Note, Origin, Record, Write
from meshlog.views.rowstate import NO_SPOT


class Lineage(Protocol):
    """Who descends from whom. Only asked about feeds with several events in one record."""

    @property
    def forked(self) -> AbstractSet[FeedKey]:
        """The feeds that have more than one branch; in all others seq tells everything."""

    def holds(self, event_id: bytes) -> bool:
        """Say whether an event is held."""

    def branches(self, feed: FeedKey) -> Branches:
        """Return the chains of a feed that forked."""

    def ancestor(self, feed: FeedKey, tip: Head, seq: int) -> bytes | None:
        """See Ancestry.ancestor."""

    def stamp_at(self, event: Event, seq: int) -> Stamp:
        """Return the stamp carried at ``seq`` on the branch that ends in ``event``.

        ``ZERO`` where that place is not held.
        """


class HeldEvents:
    """The lineage in a set of events at hand. Cost: O(events)."""

    def __init__(self, events: Iterable[Event]) -> None:
        """Take the events; any order, any number of times."""
        by_id = {event.id: event for event in events}
        places: set[tuple[FeedKey, int]] = set()
        self._forked: set[FeedKey] = set()
        for event in by_id.values():
            place = (event.feed, event.seq)
            if place in places:
                self._forked.add(event.feed)
            places.add(place)
        self._by_id = by_id
        self._branches: dict[bytes, dict[int, bytes]] = {}
        self._chains: dict[FeedKey, Branches] = {}

    @property
    def forked(self) -> AbstractSet[FeedKey]:
        """See Lineage.forked."""
        return self._forked

    def holds(self, event_id: bytes) -> bool:
        """See Lineage.holds."""
        return event_id in self._by_id

    def branches(self, feed: FeedKey) -> Branches:
        """See Lineage.branches. Cost: O(n log n) for n events of the feed, once."""
        found = self._chains.get(feed)
        if found is None:
            own = (event for event in self._by_id.values() if event.feed == feed)
            found = self._chains[feed] = Branches.of(own)
        return found

    def ancestor(self, feed: FeedKey, tip: Head, seq: int) -> bytes | None:
        """See Ancestry.ancestor. Cost: O(branch), once per tip."""
        end = self._by_id.get(EventId(tip.id))
        if end is None or (end.feed, end.seq) != (feed, tip.seq):
            return None
        branch = self._branches.get(tip.id)
        if branch is None:
            branch = self._branches[tip.id] = {}
            at: Event | None = end
            while at is not None:
                branch[at.seq] = at.id
                at = self._by_id.get(EventId(at.prev))
        return branch.get(seq)

    def stamp_at(self, event: Event, seq: int) -> Stamp:
        """See Lineage.stamp_at. Cost: O(1), in a forked feed O(events between)."""
        if event.feed not in self._forked:
            return self._stamps.get((event.feed, seq), ZERO)
        at: Event | None = event
        while at is not None and at.seq > seq:
            at = self._by_id.get(EventId(at.prev))
        return at.stamp if at is not None else ZERO

    @cached_property
    def _stamps(self) -> dict[tuple[FeedKey, int], Stamp]:
        return {(event.feed, event.seq): event.stamp for event in self._by_id.values()}


class Told(NamedTuple):
    """A readable event and what it does. Its rank is its index in the total order."""

    event: Event
    change: Change

    @property
    def origin(self) -> Origin:
        """Who wrote it, when, and where."""
        feed = self.event.feed
        return Origin(feed.author, feed.incarnation, self.event.seq, self.event.stamp)


def told_by(events: Iterable[Event]) -> list[Told]:
    """Return what events do to records, in their order; those that do nothing are left out.

    Cost: one decoding each.
    """
    changes = ((event, read_change(event)) for event in events)
    return [Told(event, change) for event, change in changes if isinstance(change, Change)]


def fold_record(record_id: str, events: Iterable[Event], lineage: Lineage | None = None) -> Record:
    """Return the record that counted events make; the same for any order of ``events``.

    Args:
        record_id: Events that touch another record, or none, are skipped.
        events: Every counted event that touches the record.
        lineage: Answers for the whole dataset; without it, ``events`` is all there is,
            and a branch that they do not show in full implies nothing.

    Cost: O(n log n); in a forked feed also the events between the record's first and last.
    """
    events = list(events)
    told = [item for item in told_by(events) if item.change.record_id == record_id]
    return fold_told(record_id, told, HeldEvents(events) if lineage is None else lineage)


def fold_told(record_id: str, told: Iterable[Told], lineage: Lineage) -> Record:
    """Return the record that events make whose changes were read; see ``fold_record``."""
    ranked = sorted({item.event.id: item for item in told}.values(), key=lambda i: i.event.order)
    before = _before(ranked, lineage)
    superseded = _superseded(ranked, before)
    fields: dict[str, list[Write]] = defaultdict(list)
    live_ranks = set()
    for rank in range(len(ranked) - 1, -1, -1):
        item = ranked[rank]
        origin = item.origin
        for name, value in item.change.fields.items():
            if (rank, name) not in superseded:
                fields[name].append(Write(value, origin))
                live_ranks.add(rank)
        if item.change.deletes is None and (item.change.form is not None or not item.change.fields):
            live_ranks.add(rank)
    formed = [item for item in ranked if item.change.form is not None]
    created_by = ""
    if formed:
        by = formed[0].change.by
        created_by = formed[0].event.author.hex() if by is None else by
    attachments = [i.change.attachment for i in ranked if i.change.attachment is not None]
    parents = set(before)
    return Record(
        record_id,
        form=(formed[-1].change.form or "") if formed else "",
        created_by=created_by,
        fields={name: tuple(fields[name]) for name in sorted(fields)},
        notes=tuple(Note(i.change.note, i.origin) for i in ranked if i.change.note is not None),
        attachments=tuple(sorted(attachments, key=lambda a: (a.field, a.blob_hash))),
        heads=tuple(sorted({i.origin.ref for r, i in enumerate(ranked) if r not in parents})),
        visible=not live_ranks <= _deleted(ranked, before),
        last=ranked[-1].origin if ranked else Origin.at(NO_SPOT),
        named=_named(ranked),
    )


def _before(ranked: Sequence[Told], lineage: Lineage) -> list[int]:
    """Return, per rank, the rank of the nearest event before it on its branch, or -1."""
    before = [-1] * len(ranked)
    by_feed: dict[FeedKey, list[int]] = defaultdict(list)
    for rank, item in enumerate(ranked):
        by_feed[item.event.feed].append(rank)
    for feed, ranks in by_feed.items():
        if len(ranks) == 1:
            continue
        ranks.sort(key=lambda rank: ranked[rank].event.seq)
        if feed in lineage.forked:
            _climb(ranked, ranks, lineage.branches(feed), before)
        else:
            for earlier, later in pairwise(ranks):
                before[later] = earlier
    return before


def _climb(
    ranked: Sequence[Told], ranks: Sequence[int], branches: Branches, before: list[int]
) -> None:
    """Fill ``before`` for one forked feed, ``ranks`` in seq order."""
    on: dict[int, list[tuple[int, int]]] = defaultdict(list)  # seq and rank, by chain
    for rank in ranks:
        event = ranked[rank].event
        chain = branches.chain_of(event.seq, event.id)
        before[rank] = _nearest(on, branches, chain, event.seq)
        on[chain].append((event.seq, rank))


def _nearest(on: dict[int, list[tuple[int, int]]], branches: Branches, chain: int, seq: int) -> int:
    """Return the rank of the last event before a seq on a chain or those that it comes from."""
    while chain != UNKNOWN:
        standing = on.get(chain, [])
        at = bisect_left(standing, (seq, -1))
        if at:
            return standing[at - 1][1]
        if chain == TRUNK:
            break
        seq, _, chain = branches.chains[chain]
    return -1


def _superseded(ranked: Sequence[Told], before: Sequence[int]) -> set[tuple[int, str]]:
    """Return the writes, as (rank, field), that a higher write had seen."""
    gone: set[tuple[int, str]] = set()
    best: dict[tuple[int, str], int] = {}
    for earlier, later, name in reversed(list(_own_pairs(ranked, before))):
        highest = max(later, best.get((later, name), -1))
        best[earlier, name] = max(highest, best.get((earlier, name), -1))
        if highest > earlier:
            gone.add((earlier, name))
    named = [(rank, i.change.replaces) for rank, i in enumerate(ranked) if i.change.replaces]
    if named:
        at = _unambiguous(
            (rank, (place, name))
            for rank, item in enumerate(ranked)
            for place in (item.origin.ref,)
            for name in item.change.fields
        )
        for rank, replaces in named:
            for name, refs in replaces.items():
                seen = (at.get((ref, name), rank) for ref in refs)
                gone.update((earlier, name) for earlier in seen if earlier < rank)
    return gone


def _own_pairs(ranked: Sequence[Told], before: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (earlier, later, field): each write and the nearest one before it on its branch.

    A pair is yielded after all pairs further down its branch.
    """
    after: dict[int, list[int]] = defaultdict(list)
    for later, earlier in enumerate(before):
        after[earlier].append(later)
    open_writes: dict[str, list[int]] = defaultdict(list)
    todo = [(rank, False) for rank in after[-1] if after.get(rank)]
    while todo:
        rank, is_leaving = todo.pop()
        for name in ranked[rank].change.fields:
            if is_leaving:
                open_writes[name].pop()
                continue
            if open_writes[name]:
                yield open_writes[name][-1], rank, name
            open_writes[name].append(rank)
        if not is_leaving:
            todo.append((rank, True))
            todo.extend((later, False) for later in after.get(rank, ()))


def _named(ranked: Sequence[Told]) -> tuple[Ref, ...]:
    """Return the highest place named of each feed that has nothing so high among ``ranked``."""
    named: dict[bytes, int] = {}
    for item in ranked:
        for refs in (item.change.deletes or (), *item.change.replaces.values()):
            for feed, seq in refs:
                named[feed] = max(seq, named.get(feed, 0))
    if not named:
        return ()
    held: dict[bytes, int] = defaultdict(int)
    for item in ranked:
        feed, seq = item.origin.ref
        held[feed] = max(seq, held[feed])
    return tuple(sorted(Ref(feed, seq) for feed, seq in named.items() if seq > held[feed]))


def _unambiguous(named: Iterable[tuple[int, Any]]) -> dict[Any, int]:
    """Return the rank of each name that exactly one event has."""
    at: dict[Any, int] = {}
    twice = set()
    for rank, name in named:
        if name in at:
            twice.add(name)
        at[name] = rank
    return {name: rank for name, rank in at.items() if name not in twice}


def _deleted(ranked: Sequence[Told], before: Sequence[int]) -> set[int]:
    """Return the ranks that a higher delete had seen: those it names, and all before them."""
    changes = enumerate(item.change for item in ranked)
    deletes = [(rank, change.deletes) for rank, change in changes if change.deletes is not None]
    if not deletes:
        return set()
    at = _unambiguous((rank, item.origin.ref) for rank, item in enumerate(ranked))
    seen_by = [-1] * len(ranked)
    for rank, refs in deletes:
        for earlier in (rank, *(at[ref] for ref in refs if ref in at)):
            seen_by[earlier] = max(seen_by[earlier], rank)
    for rank in sorted(range(len(ranked)), key=lambda r: -ranked[r].event.seq):
        if before[rank] >= 0:
            seen_by[before[rank]] = max(seen_by[before[rank]], seen_by[rank])
    return {rank for rank, highest in enumerate(seen_by) if highest > rank}
