"""Exchanges with one peer over a link that proved itself, and packets for everybody in range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType, Protocol, TypeAlias

Peer = NewType("Peer", str)
"""Name of a neighbour the transport can reach: 32 hex digits of its identity hash over
Reticulum, any string in the simulator. A handle, not a proof."""

SHOUT_SIZE_MAX = 464
"""Bytes of one broadcast packet: what a PLAIN packet of Reticulum carries at its MTU of 500."""


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """An announce of a peer that carries our dataset's tag was heard."""

    peer: Peer
    hint: bytes
    """What the peer's announce carried; a hint, never believed."""
    hops: int = 1
    """How far away; broadcast packets reach one hop."""
    is_fast: bool = False
    """Whether the way there begins on a medium so fast that links cost nothing worth saving."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link to ``peer`` proved itself, whoever dialled it."""

    peer: Peer
    batch_size_bytes: int
    """What this link moves in about 30 s: the most that one request or answer may hold."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The last link to ``peer`` is gone; every open exchange with it has failed."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Asked:
    """``peer`` asked; call ``Links.answer(token, ...)`` exactly once."""

    peer: Peer
    token: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the exchange that ``Links.ask`` started under this number."""

    peer: Peer
    exchange: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class AskFailed:
    """The exchange ended without an answer, after the transport's own retries."""

    peer: Peer
    exchange: int
    reason: str
    """Short words for the log: ``"no path"``, ``"timeout"``, ``"link closed"``."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """A broadcast packet was heard, from whomever; hostile until it is opened."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class Medium:
    """What broadcast packets go over from now on."""

    rate_bps: float
    """Raw bits per second of the slowest interface online; 0 where there is none."""


LinkEvent: TypeAlias = (
    PeerSeen | LinkUp | LinkDown | Asked | Answered | AskFailed | Overheard | Medium
)


class Gate(Protocol):
    """Who may talk to us: both ends of a link prove that they hold the dataset's key.

    Pure functions of their arguments; a transport may call them on any thread.
    """

    def tag(self) -> bytes:
        """Return the 8 bytes by which members recognise each other's announces."""

    def prove(self, binding: bytes, *, initiator: bool) -> bytes:
        """Return the proof for one link, at most 160 bytes.

        Args:
            binding: Bytes that only the two ends of this link share (its link id).
            initiator: Whether we opened the link: the two proofs differ.
        """

    def check(self, binding: bytes, proof: bytes, *, initiator: bool) -> Peer | None:
        """Return who the other end is, or None when ``proof`` does not hold.

        Args:
            binding: As in ``prove``.
            proof: What the other end sent; hostile until checked.
            initiator: Whether the *other* end opened the link.
        """


class Links(Protocol):
    """Request and answer with peers in range; opens and proves links on demand.

    Every method returns at once and may be called from one thread; ``deliver`` is called
    on foreign threads and only enqueues.
    """

    peer: Peer
    """Our own name among peers."""

    def start(
        self, gate: Gate, hint: Callable[[], bytes], deliver: Callable[[LinkEvent], None]
    ) -> None:
        """Begin to announce, to listen and to deliver.

        Args:
            gate: Proves and checks every link before it counts.
            hint: At most 64 bytes to carry in announces, asked for at each announce.
            deliver: Takes what happens; must only enqueue.
        """

    def ask(self, peer: Peer, exchange: int, request: bytes) -> None:
        """Send ``request``; exactly one ``Answered`` or ``AskFailed`` follows."""

    def answer(self, token: int, answer: bytes) -> None:
        """Answer an ``Asked``; an unknown or expired token is ignored."""

    def announce(self) -> None:
        """Tell the neighbourhood that we are here, now (rate-limited by the adapter)."""

    def shout(self, packet: bytes) -> None:
        """Broadcast at most ``SHOUT_SIZE_MAX`` bytes to every neighbour, once, unacknowledged."""

    def hang_up(self, peer: Peer) -> None:
        """Close the links to ``peer``; a later ``ask`` opens a new one."""

    def close(self) -> None:
        """Tear down, stop every thread, forget every callback. Idempotent."""
