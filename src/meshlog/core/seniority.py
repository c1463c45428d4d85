"""Which decrees count: from the most senior down, the same for any order of arrival.

A decree counts if whoever said it may say it, and if it lies within every counted cut on that
author (or on one that let it in) said by somebody senior to the author *or to whom it is about*.
That rule has no circles: docs/protocol.md §7.6 has the order in which it is worked out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias, cast

from meshlog.core.codec import Reader
from meshlog.core.decrees import DecreeLog, Decrees, Mode, Place, Readmission, Removal, is_within
from meshlog.core.event import Event
from meshlog.core.grant import Grant, Role
from meshlog.core.identity import AuthorId, author_id
from meshlog.core.roster import Member, Roster, label

Rank: TypeAlias = tuple[tuple[object, ...], ...]
"""Sorts the most senior first: founder, then by depth of the grant chain, then by opening."""

_FOUNDER: Rank = ((0,),)

DECREES_PER_PAIR_MAX = 32
"""Decrees of one author about another that are looked at, the first in total order. A choice:
people need one or two, an attack thousands."""


class Link(NamedTuple):
    """One grant of a member's chain."""

    issuer: AuthorId | None
    """None for the founder."""
    grant: Grant


@lru_cache(maxsize=4096)
def chain_of(admission: bytes) -> tuple[Link, ...]:
    """Return the grants that let a member in, the founder's first; empty for the founder.

    The admission must have been checked.
    """
    if not admission:
        return ()
    grant = Grant.read(Reader(admission))
    if not grant.issuer_keys:
        return (Link(None, grant),)
    return (*chain_of(grant.issuer_admission), Link(author_id(grant.issuer_keys), grant))


def fold_decrees(roster: Roster, events: Iterable[Event]) -> Decrees:
    """Return what counts of what these control events decree, in any order."""
    return settle(roster, DecreeLog().put(events))


def settle(roster: Roster, log: DecreeLog) -> Decrees:
    """Return what counts of a log of decrees. Nothing does in the open dataset.

    Cost: O(members + decrees · cuts on their authors).
    """
    if roster.is_open or not roster.founder:
        return Decrees()
    return _Court(roster, log).verdict()


class _Court:
    """Works out the decrees of one roster."""

    def __init__(self, roster: Roster, log: DecreeLog) -> None:
        self._roster = roster
        self._members = roster.members
        self._founder = author_id(roster.founder)
        self._log = log
        self._counted: dict[AuthorId, list[Removal]] = defaultdict(list)
        self._rank = {author: self._rank_of(member) for author, member in self._members.items()}

    def verdict(self) -> Decrees:
        removals: dict[AuthorId, list[Removal]] = defaultdict(list)
        readmissions = []
        said: Counter[tuple[AuthorId, AuthorId]] = Counter()
        for decree in sorted(self._log.said.values(), key=lambda decree: decree.order):
            pair = (decree.by, decree.author)
            said[pair] += 1
            if said[pair] > DECREES_PER_PAIR_MAX:
                continue
            if isinstance(decree, Removal) and decree.author in self._members:
                removals[decree.author].append(decree)
            elif isinstance(decree, Readmission):
                readmissions.append(decree)
        self._remove(removals)
        answers: dict[AuthorId, list[Readmission]] = defaultdict(list)
        for readmission in readmissions:
            if self._may_judge(readmission.by, readmission.author) and self._stands(
                readmission.place
            ):
                answers[readmission.author].append(readmission)
        return Decrees(
            {author: tuple(found) for author, found in self._counted.items() if found},
            {author: tuple(found) for author, found in answers.items()},
            self._lapses(answers),
        )

    # ── Seniority ──

    def _rank_of(self, member: Member) -> Rank:
        if member.author == self._founder:
            return _FOUNDER
        return ((len(chain_of(member.admission)), member.opened_at),)

    def _remove(self, removals: dict[AuthorId, list[Removal]]) -> None:
        """Decide about removals: those among seniors first, those of ordinary members last."""
        judges = sorted(
            (author for author in self._members if self._is_judge(author)),
            key=self._rank.__getitem__,
        )
        for number, author in enumerate(judges):
            seniors = set(judges[:number])
            self._take(r for r in removals[author] if r.by in seniors)
            self._take_own(removals[author])
            for senior in judges[:number]:
                self._take(r for r in removals[senior] if r.by == author)
        ordinary = [author for author in removals if not self._is_judge(author)]
        for author in sorted(ordinary, key=self._rank.__getitem__):
            self._take(r for r in removals[author] if r.by != author)
            self._take_own(removals[author])

    def _take(self, removals: Iterable[Removal]) -> None:
        for removal in removals:
            if self._may_judge(removal.by, removal.author) and self._stands(removal.place):
                self._counted[removal.author].append(removal)
                self._counted[removal.author].sort(key=lambda counted: counted.order)

    def _take_own(self, removals: Sequence[Removal]) -> None:
        """Decide about an author's own: the first in total order ends its decrees."""
        for removal in removals:
            if removal.by == removal.author and self._stands(removal.place):
                self._counted[removal.author].append(removal)
                self._counted[removal.author].sort(key=lambda counted: counted.order)

    def _is_judge(self, author: AuthorId) -> bool:
        member = self._members.get(author)
        return member is not None and member.role >= Role.COORDINATOR

    def _may_judge(self, by: AuthorId, author: AuthorId) -> bool:
        return self._is_judge(by) and by != author and self._rank.get(author) != _FOUNDER

    def _stands(self, place: Place) -> bool:
        """Say whether a control event lies within every cut on its author counted so far."""
        author = place.feed.author
        member = self._members.get(author)
        if member is None or self._lapse(member, {}):
            return False
        return all(
            is_within(place, removal.cuts, self._log, lenient=removal.mode is Mode.SOFT)
            for removal in self._counted[author]
        )

    # ── Membership ──

    def _lapses(self, answers: dict[AuthorId, list[Readmission]]) -> dict[AuthorId, str]:
        found = {author: self._lapse(member, answers) for author, member in self._members.items()}
        return {author: why for author, why in found.items() if why}

    def _lapse(self, member: Member, answers: dict[AuthorId, list[Readmission]]) -> str:
        """Return why nothing of a member counts; empty where something does."""
        links = chain_of(member.admission)
        if not links:
            return ""
        guests = [cast(AuthorId, link.issuer) for link in links[1:]] + [member.author]
        for link, guest in zip(links, guests, strict=True):
            host = link.issuer or self._founder
            for removal in self._counted.get(host, ()):
                kept = removal.keeps.union(
                    *(a.keeps for a in answers.get(host, ()) if removal.place.id in a.answers)
                )
                if guest not in kept:
                    name = label(self._roster, host)
                    return f"let in by {name}, who was revoked, and not kept"
        return ""
