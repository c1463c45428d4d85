"""I3: what was acknowledged is there, what was refused is nowhere, in doubt is one or the other."""

from __future__ import annotations

from meshlog.sim.storm.world import World

SAID_MAX = 3
"""Lost events that are named."""


def check_durable(world: World) -> list[str]:
    """Look for every acknowledged event on every honest device, and for refused ones."""
    wrong = []
    book = world.book
    of_the_revoked = {
        event_id
        for event_id, name in book.acknowledged.items()
        if world.is_out(world.devices[name])
    }
    for device in world.staying:
        held = {arrival.event.id for arrival in device.card.scan()}
        due = set(book.acknowledged) - book.forgiven - of_the_revoked
        lost = sorted(due - held)
        if lost:
            named = ", ".join(
                f"{event_id.hex()[:8]} by {book.acknowledged[event_id]}"
                for event_id in lost[:SAID_MAX]
            )
            wrong.append(f"{device.name} lacks {len(lost)} acknowledged events: {named}")
        taken = sorted(book.forbidden.keys() & held)
        if taken:
            why = book.forbidden[taken[0]]
            wrong.append(f"{device.name} holds {len(taken)} events that nobody may take: {why}")
    return wrong + _refused(world)


def _refused(world: World) -> list[str]:
    """Say which refused writes exist all the same: their mark stands in each of their events."""
    refused = world.book.refused
    if not refused:
        return []
    first = world.staying[0]
    found = set()
    for arrival in first.card.scan():
        words = set(str(dict(arrival.event.payload)).replace("'", " ").split())
        found |= refused & words
    return [f"the disk refused the write {mark}, and its event exists" for mark in sorted(found)]
