"""What control events decree beside openings and forms: removals, readmissions, clock fixes.

A decree is read strictly: anything else is kept, relayed and ignored. Which decrees count is the
matter of ``core.seniority``; what that means for an event is the matter of ``views.standing``.
docs/protocol.md §7.6 is normative.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

from meshlog.core.clockfix import Shift
from meshlog.core.event import ID_SIZE, SEQ_MAX, Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId

CUTS_MAX = 256
"""Branches that one decree may name. A choice: a device has two feeds per life."""

KEEPS_MAX = 1_024
"""Members that one decree may name: 16 KiB. A choice."""

WELCOMES_MAX = 64
"""Guests that one welcome may name. A choice: a device takes in few at a time."""

ANSWERS_MAX = 64
"""Revocations that one readmission may answer. A choice."""

FIX_KIND = "clock.fix"
WELCOME_KIND = "member.welcome"

Cuts: TypeAlias = Mapping[FeedKey, tuple[Head, ...]]
"""Per feed, the last event that counts of each branch; a feed that is not named counts nowhere."""

Order: TypeAlias = tuple[int, bytes, int, int, bytes]
"""Place in the total order of events."""


class Ancestry(Protocol):
    """Who descends from whom."""

    def ancestor(self, feed: FeedKey, tip: Head, seq: int) -> bytes | None:
        """Return the id at ``seq`` (1 … ``tip.seq``) on the branch that ends in ``tip``.

        None where ``tip`` is not held in ``feed`` at its seq.
        """


class Place(NamedTuple):
    """Where an event stands."""

    feed: FeedKey
    seq: int
    id: bytes


def place_of(event: Event) -> Place:
    """Return where ``event`` stands."""
    return Place(event.feed, event.seq, event.id)


def tips_of(named: Iterable[Cuts]) -> set[bytes]:
    """Return the ids of the data events that cuts name."""
    return {
        head.id
        for cuts in named
        for feed, heads in cuts.items()
        if feed.kind is FeedKind.DATA
        for head in heads
    }


def is_within(place: Place, cuts: Cuts, ancestry: Ancestry, *, lenient: bool) -> bool:
    """Say whether an event lies on a branch up to one of its cuts.

    Args:
        place: The event's.
        cuts: Of the event's author.
        ancestry: Answers for all events that are held.
        lenient: Whether, as long as a cut's own event is not held, what stands before it counts
            without proof of its branch. Never for a hostile author: it could forge a branch.
    """
    for tip in cuts.get(place.feed, ()):
        if place.seq <= tip.seq:
            found = ancestry.ancestor(place.feed, tip, place.seq)
            if found == place.id or (found is None and lenient):
                return True
    return False


# ── Decrees, as read ────────────────────────────────────────────────────────────────


class Mode(StrEnum):
    """Why a member was removed."""

    SOFT = "soft"
    """Lost or retired: what comes after the cut waits for a review."""
    HARD = "hard"
    """Stolen or hostile: what comes after the cut is not offered for review."""


@dataclass(frozen=True, slots=True)
class Decree:
    """A readable control event that decides about an author."""

    place: Place
    order: Order
    author: AuthorId
    """About whom."""

    @property
    def by(self) -> AuthorId:
        """Who said it."""
        return self.place.feed.author


@dataclass(frozen=True, slots=True)
class Removal(Decree):
    """``member.revoke``, or the half of ``member.rotate`` that ends the old keys."""

    cuts: Cuts
    mode: Mode
    keeps: frozenset[AuthorId]
    """Whom it let in, and who stays."""
    successor: AuthorId | None = None
    """Who has its seat now; of a rotation."""


@dataclass(frozen=True, slots=True)
class Readmission(Decree):
    """``member.readmit``: takes events, or members, back in that a removal put aside."""

    answers: frozenset[bytes]
    """Ids of the removals that it softens."""
    cuts: Cuts
    keeps: frozenset[AuthorId]


@dataclass(frozen=True, slots=True)
class Welcome(Decree):
    """``member.welcome``: a host's word whom its grants let in; about its own guests."""

    guests: tuple[AuthorId, ...]
    """In the order in which it took them."""


@dataclass(frozen=True, slots=True)
class ClockFix(Decree):
    """``clock.fix``: by how much the stamps of a stretch of a data feed are off."""

    feed: FeedKey
    shift: Shift


class _WrongError(Exception):
    """A payload breaks a rule; never leaves this module."""


def _sequence(value: object, most: int) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) > most:
        raise _WrongError
    return value


