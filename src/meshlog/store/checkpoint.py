"""What a store's file has as of a checkpoint: heads, places of runs, values that were set later.

What the log tells since is read from it when the store is opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshlog.errors import StoreError
from meshlog.store.checksums import crc_of_row
from meshlog.store.file import Row, StoreFile
from meshlog.store.meta import read_meta, write_meta

CHECKPOINT_KEY = "store.checkpoint"
"""Meta key, the store's own: the ``Checkpoint``, 20 bytes."""

CHECKPOINT_EVENTS = 4_096
"""Events after the checkpoint at most: whoever opens the store reads them, some 10 µs a run.
A choice."""

_SUM_MAX = (1 << 32) - 1


class Tail(NamedTuple):
    """The end of the log."""

    position: int
    """Of the last event, so the number of events held."""
    on_time_ms: int
    """Latest wall time of a data event that was not stamped ahead of its arrival; -1 when there
    is none."""


class Checkpoint(NamedTuple):
    """The log's end when it was written, and the checksum of the heads then."""

    tail: Tail
    heads_sum: int

    def write(self, file: StoreFile) -> None:
        """Keep it, within the open transaction."""
        position, on_time_ms = self.tail
        value = position.to_bytes(8, "big") + on_time_ms.to_bytes(8, "big", signed=True)
        write_meta(file, CHECKPOINT_KEY, value + self.heads_sum.to_bytes(4, "big"))


def read_checkpoint(file: StoreFile) -> Checkpoint | None:
    """Return the one that a file has; None where there is none or it is damaged.

    That is fsck's to tell: the log says it all.
    """
    try:
        value = read_meta(file, CHECKPOINT_KEY)
    except StoreError:
        return None
    if not value:
        return None
    position, on_time_ms = value[:8], value[8:16]
    tail = Tail(int.from_bytes(position, "big"), int.from_bytes(on_time_ms, "big", signed=True))
    return Checkpoint(tail, int.from_bytes(value[16:], "big"))


def sum_of_heads(rows: Iterable[Row], before: int = 0, gone: Iterable[Row] = ()) -> int:
    """Return the checksum of rows of ``head`` in any order, 32 bits.

    Args:
        rows: All of them; or those that came, with
        before: what it was before they did,
        gone: those that went.
    """
    marks = sum(crc_of_row(*row) for row in rows) - sum(crc_of_row(*row) for row in gone)
    return before + marks & _SUM_MAX
