"""What records that this device wrote to lately have of other feeds, as its next write names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from meshlog.core.cbor import plain
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.errors import InputError
from meshlog.ports.log import LogIndex
from meshlog.views.changes import Change, Payload, feed_ref, read_content
from meshlog.views.live import READ_RECORDS, LiveView
from meshlog.views.rowstate import Spot, unpack
from meshlog.views.seen import (
    Others,
    Replaces,
    filled_in,
    others_of,
    take_away,
    with_replaces,
)
from meshlog.views.standing import Standings

RECENT_RECORDS = 16_384
"""Records in memory at most; some 150 bytes each where nobody else wrote to them. A choice."""

RECENT_SIZE = 16_777_216
"""…and bytes, about, of what others wrote to them; twice as many of both within one transaction.
A choice."""

_VALUE_SIZE, _HEAD_SIZE = 300, 150
"""Bytes that a live value or a head of another feed takes, about. Measured, with CPython 3.11."""

_UNKNOWN: Any = object()

_NEVER = 1 << 63
"""After every position."""


class Recent:
    """Records in memory, so that a run of writes to one reads it from the store once.

    They hold while this device alone adds to the log; after anything else all are forgotten.
    """

    def __init__(self, log: LogIndex, view: LiveView) -> None:
        """Remember for the one writer of ``log``, which ``view`` shows."""
        self._log = log
        self._view = view
        self._known: dict[str, tuple[Others, int] | None] = {}
        """Each with its size in bytes, about; the one read longest ago first."""
        self._size_bytes = 0
        self._since = _NEVER
        """Position in the log after which no record was written to but those that are known."""
        self._own = b""
        self._is_alone = False
        """Whether nobody else's data are held, so that no record has anything of others."""
        self._held_at: tuple[int, int] | None = None
        """Events in the log, and marks of the view, while what is known holds; else None.

        Until then nothing but our own writes was added, so what counts of them is the same, too.
        """

    def begin(self, feed: FeedKey, horizon_ms: int, standings: Callable[[], Standings]) -> None:
        """Let ``seen`` be called, for one transaction; ``accept`` it after that.

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
        self._since = _NEVER

    def _forget(self) -> None:
        self._since = self._log.event_count()
        self._known.clear()
        self._size_bytes = 0

    def seen(
        self, items: Sequence[tuple[str, object]], seq: int, stamps: Sequence[int]
    ) -> Sequence[tuple[str, object]]:
        """Return writes with what their author saw, each after those before; see ``with_replaces``.

        Args:
            items: Kind and payload of each, as the caller gave them.
            seq: Place of the first in our feed.
            stamps: By which they are ordered, packed.
        """
        if self._is_alone:
            return items
        said: list[tuple[str, object]] = []
        for first in range(0, len(items), READ_RECORDS):
            some, known = items[first : first + READ_RECORDS], self._known
            names = [_record_of(kind, payload) for kind, payload in some]
            if unknown := set(names).difference(known, ("",)):
                self._read(sorted(unknown))
            for number, ((kind, payload), name) in enumerate(zip(some, names, strict=True), first):
                if name and known.get(name, _UNKNOWN) is not None:
                    spot = stamps[number], self._own, seq + number
                    said.append((kind, self._seen(kind, cast("Payload", payload), name, spot)))
                else:
                    said.append((kind, payload))
        return said

    def _seen(self, kind: str, payload: Payload, record_id: str, spot: Spot) -> Payload:
        if record_id not in self._known:  # dropped meanwhile, or no record can have this name
            self._read([record_id])
        known = self._known.get(record_id)
        if known is None:
            return payload
        said = with_replaces(kind, payload, known[0])
        if "replaces" in said and self._is_whole and spot[0] >> 16 <= self._horizon_ms:
            if said is not payload:
                self._take(record_id, filled_in(kind, said), known[0], spot)
                return said
            try:
                said = plain(said)  # so what is written is what is taken: a map may change
            except InputError:  # then nothing of the transaction is written
                return said
            change = read_content((kind, said))
            if isinstance(change, Change):
                self._take(change.record_id, change.replaces, known[0], spot)
        return said

    def _read(self, record_ids: Sequence[str]) -> None:
        """Read what records have of others; nothing where one of the names is no record's."""
        with suppress(InputError):  # its writing says so, in its turn
            rows = self._view.rows_of(record_ids, self._since)
            for name, row in zip(record_ids, rows, strict=True):
                if self._is_full(2):
                    self._forget()
                    self._is_whole = False  # what is read now may lack what was taken before
                others = others_of(unpack(row), self._own) if row else None
                known = self._known[name] = (others, _size_of(others)) if others else None
                self._size_bytes += known[1] if known else 0

    def _take(self, record_id: str, replaces: Replaces, others: Others, spot: Spot) -> None:
        """Let what a write that counts names not be live any more for the next.

        Nothing else that we write changes what there is of others.
        """
        if self._forked and any(
            feed in self._forked for seen in replaces.values() for feed, _ in seen
        ):
            self._drop(record_id)  # only a fold can tell which of the twins it means
            self._is_whole = False
        else:
            take_away(others, replaces, spot)


def _record_of(kind: object, payload: object) -> str:
    """Return which record a write says that it is about; empty where none."""
    if not isinstance(kind, str):
        return ""
    if type(payload) is not dict and not isinstance(payload, Mapping):  # asking costs more
        return ""
    record_id = payload.get("record_id")
    return record_id if isinstance(record_id, str) else ""


def _size_of(others: Others) -> int:
    return _VALUE_SIZE * sum(map(len, others.fields.values())) + _HEAD_SIZE * len(others.heads)
