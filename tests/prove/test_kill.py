"""kill -9 at any moment: the store opens and holds everything that was acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.store import SqliteStore
from tests.store.logs import ANN
from tests.support.scale import scaled

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3_600)]

KILLS = scaled(50, 500)
"""Of each size; `PRAGMA integrity_check` after every tenth."""

WRITER = """
import random, sys
from meshlog.core.chain import Chain
from meshlog.ports.records import RecordRow
from meshlog.store import SqliteStore
from tests.store.logs import ANN, T0_MS, child, signed

path, seed, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
luck = random.Random(seed)
store = SqliteStore(path)
heads = store.heads().get(ANN)
last = store.get(heads[0].id).event if heads else None
while True:
    entries = []
    for _ in range(luck.randint(1, max(4_000 // size, 3))):
        last = child(last, ANN, luck.randbytes(luck.randint(size // 2, size)))
        entries.append(last)
    with store.transaction():
        store.add(Chain.of(entries), T0_MS)
        store.sign(signed(last))
        row = RecordRow(f"r{last.seq % 50}", "well", True, 0, last.id)
        store.put_records([(row.record_id, row)], last.seq)
        store.set_meta("latest", last.id)
    sys.stdout.write(f"{last.seq} {last.id.hex()}\\n")
    sys.stdout.flush()
"""


def write_and_kill(path: Path, seed: int, size_bytes: int) -> list[tuple[int, bytes]]:
    """Let a process write until it is killed; return what it acknowledged, one per commit."""
    luck = random.Random(seed)
    command = [sys.executable, "-c", WRITER, str(path), str(seed), str(size_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline()]
        try:
            writer.wait(luck.uniform(0, 0.06))
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    whole = [line.split() for line in acknowledged if line.endswith("\n")]
    return [(int(seq), bytes.fromhex(event_id)) for seq, event_id in whole]


@pytest.mark.parametrize("size_bytes", [100, 20_000, 60_000])
def test_nothing_acknowledged_is_lost_by_kill_9(
    tmp_path: Path, tell: Callable[[str], None], size_bytes: int
):
    path = tmp_path / "ann.meshlog"
    seed = random.randrange(2**32)
    print("seed", seed)
    known = acknowledged_count = 0

    for kill in range(KILLS):
        acknowledged = write_and_kill(path, seed + kill, size_bytes)
        acknowledged_count += len(acknowledged)
        with closing(SqliteStore(path)) as store:
            (head,) = store.heads()[ANN]
            assert head.seq >= acknowledged[-1][0] > known
            assert store.event_count() == head.seq
            assert store.get_meta("latest") == head.id
            for seq, event_id in acknowledged:
                arrival = store.get(event_id)
                assert arrival is not None
                assert (arrival.event.seq, arrival.event.signature) == (seq, bytes([1]) * 64)
            branch = store.branch(head, ANN, known, 10**6)
            assert [event.seq for event in branch] == list(range(known + 1, head.seq + 1))
            assert all(event.is_authentic() for event in branch)
            row = store.get_record(f"r{head.seq % 50}")
            assert row is not None
            assert row.row is not None
            assert (row.position, row.row.state) == (head.seq, head.id)
            known = head.seq
            if kill % 10 == 9:
                assert store._file.run("PRAGMA integrity_check") == [("ok",)]
                assert store._file.run("PRAGMA foreign_key_check") == []
    tell(
        f"kill -9, events of up to {size_bytes} bytes: {KILLS} kills of a writer,"
        f" 0 of {acknowledged_count} acknowledged transactions lost"
    )
