"""Views of the caller's own in a store: how far each reducer has come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class ReductionRow(NamedTuple):
    """How far one reducer has come, as the store keeps it."""

    name: str
    version: int
    """Of the reducer that did it."""
    position: int
    """Log position up to which entries are made."""
    judgement: bytes
    """What decides which entries count, horizon aside: see ``views.reduction.Grounds``."""
    horizon_ms: int
    """Up to which entries count."""


class ReductionEntry(NamedTuple):
    """An event that a reducer takes."""

    stamp: int
    """Packed; the one by which the event is ordered."""
    position: int
    counts: bool
    why: str
    """Why the reducer skipped it; empty where it did not."""


class ReductionTable(Protocol):
    """What is kept for each reducer: how far it came, and the order of its events."""

    def get_reduction(self, name: str) -> ReductionRow | None:
        """Return how far a reducer has come; None where it never ran, or the row is damaged."""

    def put_reduction(self, row: ReductionRow) -> None:
        """Keep how far a reducer has come."""

    def drop_reduction(self, name: str) -> None:
        """Forget a reducer: its row, its entries, its checkpoints."""

    def put_entries(self, name: str, entries: Iterable[ReductionEntry]) -> None:
        """Insert entries, or replace those at their stamp and position."""

    def drop_entries(self, name: str, entries: Iterable[ReductionEntry]) -> None:
        """Drop entries, whatever they say beside stamp and position."""

    def entries(self, name: str, after: int, limit: int) -> list[ReductionEntry]:
        """Return up to ``limit`` entries with a packed stamp above ``after``, by stamp."""


class CheckpointTable(Protocol):
    """States of a reducer at some stamps, so that a late event costs what comes after it."""

    def checkpoints(self, name: str) -> list[tuple[int, int]]:
        """Return packed stamp and number of events of each, by stamp."""

    def get_checkpoint(self, name: str, stamp: int) -> bytes | None:
        """Return the state at a stamp, or None; None, too, where it is damaged."""

    def put_checkpoint(self, name: str, stamp: int, events: int, state: bytes) -> None:
        """Keep the state that the first ``events`` events up to a stamp make."""

    def drop_checkpoints(self, name: str, stamps: Iterable[int]) -> None:
        """Drop the checkpoints at these stamps."""
