"""Which decrees count: from the most senior down, the same for any order of arrival.

A decree counts if whoever said it may say it, and if it lies within every counted cut on that
author (or on one that let it in) said by somebody senior to the author *or to whom it is about*.
That rule has no circles: docs/protocol.md §7.6 has the order in which it is worked out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from meshlog.core.clockfix import SHIFTS_MAX, Shift, timeline
from meshlog.core.decrees import (
    ClockFix,
    DecreeLog,
    Decrees,
    Mode,
    Place,
    Readmission,
    Removal,
)
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey
from meshlog.core.grant import Link, Role, chain_of
from meshlog.core.identity import AuthorId, author_id
from meshlog.core.joining import came, late_joins, taken_by, welcomes_by_host
from meshlog.core.roster import Member, Roster, label

Rank: TypeAlias = tuple[tuple[object, ...], ...]
"""Sorts the most senior first: founder, then by depth of the grant chain, then by the places that
its hosts, the founder first, gave to whom they let in there."""

_FOUNDER: Rank = ((0,),)

DECREES_PER_PAIR_MAX = 32
"""Removals, and readmissions, by one author of another that count, the first in total order. A
choice: people need one or two, an attack thousands. What does not count takes no place."""


def fold_decrees(roster: Roster, events: Iterable[Event]) -> Decrees:
    """Return what counts of what these control events decree, in any order."""
    return settle(roster, DecreeLog().put(events))


def settle(roster: Roster, log: DecreeLog) -> Decrees:
    """Return what counts of a log of decrees.

    In the open dataset, and before the genesis is held, only an author's clock fixes of its own
    feeds do.

    Cost: O(members + decrees · cuts on their authors).
    """
    if roster.is_open or not roster.founder:
        return Decrees(fixes=fixed(log, lambda fix: fix.by == fix.author))
    return _Court(roster, log).verdict()


def fixed(
    log: DecreeLog,
    may: Callable[[ClockFix], bool],
    is_judge: Callable[[AuthorId], bool] = lambda _: False,
) -> dict[AuthorId, dict[FeedKey, tuple[Shift, ...]]]:
    """Return what the clock fixes of a log come to, feed by feed.

    Where several meet, a coordinator's wins over the author's own, then the last in total order.

    Args:
        log: Whoever said them.
        may: Whether a fix counts.
        is_judge: Whether an author is a coordinator.
    """
    said = [decree for decree in log.said.values() if isinstance(decree, ClockFix)]
    said.sort(key=lambda fix: (is_judge(fix.by), fix.order))
    by_feed: dict[FeedKey, list[Shift]] = defaultdict(list)
    for fix in reversed(said):  # the highest first: of a flood no more is looked at
        shifts = by_feed[fix.feed]
        if len(shifts) < SHIFTS_MAX and may(fix):
            shifts.append(fix.shift)
    found: dict[AuthorId, dict[FeedKey, tuple[Shift, ...]]] = defaultdict(dict)
    for feed in sorted(by_feed):
        if by_feed[feed]:
            found[feed.author][feed] = timeline(by_feed[feed][::-1])
    return dict(found)


class _Court:
    """Works out the decrees of one roster."""

    def __init__(self, roster: Roster, log: DecreeLog) -> None:
        self._roster = roster
        self._members = roster.members
        self._founder = author_id(roster.founder)
        self._log = log
        self._counted: dict[AuthorId, list[Removal]] = defaultdict(list)
        self._within: dict[AuthorId, set[bytes]] = {}
        """Of each author removed so far the control events within every cut."""
        self._welcomes = welcomes_by_host(log.said.values())
        self._taken = {host: taken_by(said) for host, said in self._welcomes.items()}
        self._guests = self._guests_by_host()
        self._late: dict[AuthorId, tuple[int, dict[AuthorId, str]]] = {}
        """By host: who joined too late, and how many removals of the host counted then."""
        self._names: dict[AuthorId, str] = {}
        self._rank = {author: self._rank_of(member) for author, member in self._members.items()}

    def verdict(self) -> Decrees:
        removals: dict[AuthorId, dict[AuthorId, list[Removal]]] = defaultdict(
            lambda: defaultdict(list)
        )
        readmissions = []
        for decree in sorted(self._log.said.values(), key=lambda decree: decree.order):
            if isinstance(decree, Removal):
                if self._may_remove(decree.by, decree.author):
                    removals[decree.author][decree.by].append(decree)
            elif isinstance(decree, Readmission):
                readmissions.append(decree)
        self._remove(removals)
        answers: dict[AuthorId, list[Readmission]] = defaultdict(list)
        said: Counter[tuple[AuthorId, AuthorId]] = Counter()
        for back in readmissions:
            pair = back.by, back.author
            if back.by == back.author or not self._is_judge(back.by):
                continue
            if said[pair] < DECREES_PER_PAIR_MAX and self._stands(back.place):
                said[pair] += 1
                answers[back.author].append(back)
        return Decrees(
            {author: tuple(found) for author, found in self._counted.items() if found},
            {author: tuple(found) for author, found in answers.items()},
            self._lapses(answers),
            fixed(self._log, self._may_fix, self._is_judge),
            {author: frozenset(found) for author, found in self._within.items()},
        )

    def _may_fix(self, fix: ClockFix) -> bool:
        return (fix.by == fix.author or self._is_judge(fix.by)) and self._stands(fix.place)

    # ── Seniority ──

    def _rank_of(self, member: Member) -> Rank:
        """Return a member's rank; new keys stand just behind those whose seat they have.

        Along its chain go by what each host said of the guest whom it let in: a coordinator
        orders its own guests, and nobody else's.
        """
        if member.author == self._founder:
            return _FOUNDER
        links = chain_of(member.admission)
        guests = [*map(self._host, links[1:]), member.author]
        places = (
            came(self._members.get(guest), self._taken.get(self._host(link), {}))
            for link, guest in zip(links, guests, strict=True)
        )
        own = (len(links), *places)
        if links[-1].grant.is_succession:
            before = self._members.get(self._host(links[-1]))
            if before is not None and len(chain_of(before.admission)) < len(links):
                return (*self._rank_of(before), own)
        return (own,)

    def _remove(self, removals: Mapping[AuthorId, Mapping[AuthorId, list[Removal]]]) -> None:
        """Decide about removals: those among seniors first, those of ordinary members last.

        Args:
            removals: By whom they remove, then by who said so, in total order.
        """
        ranked = sorted(self._members, key=self._rank.__getitem__)
        judges = {author: number for number, author in enumerate(filter(self._is_judge, ranked))}
        upward: dict[AuthorId, list[AuthorId]] = defaultdict(list)
        for author, number in judges.items():  # seniors first, so these lists are, too
            for by in removals.get(author, ()):
                if judges.get(by, 0) > number:
                    upward[by].append(author)
        for author, number in judges.items():
            said = removals.get(author, {})
            for senior in sorted(said.keys() & judges.keys(), key=judges.__getitem__):
                if judges[senior] < number:
                    self._take(said[senior])
            self._take(said.get(author, ()))
            for senior in upward[author]:
                self._take(removals[senior][author])
        for author in ranked:
            if author not in judges and author in removals:
                said = removals[author]
                for by in sorted(said.keys() - {author}, key=judges.__getitem__):
                    self._take(said[by])
                self._take(said.get(author, ()))

    def _take(self, removals: Iterable[Removal]) -> None:
        """Count what stands of one author's removals of another; of its own, the first ends it."""
        left = DECREES_PER_PAIR_MAX
        for removal in removals:
            if left and self._stands(removal.place):
                left -= 1
                about, soft = removal.author, removal.mode is Mode.SOFT
                within = self._log.within(removal.cuts, lenient=soft)
                self._within[about] = within & self._within.get(about, within)
                self._counted[about].append(removal)
                self._counted[about].sort(key=lambda counted: counted.order)

    def _is_judge(self, author: AuthorId) -> bool:
        member = self._members.get(author)
        return member is not None and member.role >= Role.COORDINATOR

    def _may_remove(self, by: AuthorId, author: AuthorId) -> bool:
        """Say who may say that: anybody of itself; a coordinator, but not of the founder."""
        if author not in self._members:
            return False
        return by == author or (self._is_judge(by) and self._rank[author][0] != _FOUNDER[0])

    def _stands(self, place: Place) -> bool:
        """Say whether a control event lies within every cut on its author counted so far."""
        author = place.feed.author
        member = self._members.get(author)
        if member is None or self._lapse(member, {}):
            return False
        return self._is_uncut(place)

    def _is_uncut(self, place: Place) -> bool:
        within = self._within.get(place.feed.author)
        return within is None or place.id in within

    # ── Membership ──

    def _host(self, link: Link) -> AuthorId:
        return link.issuer or self._founder

    def _guests_by_host(self) -> dict[AuthorId, list[Member]]:
        """Return who joined with an invite that may be over when it is used, by who issued it."""
        found: dict[AuthorId, list[Member]] = defaultdict(list)
        for member in self._members.values():
            links = chain_of(member.admission)
            if links and (links[-1].grant.expires_s or links[-1].grant.uses):
                found[self._host(links[-1])].append(member)
        return found

    def _late_join(self, author: AuthorId) -> str:
        """Return why an author joined too late; a welcome counts within its host's cuts."""
        member = self._members.get(author)
        links = chain_of(member.admission) if member else ()
        if not links:
            return ""
        host = self._host(links[-1])
        known, removals = self._late.get(host), len(self._counted.get(host, ()))
        if known is None or known[0] != removals:
            held = [one for one in self._welcomes.get(host, ()) if self._is_uncut(one.place)]
            known = removals, late_joins(self._guests.get(host, ()), taken_by(held))
            self._late[host] = known
        return known[1].get(author, "")

    def _label(self, author: AuthorId) -> str:
        """Return what people call an author; looked for once, however many guests it had."""
        if author not in self._names:
            self._names[author] = label(self._roster, author)
        return self._names[author]

    def _lapses(self, answers: Mapping[AuthorId, list[Readmission]]) -> dict[AuthorId, str]:
        found = {author: self._lapse(member, answers) for author, member in self._members.items()}
        return {author: why for author, why in found.items() if why}

    def _lapse(self, member: Member, answers: Mapping[AuthorId, list[Readmission]]) -> str:
        """Return why nothing of a member counts; empty where something does."""
        if late := self._late_join(member.author):
            return late
        links = chain_of(member.admission)
        for number, link in enumerate(links):
            is_own = number + 1 == len(links)
            guest = member.author if is_own else self._host(links[number + 1])
            why = self._unseated(link, guest, answers)
            if not why and not is_own:
                why = self._unproven(link, guest)
            if why:
                return why
        return ""

    def _unseated(
        self, link: Link, guest: AuthorId, answers: Mapping[AuthorId, list[Readmission]]
    ) -> str:
        """Return why a guest lost the seat that its host gave it; empty where it has it."""
        host = self._host(link)
        removals = self._counted.get(host, ())
        if link.grant.is_succession and all(r.successor != guest for r in removals):
            name = self._label(host)
            return f"its keys claim the seat of {name}, who did not hand it over"
        for removal in removals:
            kept = removal.keeps.union(
                *(a.keeps for a in answers.get(host, ()) if removal.place.id in a.answers)
            )
            if guest not in kept:
                name = self._label(host)
                return f"let in by {name}, who was revoked without keeping it"
        return ""

    def _unproven(self, link: Link, guest: AuthorId) -> str:
        """Return why a guest may let nobody in: it joined late, or may have."""
        if late := self._late_join(guest):
            return f"let in by {self._label(guest)}, who {late}"
        if guest not in self._members and (link.grant.expires_s or link.grant.uses):
            return "let in by a member whose own opening is not held yet"
        return ""
