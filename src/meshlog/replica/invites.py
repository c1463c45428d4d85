"""Who comes in by us: an invite for others, or our own seat for new keys of ours."""

from __future__ import annotations

import random

from meshlog.core.decrees import Mode
from meshlog.core.grant import SEED_SIZE, USES_MAX, Invite, Role, admit, check_admission, issue
from meshlog.core.identity import AuthorId, Identity
from meshlog.errors import InputError
from meshlog.replica import rights
from meshlog.replica import seat as seats
from meshlog.replica.desk import Desk
from meshlog.replica.membership import Since, decree, in_turns, keep, revocation


def new_invite(
    desk: Desk, key: bytes, role: Role, expires_s: int, uses: int, rng: random.Random
) -> Invite:
    """Return an invite that carries the dataset's ``key``; see ``Replica.invite``."""
    ledger = desk.ledger
    own = rights.may_invite(ledger, desk.author)
    if role > Role.COORDINATOR or not 0 <= expires_s < 2**32:
        raise InputError("an invite is for a role up to coordinator, until a date before 2106")
    if not 0 <= uses <= USES_MAX:
        raise InputError(f"an invite is for 1 to {USES_MAX} devices")
    seed = rng.randbytes(SEED_SIZE)
    grant = issue(desk.identity, own.admission, desk.dataset, seed, role, expires_s, uses=uses)
    proof = admit(grant, seed, desk.author, desk.dataset)
    if check_admission(proof, desk.author, desk.dataset, ledger.roster.founder) is None:
        raise InputError("too many invites lead to this device: let the founder invite")
    return Invite(desk.dataset, key, seed, grant, ledger.roster.name)


def hand_over(desk: Desk, heir: Identity, now_ms: int, rng: random.Random) -> None:
    """Make our seat, and the store, those of new keys; see ``Replica.rotate``."""
    ledger, us = desk.ledger, desk.author
    own = rights.may_hand_over(ledger, us)
    seed, role = rng.randbytes(SEED_SIZE), min(own.role, Role.COORDINATOR)
    grant = issue(desk.identity, own.admission, desk.dataset, seed, role, is_succession=True)
    admission = admit(grant, seed, heir.author, desk.dataset)
    if check_admission(admission, heir.author, desk.dataset, ledger.roster.founder) is None:
        raise InputError("too many grants lead to this device: join anew with an invite")
    desk.sign()  # all that we wrote: nobody can afterwards
    said = revocation(desk.store, ledger, us, Mode.SOFT, Since())
    keeps, *more = in_turns(said["keeps"])
    payload = {"to": heir.author, "cuts": said["cuts"], "keeps": keeps}
    with desk.change() as ledger:
        decree(desk, ledger, "member.rotate", payload, now_ms)
        seats.hand_over(desk.store, heir, admission, [guest for turn in more for guest in turn])


def take_over(desk: Desk, now_ms: int) -> None:
    """Keep whom our old keys let in, where their last word had no room to name them."""
    left = desk.store.get_meta(seats.KEEPS)
    if not left:
        return
    size = len(desk.author)
    guests = [AuthorId(left[at : at + size]) for at in range(0, len(left), size)]
    handed = (
        removal
        for removals in desk.ledger.decrees.removals.values()
        for removal in removals
        if removal.successor == desk.author
    )
    with desk.change() as ledger:
        for removal in handed:
            answers = [removal.place.id]
            keep(desk, ledger, removal.author, answers, in_turns(guests), now_ms)
        desk.store.set_meta(seats.KEEPS, b"")
