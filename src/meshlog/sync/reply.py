"""One bundle in, one bundle out: what either end of an exchange says to what it heard.

Stateless but for what is stored: an exchange that is lost or repeated harms nothing. The
initiator's memory between exchanges lives in ``session``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from meshlog.core.compact.run import is_compact, read_work
from meshlog.core.feed import FeedKey, FeedKind, by_turns
from meshlog.core.segment import event_count
from meshlog.sync.bundle import Bundle
from meshlog.sync.difference import (
    Difference,
    Push,
    answer_want,
    compare_control,
    compare_data,
    state_control,
    state_data,
)
from meshlog.sync.holdings import Holdings, Ingested, Verdict
from meshlog.sync.locators import answer_loc, locate
from meshlog.sync.messages import (
    LOCATORS_MAX,
    Ack,
    Beacon,
    Message,
    Part,
    Seg,
    Sum,
    Want,
    root_hint,
)
from meshlog.sync.statements import ROSTER_DIGEST_SIZE, Delta, Digests, Ids, Loc, Vec

PIECE_SIZE = 131_072
"""Bytes of segments from which on they go into a transaction."""

PIECE_EVENTS = 2_048
"""Events from which on they do; with the 256 of the last segment about half a megabyte. With 768
an event costs 5 % more."""

PIECE_SEGMENTS = 512
"""Segments from which on they do: one takes some 300 bytes, however few events it has."""

COMPACT_WORK_MAX = 2**20
"""Adaptive bits that the compact segments of one bundle may take: a second or two. Over links
segments go plain; 3 kB could otherwise inflate to a minute and a half of reading."""

GAPS_MAX = 256
"""Feeds with a gap remembered of one bundle; 16 of them are located in an exchange."""

_SEG_OVERHEAD = 4
"""Type byte and length of a SEG message."""


@dataclass(slots=True)
class Heard:
    """What a bundle said, sorted, its segments already stored."""

    beacon: Beacon | None = None
    asked_beacon: bool = False
    ingested: Ingested = field(default_factory=lambda: Ingested(0, (), frozenset()))
    postponed: int = 0
    """Compact segments that were not read, because those before them took all the time."""
    accepted: int = 0
    """Events of ours that the peer took, as its ACK says."""
    difference: Difference = field(default_factory=Difference)
    compared: bool = False
    other_roster: bool = False
    """A VEC came under another roster digest: indices mean nothing, control feeds first."""
    locs: list[Loc] = field(default_factory=list)
    credit_bytes: int | None = None
    lacking: Sum | None = None


def make_beacon(holdings: Holdings, now_ms: int) -> Beacon:
    """Return where we stand at ``now_ms``."""
    time_s = max(now_ms, 0) // 1000 & 0xFFFFFFFF
    digest = holdings.roster_digest()[:ROSTER_DIGEST_SIZE]
    return Beacon(time_s, root_hint(time_s, holdings.root()), digest, holdings.event_count())


def agrees(holdings: Holdings, beacon: Beacon) -> bool:
    """Say whether a peer stands where we stand."""
    return beacon.root_hint == root_hint(beacon.time_s, holdings.root())


def same_roster(holdings: Holdings, beacon: Beacon) -> bool:
    """Say whether a peer's control feeds are ours."""
    return holdings.roster_digest().startswith(beacon.roster_digest)


def hear(holdings: Holdings, bundle: Bundle, now_ms: int) -> Heard:
    """Store a bundle's segments first, then read the rest against what we hold now."""
    heard = Heard()
    for piece in _pieces(_affordable(bundle.segments(), heard)):
        heard.ingested = _joined(heard.ingested, holdings.ingest(piece, now_ms))
    if heard.postponed:
        later = Ingested(0, (Verdict.BUSY,) * heard.postponed, frozenset())
        heard.ingested = _joined(heard.ingested, later)
    for message in bundle.said:
        _read(holdings, message, heard)
    return heard


def _affordable(segments: Iterable[bytes], heard: Heard) -> Iterator[bytes]:
    """Yield segments, compact ones as long as reading them stays cheap; the rest are postponed."""
    left = COMPACT_WORK_MAX
    for data in segments:
        if is_compact(data):
            work = read_work(data)
            if work > left:
                heard.postponed += 1
                continue
            left -= work
        yield data


