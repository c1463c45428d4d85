"""Who may join: grants, invites and the proof that a device was let in.

docs/protocol.md §7 is normative. A grant verifies alone: it carries its chain up to the
founder. An invite is a grant to whoever holds a secret seed, as a text for paper or QR.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, Self

from meshlog.core.codec import Reader, block
from meshlog.core.ed25519 import SIGNATURE_SIZE, Signer, is_valid
from meshlog.core.event import OPEN_DATASET, DatasetId, EventId
from meshlog.core.identity import (
    KEYS_SIZE,
    AuthorId,
    Identity,
    author_id,
    keys_are_sound,
    verify,
)
from meshlog.errors import InputError, MalformedError

GRANT_DOMAIN = b"meshlog.grant.1\x00"
ADMIT_DOMAIN = b"meshlog.admit.1\x00"
INVITE_PREFIX = "MESHLOG1-"
SEED_SIZE = 16
"""Bytes of luck of which the keys of an invite are made."""

DATASET_KEY_SIZE = 16
CHAIN_DEPTH_MAX = 6
"""How long a chain of grants from the founder may be. Every rotation of keys adds one."""

USES_MAX = 2**16 - 1

ADMISSION_SIZE_MAX = 2_048
NAME_SIZE_MAX = 64

_CHAINED = 0x80
_COUNTED = 0x40
_SUCCESSION = 0x20
_ROLE = 0x1F


class Role(IntEnum):
    """What a member may do; each role includes the ones below it."""

    OBSERVER = 0
    RELAY = 1
    WRITER = 2
    COORDINATOR = 3
    FOUNDER = 4


@dataclass(frozen=True, slots=True)
class Grant:
    """A coordinator's or the founder's word that the holder of a key may join."""

    role: Role
    expires_s: int
    """Seconds since 1970 UTC after which a join no longer counts; 0 never."""
    holder: bytes
    """Bare Ed25519 public key, 32 bytes, of the invite's seed."""
    issuer_keys: bytes
    """64 public bytes of the issuer; empty where the founder issued it."""
    issuer_admission: bytes
    """The issuer's own admission; empty where the founder issued it."""
    signature: bytes = b""
    uses: int = 0
    """How many may join with it, 1 … 65,535; 0 any number."""
    is_succession: bool = False
    """Whether the issuer, of whatever role, hands its own seat to new keys."""

    def _signed_part(self) -> bytes:
        chained = bool(self.issuer_keys)
        flags = self.role | (_CHAINED if chained else 0)
        flags |= (_COUNTED if self.uses else 0) | (_SUCCESSION if self.is_succession else 0)
        uses = self.uses.to_bytes(2, "big") if self.uses else b""
        head = bytes((flags,)) + self.expires_s.to_bytes(4, "big") + uses + self.holder
        return head + (self.issuer_keys + block(self.issuer_admission) if chained else b"")

    def message(self, dataset: DatasetId) -> bytes:
        """Return what the issuer signs."""
        return GRANT_DOMAIN + dataset + self._signed_part()

    def encode(self) -> bytes:
        """Return the grant's bytes."""
        return self._signed_part() + self.signature

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one grant; MalformedError past a limit."""
        flags = reader.uint(1)
        if flags & _ROLE > Role.COORDINATOR:
            raise MalformedError("unknown role")
        expires_s = reader.uint(4)
        uses = reader.uint(2) if flags & _COUNTED else 0
        if flags & _COUNTED and not uses:
            raise MalformedError("a grant for nobody")
        holder = reader.take(32)
        keys, admission = b"", b""
        if flags & _CHAINED:
            keys, admission = reader.take(KEYS_SIZE), reader.block(ADMISSION_SIZE_MAX)
        return cls(
            Role(flags & _ROLE),
            expires_s,
            holder,
            keys,
            admission,
            reader.take(SIGNATURE_SIZE),
            uses,
            bool(flags & _SUCCESSION),
        )


def issue(
    issuer: Identity,
    admission: bytes,
    dataset: DatasetId,
    seed: bytes,
    role: Role,
    expires_s: int = 0,
    *,
    uses: int = 0,
    is_succession: bool = False,
) -> Grant:
    """Return a signed grant for whoever holds ``seed``.

    Args:
        issuer: The founder or a coordinator.
        admission: The issuer's own admission; empty for the founder.
        dataset: Where it lets in.
        seed: 16 random bytes, the invite's secret.
        role: At most coordinator.
        expires_s: Seconds since 1970 UTC; 0 never.
        uses: How many may join with it; 0 any number.
        is_succession: See ``Grant.is_succession``; then of the issuer's role at most.
    """
    draft = Grant(
        role,
        expires_s,
        _bearer(seed).public,
        issuer.keys if admission else b"",
        admission,
        uses=uses,
        is_succession=is_succession,
    )
    return replace(draft, signature=issuer.sign(draft.message(dataset)))


def admit(grant: Grant, seed: bytes, author: AuthorId, dataset: DatasetId) -> bytes:
    """Return the admission of ``author``: the grant, and a proof made with the invite's seed."""
    return grant.encode() + _bearer(seed).sign(ADMIT_DOMAIN + dataset + author)


