"""A device that is killed goes on as it stood: what was not written is told by its log."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.clockfix import Shift
from meshlog.replica import Replica, found
from meshlog.replica.ledger import kept_clock
from meshlog.store import SqliteStore, append
from tests.replica.devices import T0_MS, identity, invited, note, open_replica, share

MINUTE_MS = 60_000

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "hear", "wait", "mend", "kill", "look", "close"]),
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
                    if step != "close":
                        path = copy_open(path, Path(folder) / f"{number}")
                    ann.store.close()
                    if step == "look":
                        SqliteStore(path, vfs="unix").close()
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


@pytest.mark.parametrize("events", [2, 7])
def test_who_opens_the_store_of_a_killed_device_leaves_its_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int
):
    monkeypatch.setattr(append, "CHECKPOINT_EVENTS", 5)
    ann, bob = device(tmp_path / "ann", T0_MS), open_replica("bob")
    note(ann, "first", T0_MS)
    for number in range(events):
        note(bob, f"{number}", T0_MS + 10 * MINUTE_MS)  # his clock is a little ahead
    share(bob, ann)
    latest = note(ann, "then", T0_MS)
    path = copy_open(tmp_path / "ann", tmp_path / "killed")
    ann.store.close()

    SqliteStore(path, vfs="unix").close()
    with closing(SqliteStore(path, vfs="unix")) as store:
        assert store.checkpoint() < store.event_count()
    again = device(path, T0_MS)
    assert again.store.checkpoint() == again.store.event_count()  # the next opening reads no log
    again.settle()
    again.store.close()

    with closing(SqliteStore(path, vfs="unix")) as store:
        assert kept_clock(store) == latest.stamp
        after = note(open_replica("ann", T0_MS, store), "after", T0_MS)
    assert after.stamp > latest.stamp


def test_a_clock_that_follows_a_fix_is_written_where_the_log_told_it_before_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, who = SqliteStore(tmp_path / "ann", vfs="unix"), identity("ann")
    found(store, who, "ann", "valley", T0_MS, Random(1))
    ann = Replica(store, who, T0_MS, Random(2))
    bob = invited(ann, "bob")
    share(ann, bob)
    note(bob, "first", T0_MS)
    share(bob, ann)
    ann.fix_clock(bob.data_feed, Shift(1, 9, -60 * MINUTE_MS), T0_MS)
    late = note(bob, "late", T0_MS + 10 * MINUTE_MS)
    with monkeypatch.context() as patch:
        patch.setattr(append, "CHECKPOINT_EVENTS", 1)
        share(bob, ann)
    assert ann.ledger.clock < late.stamp

    ann.fix_clock(bob.data_feed, Shift(1, 9, 0), T0_MS)
    assert ann.ledger.clock == late.stamp
    path = copy_open(tmp_path / "ann", tmp_path / "killed")
    ann.store.close()

    with closing(SqliteStore(path, vfs="unix")) as store:
        assert kept_clock(store) == late.stamp


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


@pytest.mark.parametrize("minutes", [10, 600])
@pytest.mark.parametrize("lost", [["clock"], ["horizon"], ["clock", "horizon"]])
@pytest.mark.parametrize("is_closed", [True, False])
def test_a_store_that_lost_its_clock_writes_behind_what_it_wrote(
    tmp_path: Path, lost: list[str], is_closed: bool, minutes: int
):
    """A bit that flips in the name of a value hides it."""
    path = tmp_path / "ann"
    ann, bob = device(path, T0_MS), open_replica("bob")
    note(ann, "w", T0_MS)
    latest = note(ann, "x", T0_MS + minutes * MINUTE_MS)
    kept = copy_open(path, tmp_path / "killed")
    ann.store.close()
    if is_closed:
        kept = path
    with closing(sqlite3.connect(kept)) as connection, connection:
        for key in lost:
            connection.execute("UPDATE meta SET key = 'x' || key WHERE key = ?", (key,))

    again = device(kept, T0_MS)

    assert note(again, "y", T0_MS).stamp > latest.stamp
    share(again, bob)
    assert again.frontier().items() <= bob.frontier().items()
    again.store.close()
