"""How what others wrote comes in: size → shape → member → signature → quota → store.

Nothing (clock, frontier, disk) changes before the store does; one order, one place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from meshlog.core.chain import Chain
from meshlog.core.compact.names import Codebook
from meshlog.core.compact.run import is_compact, read_place, read_segment
from meshlog.core.event import NO_PREV, DatasetId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import BEFORE_ALL, Stamp
from meshlog.core.identity import author_id
from meshlog.core.roster import Roster, read_opening, role_of
from meshlog.core.segment import Segment, is_signed, link_events, placed, stamps_rise
from meshlog.errors import MalformedError
from meshlog.ports.store import Store
from meshlog.replica.arriving import Arriving, size_of
from meshlog.replica.ledger import Ledger
from meshlog.sync.holdings import Ingested, Verdict
from meshlog.sync.messages import Run

PASSES = 4
BASES_MAX = 8
"""Branches that a segment may be tried on; more at one seq is a hostile feed."""


_NO_BOOK = Codebook()

KEPT_SIZE_MAX = 262_144
"""Bytes of decoded segments that are kept while they wait for others of their batch; what is
beyond is decoded again. A segment of 600 bytes can hold 256 events, and take 20 kB decoded."""


@dataclass(slots=True)
class Batch:
    """Segments on their way in: verdicts, and what they would change."""

    coded: Sequence[bytes]
    verdicts: list[Verdict]
    runs: list[Run | None]
    """What each covers; None where that failed, or waits for a feed or a form that is named."""
    gaps: set[FeedKey] = field(default_factory=set)
    arrived: list[Chain] = field(default_factory=list)
    """What was written to data feeds."""
    events: int = 0
    _waiting: dict[int, Segment] = field(default_factory=dict)
    _waiting_size_bytes: int = 0

    def segment(self, index: int, ledger: Ledger) -> Segment | None:
        """Return a segment decoded; None where it cannot be, or not yet."""
        segment = self._waiting.get(index)
        if segment is None:
            coded = self.coded[index]
            # a plain one needs no book, which costs O(feeds) after every control event
            book = ledger.codebook if is_compact(coded) else _NO_BOOK
            try:
                segment = read_segment(coded, book)
            except MalformedError:
                self.verdicts[index] = Verdict.MALFORMED
        if segment is not None:
            self.runs[index] = Run(segment.feed, segment.first_seq, segment.last_seq)
        return segment

    def keep(self, index: int, segment: Segment) -> None:
        """Remember a segment that waits, as far as there is room."""
        if index in self._waiting:
            return
        size_bytes = size_of(segment.bodies)
        if self._waiting_size_bytes + size_bytes <= KEPT_SIZE_MAX:
            self._waiting[index] = segment
            self._waiting_size_bytes += size_bytes

    def outcome(self) -> Ingested:
        """Return what became of each segment."""
        return Ingested(self.events, tuple(self.verdicts), frozenset(self.gaps), tuple(self.runs))


def too_busy(segments: Sequence[bytes]) -> Ingested:
    """Return what became of a batch that the disk did not take."""
    unread = (None,) * len(segments)
    return Ingested(0, (Verdict.BUSY,) * len(segments), frozenset(), unread)


def begin_batch(segments: Sequence[bytes]) -> Batch:
    """Return a batch in which nothing was decoded yet."""
    return Batch(segments, [Verdict.GAP] * len(segments), [None] * len(segments))


def take_in(batch: Batch, store: Store, ledger: Ledger, dataset: DatasetId, now_ms: int) -> None:
    """Write what holds of a batch, inside the caller's transaction; ``ledger`` is a copy.

    Segments may come in any order. Judged by kind, feed and seq, one pass takes all but what
    waits for a later one's branch, for the genesis, or for control events that a compact one
    needs to be read at all; the passes after it take that. One segment is decoded at a time.
    Cost: one decoding, and one signature check per segment and base.
    """
    arriving = Arriving(store, ledger, now_ms)
    batch.arrived = arriving.written
    for _ in range(PASSES):
        before = batch.events
        for index in _in_order(batch, ledger):
            segment = batch.segment(index, ledger)
            if segment is None:
                continue
            if not arriving.goes_on_with(segment):
                arriving.write()
            verdict, new = judge(segment, store, ledger, dataset)
            batch.verdicts[index] = verdict
            if new is not None:
                arriving.take(new)
                batch.events += len(new)
            elif verdict is Verdict.GAP:
                batch.keep(index, segment)
        arriving.write()
        if batch.events == before:
            break
    batch.gaps = {
        run.feed
        for run, verdict in zip(batch.runs, batch.verdicts, strict=True)
        if run is not None and verdict is Verdict.GAP and _is_known(run.feed, ledger.roster)
    }


def _is_known(feed: FeedKey, roster: Roster) -> bool:
    """Say whether a feed's author may write it, so that only its base can lack."""
    member = roster.members.get(feed.author)
    if feed.kind is FeedKind.DATA:
        return member is not None and feed.incarnation in member.feeds
    genesis = roster.genesis_feed
    return member is not None or (genesis is not None and feed.author == genesis.author)


