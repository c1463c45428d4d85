"""A process that writes to a store as fast as the disk lets it. Run by test_kill_loop.py.

Prints one JSON list of event ids for every transaction that returned, until it is killed.
"""

from __future__ import annotations

import itertools
import json
import sys

from meshlog.core.identity import Identity
from meshlog.node import Node
from meshlog.store import SqliteStore, load_identity
from tests.system.node import items


def main(path: str) -> None:
    private = load_identity(f"{path}.identity")
    assert private is not None
    node = Node.over(SqliteStore(path), Identity(private))
    held = node.replica.store.event_count()
    for number in itertools.count(held, 5):
        events = node.emit_many(items(5, first=number))
        sys.stdout.write(json.dumps([event.id for event in events]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
