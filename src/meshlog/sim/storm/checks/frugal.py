"""Bytes: once the air is clear, hardly more is said than what somebody lacks.

Only the calm is measured. While it rages, lost frames and full disks are told again, by right and
without a bound that would mean anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from meshlog.sim.storm.world import World

EVENT_OVERHEAD = 60
"""Bytes that an event costs beside its body: stamp, lengths, its share of feed and signature."""

COPIES = 2
"""A device that met two neighbours at once may get all from both."""

PAIR_BYTES, PAIR_FEED_BYTES = 500, 60
"""What each pair of neighbours may say until it agrees, and of each feed: about two syncs that
name every feed. Measured in 27 storms: at most 59 for each feed."""


@dataclass(frozen=True, slots=True)
class Calm:
    """What was so when the air became clear and nobody hostile was left."""

    bytes_sent: int
    held: dict[str, frozenset[bytes]]
    """Ids of the events on each device that stays."""

    @classmethod
    def of(cls, world: World) -> Self:
        """Look at a world."""
        return cls(
            world.ether.bytes_sent,
            {
                device.name: frozenset(arrival.event.id for arrival in device.card.scan())
                for device in world.staying
            },
        )


def check_frugal(world: World, calm: Calm) -> list[str]:
    """Compare the bytes sent since with the ideal: each event once to whoever lacked it."""
    staying = world.staying
    names = {device.name for device in staying}
    sizes = {
        arrival.event.id: len(arrival.event.body) + EVENT_OVERHEAD
        for device in staying
        for arrival in device.card.scan()
    }
    ideal = sum(
        size
        for held in calm.held.values()
        for event_id, size in sizes.items()
        if event_id not in held
    )
    pairs = sum(len(device.peers & names) for device in staying) // 2
    feeds = max(len(device.running.frontier()) for device in staying)
    allowed = COPIES * ideal + pairs * (PAIR_BYTES + feeds * PAIR_FEED_BYTES)
    spent = world.ether.bytes_sent - calm.bytes_sent
    if spent <= allowed:
        return []
    return [f"{spent} B were sent in the calm for {ideal} B that lacked: {allowed} B are allowed"]
