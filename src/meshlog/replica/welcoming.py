"""Whom our invites let in: said once we have met them, so that no later stamp takes their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from meshlog.core.decrees import WELCOMES_MAX
from meshlog.core.grant import Grant, chain_of
from meshlog.core.identity import AuthorId, author_id
from meshlog.core.joining import Taken, is_awaited, is_expired, taken_by, welcomes_by_host
from meshlog.core.roster import Member, Roster
from meshlog.replica.keeper import stands
from meshlog.replica.ledger import Ledger

WELCOME_REST_MS = 10_000
"""A device welcomes at most this often: those who come together are named in one event."""


class Host:
    """Decides when this device welcomes guests."""

    def __init__(self) -> None:
        self._seen: Roster | None = None
        """With which nobody was left to be welcomed."""
        self._rest_until_ms = 0

    def due(self, ledger: Ledger, us: AuthorId, now_ms: int) -> Mapping[str, Any] | None:
        """Return the payload of a ``member.welcome`` that is due, if any.

        Cost: O(1) while the roster stays the same; else O(members + decrees).
        """
        self._rest_until_ms = min(self._rest_until_ms, now_ms + WELCOME_REST_MS)  # a clock set back
        if ledger.roster is self._seen or now_ms < self._rest_until_ms:
            return None
        guests = newcomers(ledger, us)
        if not guests:
            self._seen = ledger.roster
            return None
        self._rest_until_ms = now_ms + WELCOME_REST_MS
        return {"guests": guests[:WELCOMES_MAX]}


def newcomers(ledger: Ledger, us: AuthorId) -> list[AuthorId]:
    """Return whom we let in and have not welcomed, as many as their invites are for.

    Who copied an invite that is used up costs no event of ours.
    """
    members = ledger.roster.members
    if ledger.roster.is_open or not stands(ledger, us):
        return []
    taken = taken_by(welcomes_by_host(ledger.decree_log.said.values()).get(us, ()))
    used: Counter[Grant] = Counter()
    waiting: list[tuple[Member, Grant]] = []
    for member in members.values():
        links = chain_of(member.admission)
        if not links or (links[-1].issuer or author_id(ledger.roster.founder)) != us:
            continue
        grant = links[-1].grant
        if member.author in taken:
            used[grant] += 1
        elif is_awaited(grant) and not is_expired(member, grant):
            waiting.append((member, grant))
    found = []
    for member, grant in sorted(waiting, key=lambda one: one[0].opened_at):
        used[grant] += 1
        if not grant.uses or used[grant] <= grant.uses:
            found.append(member.author)
    return found


def awaited_by(
    roster: Roster, welcomed: Mapping[AuthorId, Taken], member: Member
) -> AuthorId | None:
    """Return who has not welcomed a member yet, so that a copy of its invite may take its place.

    Args:
        roster: Who belongs.
        welcomed: By whom; see ``core.joining.taken_by``.
        member: Of ``roster``.
    """
    links = chain_of(member.admission)
    if not links or not links[-1].grant.uses or roster.is_open:
        return None
    host = links[-1].issuer or author_id(roster.founder)
    return None if member.author in welcomed.get(host, {}) else host
