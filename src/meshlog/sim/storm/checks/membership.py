"""Nothing of a non-member is in any log, and nothing that its author's role does not allow."""

from __future__ import annotations

from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role
from meshlog.sim.storm.world import World


def check_membership(world: World) -> list[str]:
    """Look at every feed that anybody holds."""
    wrong = []
    for device in world.staying:
        roster = device.running.ledger.roster
        for feed in device.running.frontier():
            member = roster.members.get(feed.author)
            if member is None:
                wrong.append(f"{device.name} holds a feed of {feed.author.hex()[:8]}, no member")
            elif feed.kind is FeedKind.DATA and member.role < Role.WRITER:
                wrong.append(f"{device.name} holds data of a {member.role.name.lower()}")
    return wrong
