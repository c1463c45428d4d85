"""What records that this device wrote to lately have of other feeds, as its next write names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.ports import LogIndex
from meshlog.views.changes import Change, feed_ref
from meshlog.views.live import LiveView
from meshlog.views.rowstate import unpack
from meshlog.views.seen import Others, others_of, take_away, with_replaces
from meshlog.views.standing import Standings

RECENT_RECORDS = 16_384
"""Records in memory at most; some 150 bytes each where nobody else wrote to them. A choice."""

RECENT_SIZE = 2_097_152
"""…and bytes of the rows of the others; twice as many of both within one transaction. A choice:
some 20 MB at most."""

_UNKNOWN: Any = object()


class Recent:
    """Records in memory, so that a run of writes to one reads it from the store once.

    They hold while this device alone adds to the log; after anything else all are forgotten.
    """

    def __init__(self, log: LogIndex, view: LiveView) -> None:
        """Remember for the one writer of ``log``, which ``view`` shows."""
        self._log = log
        self._view = view
        self._known: dict[str, tuple[Others, int] | None] = {}
        """Each with the size of its row in bytes; the one read longest ago first."""
        self._size_bytes = 0
        self._own = b""
        self._is_alone = False
        """Whether nobody else's data are held, so that no record has anything of others."""
        self._held_at: tuple[int, int] | None = None
        """Events in the log, and marks of the view, while what is known holds; else None.

        Until then nothing but our own writes was added, so what counts of them is the same, too.
        """

    def begin(self, feed: FeedKey, horizon_ms: int, standings: Callable[[], Standings]) -> None:
        """Let ``seen`` and ``take`` be called, for one transaction; ``accept`` it after that.

        Args:
            feed: Ours, that is written to.
            horizon_ms: Up to where events count.
            standings: Tells what counts before it is written to.
        """
        own = feed_ref(feed)
        if self._held_at is None or self._held_at != self._now() or own != self._own:
            self._forget()
            self._is_alone = all(
                feed == other or other.kind is FeedKind.CONTROL for other in self._log.heads()
            )
            stand = standings()
            self._forked = {feed_ref(forked) for forked in stand.lineage.forked}
            self._is_whole = stand.is_simple(feed) and own not in self._forked
        while self._is_full():  # before anything is taken that the store has not
            self._drop(next(iter(self._known)))
        self._held_at = None  # where the transaction fails, nothing of what was taken is there
        self._own, self._horizon_ms = own, horizon_ms

    def accept(self) -> None:
        """Keep what was taken: it is durable."""
        if self._is_whole:
            self._held_at = self._now()

    def _now(self) -> tuple[int, int]:
        return self._log.event_count(), self._view.marks

    def _is_full(self, times: int = 1) -> bool:
        return len(self._known) > RECENT_RECORDS * times or self._size_bytes > RECENT_SIZE * times

    def _drop(self, record_id: str) -> None:
        known = self._known.pop(record_id, None)
        self._size_bytes -= known[1] if known else 0

    def _forget(self) -> None:
        self._known.clear()
        self._size_bytes = 0

    def seen(self, kind: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return ``payload`` with what its author saw; see ``with_replaces``."""
        record_id = payload.get("record_id")
        if self._is_alone or not isinstance(record_id, str):
            return payload
        known = self._known.get(record_id, _UNKNOWN)
        if known is _UNKNOWN:
            known = self._read(record_id)
        return with_replaces(kind, payload, known[0]) if known else payload

    def _read(self, record_id: str) -> tuple[Others, int] | None:
        if self._is_full(2):
            self._forget()
            self._is_whole = False  # what is read now may lack what was taken before
        row = self._view.row(record_id)
        others = others_of(unpack(row), self._own) if row else None
        known = self._known[record_id] = (others, len(row.state)) if row and others else None
        self._size_bytes += known[1] if known else 0
        return known

    def take(self, change: Change, seq: int, stamp: int) -> None:
        """Take a write that names what it replaces, once ``seen`` was asked about its record.

        What it names is not live any more, if the write counts; nothing else that we write changes
        what there is of others.

        Args:
            change: What it does.
            seq: Its place in our feed.
            stamp: Packed.
        """
        known = self._known.get(change.record_id)
        if known is None or not self._is_whole or stamp >> 16 > self._horizon_ms:
            return
        refs = (ref for seen in change.replaces.values() for ref in seen)
        if any(ref.feed in self._forked for ref in refs):
            self._drop(change.record_id)  # only a fold can tell which of the twins it means
            self._is_whole = False
            return
        take_away(known[0], change, (stamp, self._own, seq))
