"""What waits for its time in feeds that a clock fix names, in the order in which it is due.

The store's index knows the stamps that events carry, not those that fixes make of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from meshlog.core.clockfix import Shift
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey
from meshlog.core.identity import AuthorId
from meshlog.views.changes import record_of
from meshlog.views.standing import Standings

Fixes: TypeAlias = Mapping[AuthorId, Mapping[FeedKey, tuple[Shift, ...]]]

WAITING_MAX = 4_096
"""Events remembered, the soonest; behind them the feeds are read again. A choice: 0.5 MB."""


class Due(NamedTuple):
    """An event that the horizon has not reached."""

    wall_ms: int
    """Of its effective stamp."""
    record_id: str
    """What it touches; empty for nothing."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The events of the fixed feeds that are due next."""

    fixes: Fixes
    """The clock fixes by which this was worked out."""
    soonest: tuple[Due, ...]
    """Ascending."""
    is_all: bool
    """Whether nothing is due behind the last of them."""

    def knows(self, until_ms: int) -> bool:
        """Say whether all is remembered that is due until then."""
        return self.is_all or any(until_ms < due.wall_ms for due in self.soonest[-1:])

    def due(self, until_ms: int) -> list[str]:
        """Return the records of what is due until then."""
        reached = takewhile(lambda due: due.wall_ms <= until_ms, self.soonest)
        return [due.record_id for due in reached if due.record_id]

    def after(self, horizon_ms: int) -> Waiting:
        """Return what still waits when the horizon stands there; the caller asked ``knows``."""
        if not self.soonest or self.soonest[0].wall_ms > horizon_ms:
            return self
        left = tuple(due for due in self.soonest if due.wall_ms > horizon_ms)
        return replace(self, soonest=left)

    def joined(self, events: Iterable[Event], standings: Standings) -> Waiting:
        """Return this with events that arrived in a fixed feed."""
        new = waiting(self.fixes, events, standings)
        soonest = sorted({*self.soonest, *(d for d in new.soonest if self.knows(d.wall_ms))})
        is_all = self.is_all and new.is_all and len(soonest) <= WAITING_MAX
        return replace(self, soonest=tuple(soonest[:WAITING_MAX]), is_all=is_all)


def waiting(fixes: Fixes, events: Iterable[Event], standings: Standings) -> Waiting:
    """Return what waits of these events. Cost: O(events), of which few are kept."""
    stamped = ((standings.stamp(event).wall_ms, event) for event in events)
    later = (
        Due(wall_ms, record_of(event) or "")
        for wall_ms, event in stamped
        if wall_ms > standings.horizon_ms
    )
    soonest = nsmallest(WAITING_MAX + 1, later)
    return Waiting(fixes, tuple(soonest[:WAITING_MAX]), len(soonest) <= WAITING_MAX)
