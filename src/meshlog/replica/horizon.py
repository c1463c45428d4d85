"""What the clock has reached counts: the view follows it."""

from __future__ import annotations

from meshlog.core.hlc import ZERO
from meshlog.ports.store import Store
from meshlog.replica.desk import Desk
from meshlog.replica.ledger import Ledger, horizon_for
from meshlog.views.live import LiveView


def advance(desk: Desk, now_ms: int) -> None:
    """Count held events that the clock has reached; see ``Replica.advance_horizon``."""
    desk.ledger = advanced(desk.store, desk.view, desk.ledger, now_ms)


def due(store: Store, ledger: Ledger, now_ms: int) -> list[str]:
    """Return the records whose held events the clock has reached; reads only."""
    target_ms = horizon_for(now_ms)
    if target_ms <= ledger.horizon_ms:
        return []
    fixed = _due_where_fixed(store, ledger, target_ms) if ledger.decrees.fixes else []
    held = ledger.may_hold(store)
    return (store.touched_between(ledger.horizon_ms, target_ms) if held else []) + fixed


def _due_where_fixed(store: Store, ledger: Ledger, target_ms: int) -> list[str]:
    waiting = ledger.waiting(store)
    if waiting.knows(target_ms):
        return waiting.due(target_ms)
    return store.records_of(ledger.fixed_feeds())


def advanced(store: Store, view: LiveView, before: Ledger, now_ms: int) -> Ledger:
    """Return the ledger with a horizon as the clock allows it; the rows follow.

    Writes only where something is due. The clock follows events of a program's own kinds, too:
    its reducers show them.
    """
    target_ms = horizon_for(now_ms)
    if target_ms <= before.horizon_ms:
        return before
    may_hold = before.may_hold(store)
    if not may_hold and not before.decrees.fixes:
        return before.later(target_ms)  # as at nearly every write
    released = due(store, before, now_ms)
    passed = store.latest_between(before.horizon_ms, target_ms) if may_hold else ZERO
    ledger = before.later(target_ms)
    if released or passed > ZERO:
        with store.transaction():
            view.mark(released)
            latest = view.latest(released, ledger.standings(store))
            ledger.clock = max(ledger.clock, latest, passed)
            ledger.save(store)
    return ledger
