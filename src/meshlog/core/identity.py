"""Who writes: a Reticulum identity, and the author id that commits to its keys.

64 public bytes (X25519 ‖ Ed25519), 64 private ones in the same order: the format that
Reticulum's own ``rnid`` writes. The author id is SHA-256 of the public bytes, cut to 16.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NewType

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from meshlog.core.ed25519 import Signer, is_valid
from meshlog.errors import IdentityError

AuthorId = NewType("AuthorId", bytes)
"""16 bytes: the Reticulum identity hash."""

AUTHOR_ID_SIZE = 16
KEYS_SIZE = 64

_P = 2**255 - 19
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    },
)
"""The y of the eight points of order 1, 2, 4 and 8 on edwards25519, sign aside.
Source: computed from RFC 8032 §5.1 (multiples of points by the prime order of the base point).
OpenSSL, and so Reticulum, accepts any message under such a key (tried); libsodium none."""


def author_id(keys: bytes) -> AuthorId:
    """Return the id that commits to 64 public key bytes."""
    return AuthorId(hashlib.sha256(keys).digest()[:AUTHOR_ID_SIZE])


@lru_cache(maxsize=4_096)
def keys_are_sound(keys: bytes) -> bool:
    """Say whether 64 public bytes may ever sign: right size, no point of small order."""
    if len(keys) != KEYS_SIZE:
        return False
    y = int.from_bytes(keys[32:], "little") & (2**255 - 1)
    return y < _P and y not in _SMALL_ORDER_Y


def verify(keys: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether the holder of ``keys`` (64 public bytes) signed ``message``. Never raises.

    Cost: one Ed25519 check, about 50 µs.
    """
    return keys_are_sound(keys) and is_valid(keys[32:], signature, message)


class Identity:
    """A key pair that can sign. Made from 64 private bytes; never prints them."""

    __slots__ = ("_exchange", "_private", "_signer", "author", "keys")

    def __init__(self, private: bytes) -> None:
        """Load X25519 ‖ Ed25519 private bytes.

        Raises:
            IdentityError: Not 64 bytes.
        """
        if len(private) != KEYS_SIZE:
            raise IdentityError(f"an identity is {KEYS_SIZE} bytes, this is {len(private)}")
        self._private = private
        self._signer = Signer(private[32:])
        self._exchange = X25519PrivateKey.from_private_bytes(private[:32])
        self.keys: bytes = self._exchange.public_key().public_bytes_raw() + self._signer.public
        self.author: AuthorId = author_id(self.keys)

    @property
    def private(self) -> bytes:
        """The 64 secret bytes, for the identity file and for Reticulum alone."""
        return self._private

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature (RFC 8032; deterministic)."""
        return self._signer.sign(message)

    def agree(self, public: bytes) -> bytes:
        """Return the 32 bytes that we share with the holder of an X25519 public key (RFC 7748).

        Raises:
            ValueError: The key is of small order.
        """
        return self._exchange.exchange(X25519PublicKey.from_public_bytes(public))

    def __repr__(self) -> str:
        """Show the author id only."""
        return f"<Identity {self.author.hex()}>"
