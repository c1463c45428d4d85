"""I1: every event held hashes to its id, follows its prev, and its author signed for it."""

from __future__ import annotations

from meshlog.core.event import CUT_DOMAIN, NO_DATASET, NO_PREV
from meshlog.core.identity import verify
from meshlog.sim.storm.world import World


def check_authentic(world: World) -> list[str]:
    """Hash and chain every distinct event; verify the cut at every head."""
    wrong = []
    sound: set[bytes] = set()
    signed: set[tuple[bytes, bytes]] = set()
    for device in world.staying:
        ledger = device.running.ledger
        ids: set[bytes] = {NO_PREV}
        for arrival in device.card.scan():
            event = arrival.event
            if event.prev not in ids:
                wrong.append(f"{device.name}: {event.id.hex()[:8]} came before its prev")
            ids.add(event.id)
            if event.id in sound:
                continue
            dataset = NO_DATASET if event.id == ledger.roster.dataset else ledger.roster.dataset
            if event.recompute_id(dataset) != event.id:
                wrong.append(f"{device.name}: {event.id.hex()[:8]} is not its hash")
            sound.add(event.id)
        for feed, heads in ledger.frontier.items():
            member = ledger.roster.members.get(feed.author)
            for head in heads:
                held = device.card.get(head.id)
                signature = held.event.signature if held else b""
                if (head.id, signature) in signed:
                    continue
                signed.add((head.id, signature))
                if member is None or not verify(member.keys, signature, CUT_DOMAIN + head.id):
                    wrong.append(f"{device.name}: no signature over head {head.id.hex()[:8]}")
    return wrong
