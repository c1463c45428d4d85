"""Virtual time: what is to happen, in order. Nothing ticks, so an idle day costs nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

EPOCH_MS = 1_700_000_000_000
"""Wall time at which every world begins: 14 November 2023."""

Action: TypeAlias = Callable[[], object]


class Agenda:
    """Actions by time; those of the same time happen in the order in which they were planned.

    Example:
        >>> agenda, said = Agenda(), []
        >>> agenda.later(20, lambda: said.append("world"))
        >>> agenda.later(10, lambda: said.append("hello"))
        >>> agenda.run(1_000)
        >>> said, agenda.now_ms - EPOCH_MS
        (['hello', 'world'], 1000)
    """

    def __init__(self, now_ms: int = EPOCH_MS) -> None:
        self.now_ms = now_ms
        """Wall time of the world, milliseconds since 1970."""
        self._tickets = count()
        self._heap: list[tuple[int, int, Action]] = []

    def later(self, wait_ms: int, action: Action) -> None:
        """Plan ``action``; a wait below zero is none."""
        self.at(self.now_ms + max(wait_ms, 0), action)

    def at(self, when_ms: int, action: Action) -> None:
        """Plan ``action`` for a time, now at the earliest."""
        heapq.heappush(self._heap, (max(when_ms, self.now_ms), next(self._tickets), action))

    def run(self, for_ms: int) -> None:
        """Let ``for_ms`` of virtual time pass, and everything happen that falls into it."""
        until_ms = self.now_ms + for_ms
        while self._heap and self._heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
        self.now_ms = until_ms
