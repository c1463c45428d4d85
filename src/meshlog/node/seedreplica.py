"""The replica under the seed's surface: it also takes what a program made by itself."""

from __future__ import annotations

from meshlog.core.chain import Chain
from meshlog.core.event import BODY_SIZE_MAX, Event
from meshlog.core.hlc import SKEW_MS_MAX, Stamp, observe
from meshlog.errors import InputError
from meshlog.replica import Replica, pen, rights
from meshlog.views.changes import unreadable


class SeedReplica(Replica):
    """A replica whose owner may bring stamps and events of its own making."""

    def believe(self, stamp: Stamp, now_ms: int) -> None:
        """Let the next stamp that we make be later than one of the owner's clock.

        A far-future one moves nothing: the clock may have been put right since.
        """
        ledger = self._desk.ledger
        ledger.clock = observe(ledger.clock, stamp, now_ms)

    def adopt(self, event: Event, now_ms: int) -> None:
        """Write an event that our owner made for our own data feed; durable when this returns.

        Raises:
            InputError: It does not follow the feed's last event, or no view could read it;
                nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        rights.may_write(self.ledger, self.seat)
        head = pen.own_head(self.ledger, self.data_feed)
        last = self.store.get(head.id)
        if (event.feed, event.seq, event.prev) != (self.data_feed, head.seq + 1, head.id):
            raise InputError(f"event {event.id.hex()[:8]} does not follow its feed")
        if not event.is_authentic(self.dataset) or len(event.body) > BODY_SIZE_MAX:
            raise InputError(f"event {event.id.hex()[:8]} is not what its id says")
        if last is not None and event.stamp <= last.event.stamp:
            raise InputError(f"event {event.id.hex()[:8]} is not later than the one before it")
        if event.stamp.wall_ms > now_ms + SKEW_MS_MAX:
            raise InputError(f"event {event.id.hex()[:8]} is stamped ahead of this device's clock")
        if reason := unreadable(event):
            raise InputError(reason)
        with self._desk.change() as ledger:
            ledger.clock = max(ledger.clock, event.stamp)
            self._desk.pen.add(ledger, event, now_ms)
            self._desk.follow(ledger, [Chain.of([event])])
