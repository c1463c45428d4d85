"""What the clock has reached counts: the view follows it."""

from __future__ import annotations

from meshlog.replica.desk import Desk
from meshlog.replica.ledger import horizon_for


def advance(desk: Desk, now_ms: int) -> None:
    """Count held events that the clock has reached; see ``Replica.advance_horizon``."""
    store, before, target_ms = desk.store, desk.ledger, horizon_for(now_ms)
    if target_ms <= before.horizon_ms:
        return
    released = store.touched_between(before.horizon_ms, target_ms)
    waiting = before.waiting(store)
    if waiting.knows(target_ms):
        released += waiting.due(target_ms)
    else:
        released += store.records_of(before.fixed_feeds())
    ledger = before.copy()
    ledger.reach(target_ms)
    if released:
        with store.transaction():
            standings = ledger.standings(store)
            desk.view.refold(released, standings)
            ledger.clock = max(ledger.clock, desk.view.latest(released, standings))
            ledger.save(store)
    desk.ledger = ledger
