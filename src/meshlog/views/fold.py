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
from meshlog.core.identity import AUTHOR_ID_SIZE
from meshlog.views.branches import TRUNK, UNKNOWN, Branches
from meshlog.views.changes import Change, feed_of, feed_ref, read_change
from meshlog.views.records import Record, record_of
from meshlog.views.rowstate import RowState, Spot


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
    """A readable event and what it does, in the total order. Its rank is its index there."""

    stamp: int
    """Packed; as it is placed."""
    feed: bytes
    """As a ``Ref`` names it."""
    seq: int
    id: bytes
    """Of the twins of a fork, which share the rest, it decides."""
    change: Change

    @classmethod
    def of(cls, event: Event, change: Change) -> Told:
        """Return what an event does, placed by its own stamp."""
        return cls(event.stamp.packed(), feed_ref(event.feed), event.seq, event.id, change)


def told_by(events: Iterable[Event]) -> list[Told]:
    """Return what events do to records, in their order; those that do nothing are left out.

    Cost: one decoding each.
    """
    changes = ((event, read_change(event)) for event in events)
    return [Told.of(event, change) for event, change in changes if isinstance(change, Change)]


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
    return record_of(fold_state(record_id, told, lineage))


def fold_state(record_id: str, told: Iterable[Told], lineage: Lineage) -> RowState:
    """Return what ``fold_told`` does, as a row says it: that costs half."""
    ranked = sorted({item.id: item for item in told}.values())
    record = RowState(record_id)
    if not (_is_plain(ranked, lineage) and _write_plain(record, ranked)):
        _write_all(record, ranked, lineage)
    if ranked:
        record.last = ranked[-1][:3]
    formed = [item for item in ranked if item.change.form is not None]
    if formed:
        by = formed[0].change.by
        record.created_by = formed[0].feed[:AUTHOR_ID_SIZE].hex() if by is None else by
        record.form = formed[-1].change.form or ""
    record.notes = [(item.change.note, item[:3]) for item in ranked if item.change.note is not None]
    attachments = (item.change.attachment for item in ranked)
    record.attachments = sorted(filter(None, attachments), key=_place_of_attachment)
    return record


def _is_plain(ranked: Sequence[Told], lineage: Lineage) -> bool:
    """Say whether nothing names what its author saw, and no feed forked."""
    for item in ranked:
        change = item.change
        if change.replaces or change.deletes is not None:
            return False
    forked = lineage.forked
    return not forked or {feed_ref(feed) for feed in forked}.isdisjoint(i.feed for i in ranked)


def _write_plain(record: RowState, ranked: Sequence[Told]) -> bool:
    """Take what plain events write; False where a feed is not in order, as a fix can leave it.

    Then all is live but what its own feed wrote again.
    """
    latest: dict[str, dict[bytes, tuple[Any, Spot]]] = {}
    heads: dict[bytes, int] = {}
    for item in ranked:
        spot = _, feed, seq = item[:3]
        if heads.get(feed, 0) >= seq:
            return False
        heads[feed] = seq
        for name, value in item.change.fields.items():
            writes = latest.get(name)
            if writes is None:
                latest[name] = {feed: (value, spot)}
            else:
                writes.pop(feed, None)  # the last is the highest
                writes[feed] = value, spot
    record.fields = {name: [*writes.values()][::-1] for name, writes in latest.items()}
    record.heads = {feed: [seq] for feed, seq in heads.items()}
    record.visible = bool(ranked)
    return True


def _write_all(record: RowState, ranked: Sequence[Told], lineage: Lineage) -> None:
    """Take what any events write."""
    spots = [item[:3] for item in ranked]
    before = _before(ranked, lineage)
    superseded = _superseded(ranked, spots, before)
    fields = record.fields
    live_ranks = set()
    for rank in range(len(ranked) - 1, -1, -1):
        change, spot = ranked[rank].change, spots[rank]
        for name, value in change.fields.items():
            if (rank, name) not in superseded:
                fields.setdefault(name, []).append((value, spot))
                live_ranks.add(rank)
        if change.deletes is None and (change.form is not None or not change.fields):
            live_ranks.add(rank)
    parents = set(before)
    for feed, seq in sorted({spot[1:] for rank, spot in enumerate(spots) if rank not in parents}):
        record.heads.setdefault(feed, []).append(seq)
    record.visible = not live_ranks <= _deleted(ranked, spots, before)
    record.named = _named(ranked, spots)


def _place_of_attachment(attachment: Sequence[Any]) -> tuple[str, str]:
    return attachment[0], attachment[1]


