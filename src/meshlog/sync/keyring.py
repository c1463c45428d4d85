"""The dataset's keys that this device holds now, and with which one each peer proved itself.

Shared by the gate, the broadcast lane and the replica, which alone turns it.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshlog.ports.links import Peer

PROVED_MAX = 1_024
"""Peers remembered; past it all are forgotten, and lack the key until they prove it again."""


class KeyRing:
    """Keys of 16 bytes, the newest first, at most ``core.keylog.KEYS_MAX``."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take at least one key."""
        assert keys, "a dataset has a key"
        self._keys = tuple(keys)
        self._proved: dict[Peer, bytes] = {}
        self._has_forgotten = False

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, the newest first."""
        return self._keys

    @property
    def current(self) -> bytes:
        """The newest: what we seal and prove with."""
        return self._keys[0]

    def turn(self, keys: Sequence[bytes]) -> None:
        """Hold these keys from now on."""
        assert keys, "a dataset has a key"
        self._keys = tuple(keys)

    def prove(self, peer: Peer, key: bytes) -> None:
        """Remember that ``peer`` holds ``key``; a newer one that it proved before stays.

        Who answers could read the question, so it holds the key of that.
        """
        known = self._proved.get(peer)
        keys = self._keys
        if known in keys and key in keys and keys.index(known) <= keys.index(key):
            return
        if len(self._proved) >= PROVED_MAX:
            self._proved.clear()
            self._has_forgotten = True
        self._proved[peer] = key

    def is_current(self, peer: Peer) -> bool:
        """Say whether nothing shows that ``peer`` lacks the current key.

        Once proofs were forgotten, only a proof at hand counts: else a crowd could wash out
        that somebody came with an old key.
        """
        proved = self._proved.get(peer)
        return proved == self.current or (proved is None and not self._has_forgotten)
