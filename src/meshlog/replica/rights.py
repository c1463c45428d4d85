"""What this device may write: refused here, in words, before anything is written.

What others make of it decides ``views/standing``; these are the same rules, asked beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshlog.core.clockfix import Shift
from meshlog.core.decrees import KEEPS_MAX
from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.core.identity import AuthorId, author_id
from meshlog.core.roster import Member, label
from meshlog.errors import InputError
from meshlog.replica.keeper import may_rotate
from meshlog.replica.ledger import Ledger
from meshlog.replica.membership import in_turns, kept_by
from meshlog.replica.seat import Seat


def may_write(ledger: Ledger, seat: Seat) -> None:
    """Refuse data that would not count.

    Raises:
        InputError: They would not; the message says why.
    """
    us = seat.author
    member = ledger.roster.members.get(us)
    role = member.role if member else seat.role
    if role < Role.WRITER:
        raise InputError(f"this device joined as {role.name.lower()}: it reads and relays only")
    if removals := ledger.decrees.removals.get(us):
        by = label(ledger.roster, removals[-1].by)
        raise InputError(
            f"this device was revoked by {by}, so what it writes would not count: ask for a new"
            " invite and join with it in a new store"
        )
    if lapse := ledger.decrees.lapsed.get(us):
        raise InputError(f"what this device writes would not count: {lapse}")


def may_decree(ledger: Ledger, us: AuthorId, payload: Mapping[str, Any]) -> None:
    """Refuse a decree about a member that would not count.

    Raises:
        InputError: It would not; the message says why.
    """
    roster = ledger.roster
    if roster.is_open:
        raise InputError(
            "the open dataset has no roster, so nobody can be revoked in it: make a dataset with"
            " `meshlog init`, and let people in with invites"
        )
    own, about = roster.members.get(us), payload.get("author")
    if own is None:
        raise InputError("this device has not met the dataset yet: meet a member first")
    if about == us:
        if len(in_turns(kept_by(payload))) > 1:
            raise InputError(
                f"this device let in more than {KEEPS_MAX:,} members, and its own removal can keep"
                " no more: rotate its keys, or let a coordinator revoke it"
            )
        return
    if own.role < Role.COORDINATOR:
        raise InputError("only the founder and coordinators can do that: ask one of them")
    if _is_out(ledger, us):
        raise InputError("this device was revoked itself: what it decrees does not count")
    if about == author_id(roster.founder):
        raise InputError("nobody can revoke the founder but the founder itself")


def may_hand_over(ledger: Ledger, us: AuthorId) -> Member:
    """Return our seat's member, or refuse to hand it to new keys.

    Raises:
        InputError: There is no seat to hand over; the message says why.
    """
    may_decree(ledger, us, {"author": us})
    if _is_out(ledger, us):
        raise InputError("this device was revoked: it has no seat to hand over")
    return ledger.roster.members[us]


def may_invite(ledger: Ledger, us: AuthorId) -> Member:
    """Return who we are among the members, or refuse an invite that nobody would honour.

    Raises:
        InputError: Nobody would; the message says why.
    """
    if ledger.roster.is_open:
        raise InputError("the open dataset needs no invite: everybody is a member")
    own = ledger.roster.members.get(us)
    if own is None or own.role < Role.COORDINATOR:
        raise InputError("only the founder and coordinators can invite")
    if _is_out(ledger, us):
        raise InputError("this device was revoked: nobody it lets in would count")
    return own


def may_rotate_key(ledger: Ledger, us: AuthorId) -> None:
    """Refuse a new key for the dataset that nobody would take.

    Raises:
        InputError: Nobody would; the message says why.
    """
    if ledger.roster.is_open:
        raise InputError("the open dataset's key is public: there is nothing to rotate")
    if not may_rotate(ledger, us):
        raise InputError("only the founder and coordinators can rotate the dataset's key")


def may_fix(ledger: Ledger, us: AuthorId, feed: FeedKey, shift: Shift) -> None:
    """Refuse a clock fix that would not count, or says nothing.

    Raises:
        InputError: It would not; the message says why.
    """
    own = ledger.roster.members.get(us)
    is_judge = own is not None and own.role >= Role.COORDINATOR
    if feed.author != us and (ledger.roster.is_open or not is_judge):
        raise InputError("only founder and coordinators can fix another device's clock")
    if feed.kind is not FeedKind.DATA or feed not in ledger.frontier:
        raise InputError("nothing that this device wrote is held here: sync first")
    if not 1 <= shift.first_seq <= shift.last_seq <= SEQ_MAX:
        raise InputError(f"events are a range of whole numbers from 1 to {SEQ_MAX}")
    if abs(shift.offset_ms) > WALL_MS_MAX:
        raise InputError("that is more than there are stamps for")


def _is_out(ledger: Ledger, us: AuthorId) -> bool:
    return us in ledger.decrees.lapsed or bool(ledger.decrees.removals.get(us))
