"""A store of an earlier schema holds the same after it was opened for writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, Head
from meshlog.ports.log import Arrival
from meshlog.ports.records import KeptRow, RecordRow
from meshlog.store import SqliteStore, append, index, migrate
from meshlog.store.checkpoint import Tail
from meshlog.store.checksums import crc_of, teach
from meshlog.store.migrate import APPLICATION_ID
from meshlog.store.runs import crc_of_run
from tests.store.logs import ANN, BOB, T0_MS, about, add, chain, child, signed

RECORDS = {"r1": 1, "r2": 2, "late": 3}


def schema_5(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    teach(connection)
    for number in range(1, 6):
        connection.executescript((migrate._FOLDER / f"{number:04}.sql").read_text())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 5")
    for feed, key in ((1, ANN), (2, BOB)):
        values = (feed, key.author, int(key.kind), key.incarnation)
        connection.execute("INSERT INTO feed VALUES (?, ?, ?, ?)", values)
    for name, number in RECORDS.items():
        connection.execute("INSERT INTO record (record, record_id) VALUES (?, ?)", (number, name))
    connection.execute(
        "UPDATE record SET form = 'well', visible = 1, conflicts = 0, state = x'01', changed = 7"
        " WHERE record = 1"
    )
    return connection


def put(connection: sqlite3.Connection, arrivals: list[tuple[Arrival, str | None]]) -> None:
    for (position, event, arrived_ms), record in arrivals:
        delay_ms = arrived_ms - event.stamp.wall_ms
        number = None if record is None else RECORDS[record]
        values = (position, event.stamp.packed(), delay_ms, number, event.id, event.body)
        connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", values)
        if event.signature:
            connection.execute("INSERT INTO cut VALUES (?, ?)", (position, event.signature))


def head(connection: sqlite3.Connection, position: int, feed: int, event: Event) -> None:
    values = (position, feed, event.seq, event.id)
    connection.execute("INSERT INTO head VALUES (?, ?, ?, ?)", values)


@pytest.mark.parametrize("lot", [10, 4_096])
def test_a_store_of_schema_5_holds_the_same_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lot: int
):
    """Two runs of one feed, a fork, an event ahead of its arrival; each came at its own time."""
    monkeypatch.setattr(index, "LOT_EVENTS", lot)
    path = tmp_path / "old.db"
    ann = chain(ANN, 70, records=["r1", "r2"])
    ann[63], ann[69] = signed(ann[63]), signed(ann[69])
    twin = signed(child(ann[9], ANN, about("late")), byte=2)
    ahead = child(None, BOB, about("late"), wall_ms=T0_MS + 10**9)
    told: list[tuple[Event, str | None]] = [(e, f"r{n % 2 + 1}") for n, e in enumerate(ann)]
    told += [(twin, "late"), (ahead, "late")]
    arrivals = [
        (Arrival(position, event, T0_MS + 100 * position), record)
        for position, (event, record) in enumerate(told, 1)
    ]
    with closing(schema_5(path)) as old:
        for run in ((1, 1, 1, None), (65, 1, 65, 64), (71, 1, 11, 10), (72, 2, 1, None)):
            old.execute("INSERT INTO run VALUES (?, ?, ?, ?)", run)
        put(old, arrivals)
        for position, feed, event in ((70, 1, ann[69]), (71, 1, twin), (72, 2, ahead)):
            head(old, position, feed, event)

    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            assert list(store.scan()) == [arrival for arrival, _ in arrivals]
            assert [a.event.signature for a in store.scan()] == [e.signature for e, _ in told]
            assert store.event_count() == 72
            heads: dict[FeedKey, list[Event]] = {ANN: [ann[69], twin], BOB: [ahead]}
            assert store.heads() == {
                key: tuple(sorted(Head(e.seq, e.id) for e in tips)) for key, tips in heads.items()
            }
            assert store.branch(Head(11, twin.id), ANN, 0, 99) == [*ann[:10], twin]
            assert all(store.get(event.id) for event, _ in told)
            assert [a.event for a in store.touching("r2")] == ann[1::2]
            assert store.touched_between(T0_MS + 10**8, 2**47) == ["late"]
            assert store.get_record("r1") == KeptRow(RecordRow("r1", "well", True, 0, b"\x01"), 72)
            assert store.get_record("late") is None
            assert store.integrity() == []


def back_to_schema_8(path: Path) -> None:
    """SQLite kept the places of runs, and no checksum was of the heads."""
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("DROP TABLE place")
        old.execute("CREATE INDEX run_place ON run (feed, seq)")
        [(value,)] = old.execute("SELECT value FROM meta WHERE key = 'store.checkpoint'")
        values = (value[:16], crc_of("store.checkpoint", value[:16]))
        old.execute("UPDATE meta SET value = ?, crc = ? WHERE key = 'store.checkpoint'", values)
        old.execute("PRAGMA user_version = 8")


def back_to_schema_6(path: Path) -> None:
    """Its indices were tables of pairs, up to what a value said; signatures stood apart."""
    back_to_schema_8(path)
    with closing(sqlite3.connect(path)) as old, old:
        for table in ("event_id", "touch", "lot"):
            old.execute(f"DROP TABLE {table}")
        old.execute(
            "CREATE TABLE event_id (hint INTEGER NOT NULL, position INTEGER NOT NULL,"
            " PRIMARY KEY (hint, position)) STRICT, WITHOUT ROWID"
        )
        old.execute(
            "CREATE TABLE touch (record INTEGER NOT NULL, position INTEGER NOT NULL,"
            " PRIMARY KEY (record, position)) STRICT, WITHOUT ROWID"
        )
        old.execute("INSERT INTO touch VALUES (1, 1)")
        old.execute("INSERT INTO meta VALUES ('store.indexed', x'00', 0)")
        old.execute(
            "INSERT INTO cut SELECT position + length(ids) / 32 - 1, signature FROM run"
            " WHERE signature NOTNULL"
        )
        old.execute("ALTER TABLE run DROP COLUMN signature")
        old.execute("UPDATE meta SET key = 'store.on_time_ms' WHERE key = 'store.checkpoint'")
        old.execute("PRAGMA user_version = 6")


@pytest.mark.parametrize("lot", [10, 50, 60, 4_096])
def test_a_store_of_schema_6_finds_its_events_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lot: int
):
    monkeypatch.setattr(index, "LOT_EVENTS", lot)
    monkeypatch.setattr(index, "LOT_EVENTS_MAX", lot)
    monkeypatch.setattr(append, "LOT_EVENTS_MAX", lot)
    path = tmp_path / "old.db"
    ann = chain(ANN, 200, records=["r1", "r2"])
    ann[9], ann[-1] = signed(ann[9]), signed(ann[-1])
    with closing(SqliteStore(path)) as store:
        add(store, ann)
    back_to_schema_6(path)

    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            assert [store.get(event.id) for event in ann] == list(store.scan())
            assert [a.event for a in store.touching("r2")] == ann[1::2]
            assert [a.event.signature for a in store.scan()] == [e.signature for e in ann]
            assert store.heads() == {ANN: (Head(200, ann[-1].id),)}
            assert store._log.tail == Tail(200, T0_MS)
            assert store.get_meta("store.indexed") is store.get_meta("store.on_time_ms") is None
            assert store.integrity() == []


def test_a_store_of_schema_8_finds_its_runs_afterwards(tmp_path: Path):
    """Also what its writer, which was killed, added after the checkpoint."""
    path = tmp_path / "old.db"
    ann = chain(ANN, 200, records=["r1", "r2"])
    twin = child(ann[9], ANN, about("late"))
    with closing(SqliteStore(path)) as store:
        add(store, ann[:100])
    with closing(SqliteStore(path)) as store:
        add(store, ann[100:])
        add(store, [twin])
    back_to_schema_8(path)

    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            assert store.heads() == {ANN: (Head(11, twin.id), Head(200, ann[-1].id))}
            assert store.branch(Head(200, ann[-1].id), ANN, 0, 300) == ann
            assert store.at(ANN, 11) == sorted([ann[10], twin], key=lambda event: event.id)
            assert store.fork_seq(ANN) == 10
            assert store._log.tail == Tail(201, T0_MS)
            assert store.integrity() == []


def test_each_migration_changes_the_tables():
    """So a number that does not fit them is a flipped bit, and no older or newer meshlog's."""
    found = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        teach(fresh)
        fresh.create_function("crc_of_run", 5, crc_of_run)
        for name in ("places_of", "joined"):
            fresh.create_function(name, -1, lambda *_: b"")
        for number in range(1, migrate.SCHEMA_VERSION + 1):
            fresh.executescript((migrate._FOLDER / f"{number:04}.sql").read_text())
            found.append(fresh.execute(migrate.SCHEMA).fetchall())

    assert all(found[at] not in found[:at] for at in range(len(found)))
    assert found[-1] == migrate.expected_schema()
