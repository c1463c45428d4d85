"""Statements: what a sender holds, and its bytes. docs/protocol.md §6.2 is normative.

Numbers that the reader can guess – a feed is about as long as the one before it – cost a
fraction of a byte: VEC, DELTA and DIGESTS are range coded (core.coder).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from meshlog.core.codec import Reader, varint
from meshlog.core.coder import Coder
from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FEED_KEY_SIZE, FeedKey, FeedKind, Head
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.core.rangecoder import ReaderCoder, Writer
from meshlog.errors import MalformedError
from meshlog.sync.hints import (
    HEAD_HINT_SIZE,
    POINT_HINT_SIZE,
    HeadHint,
    HeadHints,
    HeadTable,
    IdTable,
    Point,
    PointTable,
)

FEEDS_MAX = 20_000
"""Feeds that one statement names. Of more, one names a part: see ``difference``."""

INDEX_MAX = 2**24 - 1
HEADS_MAX = 64
POINTS_MAX = 1_024
CREDIT_MAX = 255
ROSTER_DIGEST_SIZE = 4
STATEMENT_WORK = 131_072
"""Adaptive bits of a statement: 20,000 feeds that are all alike take about 100,000."""

STEPS_MAX = 2_048
"""Feeds in a DELTA: more than differ at once, and 40 bytes could claim 20,000."""

HOLES_MAX = 32
BASE_SIZE = 4
"""Bytes by which a DELTA names what it counts from: of a root, or of a statement."""

FEED_DIGEST_SIZE = 3
FEED_DIGEST_MAX = 2 ** (8 * FEED_DIGEST_SIZE) - 1
DIGESTS_MAX = 1_024
_HINT_BITS = 8 * HEAD_HINT_SIZE


@dataclass(frozen=True, slots=True)
class Ids:
    """Every control feed that the sender holds, by explicit id, with heads."""

    feeds: Sequence[tuple[FeedKey, HeadHints]]
    """Ascending by feed; an ``IdTable`` where there may be many. In another order a reader sees
    differences where there are none."""


@dataclass(frozen=True, slots=True)
class Vec:
    """Heads of the roster's data feeds, in roster order."""

    roster_digest: bytes
    hashed: bool
    """Level 1: every head with its hint, asked for when level 0 showed no difference."""
    feeds: Sequence[HeadHints]
    """A ``HeadTable`` where there may be many."""
    first: int = 0
    """Index of the first feed stated."""
    partial: bool = False
    """Whether feeds before and after those stated are left unsaid; otherwise what is past the
    end is not held."""
    credit: int = 0
    """Packets that the sender takes now of what it lacks; over links, of no meaning."""


class Step(NamedTuple):
    """One feed in a DELTA."""

    place: int
    """Its index among the roster's data feeds."""
    ahead: int
    """Events more than in the base; negative for fewer. 0 where the heads are told."""
    heads: HeadHints = ()
    """All heads with hints, where the feed forked."""
    holes: tuple[tuple[int, int], ...] = ()
    """After the head, in turns: events that lack, and events behind them that came already but
    cannot be linked yet. What follows the last lacks, too."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What the sender's data feeds are, counted from a base that the reader may remember."""

    base: bytes
    """4 bytes: the start of a root, or a statement's id. Only a hint."""
    roster_digest: bytes
    """1 byte of it."""
    credit: int
    """Packets that the sender takes now of what it lacks; 0 for none."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Digests:
    """Control feeds by 3 bytes each, heads included: differing rosters find what differs."""

    first: int
    """The least digest that would be named; what is outside of first … last is left unsaid."""
    last: int
    digests: tuple[int, ...]
    """Ascending."""


@dataclass(frozen=True, slots=True)
class Loc:
    """Points of the sender's branches of one feed, exponentially spaced: finds a fork."""

    feed: FeedKey
    points: Sequence[Point]
    """A ``PointTable`` where there may be many."""


def statement_id(statement: Vec | Delta) -> bytes:
    """Return the 4 bytes by which a DELTA names this statement as its base."""
    content = encode_vec(statement) if isinstance(statement, Vec) else encode_delta(statement)
    return hashlib.blake2b(content, digest_size=BASE_SIZE).digest()


