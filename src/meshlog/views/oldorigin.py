"""Where an event comes from that was brought in from a log of the predecessor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

ORIGIN = "origin"
"""Key of a payload: ``[author, seq, wall_ms, counter]`` of the old event."""


class Origin(NamedTuple):
    """Which old event an event of ours was; sorted, the predecessor's total order."""

    wall_ms: int
    counter: int
    author: str
    seq: int


def origin_of(payload: Mapping[str, Any]) -> Origin | None:
    """Return which old event an event with this payload was, or None for all others."""
    match payload.get(ORIGIN):
        case (str() as author, int() as seq, int() as wall_ms, int() as counter):
            return Origin(wall_ms, counter, author, seq)
    return None
