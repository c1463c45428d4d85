"""Fifty authors in one dataset: announces stay small, and a fresh node gets everything."""

from __future__ import annotations

import time
from random import SystemRandom

import pytest

from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.node import Node
from meshlog.replica import Replica, join
from meshlog.store import SqliteStore
from meshlog.transport.relay import header
from tests.system.node import Field, Recorder, items, wait_alike

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(90)]

AUTHORS = 50
APP_DATA_MAX = 80
"""Bytes; transport nodes choke beyond 317 (RETICULUM, sizes)."""

_ANNOUNCE = 1
_ANNOUNCE_FIXED, _RATCHET, _RATCHET_FLAG = 167, 32, 0x20


def app_data_bytes(announce: bytes) -> int:
    ratchet = _RATCHET if announce[0] & _RATCHET_FLAG else 0
    return len(announce) - _ANNOUNCE_FIXED - ratchet


def add_author(base: Node, number: int) -> None:
    """Let an author write a few records on a device of its own and hand them to base."""
    store, identity = SqliteStore(), Identity(SystemRandom().randbytes(64))
    now_ms = time.time_ns() // 1_000_000
    join(store, identity, f"team-{number}", base.replica.invite(Role.WRITER))
    replica = Replica(store, identity, now_ms, SystemRandom())
    replica.append_many(items(3, f"site{number}"), now_ms)
    replica.root()  # signs what it wrote
    for feed, heads in sorted(replica.frontier().items()):
        segments, _ = replica.segments(feed, heads[0], 0, 65_536)
        assert base.replica.ingest(segments, now_ms).events > 0
    store.close()


def test_fifty_authors_reach_a_fresh_node(field: Field) -> None:
    recorder = Recorder()
    ann, bob = field.homes("ann", "bob")
    with ann.open() as node:
        for number in range(AUTHORS):
            add_author(node, number)

    nodes = field.pair(field.relay(drop=recorder), ann, bob)
    wait_alike(*nodes)

    assert nodes[1].status()["members"] == AUTHORS + 2
    assert nodes[1].status()["records"] == 3 * AUTHORS
    assert ann.events() == bob.events()
    announces = [
        one for _, _, one in recorder.packets if (head := header(one)) and head.kind == _ANNOUNCE
    ]
    assert announces
    assert max(map(app_data_bytes, announces)) <= APP_DATA_MAX
