"""Local writes of several threads: those that come while the disk is busy share its next sync."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from meshlog.errors import InputError, MeshlogError, StoreError
from meshlog.node.event import Event

GROUP_EVENTS_MAX = 1_024
"""Events of several callers in one transaction; one caller's may be more. A choice."""

Items = Sequence[tuple[str, Mapping[str, Any]]]
"""Kind and payload of each event, in order."""

Append = Callable[[Items], list[Event]]


@dataclass(slots=True, eq=False)
class _Write:
    """What one caller writes, and what became of it."""

    items: Items
    outcome: list[Event] | MeshlogError | None = None
    """None while it waits."""


class GroupCommit:
    """Writes what callers bring, each all or nothing, as many as wait in one transaction.

    Whoever has the lock writes for those who wait for it: a sync of the disk takes longer than
    all else, on a card a hundred times so.
    """

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        """Write while holding ``lock``."""
        self._lock = lock
        self._waiting: deque[_Write] = deque()

    def write(self, items: Items, append: Append) -> list[Event]:
        """Return the events made of ``items``, durable.

        Args:
            items: All or none of them.
            append: Writes events in one transaction, or raises; the same for every caller.

        Raises:
            InputError: One cannot be carried or read; nothing of ``items`` was written.
            StoreError: The disk refused; the same.
        """
        own = _Write(items)
        self._waiting.append(own)
        try:
            with self._lock:
                while own.outcome is None:
                    self._write_some(append)
        except BaseException:  # stopped while it waited: then nobody writes it
            with suppress(ValueError):
                self._waiting.remove(own)
            raise
        if isinstance(own.outcome, MeshlogError):
            raise own.outcome
        return own.outcome

    def _write_some(self, append: Append) -> None:
        group = [self._waiting.popleft()]
        room = GROUP_EVENTS_MAX - len(group[0].items)
        while self._waiting and (room := room - len(self._waiting[0].items)) >= 0:
            group.append(self._waiting.popleft())
        try:
            _write_together(group, append)
        finally:
            for write in group:
                if write.outcome is None:  # this thread is being stopped
                    write.outcome = StoreError("the write was broken off: look, and try again")


def _write_together(group: Sequence[_Write], append: Append) -> None:
    try:
        events = append([item for write in group for item in write.items])
    except InputError as error:
        if len(group) == 1:
            group[0].outcome = error
            return
        for write in group:  # somebody's cannot be written, and the others' can
            _write_together([write], append)
    except StoreError as error:
        for write in group:
            write.outcome = error
    else:
        rest = iter(events)
        for write in group:
            write.outcome = [next(rest) for _ in write.items]


def checked_items(items: object) -> Items:
    """Return what a program wants written, read once.

    Raises:
        InputError: They are no pairs.
    """
    found: list[Any] = list(items) if isinstance(items, Iterable) else [None]
    if not all(isinstance(item, tuple | list) and len(item) == 2 for item in found):  # noqa: PLR2004
        raise InputError("events are pairs of a kind and a payload")
    return found
