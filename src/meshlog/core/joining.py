"""In which order a host's guests came, and which of them its invites let in.

A stamp is its author's word, and an author chooses it. A welcome is the host's word: whom its
device had met when it wrote it. docs/protocol.md §7.6 is normative.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from meshlog.core.decrees import Decree, Order, Welcome
from meshlog.core.grant import Grant, Role, chain_of
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Member

Taken: TypeAlias = Mapping[AuthorId, tuple[Order, int]]
"""Guests that a host has welcomed, each with its place in the host's order."""

Came: TypeAlias = tuple[int, object, int]
"""Sorts the guests of one host, the first to come first."""

_NEVER: Came = (2, (), 0)


def welcomes_by_host(decrees: Iterable[Decree]) -> dict[AuthorId, list[Welcome]]:
    """Return every welcome said, by who said it."""
    found: dict[AuthorId, list[Welcome]] = defaultdict(list)
    for decree in decrees:
        if isinstance(decree, Welcome):
            found[decree.by].append(decree)
    return found


def taken_by(welcomes: Iterable[Welcome]) -> Taken:
    """Return whom a host welcomed; of a guest that it named twice the first time counts."""
    taken: dict[AuthorId, tuple[Order, int]] = {}
    for welcome in sorted(welcomes, key=lambda one: one.order):
        for number, guest in enumerate(welcome.guests):
            taken.setdefault(guest, (welcome.order, number))
    return taken


def came(member: Member | None, taken: Taken) -> Came:
    """Return a guest's place among those of its host: the welcomed first, then by first opening."""
    if member is None:
        return _NEVER
    if member.author in taken:
        return (0, *taken[member.author])
    return (1, member.opened_at, 0)


def is_awaited(grant: Grant) -> bool:
    """Say whether a host welcomes whoever joins with a grant: its place matters to others."""
    return not grant.is_succession and (bool(grant.uses) or grant.role >= Role.COORDINATOR)


def is_expired(member: Member, grant: Grant) -> bool:
    """Say whether a grant was over when a member opened its feeds, by the member's own clock."""
    wall_s = Stamp.unpacked(member.opened_at[0]).wall_ms / 1_000
    return bool(grant.expires_s) and wall_s > grant.expires_s


def late_joins(guests: Iterable[Member], taken: Taken) -> dict[AuthorId, str]:
    """Return who of one host's guests joined with an invite that was over, and why.

    Args:
        guests: Let in by one host.
        taken: Whom it welcomed, as far as that counts.
    """
    joined: Counter[Grant] = Counter()
    late = {}
    for member in sorted(guests, key=lambda one: came(one, taken)):
        grant = chain_of(member.admission)[-1].grant
        if is_expired(member, grant):
            late[member.author] = "joined after the invite had expired"
            continue
        joined[grant] += 1
        if grant.uses and joined[grant] > grant.uses:
            late[member.author] = f"joined with an invite that {grant.uses} had used already"
    return late
