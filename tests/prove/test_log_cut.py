"""The log (WAL) is cut at every byte of its last transaction: it opens, and all before is there."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.core.identity import Identity
from meshlog.replica import Replica, join
from meshlog.store import SqliteStore
from tests.prove.powercut import STORE, T0_MS, Peer

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

DEEP_EVERY = 500


def test_a_log_cut_anywhere_opens_with_all_that_came_before(
    tmp_path: Path, tell: Callable[[str], None]
):
    path, wal = tmp_path / STORE, tmp_path / f"{STORE}-wal"
    base = Peer(3)
    ann = Identity(random.Random("ann").randbytes(64))
    with closing(SqliteStore(path, vfs="unix")) as store:
        join(store, ann, "ann", base.invite())
        replica = Replica(store, ann, T0_MS, random.Random(1))
        for number in range(20):
            replica.append("note.add", {"record_id": "r", "text": f"n{number}"}, T0_MS)
        before, size_before = {a.event.id for a in store.scan()}, wal.stat().st_size
        last = replica.append("note.add", {"record_id": "r", "text": "last"}, T0_MS)
        log, file = wal.read_bytes(), path.read_bytes()
    (place := tmp_path / "cut").mkdir()
    copy, copied_wal = place / STORE, place / f"{STORE}-wal"

    copy.write_bytes(file)
    for size in range(size_before, len(log) + 1):
        copied_wal.write_bytes(log[:size])
        (place / f"{STORE}-shm").unlink(missing_ok=True)
        with closing(SqliteStore(copy, read_only=True)) as store:
            count = store.event_count()
            assert (count == len(before) + 1) == (store.get(last.id) is not None)
            assert count >= len(before) + (size == len(log))
        if size % DEEP_EVERY == 0:
            with closing(SqliteStore(copy, vfs="unix")) as store:
                assert store.integrity() == []
                assert before <= {a.event.id for a in store.scan()}
                Replica(store, ann, T0_MS, random.Random(1)).append(
                    "note.add", {"record_id": "r", "text": "after"}, T0_MS
                )
            copy.write_bytes(file)

    cuts = len(log) - size_before + 1
    tell(f"log cut at every byte of its last transaction: {cuts} of {cuts} open, 0 events lost")
    base.store.close()
