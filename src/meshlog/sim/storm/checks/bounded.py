"""I8: whatever peers said, what is remembered of them has limits, also while the storm rages."""

from __future__ import annotations

import re

from meshlog.sim.storm.world import World

PARTS_BYTES_MAX, LOOSE_BYTES_MAX = 262_144, 65_536
SEEN_MAX, OWING_MAX, SERVED_MAX, STATED_MAX = 1_024, 1_024, 256, 12
REASONS_MAX = 64
REASON = re.compile(r"[a-z][a-z ,'-]{1,60}")
"""Reasons are few and fixed words: a counter named after what a peer said grows for ever."""


def check_bounded(world: World) -> list[str]:
    """Measure every cache of the engine and of its broadcast lane."""
    wrong = []
    for device in world.honest:
        if device.replica is None:
            continue
        engine = device.replica.engine
        lane, peers = engine.lane, list(engine.peers)
        sizes = {
            "peers": (len(peers), engine._policy.peers_max),
            "parts": (lane._parts._size_bytes, PARTS_BYTES_MAX),
            "loose": (lane._loose._size_bytes, LOOSE_BYTES_MAX),
            "seen": (len(lane._seen), SEEN_MAX),
            "owing": (len(lane._repairs._owing), OWING_MAX),
            "said": (len(lane._repairs._said), SERVED_MAX),
            "served": (len(lane._repairs._served), SERVED_MAX),
            "stated": (len(lane._recall._stated), STATED_MAX),
            "reasons": (max((len(peer.counts) for peer in peers), default=0), REASONS_MAX),
            "refusals": (len(device.replica.refused), REASONS_MAX),
        }
        wrong += [
            f"{device.name}: {what} holds {size}, the limit is {limit}"
            for what, (size, limit) in sizes.items()
            if size > limit
        ]
        counts = [lane.counts, device.replica.refused, *(peer.counts for peer in peers)]
        reasons = sorted({str(reason) for counter in counts for reason in counter})
        wrong += [
            f"{device.name} counts {reason!r}, which is no reason"
            for reason in reasons
            if not REASON.fullmatch(reason)
        ]
    return wrong
