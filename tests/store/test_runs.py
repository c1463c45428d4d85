"""A run comes back from its row as it was, or the row is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.chain import Chain
from meshlog.core.event import NO_PREV, Event
from meshlog.core.hlc import Stamp
from meshlog.errors import MalformedError, StoreError
from meshlog.store import SqliteStore
from meshlog.store.runs import (
    RUN_EVENTS_MAX,
    RUN_SIZE_MAX,
    Run,
    pack_bodies,
    pack_runs,
    places_of,
    unpack_run,
)
from meshlog.tools.fsck.fsck import fsck
from tests.tools.camp import Device
from tests.views.world import ANN

WORDS = st.sampled_from([b"depth_m", b"status", b"OPENED", b"R-17"])
BODIES = st.one_of(st.binary(max_size=60), st.lists(WORDS, max_size=30).map(b"".join))


def chain(bodies: list[bytes]) -> list[Event]:
    events: list[Event] = []
    prev = NO_PREV
    for seq, body in enumerate(bodies, 1):
        events.append(Event.make(ANN, seq, Stamp(1_000 + seq, 0), prev, body))
        prev = events[-1].id
    return events


def unpacked(places: bytes, ids: bytes, bodies: bytes) -> Run:
    return unpack_run(1, ANN, 1, NO_PREV, places, ids, bodies)


@given(st.lists(BODIES, min_size=1, max_size=200))
def test_events_come_back_as_they_were(bodies):
    events = chain(bodies)
    found: list[Event] = []
    prev = NO_PREV
    rows = pack_runs(Chain.of(events), 7, 1, None, 5)
    for position, _, seq, base, _, places, ids, kept, signature in rows:
        assert (seq, base) == (position - 6, position - 1 if found else None)
        assert signature is None
        run = unpack_run(position, ANN, seq, prev, places, ids, kept)
        found += [arrival.event for arrival in run.arrivals()]
        assert len(run) == 1 or len(run.bodies) <= RUN_SIZE_MAX
        prev = found[-1].id

    assert found == events


@given(st.lists(st.one_of(BODIES, st.binary(min_size=900, max_size=4_000)), max_size=150))
def test_a_run_takes_as_many_events_as_fit_it(bodies):
    events = chain([b"first", *bodies])
    rows = pack_runs(Chain.of(events), 1, 1, None, 5)
    runs = [unpacked(places, ids, kept) for *_, places, ids, kept, _ in rows]

    for run, after in pairwise(runs):
        size_bytes = len(run.bodies) + 36 * len(run)
        assert len(run) == 1 or size_bytes <= RUN_SIZE_MAX
        more = size_bytes + 36 + len(after.body_at(0)) > RUN_SIZE_MAX
        assert len(run) == RUN_EVENTS_MAX or (len(run) < RUN_EVENTS_MAX and more)


@given(st.lists(BODIES, min_size=1, max_size=150), st.sets(st.integers(0, 149)))
def test_runs_end_at_cuts_where_one_fits(bodies, cuts):
    """So that its signature stands in the row, and needs none of its own."""
    events = [
        event._replace(signature=b"s" * 64) if at in cuts else event
        for at, event in enumerate(chain(bodies))
    ]

    rows = pack_runs(Chain.of(events), 1, 1, None, 5)

    assert [events[row[0] - 1].seq for row in rows] == [row[2] for row in rows]
    for (first, *_, signature), (after, *_) in pairwise(rows):
        assert bool(signature) == any(first <= at + 1 < after for at in cuts)


def test_bodies_that_repeat_each_other_take_few_bytes():
    bodies = [b"the same words, and number %d" % number for number in range(30)]

    assert len(pack_bodies(bodies)) < sum(map(len, bodies)) / 4


def test_every_flipped_bit_in_compressed_bodies_is_damage():
    events = chain([b"R-17 depth_m %d" % at for at in range(20)])
    [(*_, places, ids, kept, _)] = pack_runs(Chain.of(events), 1, 1, None, 5)
    for bit in range(8 * len(kept)):
        bad = bytearray(kept)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedError):
            unpacked(places, ids, bytes(bad))


@pytest.mark.parametrize("size", [RUN_SIZE_MAX + 1, 2**40])
def test_what_would_grow_past_any_run_is_not_unpacked(size):
    kept = pack_bodies([bytes(size) if size < RUN_SIZE_MAX * 2 else b"x", b"x" * 90])
    places = places_of([1 << 16, 2 << 16], [size, 90], [5])

    with pytest.raises(MalformedError):
        unpacked(places, bytes(64), kept)


@pytest.mark.parametrize("bodies", [b"", b"x", bytes(4), bytes(16), bytes(18)])
def test_bodies_of_another_size_are_damage(bodies):
    places = places_of([1 << 16, 2 << 16], [8, 9], [5])

    with pytest.raises(MalformedError):
        unpacked(places, bytes(64), bodies)


@pytest.mark.parametrize("size", [99, 101])
def test_compressed_bodies_of_another_size_are_damage(size):
    kept = pack_bodies([bytes(50), bytes(50)])

    with pytest.raises(MalformedError):
        unpacked(places_of([1 << 16, 2 << 16], [50, size - 50], [5]), bytes(64), kept)


def loosen(path: Path, table: str) -> None:
    """Let a table take whatever a flipped bit would make of its rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        lax = "replace(replace(replace(sql, 'STRICT', ''), ' NOT NULL', ''), ' INTEGER', ' ANY')"
        connection.execute(f"UPDATE sqlite_schema SET sql = {lax} WHERE name = '{table}'")
        back = "replace(replace(sql, 'ANY PRIMARY', 'INTEGER PRIMARY'), ', WITHOUT', 'WITHOUT')"
        connection.execute(f"UPDATE sqlite_schema SET sql = {back} WHERE name = '{table}'")