def _pieces(segments: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield segments in pieces, each to be stored in one transaction."""
    piece: list[bytes] = []
    size_bytes = events = 0
    for data in segments:
        piece.append(data)
        size_bytes += len(data)
        events += event_count(data)
        is_full = size_bytes >= PIECE_SIZE or events >= PIECE_EVENTS
        if is_full or len(piece) >= PIECE_SEGMENTS:
            yield piece
            piece, size_bytes, events = [], 0, 0
    if piece:
        yield piece


def _joined(one: Ingested, other: Ingested) -> Ingested:
    """Return what became of two pieces, what their segments cover left out."""
    gaps = frozenset(islice(one.gaps | other.gaps, GAPS_MAX))
    return Ingested(one.events + other.events, one.verdicts + other.verdicts, gaps)


def _read(holdings: Holdings, message: Message, heard: Heard) -> None:
    match message:
        case Beacon():
            heard.beacon, heard.asked_beacon = message, True
        case Ack():
            heard.beacon, heard.accepted = message.beacon, message.accepted
        case Ids():
            heard.compared = True
            heard.difference.add(compare_control(holdings, message))
        case Vec():
            heard.compared = True
            if message.roster_digest == holdings.roster_digest()[:ROSTER_DIGEST_SIZE]:
                heard.difference.add(compare_data(holdings, message))
            else:
                heard.other_roster = True
        case Want():
            heard.credit_bytes = message.credit_bytes
            heard.difference.push(answer_want(holdings, message.runs))
        case Loc():
            if any(loc.feed == message.feed for loc in heard.locs):
                return
            heard.locs.append(message)
            heard.difference.push(answer_loc(holdings, message))
        case Sum():
            heard.lacking = message
        case Seg() | Delta() | Digests() | Part():
            pass  # segments are stored by now; the others belong to the broadcast lane


def keep_control(heard: Heard) -> None:
    """Forget what was heard that data would answer: the peer holds an older key only."""
    difference = heard.difference
    difference.pushes = [push for push in difference.pushes if is_control(push.feed)]
    difference.locate = [feed for feed in difference.locate if is_control(feed)]
    heard.locs = [loc for loc in heard.locs if is_control(loc.feed)]


def is_control(feed: FeedKey) -> bool:
    """Say whether a feed is one of those that everybody is told."""
    return feed.kind is FeedKind.CONTROL


def pack(
    holdings: Holdings, pushes: list[Push], budget_bytes: int
) -> tuple[list[Message], list[Push]]:
    """Return segments of what fits the budget, and the pushes still owed, first come first served.

    At least one segment is packed where any push is left, so that every exchange moves on.
    """
    packed: list[Message] = []
    owed: list[Push] = []
    left = budget_bytes
    for push in pushes:
        if packed and left <= 0:
            owed.append(push)
            continue
        segments, reached = holdings.segments(push.feed, push.tip, push.after_seq, max(left, 0))
        packed += map(Seg, segments)
        left -= sum(len(segment) + _SEG_OVERHEAD for segment in segments)
        if reached < push.tip.seq:
            owed.append(Push(push.feed, push.tip, reached))
            left = min(left, 0) if segments else left
    return packed, owed


def estimate(packed: list[Message], pushes: list[Push], owed: list[Push]) -> Sum:
    """Return what stays owed: events exactly, bytes by the mean of what was packed."""
    events = sum(push.tip.seq - push.after_seq for push in owed)
    moved = sum(push.tip.seq - push.after_seq for push in pushes) - events
    size_bytes = sum(len(message.data) for message in packed if isinstance(message, Seg))
    return Sum(events, events * size_bytes // max(moved, 1))


def reply(
    holdings: Holdings,
    bundle: Bundle,
    budget_bytes: int,
    now_ms: int,
    *,
    control_only: bool = False,
) -> tuple[list[Message], Heard, bool]:
    """Return the answer, what was heard, and whether the peer will then stand where we do.

    The last is a hint (I7): the initiator goes on until it knows.

    Args:
        holdings: Ours; grows by the segments in the request.
        bundle: The request.
        budget_bytes: The most that the answer may hold; 0 says only where we stand, because a
            sync of ours with the same peer is under way.
        now_ms: Wall time.
        control_only: Whether the peer is told control feeds and nothing else.
    """
    heard = hear(holdings, bundle, now_ms)
    if control_only:
        keep_control(heard)
    answer: list[Message] = []
    if heard.ingested.verdicts:
        answer.append(
            Ack(make_beacon(holdings, now_ms), heard.ingested.events, heard.ingested.refused)
        )
    elif heard.asked_beacon or heard.other_roster:
        answer.append(make_beacon(holdings, now_ms))
    agreed = heard.beacon is not None and agrees(holdings, heard.beacon)
    if not budget_bytes:
        return answer or [make_beacon(holdings, now_ms)], heard, agreed
    open_ends = bool(
        heard.difference.wants
        or heard.difference.locate
        or heard.locs
        or heard.difference.is_cut
        or not {Verdict.GAP, Verdict.BUSY}.isdisjoint(heard.ingested.verdicts)
    )
    differs = heard.asked_beacon and not agreed and not heard.compared
    if heard.other_roster or differs or (heard.compared and holdings.awaits_genesis()):
        open_ends = True
        control = control_only or heard.other_roster or not _same_roster(holdings, heard)
        answer.append(state(holdings, now_ms, control=control, hashed=False))
    theirs = {loc.feed: loc for loc in heard.locs}
    forked = {*heard.difference.locate, *heard.ingested.gaps, *theirs}
    if control_only:
        forked = set(filter(is_control, forked))
    answer += [locate(holdings, feed, theirs.get(feed)) for feed in by_turns(forked)[:LOCATORS_MAX]]
    if heard.difference.wants:
        answer.append(Want(budget_bytes, tuple(heard.difference.wants)))
    credit = budget_bytes if heard.credit_bytes is None else min(budget_bytes, heard.credit_bytes)
    packed, owed = pack(holdings, heard.difference.pushes, credit)
    answer += packed
    if owed:
        answer.append(estimate(packed, heard.difference.pushes, owed))
    return answer, heard, agreed or not (open_ends or owed)


def state(
    holdings: Holdings, now_ms: int, *, control: bool, hashed: bool, page: int = 0
) -> Message:
    """Return a statement of what we hold: control feeds by id, or data feeds by index.

    Of more than one statement names, ``page`` says which data feeds, and time which others.
    """
    if control:
        return state_control(holdings, now_ms // 1_000)
    return state_data(holdings, hashed=hashed, page=page)


def _same_roster(holdings: Holdings, heard: Heard) -> bool:
    return heard.beacon is not None and same_roster(holdings, heard.beacon)
