"""Broadcast packets: a beacon of 20 bytes with a MAC, the rest sealed. docs/protocol.md §6.6.

Sealing is AES-SIV (RFC 5297): no nonce that a cloned device or a restored backup could use
twice. docs/adr/0012-broadcast-lane.md says why.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from meshlog.core.codec import Reader
from meshlog.core.event import DatasetId
from meshlog.errors import MalformedError
from meshlog.ports import SHOUT_SIZE_MAX
from meshlog.sync.messages import (
    ROOT_HINT_SIZE,
    Beacon,
    Message,
    decode_messages,
    encode_messages,
)

BEACON_TYPE = 0x11
SEALED_TYPE = 0x12
"""First byte of a packet: version 1 in the high half, what it is in the low one."""

BEACON_SIZE = 20
BEACON_DIGEST_SIZE = 1
"""Of the roster digest; two rosters that look alike by chance differ in the first statement."""

COUNT_SPAN = 1 << 16
"""A beacon says the event count modulo this; the hearer takes the value nearest to its own."""

BEACON_MAC_SIZE = 4
"""As LoRaWAN's. A forged beacon costs one beacon, at 2**32 packets of air on average."""

SALT_SIZE = 2
SEAL_SIZE = 1 + 16
"""Type byte and tag."""

CARGO_SIZE_MAX = SHOUT_SIZE_MAX - SEAL_SIZE - SALT_SIZE
"""Bytes of messages that one sealed packet carries: 445."""


class AirKey:
    """Opens and closes a dataset's broadcast packets. A stranger costs one MAC."""

    def __init__(self, dataset: DatasetId, key: bytes) -> None:
        """Take the dataset's id and its 16-byte key."""
        self._beacon_key = _derive(key, b"meshlog.air.beacon.1" + dataset)
        self._siv = AESSIV(_derive(key, b"meshlog.air.seal.1" + dataset))

    def pack_beacon(self, beacon: Beacon) -> bytes:
        """Return the 20 bytes of a beacon packet."""
        head = (
            bytes((BEACON_TYPE,))
            + beacon.time_s.to_bytes(4, "big")
            + beacon.root_hint
            + beacon.roster_digest[:BEACON_DIGEST_SIZE]
            + (beacon.event_count % COUNT_SPAN).to_bytes(2, "big")
        )
        return head + self._mac(head)

    def seal(self, messages: Sequence[Message], salt: bytes) -> bytes:
        """Return a sealed packet.

        Args:
            messages: Encoded at most ``CARGO_SIZE_MAX`` bytes in all.
            salt: 2 random bytes: the same messages, sent again, make another packet.
        """
        cargo = salt + encode_messages(messages)
        assert len(cargo) <= CARGO_SIZE_MAX + SALT_SIZE, "a packet holds what fits it"
        return bytes((SEALED_TYPE,)) + self._siv.encrypt(cargo, [bytes((SEALED_TYPE,))])

    def open(self, packet: bytes, near_count: int) -> list[Message]:
        """Return what a packet says.

        Args:
            packet: Hostile.
            near_count: Our event count, by which a beacon's is completed.

        Raises:
            MalformedError: It is none of this dataset's, or none that this version reads.
        """
        if len(packet) > SHOUT_SIZE_MAX:
            raise MalformedError("packet too large")
        kind = packet[0] if packet else 0
        if kind == BEACON_TYPE:
            return [self._open_beacon(packet, near_count)]
        if kind != SEALED_TYPE:
            raise MalformedError("newer version" if kind >> 4 > 1 else "unknown version")
        try:
            cargo = self._siv.decrypt(packet[1:], [packet[:1]])
        except (InvalidTag, ValueError) as error:
            raise MalformedError("not sealed") from error
        return decode_messages(cargo[SALT_SIZE:])

    def _open_beacon(self, packet: bytes, near_count: int) -> Beacon:
        head, mac = packet[:-BEACON_MAC_SIZE], packet[-BEACON_MAC_SIZE:]
        if len(packet) != BEACON_SIZE or not hmac.compare_digest(mac, self._mac(head)):
            raise MalformedError("not sealed")
        reader = Reader(head[1:])
        time_s, hint = reader.uint(4), reader.take(ROOT_HINT_SIZE)
        digest, low = reader.take(BEACON_DIGEST_SIZE), reader.uint(2)
        ahead = (low - near_count + COUNT_SPAN // 2) % COUNT_SPAN - COUNT_SPAN // 2
        return Beacon(time_s, hint, digest, max(near_count + ahead, 0))

    def _mac(self, head: bytes) -> bytes:
        return hashlib.blake2b(head, key=self._beacon_key, digest_size=BEACON_MAC_SIZE).digest()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, key=key, digest_size=32).digest()
