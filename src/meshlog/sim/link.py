"""One end of a simulated link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Link:
    """One end of a link."""

    number: int
    peer: str
    dialled_by_us: bool
    opened_ms: int
    rtt_ms: int = 0
    active: bool = False
    waiting: dict[int, tuple[Callable[[bytes], None], Callable[[float], None]]] = field(
        default_factory=dict
    )
    """What to do with the answers of open requests, and with the progress of bulk ones."""
