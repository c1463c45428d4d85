"""A run is found by its place in a feed, whether a checkpoint has it or not."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from meshlog.core.chain import Chain
from meshlog.core.feed import Head
from meshlog.errors import StoreError
from meshlog.store import SqliteStore, append
from tests.store.logs import ANN, BOB, T0_MS, about, add, chain, child


@pytest.mark.parametrize("checkpoint", [1, 3, 4_096])
def test_a_run_is_found_before_a_checkpoint_and_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: int
):
    """Within its transaction, after one that was taken back, and where the writer was killed."""
    monkeypatch.setattr(append, "CHECKPOINT_EVENTS", checkpoint)
    ann, bob = chain(ANN, 12), chain(BOB, 3)
    twin = child(ann[4], ANN, about("late"))
    with closing(SqliteStore(tmp_path / "store")) as store:
        store.set_meta_later("clock", b"")  # without it no checkpoint is written
        for event in [*ann[:6], *bob]:
            add(store, [event])
            assert store.at(event.feed, event.seq) == [event]
        with suppress(LookupError), store.transaction():
            store.add(Chain.of(ann[6:]), T0_MS)
            assert store.at(ANN, 12) == [ann[11]]
            raise LookupError
        assert store.at(ANN, 7) == []
        add(store, ann[6:8])
        add(store, [twin])
        add(store, ann[8:])
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"store{suffix}", tmp_path / f"killed{suffix}")

    for name in ("store", "killed"):
        with closing(SqliteStore(tmp_path / name, read_only=True)) as store:
            assert store.branch(Head(12, ann[-1].id), ANN, 0, 20) == ann
            assert [store.at(BOB, seq) for seq in (1, 2, 3, 4)] == [*([e] for e in bob), []]
            assert store.at(ANN, 6) == sorted([ann[5], twin], key=lambda event: event.id)
            assert store.fork_seq(ANN) == 5
            assert store.integrity() == []


def test_a_place_of_another_run_is_damage_and_not_an_answer(tmp_path: Path):
    path = tmp_path / "store"
    with closing(SqliteStore(path)) as store:
        add(store, chain(ANN, 3))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE place SET seq = 2")

    with (
        closing(SqliteStore(path, read_only=True)) as store,
        pytest.raises(StoreError, match="fsck"),
    ):
        store.at(ANN, 2)
