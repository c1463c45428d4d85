"""Names: whom this process may sign for under a plain name, and what it calls the others.

Programs written for the seed pass plain strings as authors. A name stands for an identity
that is made at its first use and lives as long as the process, or for the node of that name.
"""

from __future__ import annotations

import contextlib
import random
from collections import OrderedDict
from typing import NamedTuple

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import NAME_SIZE_MAX
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId, Identity
from meshlog.errors import InputError
from meshlog.node.opening import make_opening

LABELS_MAX = 4_096
"""Authors of others whose label is remembered; a forgotten one shows as hex."""

_system = random.SystemRandom()


class Named(NamedTuple):
    """A name that this process can sign for."""

    name: str
    identity: Identity
    incarnation: int
    """Of the data feed that it writes."""
    opening: bytes
    """The signed event that brings its keys: see ``opening``."""

    @property
    def feed(self) -> FeedKey:
        """The data feed that it writes."""
        return FeedKey(self.identity.author, FeedKind.DATA, self.incarnation)


_BY_NAME: dict[str, Named] = {}
_BY_AUTHOR: dict[AuthorId, Named] = {}
_LABELS: OrderedDict[AuthorId, str] = OrderedDict()


def check_name(name: object) -> str:
    """Return ``name`` if it can be a display name.

    Raises:
        InputError: Not text of 1 to 64 bytes.
    """
    try:
        if isinstance(name, str) and 0 < len(name.encode()) <= NAME_SIZE_MAX:
            return name
    except UnicodeEncodeError:
        pass
    raise InputError(f"a name is 1 to {NAME_SIZE_MAX} bytes of text")


def named(name: str) -> Named:
    """Return whom a plain name stands for in this process; made at its first use.

    Raises:
        InputError: Not a name.
    """
    if name not in _BY_NAME:
        identity = new_identity()
        incarnation = _system.getrandbits(32)
        opening = make_opening(identity, check_name(name), incarnation)
        assign(Named(name, identity, incarnation, opening))
    return _BY_NAME[name]


def assign(who: Named) -> None:
    """Let a name stand for ``who`` from now on."""
    _BY_NAME[who.name] = _BY_AUTHOR[who.identity.author] = who


def signer(author: AuthorId) -> Named | None:
    """Return who signs for an author in this process, if anybody does."""
    return _BY_AUTHOR.get(author)


def feed_of(author: str | bytes) -> FeedKey:
    """Return the data feed that an author writes in this process, or would write.

    Args:
        author: A name (see ``named``), 16 bytes or 32 hex digits.

    Raises:
        InputError: None of these.
    """
    who = _author_id(author)
    if who is None:
        return named(check_name(author)).feed
    known = _BY_AUTHOR.get(who)
    life = int.from_bytes(who[:4], "big")  # as ``core.event.Event.from_parts``
    return known.feed if known else FeedKey(who, FeedKind.DATA, life)


def remember(author: AuthorId, label: str) -> None:
    """Keep what a replica calls an author, for events that come without one."""
    _LABELS[author] = label
    _LABELS.move_to_end(author)
    if len(_LABELS) > LABELS_MAX:
        _LABELS.popitem(last=False)


def remembered(author: AuthorId) -> str:
    """Return the label of an author, or its hex digits."""
    who = _BY_AUTHOR.get(author)
    return _LABELS.get(author) or (who.name if who else author.hex())


def new_identity() -> Identity:
    """Return an identity that nobody had before."""
    return Identity(_system.randbytes(64))


def _author_id(author: str | bytes) -> AuthorId | None:
    """Return the author id that was given; None where it is none."""
    raw = author if isinstance(author, bytes) else b""
    if isinstance(author, str) and len(author) == 2 * AUTHOR_ID_SIZE:
        with contextlib.suppress(ValueError):
            raw = bytes.fromhex(author)
    return AuthorId(raw) if len(raw) == AUTHOR_ID_SIZE else None
