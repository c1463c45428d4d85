"""A victim of ours: a node of a founded dataset over Reticulum; JSON lines in and out.

`python ours.py FOLDER CONFIGDIR`. What it logs as an error is counted: an exception that a
receive path had to be saved from.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import weight

from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.node import Node
from meshlog.replica import Replica, found
from meshlog.store import SqliteStore
from meshlog.transport.reticulum import ReticulumLinks


class Stumbles(logging.Handler):
    """Counts tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.count += record.exc_info is not None and record.exc_info[0] is not None


def _wrong(replica: Replica) -> list[str]:
    return replica.view.check()


def main() -> None:
    """Serve until standard input ends."""
    folder, config = Path(sys.argv[1]), sys.argv[2]
    stumbles = Stumbles()
    logging.getLogger().addHandler(stumbles)
    store = SqliteStore(folder / "store.db")
    identity = Identity(random.SystemRandom().randbytes(64))
    now_ms = time.time_ns() // 1_000_000
    found(store, identity, "base", "valley", now_ms, random.SystemRandom())
    links = ReticulumLinks(identity.private, config, 1.0)
    node = Node.over(store, identity, links)
    node.emit_many(
        [
            ("record.put", {"record_id": f"W-{n}", "form": "well", "fields": {"depth": n}})
            for n in range(50)
        ]
    )
    with node.lock:
        invite = node.replica.invite(Role.WRITER).text()
    node.start()
    before = 0
    print(json.dumps({"author": identity.author.hex(), "invite": invite}), flush=True)
    for line in sys.stdin:
        if json.loads(line)["do"] == "begin":
            before = weight.begin()
            print("{}", flush=True)
            continue
        with node.lock:
            replica = node.replica
            ahead_ms = replica.ledger.clock.wall_ms - time.time_ns() // 1_000_000
            said = {
                "grown": weight.peak() - before,
                "events": replica.event_count(),
                "authors": len({feed.author for feed in replica.frontier()}),
                "ahead_s": max(0, ahead_ms // 1000),
                "raised": stumbles.count,
                "view": bool(node.view()) and not _wrong(replica),
                "refused": dict(replica.refused),
            }
        print(json.dumps(said), flush=True)
    node.close()
    store.close()
    again = SqliteStore(folder / "store.db")
    Node.over(again, identity).close()
    again.close()
    print(json.dumps({"reopens": True}), flush=True)


if __name__ == "__main__":
    main()
