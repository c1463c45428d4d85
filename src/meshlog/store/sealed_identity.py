"""An identity under a passphrase: scrypt and AES-GCM, in a file that ``rnid`` does not read.

| bytes | |
|---|---|
| 16 | ``meshlog identity`` |
| 1 | version: 1 |
| 1 | log2 of scrypt's N; r = 8, p = 1 |
| 16 | salt |
| 12 | nonce |
| 80 | AES-256-GCM of the 64 private bytes, associated data: all before |
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from meshlog.core.identity import KEYS_SIZE
from meshlog.errors import IdentityError

MAGIC = b"meshlog identity\x01"
SALT_SIZE = 16
NONCE_SIZE = 12
HEAD_SIZE = len(MAGIC) + 1 + SALT_SIZE + NONCE_SIZE
SEALED_SIZE = HEAD_SIZE + KEYS_SIZE + 16

COST = 15
"""N = 32,768: 32 MiB and about 0.1 s, of the 64 MB that a node may take."""

COST_MAX = 20
"""A file that claims more is damaged: 1 GiB."""


def is_sealed(data: bytes) -> bool:
    """Say whether these bytes have the shape of a sealed identity."""
    return len(data) == SEALED_SIZE and data.startswith(MAGIC)


def seal_identity(private: bytes, passphrase: str) -> bytes:
    """Return 64 private bytes under a passphrase."""
    head = MAGIC + bytes((COST,)) + os.urandom(SALT_SIZE + NONCE_SIZE)
    return head + AESGCM(_key(head, passphrase)).encrypt(head[-NONCE_SIZE:], private, head)


def open_identity(data: bytes, passphrase: str) -> bytes:
    """Return the private bytes.

    Raises:
        IdentityError: The passphrase is wrong, or the bytes are damaged.
    """
    head = data[:HEAD_SIZE]
    if not is_sealed(data) or head[len(MAGIC)] > COST_MAX:
        raise IdentityError("the identity is damaged: restore it from a copy of yours")
    try:
        return AESGCM(_key(head, passphrase)).decrypt(head[-NONCE_SIZE:], data[HEAD_SIZE:], head)
    except InvalidTag as error:
        raise IdentityError("the passphrase of the identity is wrong") from error


def _key(head: bytes, passphrase: str) -> bytes:
    salt = head[len(MAGIC) + 1 : -NONCE_SIZE]
    return Scrypt(salt, 32, n=1 << head[len(MAGIC)], r=8, p=1).derive(passphrase.encode())
