"""What a clock that was ahead did to a device's own stamps, and how it can tell.

A device alone cannot know whether its clock was ahead or is behind now: both look the same. So it
takes neighbours who agree with what the clock shows now, or a person's word.
"""

from __future__ import annotations

import random

from meshlog.core.clockfix import Shift
from meshlog.core.credible import EARLIEST_MS, NEIGHBOURS_SURE, Offset
from meshlog.core.decrees import FIX_KIND, fix_payload
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import SKEW_MS_MAX, Stamp
from meshlog.core.identity import AuthorId
from meshlog.ports.store import Store
from meshlog.replica import life
from meshlog.replica.desk import Desk
from meshlog.replica.ledger import Ledger, horizon_for


def is_ahead(ledger: Ledger, now_ms: int) -> bool:
    """Say whether the stamps or the horizon kept so far are ahead of what the clock shows now."""
    latest_ms = max(ledger.clock.wall_ms, ledger.horizon_ms - SKEW_MS_MAX)
    return latest_ms > now_ms + SKEW_MS_MAX


def take_back_horizon(desk: Desk, now_ms: int) -> None:
    """Hold again what the clock has not reached, where we wrote nothing while it was ahead."""
    with desk.change() as ledger:
        ledger.set_back(ledger.clock, now_ms)
        _hold_again(desk, ledger)


def _hold_again(desk: Desk, ledger: Ledger) -> None:
    """Bring the view to a horizon that was set back, inside ``change``."""
    stale = desk.store.touched_between(ledger.horizon_ms, desk.ledger.horizon_ms)
    desk.follow(ledger, stale=stale + desk.store.records_of(ledger.fixed_feeds()))
    ledger.save(desk.store)


def mend(desk: Desk, key: bytes, now_ms: int, rng: random.Random) -> None:
    """Go on in a new life with honest stamps; see ``Replica.mend_clock``."""
    store = desk.store
    with desk.change() as ledger:
        fixes = own_fixes(store, ledger, desk.author, now_ms)
        latest = store.latest_stamp(horizon_for(now_ms))
        ledger.set_back(max(latest, Stamp(now_ms, 0)), now_ms)
        life.open_feeds(desk, ledger, key, now_ms, rng)
        feed = FeedKey(desk.author, FeedKind.CONTROL, ledger.life or 0)
        items = [(FIX_KIND, fix_payload(*fix)) for fix in fixes]
        desk.pen.write(ledger, feed, items, now_ms)
        _hold_again(desk, ledger)


def was_ahead(
    store: Store, ledger: Ledger, own: AuthorId, offset: Offset | None, now_ms: int
) -> bool:
    """Say whether the stamps kept so far were ahead, rather than the clock behind now.

    Cost: O(1) while the neighbours do not agree with the clock; then O(feeds).
    """
    if now_ms < EARLIEST_MS or offset is None or abs(offset.ahead_ms) > SKEW_MS_MAX:
        return False
    return offset.neighbours >= NEIGHBOURS_SURE or not _has_witness(store, ledger, own, now_ms)


def _has_witness(store: Store, ledger: Ledger, own: AuthorId, now_ms: int) -> bool:
    """Say whether somebody else wrote, as counted here, later than the clock shows now."""
    standings = ledger.standings(store)
    for feed, tips in ledger.frontier.items():
        if feed.kind is FeedKind.DATA and feed.author != own:
            for tip in tips:
                arrival = store.get(tip.id)
                assert arrival is not None, "heads are held"
                is_later = standings.stamp(arrival.event).wall_ms > now_ms + SKEW_MS_MAX
                if is_later and standings.counts(arrival.event):
                    return True
    return False


def own_fixes(
    store: Store, ledger: Ledger, own: AuthorId, now_ms: int
) -> list[tuple[FeedKey, Shift]]:
    """Return what makes our own events count that are stamped later than ``now_ms`` allows.

    How far the clock was ahead then nobody knows: the last of them was written now at the latest.
    Cost: O(lives · log events).
    """
    found = []
    standings = ledger.standings(store)
    for feed, tips in sorted(ledger.frontier.items()):
        if feed.author != own or feed.kind is not FeedKind.DATA:
            continue
        ends = [arrival.event for tip in tips if (arrival := store.get(tip.id)) is not None]
        if max(map(standings.stamp, ends)).wall_ms > now_ms + SKEW_MS_MAX:
            first = _first_after(store, feed, tips[-1].seq, now_ms + SKEW_MS_MAX)
            last_ms = max(event.stamp for event in ends).wall_ms
            found.append((feed, Shift(first, tips[-1].seq, now_ms - last_ms)))
    return found


def _first_after(store: Store, feed: FeedKey, last_seq: int, wall_ms: int) -> int:
    """Return the first place of a feed whose stamp is later; stamps rise along a branch."""
    low, high = 1, last_seq
    while low < high:
        middle = (low + high) // 2
        if min(event.stamp for event in store.at(feed, middle)).wall_ms > wall_ms:
            high = middle
        else:
            low = middle + 1
    return low
