"""Who may talk to us: the proof that both ends of a link give first. docs/protocol.md §6.1.

A MAC under the dataset's key over the link's own id says "I hold the key"; a signature by
the author says who. The key of a newcomer is not in the roster yet, so it travels along.
"""

from __future__ import annotations

import hashlib
import hmac

from meshlog.core.codec import Reader
from meshlog.core.event import DatasetId
from meshlog.core.identity import KEYS_SIZE, SIGNATURE_SIZE, Identity, author_id, verify
from meshlog.errors import MalformedError
from meshlog.ports import Peer

HELLO_VERSION = 1
HELLO_DOMAIN = b"meshlog.hello.1\x00"
MAC_SIZE = 16
TAG_SIZE = 8


class KeyGate:
    """The ``Gate`` of a dataset: see ports.Gate."""

    def __init__(self, identity: Identity, dataset: DatasetId, key: bytes) -> None:
        """Take our identity, the dataset's id and its 16-byte key."""
        self._identity = identity
        self._dataset = dataset
        self._key = key

    def tag(self) -> bytes:
        """See Gate.tag. Reveals neither the dataset's id nor its key."""
        return self._mac(b"tag", TAG_SIZE)

    def prove(self, binding: bytes, *, initiator: bool) -> bytes:
        """See Gate.prove: 145 bytes."""
        message = self._message(binding, initiator=initiator) + self._identity.author
        proof = self._mac(message, MAC_SIZE) + self._identity.keys + self._identity.sign(message)
        return bytes((HELLO_VERSION,)) + proof

    def check(self, binding: bytes, proof: bytes, *, initiator: bool) -> Peer | None:
        """See Gate.check. A stranger costs one MAC; only members reach the signature."""
        try:
            reader = Reader(proof)
            version, mac = reader.uint(1), reader.take(MAC_SIZE)
            keys, signature = reader.take(KEYS_SIZE), reader.take(SIGNATURE_SIZE)
            reader.end()
        except MalformedError:
            return None
        author = author_id(keys)
        message = self._message(binding, initiator=initiator) + author
        if version != HELLO_VERSION or not hmac.compare_digest(mac, self._mac(message, MAC_SIZE)):
            return None
        if not verify(keys, signature, message):
            return None
        return Peer(author.hex())

    def mac(self, message: bytes) -> bytes:
        """Return 8 bytes that only a holder of the dataset's key can make over ``message``."""
        return self._mac(message, TAG_SIZE)

    def is_mac(self, mac: bytes, message: bytes) -> bool:
        """Say whether ``mac`` is what ``mac(message)`` returns."""
        return hmac.compare_digest(mac, self.mac(message))

    def _message(self, binding: bytes, *, initiator: bool) -> bytes:
        return (
            HELLO_DOMAIN
            + self._dataset
            + bytes((initiator,))
            + hashlib.blake2b(binding, digest_size=32).digest()
        )

    def _mac(self, message: bytes, size: int) -> bytes:
        return hashlib.blake2b(message, key=self._key, digest_size=size).digest()
