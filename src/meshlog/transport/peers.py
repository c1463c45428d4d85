"""What a transport remembers of its peers and shows of them: keys, counters, interfaces.

All of it is a cache: losing an entry costs an announce, never correctness.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from meshlog.ports.links import Peer

KEYS_MAX = 1024
"""Peers whose public keys are kept. A cautious guess: 64 kB, twenty times any team."""

COUNTERS_MAX = 1024
"""Peers whose counters are kept; the longest silent one is forgotten."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    """What was exchanged with one peer since the start, and what is going on now."""

    bytes_sent: int = 0
    """Payload of requests and answers handed to Reticulum, without its own overhead."""
    bytes_received: int = 0
    """Payload of requests and answers received."""
    exchanges_ok: int = 0
    exchanges_failed: int = 0
    linked: bool = False
    """A link that proved itself is up."""
    progress: float = 0.0
    """Of the transfer under way, 0 to 1; 0 when none is."""


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """One Reticulum interface, as its owner sees it."""

    name: str
    bitrate_bps: int | None
    """As configured or guessed by Reticulum; bits per second."""
    received_bytes: int
    sent_bytes: int
    online: bool


class PublicKeys:
    """Public keys of peers, bounded. Reticulum forgets them within minutes.

    Announces cost a stranger nothing, so a flood of them may push out other announced
    keys, but never the key of a peer that proved itself while unproven ones remain.
    """

    def __init__(self, size_max: int = KEYS_MAX) -> None:
        self._size_max = size_max
        self._keys: OrderedDict[Peer, bytes] = OrderedDict()
        self._proven: OrderedDict[Peer, bytes] = OrderedDict()

    def learn(self, peer: Peer, public_key: bytes) -> None:
        """Remember ``public_key`` as the newest."""
        if peer in self._proven:
            return
        self._keys[peer] = public_key
        self._keys.move_to_end(peer)
        self._shrink()

    def prove(self, peer: Peer) -> None:
        """Keep the key of ``peer``, if it is known, before those of strangers."""
        known = self._keys.pop(peer, None) or self._proven.get(peer)
        if known is not None:
            self._proven[peer] = known
            self._proven.move_to_end(peer)
            self._shrink()

    def get(self, peer: Peer) -> bytes | None:
        """Return the 64-byte public key of ``peer``, or None."""
        return self._proven.get(peer) or self._keys.get(peer)

    def __len__(self) -> int:
        return len(self._keys) + len(self._proven)

    def _shrink(self) -> None:
        while len(self) > self._size_max:
            (self._keys or self._proven).popitem(last=False)


class Counters:
    """The `PeerStats` of every peer met, bounded. Replaced whole, so a reader needs no lock."""

    def __init__(self, size_max: int = COUNTERS_MAX) -> None:
        self._size_max = size_max
        self._stats: dict[Peer, PeerStats] = {}

    def add(
        self, peer: Peer, *, sent: int = 0, received: int = 0, ok: int = 0, failed: int = 0
    ) -> None:
        """Add payload bytes and ended exchanges to the counts of ``peer``."""
        old = self._stats.get(peer, PeerStats())
        self._put(
            peer,
            replace(
                old,
                bytes_sent=old.bytes_sent + sent,
                bytes_received=old.bytes_received + received,
                exchanges_ok=old.exchanges_ok + ok,
                exchanges_failed=old.exchanges_failed + failed,
            ),
        )

    def heard(self, peer: Peer) -> None:
        """Note a sign of life of ``peer``: who was silent longest is forgotten first."""
        old = self._stats.pop(peer, PeerStats())  # to the end: the least silent
        self._put(peer, old)

    def show(
        self, peer: Peer, *, linked: bool | None = None, progress: float | None = None
    ) -> None:
        """Set what is going on with ``peer`` now."""
        old = self._stats.get(peer, PeerStats())
        self._put(
            peer,
            replace(
                old,
                linked=old.linked if linked is None else linked,
                progress=old.progress if progress is None else progress,
            ),
        )

    def snapshot(self) -> dict[Peer, PeerStats]:
        """Return the counts of every peer; a copy."""
        return self._stats.copy()

    def _put(self, peer: Peer, stats: PeerStats) -> None:
        if peer not in self._stats and len(self._stats) >= self._size_max:
            del self._stats[next(iter(self._stats))]
        self._stats[peer] = stats
