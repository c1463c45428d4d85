"""The log as it arrived on this device."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from meshlog.core.event import Content
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import Stamp
from meshlog.ports.log import EventLog
from meshlog.views.history import Label, named


class LogLine(NamedTuple):
    """One event as it arrived on this device."""

    position: int
    """Give the last one as ``after`` to read on."""
    event_id: bytes
    kind: str
    """Empty where the body is unreadable."""
    payload: Mapping[str, Any]
    who: str
    feed: FeedKey
    seq: int
    stamp: Stamp
    arrived_ms: int
    size_bytes: int
    """Of the body."""
    is_cut: bool


def log_entries(store: EventLog, label: Label, after: int = 0, limit: int = 100) -> list[LogLine]:
    """Return what arrived just after a position, oldest first; empty at the end.

    Args:
        store: Read only.
        label: Names authors.
        after: A position; 0 begins at the first event.
        limit: How many at most.
    """
    lines = []
    for position, event, arrived_ms in islice(store.scan(after), limit):
        kind, payload = event.content or Content("", {})
        who = named(event, payload, label)
        size_bytes, is_cut = len(event.body), bool(event.signature)
        lines.append(
            LogLine(
                position,
                event.id,
                kind,
                payload,
                who,
                event.feed,
                event.seq,
                event.stamp,
                arrived_ms,
                size_bytes,
                is_cut,
            )
        )
    return lines