def _before(ranked: Sequence[Told], lineage: Lineage) -> list[int]:
    """Return, per rank, the rank of the nearest event before it on its branch, or -1."""
    before = [-1] * len(ranked)
    forked = lineage.forked
    by_feed: dict[bytes, list[int]] = defaultdict(list)
    for rank, item in enumerate(ranked):
        by_feed[item.feed].append(rank)
    for ref, ranks in by_feed.items():
        if len(ranks) == 1:
            continue
        ranks.sort(key=lambda rank: ranked[rank].seq)
        feed = feed_of(ref)
        if feed in forked:
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
        item = ranked[rank]
        chain = branches.chain_of(item.seq, item.id)
        before[rank] = _nearest(on, branches, chain, item.seq)
        on[chain].append((item.seq, rank))


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


def _superseded(
    ranked: Sequence[Told], spots: Sequence[Spot], before: Sequence[int]
) -> set[tuple[int, str]]:
    """Return the writes, as (rank, field), that a higher write had seen."""
    gone = _seen_on_chains(ranked, before)
    named = [(rank, i.change.replaces) for rank, i in enumerate(ranked) if i.change.replaces]
    if named:
        at = _unambiguous(
            (rank, (place, name))
            for rank, item in enumerate(ranked)
            for place in (spots[rank][1:],)
            for name in item.change.fields
        )
        for rank, replaces in named:
            for name, refs in replaces.items():
                seen = (at.get((ref, name), rank) for ref in refs)
                gone.update((earlier, name) for earlier in seen if earlier < rank)
    return gone


def _seen_on_chains(ranked: Sequence[Told], before: Sequence[int]) -> set[tuple[int, str]]:
    """Return the writes that a higher write further up their branch supersedes."""
    gone: set[tuple[int, str]] = set()
    parents = {rank for rank in before if rank >= 0}
    if len(parents) == len(before) - before.count(-1):  # nothing forks: each chain is walked once
        for end in set(range(len(ranked))) - parents:
            highest: dict[str, int] = {}
            rank = end
            while rank >= 0:
                for name in ranked[rank].change.fields:
                    later = highest.get(name, -1)
                    if later > rank:
                        gone.add((rank, name))
                    else:
                        highest[name] = rank
                rank = before[rank]
        return gone
    best: dict[tuple[int, str], int] = {}
    for earlier, later, name in reversed(list(_own_pairs(ranked, before))):
        above = max(later, best.get((later, name), -1))
        best[earlier, name] = max(above, best.get((earlier, name), -1))
        if above > earlier:
            gone.add((earlier, name))
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


def _named(ranked: Sequence[Told], spots: Sequence[Spot]) -> dict[bytes, int]:
    """Return the highest place named of each feed that has nothing so high among ``ranked``."""
    named: dict[bytes, int] = {}
    for item in ranked:
        if not item.change.replaces and not item.change.deletes:
            continue
        for refs in (item.change.deletes or (), *item.change.replaces.values()):
            for feed, seq in refs:
                named[feed] = max(seq, named.get(feed, 0))
    if named:
        held: dict[bytes, int] = defaultdict(int)
        for _, feed, seq in spots:
            held[feed] = max(seq, held[feed])
        named = {feed: seq for feed, seq in named.items() if seq > held[feed]}
    return named


def _unambiguous(named: Iterable[tuple[int, Any]]) -> dict[Any, int]:
    """Return the rank of each name that exactly one event has."""
    at: dict[Any, int] = {}
    twice = set()
    for rank, name in named:
        if name in at:
            twice.add(name)
        at[name] = rank
    return {name: rank for name, rank in at.items() if name not in twice}


def _deleted(ranked: Sequence[Told], spots: Sequence[Spot], before: Sequence[int]) -> set[int]:
    """Return the ranks that a higher delete had seen: those it names, and all before them."""
    changes = enumerate(item.change for item in ranked)
    deletes = [(rank, change.deletes) for rank, change in changes if change.deletes is not None]
    if not deletes:
        return set()
    at = _unambiguous((rank, spot[1:]) for rank, spot in enumerate(spots))
    seen_by = [-1] * len(ranked)
    for rank, refs in deletes:
        for earlier in (rank, *(at[ref] for ref in refs if ref in at)):
            seen_by[earlier] = max(seen_by[earlier], rank)
    for rank in sorted(range(len(ranked)), key=lambda r: -ranked[r].seq):
        if before[rank] >= 0:
            seen_by[before[rank]] = max(seen_by[before[rank]], seen_by[rank])
    return {rank for rank, highest in enumerate(seen_by) if highest > rank}