def _bytes(value: object, size: int) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise _WrongError
    return value


def _number(value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _WrongError
    return value


def _author(value: object) -> AuthorId:
    return AuthorId(_bytes(value, AUTHOR_ID_SIZE))


def _authors(value: object) -> frozenset[AuthorId]:
    return frozenset(_author(item) for item in _sequence(value, KEEPS_MAX))


def _cuts(value: object, author: AuthorId) -> Cuts:
    found: dict[FeedKey, tuple[Head, ...]] = {}
    for item in _sequence(value, CUTS_MAX):
        match item:
            case (kind, life, seq, event_id):
                pass
            case _:
                raise _WrongError
        feed = FeedKey(author, FeedKind(_number(kind, 0, 1)), _number(life, 0, 2**32 - 1))
        head = Head(_number(seq, 1, SEQ_MAX), _bytes(event_id, ID_SIZE))
        found[feed] = (*found.get(feed, ()), head)
    return MappingProxyType(found)


def cut_list(heads: Mapping[FeedKey, Iterable[Head]]) -> list[list[Any]]:
    """Return cuts as a decree's payload carries them."""
    return [
        [int(feed.kind), feed.incarnation, head.seq, head.id]
        for feed, tips in sorted(heads.items())
        for head in tips
    ]


def _read_revoke(event: Event, said: Mapping[str, Any]) -> Removal:
    author = _author(said.get("author"))
    mode = said.get("mode")
    if mode not in (Mode.SOFT, Mode.HARD):
        raise _WrongError
    cuts, keeps = _cuts(said.get("cuts"), author), _authors(said.get("keeps", ()))
    return Removal(place_of(event), event.order, author, cuts, Mode(mode), keeps)


def _read_rotate(event: Event, said: Mapping[str, Any]) -> Removal:
    heir, cuts = _author(said.get("to")), _cuts(said.get("cuts"), event.author)
    keeps = _authors(said.get("keeps", ())) | {heir}
    return Removal(place_of(event), event.order, event.author, cuts, Mode.SOFT, keeps, heir)


def _read_readmit(event: Event, said: Mapping[str, Any]) -> Readmission:
    author = _author(said.get("author"))
    answers = frozenset(
        _bytes(item, ID_SIZE) for item in _sequence(said.get("answers"), ANSWERS_MAX)
    )
    cuts, keeps = _cuts(said.get("cuts", ()), author), _authors(said.get("keeps", ()))
    return Readmission(place_of(event), event.order, author, answers, cuts, keeps)


def _read_welcome(event: Event, said: Mapping[str, Any]) -> Welcome:
    guests = tuple(_author(item) for item in _sequence(said.get("guests"), WELCOMES_MAX))
    if not guests:
        raise _WrongError
    return Welcome(place_of(event), event.order, event.author, guests)


def _read_fix(event: Event, said: Mapping[str, Any]) -> ClockFix:
    packed = _bytes(said.get("feed"), AUTHOR_ID_SIZE + 4)
    author = AuthorId(packed[:AUTHOR_ID_SIZE])
    feed = FeedKey(author, FeedKind.DATA, int.from_bytes(packed[AUTHOR_ID_SIZE:], "big"))
    first = _number(said.get("first"), 1, SEQ_MAX)
    last = _number(said.get("last"), first, SEQ_MAX)
    offset_ms = _number(said.get("offset_ms"), -WALL_MS_MAX, WALL_MS_MAX)
    return ClockFix(place_of(event), event.order, author, feed, Shift(first, last, offset_ms))


def fix_payload(feed: FeedKey, shift: Shift) -> dict[str, Any]:
    """Return the payload of a ``clock.fix``."""
    return {
        "feed": feed.author + feed.incarnation.to_bytes(4, "big"),
        "first": shift.first_seq,
        "last": shift.last_seq,
        "offset_ms": shift.offset_ms,
    }


_READERS: Mapping[str, Callable[[Event, Mapping[str, Any]], Decree]] = {
    "member.revoke": _read_revoke,
    "member.rotate": _read_rotate,
    "member.readmit": _read_readmit,
    WELCOME_KIND: _read_welcome,
    FIX_KIND: _read_fix,
}
"""A new kind of decree: a reader here, a field of ``Decrees``, a rule in ``views.standing``."""

DECREE_KINDS = frozenset(_READERS)


def read_decree(event: Event) -> Decree | None:
    """Return what a control event decrees; None where it is no decree or unreadable."""
    if event.feed.kind is not FeedKind.CONTROL:
        return None
    content = event.content
    read = _READERS.get(content.kind) if content else None
    if content is None or read is None:
        return None
    try:
        return read(event, content.payload)
    except (_WrongError, TypeError):
        return None


# ── The log of them ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class DecreeLog:
    """Every decree seen, whoever said it, and the chains of the control feeds. Only grows."""

    said: Mapping[bytes, Decree] = field(default_factory=dict)
    """By event id."""
    chain: Mapping[bytes, tuple[FeedKey, int, bytes]] = field(default_factory=dict)
    """Feed, seq and prev of every control event."""

    def put(self, events: Iterable[Event]) -> DecreeLog:
        """Return the log after more control events. Cost: O(control events held)."""
        said, chain = dict(self.said), dict(self.chain)
        for event in events:
            chain[event.id] = (event.feed, event.seq, event.prev)
            decree = read_decree(event)
            if decree is not None:
                said[event.id] = decree
        return DecreeLog(said, chain)

    def within(self, cuts: Cuts, *, lenient: bool) -> set[bytes]:
        """Return the ids of the control events that lie within cuts; see ``is_within``.

        Cost: O(control events of the cuts' author), however many branches and cuts it has.
        """
        found: set[bytes] = set()
        for feed, tips in cuts.items():
            unheld_seq = 0
            for tip in tips:
                link = self.chain.get(tip.id)
                if link is None or link[:2] != (feed, tip.seq):
                    unheld_seq = max(unheld_seq, tip.seq)
                    continue
                at = tip.id
                while at not in found and at in self.chain:
                    found.add(at)
                    at = self.chain[at][2]
            if lenient and unheld_seq:
                found.update(id_ for id_, seq in self._by_feed.get(feed, ()) if seq <= unheld_seq)
        return found

    @cached_property
    def _by_feed(self) -> dict[FeedKey, list[tuple[bytes, int]]]:
        """Id and seq of the control events of each feed. O(control events)."""
        found: dict[FeedKey, list[tuple[bytes, int]]] = defaultdict(list)
        for event_id, (feed, seq, _) in self.chain.items():
            found[feed].append((event_id, seq))
        return found


# ── What counts ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Decrees:
    """What counts of all that was decreed. A pure function of the control events."""

    removals: Mapping[AuthorId, tuple[Removal, ...]] = field(default_factory=dict)
    """By whom they remove; in total order."""
    readmissions: Mapping[AuthorId, tuple[Readmission, ...]] = field(default_factory=dict)
    lapsed: Mapping[AuthorId, str] = field(default_factory=dict)
    """Members of whom nothing counts, and why, in plain words."""
    fixes: Mapping[AuthorId, Mapping[FeedKey, tuple[Shift, ...]]] = field(default_factory=dict)
    """By whose feed; stretches as ``core.clockfix.timeline`` makes them."""
    within: Mapping[AuthorId, frozenset[bytes]] = field(default_factory=dict)
    """Of each removed author the control events that lie within every cut."""

    def stands(self, place: Place) -> bool:
        """Say whether what a member said in a control event counts: as a decree, as a key."""
        author = place.feed.author
        if author in self.lapsed:
            return False
        return author not in self.removals or place.id in self.within.get(author, ())

    def shifts(self, feed: FeedKey) -> tuple[Shift, ...]:
        """Return what the clock fixes say about a feed; nothing for almost all feeds."""
        return self.fixes[feed.author].get(feed, ()) if feed.author in self.fixes else ()

    @cached_property
    def tips(self) -> frozenset[bytes]:
        """Ids of the data events that cuts name: their arrival decides about their branch."""
        named = [decree.cuts for said in self.removals.values() for decree in said]
        named += [decree.cuts for said in self.readmissions.values() for decree in said]
        return frozenset(tips_of(named))

    def about(self, author: AuthorId) -> tuple[object, ...]:
        """Return all that bears on an author's events: alike, alike standing."""
        return (
            self.removals.get(author),
            self.readmissions.get(author),
            self.lapsed.get(author),
            self.fixes.get(author),
        )

    def changed_authors(self, old: Decrees) -> set[AuthorId]:
        """Return whose events may stand otherwise than under ``old``."""
        named: set[AuthorId] = set()
        for decrees in (self, old):
            named.update(decrees.removals, decrees.readmissions, decrees.lapsed, decrees.fixes)
        return {author for author in named if self.about(author) != old.about(author)}
