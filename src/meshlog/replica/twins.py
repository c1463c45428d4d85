"""What people are told of an identity that lives on two devices: each once, on every node."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from meshlog.core.identity import AuthorId
from meshlog.core.lives import BRANCHES_MAX, Twin
from meshlog.core.roster import Roster, label
from meshlog.errors import StoreError
from meshlog.ports.links import Peer
from meshlog.ports.store import Meta
from meshlog.replica.desk import Desk
from meshlog.replica.ledger import Ledger

REPORTED_MAX = 1_024
"""Reports remembered; a forgotten one is said again. A choice: 8 KiB."""

_NAME_SIZE = 8
_KEY = "twins"


def may_differ(before: Ledger, after: Ledger) -> bool:
    """Say whether other identities may live twice since a change. Cost: O(1)."""
    return bool(after.forks) or before.roster is not after.roster or before.seals is not after.seals


def may_be_two(ledger: Ledger, peer: Peer) -> bool:
    """Say whether a peer may be two devices: its identity has had several lives.

    Both bear one name, so agreeing with one looks as if both agreed: what one told us the other
    may lack, and hears of by an announce alone.
    """
    try:
        member = ledger.roster.members.get(AuthorId(bytes.fromhex(peer)))
    except ValueError:  # a name of the simulator's or of a program's
        return False
    return member is not None and len(member.feeds) > 1


def news(desk: Desk) -> list[str]:
    """Return what our owner must hear of identities that live twice: each once, ever."""
    found = unreported(desk.ledger, desk.store)
    if not found:
        return []
    try:
        with desk.store.transaction():
            report(found, desk.store)
    except StoreError as error:
        desk.trouble = str(error)  # said again at the next start
    return [in_words(desk.ledger.roster, twin, desk.author) for twin in found]


def unreported(ledger: Ledger, store: Meta) -> list[Twin]:
    """Return the twins that this device's owner has not heard of. Cost: O(members + forks)."""
    twins = ledger.twins()
    if not twins:
        return []
    said = set(_reported(store))
    return [twin for twin in twins.values() if not {*_names(twin)} <= said]


def report(twins: Sequence[Twin], store: Meta) -> None:
    """Keep that these were told, in the open transaction."""
    names = dict.fromkeys([*_reported(store), *(name for twin in twins for name in _names(twin))])
    store.set_meta(_KEY, b"".join([*names][-REPORTED_MAX:]))


def in_words(roster: Roster, twin: Twin, own: AuthorId) -> str:
    """Return what a person should know of a twin, and do."""
    name = label(roster, twin.author) + (" (this device)" if twin.author == own else "")
    if twin.is_hostile:
        return (
            f"{name} wrote {twin.branches} branches of one feed: copies of a device make at most"
            f" {BRANCHES_MAX}. What stands behind its first fork is kept, but does not count: ask"
            f" who has this device, or remove it with `meshlog revoke`"
        )
    words = (
        f"this identity runs on two devices: {name}. Both copies' records are kept. Give one a new"
        f" identity with `meshlog rotate`, or keep only one"
    )
    if not twin.forks:
        words += ". If there is only one, it was restored more than once, and all is well"
    return words


def twins_status(ledger: Ledger, own: AuthorId) -> list[dict[str, Any]]:
    """Return every twin in values that JSON can carry.

    Keys: author, name, words (what to know and to do), hostile, lives (incarnations that no seal
    ended, where there are several), forks (kind, incarnation, branches, and after_seq: the last
    event that all branches share).
    """
    return [
        {
            "author": twin.author.hex(),
            "name": label(ledger.roster, twin.author),
            "words": in_words(ledger.roster, twin, own),
            "hostile": twin.is_hostile,
            "lives": [f"{life:08x}" for life in twin.lives],
            "forks": [
                {
                    "kind": feed.kind.name.lower(),
                    "incarnation": f"{feed.incarnation:08x}",
                    "branches": len(ledger.frontier[feed]),
                    "after_seq": ledger.forks[feed],
                }
                for feed in twin.forks
            ],
        }
        for twin in ledger.twins().values()
    ]


def _names(twin: Twin) -> list[bytes]:
    """Return 8 bytes for each thing to be told: a fork, lives without one, too many branches."""
    things = [feed.packed() for feed in twin.forks] or [b"lives" + twin.author]
    if twin.is_hostile:
        things.append(b"hostile" + twin.author)
    return [hashlib.blake2b(thing, digest_size=_NAME_SIZE).digest() for thing in things]


def _reported(store: Meta) -> list[bytes]:
    names = store.get_meta(_KEY) or b""
    return [names[at : at + _NAME_SIZE] for at in range(0, len(names), _NAME_SIZE)]
