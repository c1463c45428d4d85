"""A member whose device writes any bytes as bodies, and signs them."""

from __future__ import annotations

from collections.abc import Sequence

from meshlog.core.event import NO_PREV, OPEN_DATASET, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.segment import encode_segment
from meshlog.replica import Replica
from tests.replica.devices import open_replica


class Liar:
    """Opens its feeds as everybody does; its data feed is made by hand."""

    def __init__(self, name: str, now_ms: int) -> None:
        self.replica: Replica = open_replica(name, now_ms)
        self.replica.root()
        self.now_ms = now_ms
        life = self.replica.ledger.life
        assert life is not None
        self.feed = FeedKey(self.replica.identity.author, FeedKind.DATA, life)
        self.last: Event | None = None

    def opening(self) -> list[bytes]:
        """Return what introduces it."""
        (control,) = self.replica.frontier()
        head = self.replica.frontier()[control][0]
        return self.replica.segments(control, head, 0, 100_000)[0]

    def says(self, *bodies: bytes) -> tuple[bytes, Sequence[Event]]:
        """Return a signed run of events with these bodies, as it travels, and as they are."""
        events: list[Event] = []
        for body in bodies:
            self.now_ms += 1
            seq, prev = (self.last.seq + 1, self.last.id) if self.last else (1, NO_PREV)
            stamp = Stamp(self.now_ms, 0)
            self.last = Event.make(self.feed, seq, stamp, prev, body, OPEN_DATASET)
            events.append(self.last)
        events[-1] = events[-1].signed(self.replica.identity)
        return encode_segment(events), events