def _in_order(batch: Batch, ledger: Ledger) -> list[int]:
    """Return which to judge now, in which order, by the beginning of each."""
    waiting = [at for at, verdict in enumerate(batch.verdicts) if verdict is Verdict.GAP]
    if len(waiting) == 1:
        return waiting
    order = []
    for index in waiting:
        try:
            place = read_place(batch.coded[index], ledger.codebook)
        except MalformedError:
            batch.verdicts[index] = Verdict.MALFORMED
            continue
        if place is not None:
            feed, first_seq = place
            order.append((feed.kind, feed, first_seq, index))
    return [index for *_, index in sorted(order)]


def judge(
    segment: Segment, store: Store, ledger: Ledger, dataset: DatasetId
) -> tuple[Verdict, Chain | None]:
    """Decide about one segment: the verdict, and what is new of one that is accepted.

    Cheap checks first, the signature last. A second child of a base is welcome: forks are
    data and converge. Depends on held grants and bases only, never on a clock (I2).
    """
    verdict, keys = _member(segment, ledger.roster, dataset)
    if verdict is not Verdict.ACCEPTED:
        return verdict, None
    worst = Verdict.GAP
    for prev, stamp in _bases(segment, store, ledger):
        whole = placed(segment, stamp)
        if whole is None:
            worst = Verdict.FORGED
            continue
        chain = link_events(whole, prev, dataset)
        held = _held(chain, store, ledger)
        if held == len(chain):
            return Verdict.DUPLICATE, None
        if not stamps_rise(chain.stamps, stamp) or not is_signed(chain, keys):
            worst = Verdict.FORGED
            continue
        if segment.first_seq == 1 and segment.feed.kind is FeedKind.CONTROL:
            opens = read_opening(chain.event(0))
            if opens is not None and opens.data is None and chain.ids[0] != dataset:
                return Verdict.STRANGER, None
        return Verdict.ACCEPTED, chain.after(held)
    return worst, None


def _member(segment: Segment, roster: Roster, dataset: DatasetId) -> tuple[Verdict, bytes]:
    """Return whether the segment's author may write this feed, and its keys."""
    author = segment.feed.author
    member = roster.members.get(author)
    if segment.feed.kind is FeedKind.DATA:
        if member is None or segment.feed.incarnation not in member.feeds:
            return Verdict.GAP, b""
        if member.role < Role.WRITER:
            return Verdict.STRANGER, b""
        return Verdict.ACCEPTED, member.keys
    if member is not None and segment.first_seq > 1:
        return Verdict.ACCEPTED, member.keys
    if roster.founder and author_id(roster.founder) == author:
        return Verdict.ACCEPTED, roster.founder
    if segment.first_seq > 1:
        return Verdict.GAP, b""
    return _newcomer(segment, roster, dataset)


def _newcomer(segment: Segment, roster: Roster, dataset: DatasetId) -> tuple[Verdict, bytes]:
    """Judge a control feed from its first event, which carries the keys and the grant."""
    first = link_events(segment, NO_PREV, dataset).event(0)
    opening = read_opening(first)
    if opening is None:
        return Verdict.STRANGER, b""
    if opening.data is None:
        return (Verdict.ACCEPTED, opening.keys) if first.id == dataset else (Verdict.STRANGER, b"")
    if role_of(opening, segment.feed.author, dataset, roster.founder) is None:
        return (Verdict.GAP if roster.awaits_genesis else Verdict.STRANGER), b""
    return Verdict.ACCEPTED, opening.keys


def _bases(segment: Segment, store: Store, ledger: Ledger) -> Sequence[tuple[bytes, Stamp]]:
    """Return the held events that the segment may follow: id and stamp."""
    if segment.first_seq == 1:
        return [(NO_PREV, BEFORE_ALL)] if NO_PREV.startswith(segment.base_hint) else []
    bases = ledger.events_at(segment.feed, segment.first_seq - 1, store)
    return [(prev, stamp) for prev, stamp in bases if prev.startswith(segment.base_hint)][
        :BASES_MAX
    ]


def _held(chain: Chain, store: Store, ledger: Ledger) -> int:
    """Return how many events of a chain, from its first, are held; beyond them none is.

    Cost: none where the feed ends before it, O(log events) look-ups else.
    """
    highest = max((head.seq for head in ledger.frontier.get(chain.feed, ())), default=0)
    reach = min(max(highest - chain.first_seq + 1, 0), len(chain))
    return bisect_left(range(reach), 1, key=lambda at: store.get(chain.ids[at]) is None)
