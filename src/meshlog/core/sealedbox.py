"""Sealed boxes: one secret for many members, in a few bytes each. docs/protocol.md §7.7.

One ephemeral X25519 key serves all boxes of an event; HKDF makes a key of its own for each
member, and AES-SIV (RFC 5297) seals the 16 bytes. Randomness is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from meshlog.core.event import DatasetId
from meshlog.core.identity import Identity, author_id

BOX_DOMAIN = b"meshlog.box.1\x00"
EPHEMERAL_SIZE = 32
PREFIX_SIZE = 4
"""Of the author id, by which a member finds its box; who shares one tries both."""

SECRET_SIZE = 16
BOX_SIZE = PREFIX_SIZE + 16 + SECRET_SIZE
"""Author prefix, SIV, sealed secret: 36 bytes for each member."""

TRIES_MAX = 4
"""Boxes under our prefix that are tried: four honest members share one in 2**64 datasets."""


def seal_boxes(
    secret: bytes, members: Iterable[bytes], ephemeral: bytes, dataset: DatasetId
) -> bytes:
    """Return the secret, sealed to each member.

    Args:
        secret: 16 bytes.
        members: 64 public bytes of each; whose X25519 key is of small order gets no box.
        ephemeral: 32 random bytes, used for nothing else.
        dataset: What the secret is for.
    """
    assert len(secret) == SECRET_SIZE, "a box holds 16 bytes"
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    public = private.public_key().public_bytes_raw()
    boxes = [public]
    for keys in members:
        try:
            shared = private.exchange(X25519PublicKey.from_public_bytes(keys[:32]))
        except ValueError:
            continue
        siv = AESSIV(_box_key(shared, public, keys[:32], dataset))
        boxes.append(author_id(keys)[:PREFIX_SIZE] + siv.encrypt(secret, None))
    return b"".join(boxes)


def open_box(boxes: bytes, identity: Identity, dataset: DatasetId) -> bytes | None:
    """Return the secret, or None where no box is ours. Never raises.

    Cost: one X25519 if a box has our prefix, else none.
    """
    ours = [box for prefix, box in _split(boxes) if identity.author.startswith(prefix)]
    if not ours:
        return None
    public = boxes[:EPHEMERAL_SIZE]
    try:
        shared = identity.agree(public)
    except ValueError:
        return None
    siv = AESSIV(_box_key(shared, public, identity.keys[:32], dataset))
    for box in ours[:TRIES_MAX]:
        try:
            return siv.decrypt(box, None)
        except InvalidTag:
            continue
    return None


def takes_boxes(keys: bytes) -> bool:
    """Say whether a box can be sealed to 64 public bytes: no X25519 key of small order."""
    try:
        X25519PrivateKey.from_private_bytes(b"1" * 32).exchange(
            X25519PublicKey.from_public_bytes(keys[:32])
        )
    except ValueError:
        return False
    return True


def prefixes(boxes: bytes) -> list[bytes]:
    """Return the author prefixes of those who can open a box."""
    return [prefix for prefix, _ in _split(boxes)]


def are_boxes(boxes: bytes) -> bool:
    """Say whether these bytes have the shape of sealed boxes."""
    return len(boxes) >= EPHEMERAL_SIZE and not (len(boxes) - EPHEMERAL_SIZE) % BOX_SIZE


def _split(boxes: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (boxes[at : at + PREFIX_SIZE], boxes[at + PREFIX_SIZE : at + BOX_SIZE])
        for at in range(EPHEMERAL_SIZE, len(boxes), BOX_SIZE)
    ]


def _box_key(shared: bytes, ephemeral: bytes, recipient: bytes, dataset: DatasetId) -> bytes:
    info = BOX_DOMAIN + dataset
    return HKDF(SHA256(), 32, salt=ephemeral + recipient, info=info).derive(shared)
