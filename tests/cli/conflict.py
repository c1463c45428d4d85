"""Two devices that write one field without having seen each other."""

from __future__ import annotations

import random
import time
from pathlib import Path

from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.node import Node
from meshlog.replica import join
from meshlog.store import SqliteStore, load_identity


def make_conflict(data: Path) -> None:
    """Let a device "team", which knows W-1, write 32 while the store's own one writes 31."""
    private = load_identity(f"{data}.identity")
    assert private is not None
    store, other = SqliteStore(data), SqliteStore()
    base = Node.over(store, Identity(private))
    identity = Identity(random.Random(1).randbytes(64))
    join(other, identity, "team", base.replica.invite(Role.WRITER))
    team = Node.over(other, identity)
    carry(base, team)

    base.set_field("W-1", "depth_m", 31)
    team.set_field("W-1", "depth_m", 32)

    carry(team, base)
    store.close()


def carry(source: Node, target: Node) -> None:
    """Bring everything that one node holds to the other, control feeds first."""
    source.replica.root()
    now_ms = time.time_ns() // 1_000_000
    for feed, heads in sorted(source.replica.frontier().items(), key=lambda item: item[0].kind):
        for head in heads:
            segments, _ = source.replica.segments(feed, head, 0, 1_000_000)
            target.replica.ingest(segments, now_ms)
