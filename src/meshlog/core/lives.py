"""Lives of a device: which ended, and where one identity lives twice. docs/protocol.md §7.8.

A seal ends a life of its author's own: its feeds get no more events from whoever wrote the
seal. It takes nothing out of a view, and a twin that has not heard of it may still write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from meshlog.core.event import ID_SIZE, SEQ_MAX, Event
from meshlog.core.feed import FeedKey, FeedKind, Frontier, Head
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster

SEAL_KIND = "feed.seal"

HEADS_MAX = 8
"""Branches that a seal names; more make no honest feed (see ``BRANCHES_MAX``)."""

BRANCHES_MAX = 8
"""Branches of a data feed that may come of copies and restored backups. A device that finds its
own future in a peer's hands begins a new feed, so one feed forks once for each copy that is made
before it meets anybody: eight copies of one card. A choice; the events are kept in any case."""


class Seal(NamedTuple):
    """What a ``feed.seal`` says."""

    life: int
    """Incarnation of the life that ended."""
    control: tuple[Head, ...]
    """Heads of its control feed that its author held then."""
    data: tuple[Head, ...]


Seals: TypeAlias = Mapping[AuthorId, frozenset[int]]
"""Lives that ended, by author. Grows with control events; never depends on their order."""


def seal_payload(life: int, control: Iterable[Head], data: Iterable[Head]) -> dict[str, Any]:
    """Return the payload of the seal of a life; of many branches the longest are named."""
    return {
        "life": life,
        "control": [[head.seq, head.id] for head in [*control][-HEADS_MAX:]],
        "data": [[head.seq, head.id] for head in [*data][-HEADS_MAX:]],
    }


def read_seal(event: Event) -> Seal | None:
    """Return what a ``feed.seal`` says, or None for any other event, or a malformed one.

    A seal stands in a control feed, and ends another life of the author who wrote it.
    """
    if event.feed.kind is not FeedKind.CONTROL:
        return None
    content = event.content
    if content is None or content.kind != SEAL_KIND:
        return None
    life = content.payload.get("life")
    control, data = (_heads(content.payload.get(key)) for key in ("control", "data"))
    if type(life) is not int or not 0 <= life < 2**32 or life == event.feed.incarnation:
        return None
    return None if control is None or data is None else Seal(life, control, data)


def _heads(value: object) -> tuple[Head, ...] | None:
    if not isinstance(value, tuple) or len(value) > HEADS_MAX:
        return None
    heads = []
    for item in value:
        match item:
            case (int() as seq, bytes() as event_id) if (
                type(seq) is int and 1 <= seq <= SEQ_MAX and len(event_id) == ID_SIZE
            ):
                heads.append(Head(seq, event_id))
            case _:
                return None
    return tuple(heads)


def sealed(seals: Seals, event: Event) -> Seals:
    """Return the seals after one more control event; other kinds change nothing."""
    seal = read_seal(event)
    if seal is None:
        return seals
    return {**seals, event.author: seals.get(event.author, frozenset()) | {seal.life}}


def fold_seals(events: Iterable[Event]) -> Seals:
    """Return what these control events seal, in any order."""
    seals: Seals = {}
    for event in events:
        seals = sealed(seals, event)
    return seals


@dataclass(frozen=True, slots=True)
class Twin:
    """An identity that lives, or lived, more than once at a time: a function of what is held."""

    author: AuthorId
    forks: tuple[FeedKey, ...]
    """Its feeds with more than one branch."""
    lives: tuple[int, ...]
    """Lives that no seal ended, where there are several; empty otherwise."""
    branches: int
    """Of its most forked feed; 1 where none forked."""

    @property
    def is_hostile(self) -> bool:
        """Whether no honest copies make so many branches."""
        return self.branches > BRANCHES_MAX


def twins(
    roster: Roster, seals: Seals, frontier: Frontier, forks: Iterable[FeedKey]
) -> dict[AuthorId, Twin]:
    """Return whose identity lived on two devices at once. Cost: O(members + forks)."""
    forked: dict[AuthorId, list[FeedKey]] = {}
    for feed in sorted(forks):
        forked.setdefault(feed.author, []).append(feed)
    found = {}
    for author in sorted({*forked, *roster.members}):
        member = roster.members.get(author)
        alive = set(member.feeds if member else ()) - seals.get(author, frozenset())
        lives = tuple(sorted(alive)) if len(alive) > 1 else ()
        feeds = tuple(forked.get(author, ()))
        if feeds or lives:
            branches = max((len(frontier[feed]) for feed in feeds), default=1)
            found[author] = Twin(author, feeds, lives, branches)
    return found


def quarantine(frontier: Frontier, forks: Mapping[FeedKey, int]) -> dict[FeedKey, int]:
    """Return the data feeds with more branches than copies make, with the last seq that counts.

    Args:
        frontier: What is held.
        forks: Each forked feed, with the seq of the last event before its first fork.
    """
    return {
        feed: seq
        for feed, seq in forks.items()
        if feed.kind is FeedKind.DATA and len(frontier[feed]) > BRANCHES_MAX
    }


def fold_quarantine(events: Iterable[Event]) -> dict[FeedKey, int]:
    """Return what is quarantined where all of these events, and no others, are held.

    The same as ``quarantine`` of a replica that holds them; needs no store. O(events).
    """
    by_feed: dict[FeedKey, dict[bytes, Event]] = {}
    for event in events:
        by_feed.setdefault(event.feed, {})[event.id] = event
    frontier: dict[FeedKey, tuple[Head, ...]] = {}
    forks: dict[FeedKey, int] = {}
    for feed, held in by_feed.items():
        children = Counter(event.prev for event in held.values())
        frontier[feed] = tuple(Head(e.seq, e.id) for e in held.values() if e.id not in children)
        forked = [event.seq - 1 for event in held.values() if children[event.prev] > 1]
        if forked:
            forks[feed] = min(forked)
    return quarantine(frontier, forks)