def feed_digest(feed: FeedKey, heads: Iterable[Head]) -> int:
    """Return the number of 24 bits that stands for a control feed and its heads."""
    state = hashlib.blake2b(feed.packed(), digest_size=FEED_DIGEST_SIZE)
    for head in sorted(heads):
        state.update(head.id)
    return int.from_bytes(state.digest(), "big")


def hints(heads: Iterable[Head]) -> HeadHints:
    """Return heads as statements carry them."""
    return tuple(HeadHint(head.seq, head.id[:HEAD_HINT_SIZE]) for head in heads)


# ── range coded: VEC, DELTA, DIGESTS ────────────────────────────────────────────────


def encode_vec(vec: Vec) -> bytes:
    """Return the content of a VEC."""
    coder = Writer()
    _code_vec(coder, vec)
    return vec.roster_digest + coder.finish()


def read_vec(reader: Reader) -> Vec:
    """Return the VEC whose content ``reader`` holds."""
    digest = reader.take(ROSTER_DIGEST_SIZE)
    coder = ReaderCoder(reader.take(reader.left), STATEMENT_WORK)
    vec = _code_vec(coder, Vec(digest, hashed=False, feeds=()))
    coder.end()
    return vec


def _code_vec(coder: Coder, vec: Vec) -> Vec:
    hashed = bool(coder.bit("hashed", vec.hashed))
    partial = bool(coder.bit("partial", vec.partial))
    first = coder.uint("first", vec.first, INDEX_MAX) if partial else 0
    credit = coder.uint("credit", vec.credit, CREDIT_MAX)
    feeds = HeadTable()
    seq = 0
    for index in range(coder.uint("count", len(vec.feeds), FEEDS_MAX)):
        heads = _code_heads(coder, vec.feeds[index] if vec.feeds else (), seq, hashed=hashed)
        seq = heads[-1].seq if heads else seq
        if not coder.is_writing:
            feeds.append(heads)
    return Vec(vec.roster_digest, hashed, feeds, first, partial, credit)


def _code_heads(coder: Coder, heads: HeadHints, near: int, *, hashed: bool) -> HeadHints:
    """Code the heads of one feed, whose seq is probably close to ``near``."""
    count = coder.uint("heads", len(heads[-HEADS_MAX:]), HEADS_MAX, typical_bits=1)
    hashed = hashed or count > 1
    out = []
    for head in heads[-HEADS_MAX:] or (HeadHint(near, b""),) * count:
        seq = near + coder.sint("seq", head.seq - near, SEQ_MAX)
        if not 1 <= seq <= SEQ_MAX:
            raise MalformedError("seq out of range")
        hint = coder.direct(_HINT_BITS, int.from_bytes(head.hint, "big")) if hashed else 0
        out.append(HeadHint(seq, hint.to_bytes(HEAD_HINT_SIZE, "big") if hashed else b""))
        near = seq
    return tuple(out)


def encode_delta(delta: Delta) -> bytes:
    """Return the content of a DELTA."""
    coder = Writer()
    _code_delta(coder, delta)
    return delta.base + delta.roster_digest[:1] + coder.finish()


def read_delta(reader: Reader) -> Delta:
    """Return the DELTA whose content ``reader`` holds."""
    base, digest = reader.take(BASE_SIZE), reader.take(1)
    coder = ReaderCoder(reader.take(reader.left), STATEMENT_WORK)
    delta = _code_delta(coder, Delta(base, digest, 0, ()))
    coder.end()
    return delta


def _code_delta(coder: Coder, delta: Delta) -> Delta:
    credit = coder.uint("credit", delta.credit, CREDIT_MAX)
    steps = []
    index = -1
    for nth in range(coder.uint("count", len(delta.steps), STEPS_MAX)):
        step = delta.steps[nth] if delta.steps else Step(index + 1, 0)
        index += 1 + coder.uint("gap", step.place - index - 1, FEEDS_MAX)
        if index >= FEEDS_MAX:
            raise MalformedError("number past its limit")
        if coder.bit("forked", bool(step.heads)):
            steps.append(Step(index, 0, _code_heads(coder, step.heads, 1, hashed=True)))
        else:
            ahead = coder.sint("ahead", step.ahead, SEQ_MAX)
            steps.append(Step(index, ahead, holes=_code_holes(coder, step.holes)))
    return Delta(delta.base, delta.roster_digest, credit, tuple(steps))


