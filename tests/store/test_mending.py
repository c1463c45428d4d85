"""What the log tells is made anew where the disk got it wrong, and that is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.core.feed import Head
from meshlog.replica import Replica
from meshlog.store import SqliteStore, index, lots
from tests.store.logs import ANN, add, chain
from tests.tools.camp import Device


def test_heads_that_a_bit_was_flipped_in_are_read_from_the_log(tmp_path: Path):
    """One that could be a head is not believed, either."""
    path, ann = tmp_path / "store", chain(ANN, 3)
    with closing(SqliteStore(path)) as store:
        add(store, ann[:2])
        add(store, ann[2:])
    with closing(sqlite3.connect(path)) as connection, connection:
        values = (2, 2, ann[1].id)
        connection.execute("UPDATE head SET position = ?, seq = ?, id = ?", values)

    with closing(SqliteStore(path, read_only=True)) as store:
        assert "heads" in "".join(store.mended())
        assert store.heads() == {ANN: (Head(3, ann[2].id),)}
        assert store.at(ANN, 3) == [ann[2]]


@pytest.mark.parametrize("table", lots.TABLES)
def test_a_row_that_is_damaged_when_lots_are_merged_stops_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
):
    """The indices are made anew from the log, and it is told."""
    monkeypatch.setattr(index, "LOT_EVENTS", 4)
    monkeypatch.setattr(lots, "MERGED_EVENTS", (8, 16))
    path, events = tmp_path / "store", chain(ANN, 12, records=["r1", "r2"])
    with closing(SqliteStore(path)) as store:
        add(store, events[:4])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET pairs = zeroblob(length(pairs))")

    with closing(SqliteStore(path)) as store:
        for event in events[4:]:
            add(store, [event])
        assert "index" in "".join(store.mended())
        assert store.mended() == []
        assert [store.get(event.id) for event in events] == list(store.scan())
        assert [arrival.event for arrival in store.touching("r2")] == events[1::2]
        assert store.integrity() == []


def test_a_device_tells_its_owner_of_it(tmp_path: Path):
    path = tmp_path / "store"
    device = Device("base", 1, path)
    device.store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE head SET seq = seq + 1")

    with closing(SqliteStore(path)) as store:
        again = Replica(store, device.replica.identity, device.now_ms, device.luck)

        assert "heads" in "".join(again.news)
        assert store.integrity() == []
