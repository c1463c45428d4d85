"""Where requests of peers wait for their answers.

Reticulum gives every request a thread and sends what the handler returns, so the handler
must wait until the node has answered. The desk bounds how many wait and how long, and knows
a repeated request by its nonce: it is not asked twice, and only the latest copy is answered.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from meshlog.ports.links import Peer

OPEN_PER_PEER_MAX = 4
"""Requests of one peer that may wait at once; a correct peer has one."""

OPEN_BYTES_PER_PEER_MAX = 1_000_000
"""Bytes of them together: one of the largest size, or several small ones."""

OPEN_MAX = 64
"""Requests that may wait at once."""

KEPT_ANSWER_BYTES_MAX = 65_536
"""Answers up to this size are kept, one per peer, for a repetition of their request."""

KEPT_PEERS_MAX = 64
"""Peers whose last answer is kept: at most 4 MiB in all."""


@dataclass(slots=True)
class _Open:
    peer: Peer
    nonce: bytes
    size_bytes: int
    answer: bytes | None = None
    turn: threading.Event = field(default_factory=threading.Event)
    """Ends the wait of the latest copy."""


class Desk:
    """Open requests by token. Called on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}
        self._kept: dict[Peer, tuple[bytes, bytes]] = {}
        self._tokens = 0
        self._closed = False

    def take(self, peer: Peer, nonce: bytes, size_bytes: int) -> tuple[int, bool] | bytes | None:
        """Register a request of ``size_bytes``.

        Returns:
            The token to wait for and whether the request is new; or the answer, if it was
            given before; or None if too many are open.
        """
        with self._lock:
            if self._closed:
                return None
            kept = self._kept.get(peer)
            if kept and kept[0] == nonce:
                return kept[1]
            of_peer = [item for item in self._open.items() if item[1].peer == peer]
            for token, request in of_peer:
                if request.nonce == nonce:
                    return token, False
            held_bytes = sum(request.size_bytes for _, request in of_peer)
            if (
                len(of_peer) >= OPEN_PER_PEER_MAX
                or len(self._open) >= OPEN_MAX
                or (of_peer and held_bytes + size_bytes > OPEN_BYTES_PER_PEER_MAX)
            ):
                return None
            self._tokens += 1
            self._open[self._tokens] = _Open(peer, nonce, size_bytes)
            return self._tokens, True

    def wait(self, token: int, limit_s: float) -> bytes | None:
        """Wait for the answer.

        Returns:
            The answer; or None when time ran out, the desk closed, or a later copy of the
            same request waits in place of this one.
        """
        with self._lock:
            request = self._open.get(token)
            if request is None:
                return None
            if request.answer is None:
                request.turn.set()  # the thread of the copy before may go
                request.turn = threading.Event()
            turn = request.turn
        turn.wait(limit_s)
        with self._lock:
            if request.turn is not turn:
                return None
            self._open.pop(token, None)
            return request.answer

    def answer(self, token: int, answer: bytes) -> Peer | None:
        """Hand the answer over; return who waits for it, or None if nobody does."""
        with self._lock:
            request = self._open.get(token)
            if request is None or request.answer is not None:
                return None
            request.answer = answer
            if len(answer) <= KEPT_ANSWER_BYTES_MAX:
                self._kept.pop(request.peer, None)
                self._kept[request.peer] = (request.nonce, answer)
                if len(self._kept) > KEPT_PEERS_MAX:
                    del self._kept[next(iter(self._kept))]
            request.turn.set()
            return request.peer

    def close(self) -> None:
        """Let every waiting thread go, without an answer."""
        with self._lock:
            self._closed = True
            for request in self._open.values():
                request.turn.set()
            self._open.clear()
