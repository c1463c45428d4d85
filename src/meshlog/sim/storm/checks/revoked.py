"""One cut on every staying device, and everything of everybody else counts as before."""

from __future__ import annotations

from meshlog.core.feed import FeedKind
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.world import World
from meshlog.views.standing import Standing


def check_revoked(world: World) -> list[str]:
    """Compare who was removed and what is excluded, device by device."""
    book = world.book
    wrong = []
    first: frozenset[bytes] | None = None
    for device in world.staying:
        removed = set(device.running.ledger.decrees.removals)
        due = book.revoked if book.decree not in book.forgiven else set()
        if removed != due:
            wrong.append(f"{device.name} knows of {len(removed)} revoked members, not {len(due)}")
            continue
        excluded = _excluded(world, device, wrong)
        if first is None:
            first = excluded
        elif excluded != first:
            wrong.append(f"{device.name} excludes {len(excluded)} events, not {len(first)}")
    return wrong


def _excluded(world: World, device: Device, wrong: list[str]) -> frozenset[bytes]:
    """Return what a device leaves out; say where the cut, or an innocent, is not as it should."""
    book, ledger = world.book, device.running.ledger
    standings = ledger.standings(device.card)
    loose = book.hostile | book.doubled  # whose feeds may be quarantined
    excluded, held = set(), set()
    for arrival in device.card.scan():
        event = arrival.event
        held.add(event.id)
        is_excluded = standings.of(event) is Standing.EXCLUDED
        if is_excluded:
            excluded.add(event.id)
        if event.author in loose or event.feed.kind is not FeedKind.DATA:
            continue
        is_due = event.author in ledger.decrees.removals and event.id not in book.kept
        if is_excluded != is_due:
            what = "leaves out" if is_excluded else "counts"
            why = standings.why(event) or "after the cut"
            wrong.append(f"{device.name} {what} {event.id.hex()[:8]}: {why}")
    if ledger.decrees.removals and book.kept - held - book.forgiven:
        wrong.append(f"{device.name} lacks events from before the cut")
    return frozenset(excluded)