@dataclass(frozen=True, slots=True)
class Admission:
    """A member's role and until when joining with it counted."""

    role: Role
    expires_s: int


def check_admission(
    admission: bytes, author: AuthorId, dataset: DatasetId, founder_keys: bytes, depth: int = 0
) -> Admission | None:
    """Return what ``admission`` grants to ``author``, or None when anything in it fails.

    Pure: depends on its arguments alone, so every replica decides alike (I2).
    Cost: two signature checks per link of the chain.
    """
    if depth >= CHAIN_DEPTH_MAX or len(admission) > ADMISSION_SIZE_MAX:
        return None
    try:
        reader = Reader(admission)
        grant = Grant.read(reader)
        proof = reader.take(SIGNATURE_SIZE)
        reader.end()
    except MalformedError:
        return None
    issuer_keys = founder_keys
    if grant.issuer_keys:
        issuer_keys = grant.issuer_keys
        above = check_admission(
            grant.issuer_admission, author_id(issuer_keys), dataset, founder_keys, depth + 1
        )
        if above is None or above.role < (grant.role if grant.is_succession else Role.COORDINATOR):
            return None
    if not verify(issuer_keys, grant.signature, grant.message(dataset)):
        return None
    if not keys_are_sound(bytes(32) + grant.holder):
        return None
    if not is_valid(grant.holder, proof, ADMIT_DOMAIN + dataset + author):
        return None
    return Admission(grant.role, grant.expires_s)


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


@dataclass(frozen=True, slots=True)
class Invite:
    """All that a device needs to join while it meets nobody."""

    dataset: DatasetId
    key: bytes
    """16 bytes: the dataset's key, which opens links and the broadcast lane."""
    seed: bytes
    grant: Grant
    name: str
    """The dataset's name, for people."""

    def text(self) -> str:
        """Return the invite as one word of base32 with a checksum: to type, to send, to print."""
        data = self.dataset + self.key + self.seed + self.grant.encode() + block(self.name.encode())
        return INVITE_PREFIX + base64.b32encode(data + _checksum(data)).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the invite in ``text``; spaces, line breaks and case do not matter.

        Raises:
            InputError: It is not an invite, or was mistyped.
        """
        word = "".join(text.split()).upper()
        if not word.startswith(INVITE_PREFIX) or len(word) > 2 * ADMISSION_SIZE_MAX:
            raise InputError(f"this is not an invite: it starts with {INVITE_PREFIX}")
        word = word.removeprefix(INVITE_PREFIX)
        try:
            data = base64.b32decode(word + "=" * (-len(word) % 8))
            data, checksum = data[:-4], data[-4:]
            if _checksum(data) != checksum:
                raise InputError(
                    "the invite is incomplete or mistyped: compare it with the original"
                )
            reader = Reader(data)
            dataset, key = DatasetId(EventId(reader.take(32))), reader.take(DATASET_KEY_SIZE)
            seed, grant = reader.take(SEED_SIZE), Grant.read(reader)
            name = reader.block(NAME_SIZE_MAX).decode()
            reader.end()
        except (MalformedError, ValueError) as error:
            raise InputError(
                "the invite is incomplete or mistyped: compare it with the original"
            ) from error
        return cls(dataset, key, seed, grant, name)


def open_dataset_key() -> bytes:
    """Return the open dataset's key: public, so it keeps no stranger out."""
    return hashlib.blake2b(
        b"meshlog.open-key" + OPEN_DATASET, digest_size=DATASET_KEY_SIZE
    ).digest()


def _bearer(seed: bytes) -> Signer:
    return Signer(hashlib.blake2b(b"meshlog.invite" + seed, digest_size=32).digest())


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=4).digest()
