"""A device that is killed goes on as it stood: what was not written is told by its log."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.replica import Replica
from meshlog.replica.ledger import kept_clock
from meshlog.store import SqliteStore, append
from tests.replica.devices import T0_MS, note, open_replica, share

MINUTE_MS = 60_000

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "hear", "wait", "mend", "kill", "kill", "close"]),
        st.integers(-20, 60),
    ),
    max_size=24,
)


def device(path: Path, now_ms: int) -> Replica:
    """Return Ann's device; on a file system that is named, a copy is the same life."""
    return open_replica("ann", now_ms, SqliteStore(path, vfs="unix"))


def copy_open(path: Path, target: Path) -> Path:
    """Copy a store that is open, as a kill would leave it."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{target}{suffix}")
    return target


@given(STEPS)
def test_after_a_kill_everything_is_as_it_was(steps):
    """Stamps that were made or shown stay behind the next one, and what counted counts."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(append, "CHECKPOINT_EVENTS", 5)
        path = Path(folder) / "0"
        ann, bob = device(path, T0_MS), open_replica("bob")
        now_ms = bob_ms = T0_MS
        for number, (step, minutes) in enumerate(steps, 1):
            now_ms += 1
            ann.advance_horizon(now_ms)
            match step:
                case "write":
                    note(ann, f"ann {number}", now_ms, record=f"r{number % 3}")
                case "hear":
                    bob_ms = max(bob_ms, now_ms + minutes * MINUTE_MS)
                    note(bob, f"bob {number}", bob_ms, record=f"r{number % 3}")
                    share(bob, ann, now_ms)
                case "wait":
                    now_ms += minutes * MINUTE_MS  # perhaps back
                case "mend":
                    ann.mend_clock(now_ms, is_right=True)
                case _:
                    before, shown = ann.ledger, ann.view.snapshot()
                    if step == "kill":
                        path = copy_open(path, Path(folder) / f"{number}")
                    ann.store.close()
                    ann = device(path, now_ms)
                    assert ann.ledger.clock >= before.clock
                    assert ann.ledger.clock.wall_ms <= max(before.horizon_ms, before.clock.wall_ms)
                    assert (ann.ledger.frontier, ann.ledger.forks) == (
                        before.frontier,
                        before.forks,
                    )
                    assert ann.view.snapshot() == shown
                    assert note(ann, "next", now_ms).stamp > before.clock
            assert ann.view.check() == []
        ann.store.close()


def test_a_write_writes_one_row_and_the_clock_with_the_checkpoint(tmp_path: Path):
    store = SqliteStore(tmp_path / "ann", vfs="unix")
    ann = open_replica("ann", T0_MS, store)
    note(ann, "x", T0_MS)
    said: list[str] = []
    store._file._open.set_trace_callback(said.append)

    latest = note(ann, "y", T0_MS + 5)

    store._file._open.set_trace_callback(None)
    assert [sql.split()[0] for sql in said if "SELECT" not in sql] == ["BEGIN", "INSERT", "COMMIT"]
    with closing(SqliteStore(tmp_path / "ann", read_only=True)) as reader:
        assert reader.get_meta("clock") != store.get_meta("clock")
        assert kept_clock(reader) == latest.stamp
    store.close()
    with closing(SqliteStore(tmp_path / "ann", read_only=True)) as reader:
        assert reader.get_meta("clock") == latest.stamp.packed().to_bytes(8, "big")


def test_a_stamp_that_came_to_count_stays_behind_what_is_written_after_a_kill(tmp_path: Path):
    """No event since the checkpoint tells of it: it came before."""
    path = tmp_path / "ann"
    ann, bob = device(path, T0_MS), open_replica("bob")
    ahead = note(bob, "an hour ahead", T0_MS + 60 * MINUTE_MS)
    share(bob, ann, T0_MS)
    ann.store.close()  # writes a checkpoint
    ann = device(path, T0_MS)
    first = note(ann, "x", T0_MS)
    assert first.stamp < ahead.stamp

    ann.advance_horizon(T0_MS + 50 * MINUTE_MS)
    killed = device(copy_open(path, tmp_path / "killed"), T0_MS)
    ann.store.close()

    assert killed.ledger.clock == ahead.stamp
    assert note(killed, "y", T0_MS).stamp > ahead.stamp
    killed.store.close()


def test_a_clock_that_was_set_back_stays_so_after_a_kill(tmp_path: Path):
    """Its own stamps, which were ahead, stand in the log still."""
    path = tmp_path / "ann"
    ann = device(path, T0_MS)
    ahead = note(ann, "x", T0_MS + 600 * MINUTE_MS)
    assert ann.mend_clock(T0_MS, is_right=True)

    killed = device(copy_open(path, tmp_path / "killed"), T0_MS)

    assert killed.ledger.clock == ann.ledger.clock < ahead.stamp
    assert note(killed, "y", T0_MS).stamp < ahead.stamp
    ann.store.close()
    killed.store.close()