@pytest.mark.parametrize("column", ["feed", "seq", "crc", "places", "ids", "bodies"])
@pytest.mark.parametrize("value", ["NULL", "7", "'text'"])
@pytest.mark.parametrize("position", [1, 3])
def test_a_row_that_lacks_a_column_is_damage(
    tmp_path: Path, column: str, value: str, position: int
):
    """One flipped bit makes nothing of a column, or another type, whatever the schema says."""
    path = tmp_path / "s.db"
    device = Device("base", 1, path)
    device.write("note.add", record_id="r", text="x")
    dataset = device.replica.dataset
    device.store.close()
    loosen(path, "run")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE run SET {column} = {value} WHERE position >= {position}")
    with suppress(StoreError), closing(SqliteStore(path, read_only=True)) as store:
        assert not fsck(store, dataset).is_clean


@pytest.mark.parametrize("value", ["NULL", "-1", "1 << 50", "1.5", "'text'", "x''"])
def test_a_small_value_of_another_type_is_damage(tmp_path: Path, value: str):
    path = tmp_path / "s.db"
    device = Device("base", 1, path)
    dataset = device.replica.dataset
    device.store.close()
    loosen(path, "meta")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE meta SET value = {value}")

    with closing(SqliteStore(path, read_only=True)) as store:
        with pytest.raises(StoreError, match="its clock is damaged"):
            store.get_meta("clock")
        assert any("'clock' is damaged" in said for said in fsck(store, dataset).problems)


def test_an_event_whose_row_is_gone_is_damage_and_not_unknown(tmp_path: Path):
    path = tmp_path / "s.db"
    device = Device("base", 1, path)
    device.write("note.add", record_id="r", text="x")
    ids = [arrival.event.id for arrival in device.store.scan()]
    device.store.close()
    with closing(SqliteStore(path)) as store:
        assert all(map(store.get, ids))  # the index has read it

        store._file._open.execute("DELETE FROM run WHERE position = 2")

        with pytest.raises(StoreError):
            store.get(ids[1])


@pytest.mark.parametrize("value", ["NULL", "-1", "1 << 50", "1.5", "'text'", "x''"])
def test_heads_that_are_none_are_read_from_the_log(tmp_path: Path, value: str):
    path = tmp_path / "s.db"
    device = Device("base", 1, path)
    heads, dataset = device.store.heads(), device.replica.dataset
    device.store.close()
    loosen(path, "head")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE head SET seq = {value}")

    with closing(SqliteStore(path, read_only=True)) as store:
        assert store.heads() == heads
        assert not fsck(store, dataset).is_clean


@pytest.mark.parametrize("column", ["author", "kind", "incarnation"])
@pytest.mark.parametrize("value", ["NULL", "-1", "1 << 50", "1.5", "'text'", "x''"])
def test_a_feed_that_is_none_is_damage(tmp_path: Path, column: str, value: str):
    path = tmp_path / "s.db"
    Device("base", 1, path).store.close()
    loosen(path, "feed")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE feed SET {column} = {value} WHERE feed = 1")

    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(path, read_only=True)
