"""The seed's seam: plain messages between nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Transport(Protocol):
    """What carries messages between nodes, as the seed defined it; best effort.

    ``meshlog.sim`` and ``meshlog.transport`` have adapters; any object with these four does.
    """

    node_id: str
    """Our own name among peers."""

    def set_receive(self, cb: Callable[[str, bytes], None]) -> None:
        """Register ``cb(peer_id, message)`` for what arrives."""

    def reachable_peers(self) -> list[str]:
        """Return whom a message would reach now."""

    def send(self, peer_id: str, message: bytes) -> None:
        """Send one message; dropped silently where the peer is out of reach."""
