"""kill -9 at any moment: the store opens and holds everything that was acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from meshlog.store import SqliteStore
from tests.store.logs import ANN

KILLS = 50
"""The issue's bar for one run of the suite; `PRAGMA integrity_check` after every tenth."""

WRITER = """
import random, sys
from meshlog.ports import LogEntry, RecordRow
from meshlog.store import SqliteStore
from tests.store.logs import ANN, T0_MS, child, signed

path, seed = sys.argv[1], int(sys.argv[2])
luck = random.Random(seed)
store = SqliteStore(path)
heads = store.heads().get(ANN)
last = store.get(heads[0].id).event if heads else None
while True:
    entries = []
    for _ in range(luck.randint(1, 40)):
        last = child(last, ANN, luck.randbytes(luck.choice((20, 100, 100, 100, 5_000))))
        entries.append(LogEntry(last, f"r{last.seq % 50}"))
    with store.transaction():
        store.add(entries, T0_MS)
        store.sign(signed(last))
        store.put_record(RecordRow(f"r{last.seq % 50}", "well", True, 0, last.id))
        store.set_meta("latest", last.id)
    sys.stdout.write(f"{last.seq} {last.id.hex()}\\n")
    sys.stdout.flush()
"""


def write_and_kill(path: Path, seed: int) -> list[tuple[int, bytes]]:
    """Let a process write until it is killed; return what it acknowledged, one per commit."""
    luck = random.Random(seed)
    command = [sys.executable, "-c", WRITER, str(path), str(seed)]
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


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path):
    path = tmp_path / "ann.meshlog"
    seed = random.randrange(2**32)
    print("seed", seed)
    known = 0

    for kill in range(KILLS):
        acknowledged = write_and_kill(path, seed + kill)
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
            assert row.state == head.id
            known = head.seq
            if kill % 10 == 9:
                assert store._file.run("PRAGMA integrity_check") == [("ok",)]
                assert store._file.run("PRAGMA foreign_key_check") == []
