"""The store: one file, or the memory, that a replica lives in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from meshlog.ports.log import EventLog, LogIndex
from meshlog.ports.records import RecordTable
from meshlog.ports.reductions import CheckpointTable, ReductionTable


class Meta(Protocol):
    """Small named values of this replica: clock, horizon, incarnation, dataset, key."""

    def get_meta(self, key: str) -> bytes | None:
        """Return a value, or None."""

    def set_meta(self, key: str, value: bytes) -> None:
        """Keep a value."""

    def set_meta_later(self, key: str, value: bytes) -> None:
        """Keep a value that the log tells, too: it costs nothing now.

        Whoever holds this store reads it at once; another who opens it, as of ``checkpoint``. After
        a kill there is no new checkpoint before such a value was set again: set it early.
        """


class Continuity(Protocol):
    """Whether the store is the one that this device left, or a copy of it."""

    def continues(self, life: int) -> bool:
        """Say whether the store is as the life with this incarnation left it.

        False for a copy, a restored backup, and a file that lost its latest events.

        Raises:
            StoreError: It is a copy that is not whole.
        """

    def begin_life(self, life: int) -> None:
        """Bind the store to where it lies, for a new incarnation, in the open transaction.

        Raises:
            StoreError: The disk refused; the transaction is lost.
        """


class Mending(Protocol):
    """What the store makes anew by itself where the disk got it wrong: the log tells it."""

    def mended(self) -> list[str]:
        """Return what was made anew since this was asked last, a sentence each."""


class Store(
    EventLog,
    LogIndex,
    RecordTable,
    ReductionTable,
    CheckpointTable,
    Meta,
    Continuity,
    Mending,
    Protocol,
):
    """The file (or the memory) that a replica lives in; one writer at a time."""

    def transaction(self) -> AbstractContextManager[None]:
        """Write all of it or nothing; durable when the block ends.

        Raises:
            StoreError: On exit, when the disk failed: nothing was written.
        """

    def close(self) -> None:
        """Release the file and its lock. Idempotent."""
