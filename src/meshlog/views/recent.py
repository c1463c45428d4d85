"""Records that this device wrote to lately, as its next write finds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from meshlog.core.event import Event
from meshlog.core.feed import FeedKey
from meshlog.ports import LogIndex
from meshlog.views.changes import Change, feed_ref
from meshlog.views.fold import Told
from meshlog.views.incremental import grown
from meshlog.views.live import LiveView
from meshlog.views.rowstate import RowState, unpack
from meshlog.views.seen import with_replaces
from meshlog.views.standing import Standings

RECENT_RECORDS = 16_384
"""Records in memory at most; small ones take some 1.2 kB each, 20 MB in all. A choice."""

RECENT_SIZE = 2_097_152
"""…and bytes of their rows and of what was written since; twice as many of both within one
transaction. A choice: some 30 MB with records of a survey, 50 where all are small numbers."""


class Recent:
    """Records in memory, so that a run of writes to one reads it from the store once.

    They hold while this device alone adds to the log; after anything else all are forgotten.
    """

    def __init__(self, log: LogIndex, view: LiveView) -> None:
        """Remember for the one writer of ``log``, which ``view`` shows."""
        self._log = log
        self._view = view
        self._states: dict[str, tuple[RowState, int]] = {}
        """Each with its size in bytes, about; the one written to longest ago first."""
        self._size_bytes = 0
        self._held_at: tuple[int, int] | None = None
        """Events in the log, and marks of the view, while the states hold; else None."""

    @contextmanager
    def writing(self, feed: FeedKey, standings: Standings) -> Iterator[None]:
        """Let ``seen`` and ``take`` be called, for a transaction that ends before this does.

        Args:
            feed: Ours, that is written to.
            standings: What counts before it is.
        """
        if self._held_at != self._now():
            self._forget()
        while self._is_full():  # before anything is taken that the store has not
            self._drop(next(iter(self._states)))
        self._held_at = None  # where the transaction fails, nothing of what was taken is there
        self._own, self._standings = feed_ref(feed), standings
        self._forked = {feed_ref(forked) for forked in standings.lineage.forked}
        self._is_whole = standings.is_simple(feed)
        yield
        if self._is_whole:
            self._held_at = self._now()

    def _now(self) -> tuple[int, int]:
        return self._log.event_count(), self._view.marks

    def _is_full(self, times: int = 1) -> bool:
        return len(self._states) > RECENT_RECORDS * times or self._size_bytes > RECENT_SIZE * times

    def _drop(self, record_id: str) -> tuple[RowState, int] | None:
        known = self._states.pop(record_id, None)
        self._size_bytes -= known[1] if known else 0
        return known

    def _forget(self) -> None:
        self._states.clear()
        self._size_bytes = 0

    def seen(self, kind: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return ``payload`` with what its author saw; see ``with_replaces``."""
        record_id = payload.get("record_id")
        if not isinstance(record_id, str):
            return payload
        return with_replaces(kind, payload, self._state(record_id), self._own)

    def _state(self, record_id: str) -> RowState:
        known = self._states.get(record_id)
        if known is not None:
            return known[0]
        if self._is_full(2):
            self._forget()
            self._is_whole = False  # what is read now may lack what was taken before
        row = self._view.row(record_id)
        state = unpack(row) if row else RowState(record_id)
        self._keep(record_id, state, len(row.state) if row else 0)
        return state

    def _keep(self, record_id: str, state: RowState, size_bytes: int) -> None:
        self._states[record_id] = state, size_bytes
        self._size_bytes += size_bytes

    def take(self, event: Event, change: Change) -> None:
        """Take an event that is about to be written, once ``seen`` was asked about its record."""
        known = self._drop(change.record_id)
        counts = self._is_whole and event.stamp.wall_ms <= self._standings.horizon_ms
        if known is None or not counts or not grown(known[0], Told(event, change), self._forked):
            self._is_whole = False
            return
        self._keep(change.record_id, known[0], known[1] + len(event.body))
