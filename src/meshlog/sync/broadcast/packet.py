"""Broadcast packets: a beacon of 20 bytes with a MAC, the rest sealed. docs/protocol.md §6.6.

Sealing is AES-SIV (RFC 5297): no nonce that a cloned device or a restored backup could use
twice. docs/adr/0012-broadcast-lane.md says why.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from meshlog.core.codec import Reader
from meshlog.core.event import DatasetId
from meshlog.errors import MalformedError
from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.keyring import KeyRing
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


class Opened(NamedTuple):
    """A packet of this dataset."""

    messages: list[Message]
    key: bytes
    """The dataset's key that its sender used."""


class AirKey:
    """Opens and closes a dataset's broadcast packets. A stranger costs a MAC for each key held."""

    def __init__(self, dataset: DatasetId, ring: KeyRing) -> None:
        """Take the dataset's id and its keys; what the ring holds counts."""
        self._dataset = dataset
        self.ring = ring
        self._derived: dict[bytes, _Pair] = {}

    def pack_beacon(self, beacon: Beacon) -> bytes:
        """Return the 20 bytes of a beacon packet, under the current key."""
        head = (
            bytes((BEACON_TYPE,))
            + beacon.time_s.to_bytes(4, "big")
            + beacon.root_hint
            + beacon.roster_digest[:BEACON_DIGEST_SIZE]
            + (beacon.event_count % COUNT_SPAN).to_bytes(2, "big")
        )
        return head + self._pair(self.ring.current).mac(head)

    def seal(self, messages: Sequence[Message], salt: bytes, key: bytes | None = None) -> bytes:
        """Return a sealed packet.

        Args:
            messages: Encoded at most ``CARGO_SIZE_MAX`` bytes in all.
            salt: 2 random bytes: the same messages, sent again, make another packet.
            key: The current one, where it is not another that the ring holds.
        """
        cargo = salt + encode_messages(messages)
        assert len(cargo) <= CARGO_SIZE_MAX + SALT_SIZE, "a packet holds what fits it"
        return self.seal_bytes(cargo, key)

    def seal_bytes(self, cargo: bytes, key: bytes | None = None) -> bytes:
        """Return a sealed packet of a salt and whatever else: for tests of what is no message."""
        siv = self._pair(key or self.ring.current).siv
        return bytes((SEALED_TYPE,)) + siv.encrypt(cargo, [bytes((SEALED_TYPE,))])

    def open(self, packet: bytes, near_count: int) -> Opened:
        """Return what a packet says. The newest key is tried first.

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
            return self._open_beacon(packet, near_count)
        if kind != SEALED_TYPE:
            raise MalformedError("newer version" if kind >> 4 > 1 else "unknown version")
        for key in self.ring.keys:
            try:
                cargo = self._pair(key).siv.decrypt(packet[1:], [packet[:1]])
            except (InvalidTag, ValueError):
                continue
            return Opened(decode_messages(cargo[SALT_SIZE:]), key)
        raise MalformedError("not sealed")

    def _open_beacon(self, packet: bytes, near_count: int) -> Opened:
        head, mac = packet[:-BEACON_MAC_SIZE], packet[-BEACON_MAC_SIZE:]
        key = next((key for key in self.ring.keys if self._pair(key).is_mac(mac, head)), None)
        if len(packet) != BEACON_SIZE or key is None:
            raise MalformedError("not sealed")
        reader = Reader(head[1:])
        time_s, hint = reader.uint(4), reader.take(ROOT_HINT_SIZE)
        digest, low = reader.take(BEACON_DIGEST_SIZE), reader.uint(2)
        ahead = (low - near_count + COUNT_SPAN // 2) % COUNT_SPAN - COUNT_SPAN // 2
        return Opened([Beacon(time_s, hint, digest, max(near_count + ahead, 0))], key)

    def _pair(self, key: bytes) -> _Pair:
        pair = self._derived.get(key)
        if pair is None:
            held = self.ring.keys
            self._derived = {known: pair for known, pair in self._derived.items() if known in held}
            pair = self._derived[key] = _Pair(key, self._dataset)
        return pair


class _Pair:
    """What is derived from one key of the dataset's."""

    def __init__(self, key: bytes, dataset: DatasetId) -> None:
        self._beacon_key = _derive(key, b"meshlog.air.beacon.1" + dataset)
        self.siv = AESSIV(_derive(key, b"meshlog.air.seal.1" + dataset))

    def mac(self, head: bytes) -> bytes:
        return hashlib.blake2b(head, key=self._beacon_key, digest_size=BEACON_MAC_SIZE).digest()

    def is_mac(self, mac: bytes, head: bytes) -> bool:
        return hmac.compare_digest(mac, self.mac(head))


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, key=key, digest_size=32).digest()
