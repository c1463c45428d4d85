"""Who belongs, as the control events say: a pure fold, the same on every replica."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from meshlog.core.event import OPEN_DATASET, DatasetId, Event, read_body
from meshlog.core.feed import FeedKey, FeedKind, by_turns
from meshlog.core.grant import NAME_SIZE_MAX, Role, chain_of, check_admission
from meshlog.core.identity import KEYS_SIZE, AuthorId, author_id, keys_are_sound


@dataclass(frozen=True, slots=True)
class Member:
    """One author whom a grant chain lets in."""

    author: AuthorId
    keys: bytes
    """64 public bytes; the author id commits to them."""
    name: str
    """What the device calls itself; of the latest ``feed.open``, not unique."""
    role: Role
    admission: bytes
    """What let it in; empty for the founder and in the open dataset."""
    feeds: tuple[int, ...]
    """Incarnations of its data feeds, ascending."""
    named_at: tuple[int, bytes, int, int, bytes]
    """Place in the total order of the opening that gave the name."""
    opened_at: tuple[int, bytes, int, int, bytes] = (0, b"", 0, 0, b"")
    """Place in the total order of its first opening: when it joined."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The members of one dataset. Grows with control events; never depends on their order."""

    dataset: DatasetId
    founder: bytes = b""
    """64 public bytes of the founder; empty in the open dataset and before the genesis is held."""
    name: str = ""
    """The dataset's name."""
    members: Mapping[AuthorId, Member] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether every author is a member."""
        return self.dataset == OPEN_DATASET

    @property
    def genesis_feed(self) -> FeedKey | None:
        """The control feed that lets all others in; None where there is none, or not yet."""
        return FeedKey(author_id(self.founder), FeedKind.CONTROL, 0) if self.founder else None

    @property
    def awaits_genesis(self) -> bool:
        """Whether nobody can be told from a stranger yet."""
        return not (self.is_open or self.founder)


@dataclass(frozen=True, slots=True)
class Opening:
    """What the event that opens a control feed says."""

    keys: bytes
    name: str
    data: int | None
    """Incarnation of the data feed that it names; None for a genesis."""
    admission: bytes


def read_opening(event: Event) -> Opening | None:
    """Return what a genesis or ``feed.open`` says, or None for any other event.

    A name that is not text of at most 64 bytes counts as none; unsound keys as no opening.
    """
    content = read_body(event.body)
    if content is None or content.kind not in ("feed.open", "dataset.genesis"):
        return None
    payload = content.payload
    keys, name, data, admission = (
        payload.get(key) for key in ("keys", "name", "data", "admission")
    )
    if not isinstance(keys, bytes) or len(keys) != KEYS_SIZE or not keys_are_sound(keys):
        return None
    if author_id(keys) != event.author:
        return None
    if content.kind == "feed.open" and (type(data) is not int or not 0 <= data < 2**32):
        return None
    return Opening(
        keys,
        name
        if isinstance(name, str) and len(name.encode(errors="replace")) <= NAME_SIZE_MAX
        else "",
        data if content.kind == "feed.open" else None,
        admission if isinstance(admission, bytes) else b"",
    )


def role_of(opening: Opening, author: AuthorId, dataset: DatasetId, founder: bytes) -> Role | None:
    """Return the role that an opening proves, or None for a stranger.

    Pure and monotone (I2): it never asks the clock; expiry is judged by ``standing``.
    """
    if dataset == OPEN_DATASET:
        return Role.WRITER
    if not founder:
        return None
    if opening.keys == founder:
        return Role.FOUNDER
    admission = check_admission(opening.admission, author, dataset, founder)
    return admission.role if admission else None


def enrol(roster: Roster, event: Event) -> Roster:
    """Return the roster after one more control event; unknown kinds change nothing.

    The result is the same for any order of the same events, given the genesis first.
    Cost: O(1) for other kinds, O(members) and a grant check for an opening.
    """
    opening = read_opening(event)
    if opening is None:
        return roster
    if opening.data is None:
        return (
            replace(roster, founder=opening.keys, name=opening.name)
            if event.id == roster.dataset
            else roster
        )
    role = role_of(opening, event.author, roster.dataset, roster.founder)
    if role is None:
        return roster
    new = Member(
        event.author,
        opening.keys,
        opening.name,
        role,
        opening.admission,
        (opening.data,),
        event.order,
        event.order,
    )
    known = roster.members.get(event.author)
    member = _merge(known, new) if known else new
    return replace(roster, members={**roster.members, event.author: member})


def fold(dataset: DatasetId, events: Iterable[Event]) -> Roster:
    """Return the roster that these control events make, in any order."""
    roster = Roster(dataset)
    for event in sorted(events, key=lambda event: event.id != dataset):
        roster = enrol(roster, event)
    return roster


def data_feeds(roster: Roster) -> list[FeedKey]:
    """Return all members' data feeds, by turns: a feed's index on the wire is its place here."""
    return by_turns(
        FeedKey(author, FeedKind.DATA, life)
        for author, member in roster.members.items()
        for life in member.feeds
    )


def label(roster: Roster, author: AuthorId) -> str:
    """Return what people call an author: its name where nobody shares it, else with a short id."""
    return labels(roster)(author)


def labels(roster: Roster) -> Callable[[AuthorId], str]:
    """Return what ``label`` says of each author. O(members) once, then O(members of a name)."""
    by_name: dict[str, list[Member]] = defaultdict(list)
    for member in roster.members.values():
        by_name[member.name].append(member)

    @cache
    def is_shared(name: str) -> bool:
        return len({_first_keys(roster, member) for member in by_name[name]}) > 1

    def told(author: AuthorId) -> str:
        member = roster.members.get(author)
        if member is None or not member.name:
            return author.hex()
        return f"{member.name}~{author.hex()[:8]}" if is_shared(member.name) else member.name

    return told


def _first_keys(roster: Roster, member: Member) -> AuthorId:
    """Return the author that a device was before it ever rotated its keys."""
    for link in reversed(chain_of(member.admission)):
        if not link.grant.is_succession:
            break
        before = roster.members.get(link.issuer or author_id(roster.founder))
        if before is None or before.name != member.name:
            break
        member = before
    return member.author


def _merge(one: Member, other: Member) -> Member:
    """Return both openings of an author as one member: the latest name, the highest role."""
    latest, older = (one, other) if one.named_at >= other.named_at else (other, one)
    higher = max(one, other, key=lambda member: (member.role, member.admission))
    feeds = tuple(sorted({*latest.feeds, *older.feeds}))
    return replace(
        latest,
        role=higher.role,
        admission=higher.admission,
        feeds=feeds,
        opened_at=min(one.opened_at, other.opened_at),
    )