def _code_holes(coder: Coder, holes: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    found = []
    for nth in range(coder.uint("holes", len(holes), HOLES_MAX)):
        lack, have = holes[nth] if holes else (1, 1)
        lack = 1 + coder.uint("lack", lack - 1, SEQ_MAX, 4)
        found.append((lack, 1 + coder.uint("have", have - 1, SEQ_MAX, 4)))
    return tuple(found)


def encode_digests(digests: Digests) -> bytes:
    """Return the content of a DIGESTS."""
    coder = Writer()
    _code_digests(coder, digests)
    return coder.finish()


def read_digests(reader: Reader) -> Digests:
    """Return the DIGESTS whose content ``reader`` holds."""
    coder = ReaderCoder(reader.take(reader.left), STATEMENT_WORK)
    digests = _code_digests(coder, Digests(0, 0, ()))
    coder.end()
    return digests


def _code_digests(coder: Coder, digests: Digests) -> Digests:
    whole = coder.bit("whole", (digests.first, digests.last) == (0, FEED_DIGEST_MAX))
    bits = 8 * FEED_DIGEST_SIZE
    first = 0 if whole else coder.direct(bits, digests.first)
    last = FEED_DIGEST_MAX if whole else coder.direct(bits, digests.last)
    found = []
    at = first
    for place in range(coder.uint("count", len(digests.digests), DIGESTS_MAX)):
        told = digests.digests[place] - at if digests.digests else 0
        at += coder.uint("gap", told, FEED_DIGEST_MAX)
        if at > last:
            raise MalformedError("number past its limit")
        found.append(at)
    return Digests(first, last, tuple(found))


# ── by explicit id: IDS, LOC ────────────────────────────────────────────────────────


def encode_ids(ids: Ids) -> bytes:
    """Return the content of an IDS."""
    parts = [
        key.author + key.incarnation.to_bytes(4, "big") + _plain_heads(heads)
        for key, heads in ids.feeds
    ]
    return varint(len(ids.feeds)) + b"".join(parts)


def read_ids(reader: Reader) -> Ids:
    """Return the IDS whose content ``reader`` holds."""
    feeds = IdTable()
    for _ in range(reader.varint(FEEDS_MAX)):
        feeds.append(reader.take(AUTHOR_ID_SIZE + 4), _read_heads(reader))
    return Ids(feeds)


def _plain_heads(heads: Sequence[HeadHint]) -> bytes:
    if len(heads) <= 1:
        return varint(heads[0].seq << 1) + heads[0].hint if heads else varint(0)
    shown = heads[-HEADS_MAX:]
    return varint(len(shown) << 1 | 1) + b"".join(varint(head.seq) + head.hint for head in shown)


def _read_heads(reader: Reader) -> HeadHints:
    packed = reader.varint(SEQ_MAX << 1 | 1)
    if packed & 1:
        count = packed >> 1
        if not 1 < count <= HEADS_MAX:
            raise MalformedError("number past its limit")
        return tuple(
            HeadHint(reader.varint(SEQ_MAX), reader.take(HEAD_HINT_SIZE)) for _ in range(count)
        )
    seq = packed >> 1
    return (HeadHint(seq, reader.take(HEAD_HINT_SIZE)),) if seq else ()


def encode_loc(loc: Loc) -> bytes:
    """Return the content of a LOC."""
    parts = [varint(point.seq) + point.hint for point in loc.points]
    return loc.feed.packed() + varint(len(loc.points)) + b"".join(parts)


def read_loc(reader: Reader) -> Loc:
    """Return the LOC whose content ``reader`` holds."""
    feed, count = read_feed(reader), reader.varint(POINTS_MAX)
    return Loc(
        feed,
        PointTable(
            Point(reader.varint(SEQ_MAX), reader.take(POINT_HINT_SIZE)) for _ in range(count)
        ),
    )


def read_feed(reader: Reader) -> FeedKey:
    """Return the feed key of 21 bytes that comes next.

    Raises:
        MalformedError: Cut short, or of a kind that no feed has.
    """
    raw = Reader(reader.take(FEED_KEY_SIZE))
    author, kind, life = AuthorId(raw.take(AUTHOR_ID_SIZE)), raw.uint(1), raw.uint(4)
    if kind not in (FeedKind.CONTROL, FeedKind.DATA):
        raise MalformedError("unknown feed kind")
    return FeedKey(author, FeedKind(kind), life)
