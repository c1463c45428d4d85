"""How far the neighbours' clocks are from ours: a small table, for a warning only."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from meshlog.core.credible import Offset, median_offset
from meshlog.ports.links import Peer

PEERS_MAX = 64
"""Peers whose offset is kept: the latest heard."""

AIR_MAX = 9
"""Beacons from the air whose median stands for one neighbour: they bear no name."""

FRESH_MS = 3_600_000
"""An offset is forgotten after this time by our clock: clocks are set. A choice."""


class Offsets:
    """Our clock minus the neighbours', as their beacons tell it; good to a second and the air."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._of_peer: OrderedDict[Peer, tuple[int, int]] = OrderedDict()
        self._on_air: deque[tuple[int, int]] = deque(maxlen=AIR_MAX)

    def heard(self, peer: Peer | None, time_s: int, now_ms: int) -> None:
        """Take in the time that a beacon told.

        Args:
            peer: Who proved itself on the link; None for a beacon from the air.
            time_s: Seconds since 1970 UTC, as the beacon has it (32 bits).
            now_ms: Wall time.
        """
        entry = (now_ms - time_s * 1_000, now_ms)
        if peer is None:
            self._on_air.append(entry)
            return
        self._of_peer[peer] = entry
        self._of_peer.move_to_end(peer)
        if len(self._of_peer) > PEERS_MAX:
            self._of_peer.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: our clock was set."""
        self._of_peer.clear()
        self._on_air.clear()

    def knows(self, peer: Peer, now_ms: int) -> bool:
        """Say whether a peer told its time lately."""
        entry = self._of_peer.get(peer)
        return entry is not None and bool(self._fresh([entry], now_ms))

    def median(self, now_ms: int) -> Offset | None:
        """Return the median of what was heard lately; None where nothing was."""
        on_air = median_offset(self._fresh(self._on_air, now_ms))
        offsets_ms = self._fresh(self._of_peer.values(), now_ms)
        return median_offset(offsets_ms + ([on_air.ahead_ms] if on_air else []))

    @staticmethod
    def _fresh(entries: Iterable[tuple[int, int]], now_ms: int) -> list[int]:
        return [offset for offset, heard_ms in entries if abs(now_ms - heard_ms) <= FRESH_MS]
