"""Who may talk to us: the proof that both ends of a link give first. docs/protocol.md §6.1.

A MAC under the dataset's key over the link's own id says "I hold the key"; a signature by
the author says who. A member is known by its signature alone, so that one who missed a
rotation still gets in; the key of a newcomer is not in the roster yet, so it travels along.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from meshlog.core.codec import Reader
from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import DatasetId
from meshlog.core.identity import KEYS_SIZE, AuthorId, Identity, author_id, verify
from meshlog.errors import MalformedError
from meshlog.ports.links import Peer
from meshlog.sync.keyring import KeyRing

HELLO_VERSION = 1
HELLO_DOMAIN = b"meshlog.hello.1\x00"
TAG_DOMAIN = b"meshlog.tag.1"
MAC_SIZE = 16
TAG_SIZE = 8

ANSWERS_MAX = 256
"""Links whose initiator's key is remembered until they are answered."""


def _unknown(_author: AuthorId) -> bool | None:
    return None


class KeyGate:
    """The ``Gate`` of a dataset: see ports.Gate."""

    def __init__(
        self,
        identity: Identity,
        dataset: DatasetId,
        ring: KeyRing,
        stands: Callable[[AuthorId], bool | None] = _unknown,
    ) -> None:
        """Take our identity, the dataset's id and its keys.

        Args:
            identity: Ours.
            dataset: Where this lets in.
            ring: Turned by the replica; what it holds counts from then on.
            stands: True for a member, False for one that was removed, None for others.
        """
        self._identity = identity
        self._dataset = dataset
        self.ring = ring
        self._stands = stands
        self._proved_with: dict[bytes, bytes] = {}
        """Per link, the key that its initiator proved: it may hold no other."""

    def tag(self) -> bytes:
        """See Gate.tag. Reveals neither the dataset's id nor a key; outlives every rotation."""
        return _mac(self._dataset, TAG_DOMAIN, TAG_SIZE)

    def prove(self, binding: bytes, *, initiator: bool) -> bytes:
        """See Gate.prove: 145 bytes. Who was dialled proves the key that the dialler proved."""
        message = self._message(binding, initiator=initiator) + self._identity.author
        key = self.ring.current if initiator else self._proved_with.pop(binding, self.ring.current)
        proof = _mac(key, message, MAC_SIZE) + self._identity.keys + self._identity.sign(message)
        return bytes((HELLO_VERSION,)) + proof

    def check(self, binding: bytes, proof: bytes, *, initiator: bool) -> Peer | None:
        """See Gate.check.

        A stranger costs a MAC for each key held, at most four; only who holds a key, or names
        a member, reaches the signature. Whom a revocation removed is refused, whatever it holds.
        """
        try:
            reader = Reader(proof)
            version, mac = reader.uint(1), reader.take(MAC_SIZE)
            keys, signature = reader.take(KEYS_SIZE), reader.take(SIGNATURE_SIZE)
            reader.end()
        except MalformedError:
            return None
        if version != HELLO_VERSION:
            return None
        author = author_id(keys)
        stands = self._stands(author)
        if stands is False:
            return None
        message = self._message(binding, initiator=initiator) + author
        key = self.key_of(mac, message)
        if (key is None and not stands) or not verify(keys, signature, message):
            return None
        peer = Peer(author.hex())
        if key is not None:
            self.ring.prove(peer, key)
            if initiator:
                if len(self._proved_with) >= ANSWERS_MAX:
                    self._proved_with.clear()
                self._proved_with[binding] = key
        return peer

    def mac(self, message: bytes, key: bytes | None = None) -> bytes:
        """Return 8 bytes that only a holder of ``key`` (the current one) can make."""
        return _mac(key or self.ring.current, message, TAG_SIZE)

    def key_of(self, mac: bytes, message: bytes) -> bytes | None:
        """Return the key under which ``mac`` was made over ``message``, or None."""
        for key in self.ring.keys:
            if hmac.compare_digest(mac, _mac(key, message, len(mac))):
                return key
        return None

    def _message(self, binding: bytes, *, initiator: bool) -> bytes:
        return (
            HELLO_DOMAIN
            + self._dataset
            + bytes((initiator,))
            + hashlib.blake2b(binding, digest_size=32).digest()
        )


def _mac(key: bytes, message: bytes, size: int) -> bytes:
    return hashlib.blake2b(message, key=key, digest_size=size).digest()
