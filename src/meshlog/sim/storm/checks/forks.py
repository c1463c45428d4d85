"""Who was never copied never forks: no crash and no full disk makes it write a place twice."""

from __future__ import annotations

from meshlog.sim.storm.world import World


def check_forks(world: World) -> list[str]:
    """Look for feeds with two heads whose author is honest and single."""
    may_fork = world.book.doubled | world.book.hostile
    return [
        f"{device.name}: a feed of {feed.author.hex()[:8]} has {len(heads)} heads"
        for device in world.staying
        for feed, heads in device.running.frontier().items()
        if len(heads) > 1 and feed.author not in may_fork
    ]
