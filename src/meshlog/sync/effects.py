"""What happens to a replica, and what it asks the world to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from meshlog.ports.links import LinkEvent, Peer


@dataclass(frozen=True, slots=True)
class Changed:
    """The replica appended events of its own."""

    urgent: bool = False
    """Whether one of them must not wait for company."""


@dataclass(frozen=True, slots=True)
class Woke:
    """The time that a ``WakeAt`` named has come."""


@dataclass(frozen=True, slots=True)
class Poke:
    """A person or a caller wants everyone in range asked now."""


Input: TypeAlias = LinkEvent | Changed | Woke | Poke


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request; the world answers with ``Answered`` or ``AskFailed``."""

    peer: Peer
    exchange: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the ``Asked`` with this token."""

    token: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Shout:
    """Broadcast a packet to every neighbour, once."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send ``Woke`` at this wall time or soon after; a later ``WakeAt`` replaces it."""

    when_ms: int


Effect: TypeAlias = Ask | Answer | Shout | WakeAt
