"""What we remember of each peer: a cache, and nothing that correctness rests on (I7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from meshlog.ports.links import Peer
from meshlog.sync.session import Session


class Contact(StrEnum):
    """How things stand with a peer, in words for a person."""

    LINKED = "linked"
    SYNCING = "syncing"
    IN_SYNC = "in sync"
    AWAY = "out of reach"
    HEARD = "heard"


@dataclass(slots=True)
class PeerState:
    """One peer, as we know it."""

    peer: Peer
    batch_size_bytes: int
    linked: bool = False
    is_near: bool = True
    """Whether it was one slow hop away when it announced itself last."""
    agreed_root: bytes = b""
    """The root at which both stood alike last; a hint."""
    session: Session | None = None
    exchange: int = 0
    """Number of the exchange that is under way; 0 none."""
    due_ms: int | None = None
    """When to ask next; None when there is no reason to."""
    failures: int = 0
    crossings: int = 0
    """Syncs of ours in a row that gave way to one of the peer's."""
    heard_ms: int = 0
    driven_until_ms: int = 0
    held_count: int | None = None
    """Events that the peer held when it last said so; None before."""
    counts: Counter[str] = field(default_factory=Counter)
    """Bundles and segments by what became of them; the reasons are few and fixed."""

    def contact(self, root: bytes) -> Contact:
        """Say how things stand, given our root now."""
        if self.session is not None:
            return Contact.SYNCING
        if self.agreed_root == root:
            return Contact.IN_SYNC
        if self.failures:
            return Contact.AWAY
        return Contact.LINKED if self.linked else Contact.HEARD


class Peers:
    """The peers we know, at most a fixed number."""

    def __init__(self, peers_max: int, batch_size_bytes: int) -> None:
        """Remember at most ``peers_max`` peers."""
        self._peers: dict[Peer, PeerState] = {}
        self._peers_max = peers_max
        self._batch_size_bytes = batch_size_bytes

    def __iter__(self) -> Iterator[PeerState]:
        """Yield every peer known."""
        return iter(list(self._peers.values()))

    def heard(self, peer: Peer, now_ms: int) -> PeerState:
        """Return the state of a peer that just gave a sign of life."""
        state = self._peers.get(peer)
        if state is None:
            if len(self._peers) >= self._peers_max:
                del self._peers[
                    min(self._peers.values(), key=lambda known: (known.linked, known.heard_ms)).peer
                ]
            state = self._peers[peer] = PeerState(peer, self._batch_size_bytes)
        state.heard_ms = now_ms
        return state

    def known(self, peer: Peer) -> PeerState | None:
        """Return a peer's state, or None."""
        return self._peers.get(peer)
