"""fsck is silent about an honest store and names whatever was changed behind its back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meshlog.core.event import DatasetId
from meshlog.core.feed import FeedKind
from meshlog.core.roster import fold
from meshlog.errors import StoreError
from meshlog.store import index, lots
from meshlog.store.sqlite import SqliteStore
from meshlog.tools.fsck.feeds import FeedCheck
from meshlog.tools.fsck.fsck import FsckReport, Problems, fsck, rebuild_view
from meshlog.views import recordlots
from tests.replica.devices import T0_MS, note, open_replica
from tests.store.logs import ANN, add, chain, tamper
from tests.tools.camp import Device

Camp = tuple[Path, DatasetId]


@pytest.fixture
def camp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camp:
    """Two authors' events with several cuts each, and a conflict."""
    path = tmp_path / "a.db"
    base = Device("base", 1, path)
    team = Device("team", 3, at=base)
    monkeypatch.setattr(index, "LOT_EVENTS", 40)
    monkeypatch.setattr(recordlots, "LOT_EVENTS", 30)
    with closing(base.store), closing(team.store):
        for device in (base, team):
            for number in range(40):
                record_id = f"w{number}"
                device.write("record.put", record_id=record_id, form="well", fields={"a": number})
        team.write("field.set", record_id="w1", field="a", value="other")
        team.give(base)
        base.replica.root()
        base.write("note.add", record_id="w1", text="the last word")
        base.replica.settle()
        return path, base.replica.dataset


def check(camp: Camp) -> FsckReport:
    path, dataset = camp
    with closing(SqliteStore(path, for_check=True)) as store:
        return fsck(store, dataset)


def harm(camp: Camp, sql: str, *values: object) -> FsckReport:
    """Change the file behind the store's back, and check it."""
    with closing(sqlite3.connect(camp[0])) as connection, connection:
        assert connection.execute(sql, values).rowcount > 0
    return check(camp)


def words(report: FsckReport) -> str:
    return "\n".join(report.problems)


def test_an_honest_store_is_clean(camp: Camp):
    report = check(camp)

    assert report.problems == ()
    assert report.is_clean
    assert (report.feeds, report.events, report.records) == (5, 85, 40)
    assert (report.conflicts, report.unsigned, report.forks) == (1, 0, ())
    assert report.cuts >= 5


def test_progress_ends_at_the_end(camp: Camp):
    told: list[tuple[int, int]] = []

    with closing(SqliteStore(camp[0], read_only=True)) as store:
        fsck(store, camp[1], lambda done, steps: told.append((done, steps)))

    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("UPDATE run SET crc = crc + 1 WHERE position = 1", "time of arrival"),
        ("UPDATE run SET places = x'8301' WHERE position = 20", "damaged"),
        ("UPDATE run SET bodies = CAST(bodies || x'00' AS BLOB)", "damaged"),
        ("UPDATE run SET seq = seq + 1 WHERE position = (SELECT max(position) FROM run)", "place"),
        ("UPDATE run SET seq = -seq WHERE position = (SELECT max(position) FROM run)", "its id"),
        ("UPDATE run SET seq = seq + (1 << 40) WHERE position = 1", "its id"),
        ("UPDATE run SET signature = zeroblob(64)", "does not hold"),
        ("UPDATE run SET signature = x''", "damaged"),
        ("INSERT INTO cut SELECT position, zeroblob(64) FROM run", "does not hold"),
        ("UPDATE run SET signature = NULL", "no signature covers"),
        ("UPDATE head SET id = zeroblob(32)", "its heads are damaged"),
        ("UPDATE head SET seq = seq - 1 WHERE position = (SELECT max(position) FROM head)",
         "its heads are damaged"),
        ("DELETE FROM head", "its heads are damaged"),
        ("UPDATE place SET seq = seq + 1 WHERE position = 20", "its places"),
        ("UPDATE place SET position = position + 1 WHERE position = 20", "its places"),
        ("DELETE FROM place WHERE position = 20", "its places"),
        ("INSERT INTO place VALUES (1, 99, 20)", "its places"),
        ("DELETE FROM run WHERE position = (SELECT max(position) FROM run)", "a head that is no"),
        ("DELETE FROM run WHERE position = 20", "damaged"),
        ("UPDATE run SET ids = zeroblob(7) WHERE position = 20", "damaged"),
        ("UPDATE run SET ids = x'' WHERE position = (SELECT max(position) FROM run)", "damaged"),
        ("UPDATE record SET state = x'00' WHERE record_id = 'w3'", "fsck --rebuild"),
        ("UPDATE record SET conflicts = 0 WHERE record_id = 'w1'", "'w1'"),
        ("UPDATE record SET visible = 0 WHERE record_id = 'w5'", "'w5'"),
        ("UPDATE record SET form = NULL WHERE record_id = 'w5'", "'w5'"),
        ("UPDATE record SET folded = 10000 WHERE record_id = 'w5'", "events to come"),
        ("UPDATE record SET changed = -changed", "without a number of its own"),
        ("UPDATE record SET changed = NULL WHERE record = 3", "without a number of its own"),
        ("UPDATE record SET changed = 7 WHERE record < 3", "without a number of its own"),
        ("DELETE FROM touch", "its index touch"),
        ("DELETE FROM event_id WHERE place >> 32 = 2", "its index event_id"),
        ("UPDATE event_id SET crc = crc + 1", "its index event_id"),
        ("UPDATE event_id SET until = until - 1", "its index event_id"),
        ("UPDATE touch SET place = place + 1", "its index touch"),
        ("UPDATE touch SET pairs = zeroblob(7)", "its index touch"),
        ("INSERT INTO touch VALUES (3 << 32, 0, x'', 0)", "its index touch"),
        ("INSERT INTO touch VALUES (3, 0, x'', 0)", "its index touch"),
        ("DELETE FROM lot WHERE lot = 2", "its index event_id"),
        ("DELETE FROM lot WHERE lot = 1", "its index event_id"),
        ("UPDATE lot SET last = last + 1 WHERE lot = 2", "its index event_id"),
        ("INSERT INTO lot VALUES (3, 100, 0)", "its index event_id"),
        ("INSERT INTO ahead VALUES (1 << 40, 20)", "its index ahead"),
        ("UPDATE meta SET value = x'01' WHERE key = 'clock'", "clock"),
        ("DELETE FROM meta WHERE key = 'horizon'", "horizon"),
        ("DELETE FROM meta WHERE key = 'clock'", "lost its clock"),
        ("DELETE FROM meta WHERE key = 'view.rows'", "older meshlog: `meshlog fsck --rebuild`"),
        ("DELETE FROM meta WHERE key = 'key'", "lost its key. Restore a backup"),
        ("DELETE FROM meta WHERE key = 'author'", "lost its author. Restore a backup"),
        ("DELETE FROM meta WHERE key = 'incarnation'", "lost which life"),
    ],
)  # fmt: skip
def test_names_what_was_changed(camp: Camp, sql: str, word: str):
    report = harm(camp, sql)

    assert not report.is_clean
    assert word in words(report)
    assert all(". " in problem or ": " in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("UPDATE run SET crc = crc + 1", "time of arrival"),
        ("UPDATE run SET places = x'8301'", "reading stopped after 8"),
        ("UPDATE run SET ids = zeroblob(7)", "reading stopped after 8"),
        ("UPDATE run SET bodies = x''", "reading stopped after 8"),
        ("UPDATE run SET seq = seq + 1", "its place is wrong"),
        ("UPDATE run SET base = base - 1", "its place is wrong"),
        ("UPDATE run SET feed = 99", "a row refers to a row that is not there"),
        ("DELETE FROM run", "its end was lost"),
    ],
)
def test_a_damaged_run_that_a_killed_writer_left_is_told_like_any_other(
    camp: Camp, sql: str, word: str
):
    """It hides where branches end: others do not open such a store."""
    path, _ = camp
    with closing(sqlite3.connect(path)) as connection, connection:  # no checkpoint that holds
        connection.execute("DELETE FROM meta WHERE key = 'store.checkpoint'")

    report = harm(camp, f"{sql} WHERE position = (SELECT max(position) FROM run)")

    assert word in words(report)
    assert "run `meshlog fsck`" not in words(report)
    if "crc" in sql:
        with pytest.raises(StoreError, match="damaged"), closing(SqliteStore(path)):
            pass


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM touch",
        "UPDATE event_id SET pairs = zeroblob(7)",
        "INSERT INTO touch VALUES (3, 0, x'', 0)",
        "UPDATE lot SET last = last + 1",
        "DELETE FROM lot",
        "UPDATE place SET seq = seq + 1",
        "DELETE FROM place",
        "DELETE FROM head",
        "UPDATE head SET seq = seq + 1",
        "UPDATE meta SET value = x'' WHERE key = 'store.checkpoint'",
    ],
)
def test_indices_are_made_anew(camp: Camp, sql: str):
    """Who makes the view anew has them made, too."""
    harm(camp, sql)
    path, dataset = camp

    with closing(SqliteStore(path)) as store:
        rebuild_view(store, dataset)
        found = [arrival for arrival in store.scan() if store.get(arrival.event.id) != arrival]

    assert found == []
    assert check(camp).is_clean


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM {}",
        "DELETE FROM {} WHERE place >> 32 = 2",
        "UPDATE {} SET pairs = zeroblob(length(pairs))",
        "UPDATE {} SET until = until - 1",
        "UPDATE {} SET until = 0",
        "UPDATE {} SET place = place + (1 << 40)",
        "UPDATE {} SET crc = -1",
    ],
)
def test_a_look_up_in_a_damaged_index_is_answered_from_the_log_and_the_next_write_mends_it(
    camp: Camp, sql: str
):
    harm(camp, sql.format("touch"))
    assert "its index" in words(harm(camp, sql.format("event_id")))

    with closing(SqliteStore(camp[0], read_only=True)) as store:
        assert_finds_all(store)
    with closing(SqliteStore(camp[0])) as store:
        assert_finds_all(store)
        with store.transaction():
            pass
        assert "index" in "".join(store.mended())
        assert store.mended() == []
        assert_finds_all(store)

    assert check(camp).is_clean


@pytest.mark.parametrize("sql", ["UPDATE lot SET last = last + 1", "DELETE FROM lot WHERE lot = 1"])
def test_who_only_reads_finds_all_where_it_cannot_be_told_how_far_indices_go(
    camp: Camp, monkeypatch: pytest.MonkeyPatch, sql: str
):
    monkeypatch.setattr(lots, "LOT_EVENTS_MAX", 32)
    harm(camp, sql)

    with closing(SqliteStore(camp[0], read_only=True)) as store:
        assert_finds_all(store)


def assert_finds_all(store: SqliteStore) -> None:
    """Hold what look-ups find against the log."""
    log = list(store.scan())
    assert [store.get(arrival.event.id) for arrival in log] == log
    assert store.get(b"\x01" * 32) is None
    for number in range(-1, 40):
        name = f"w{number}"
        assert store.touching(name) == [a for found, a in store.touches() if found == name]


def test_an_index_of_more_events_than_there_are_is_made_anew_by_who_writes(camp: Camp):
    """A log that lost its end: what comes then would stand where others are looked for."""
    harm(camp, "DELETE FROM run WHERE position > 20")

    with closing(SqliteStore(camp[0], read_only=True)) as store:
        assert_finds_all(store)
    with closing(SqliteStore(camp[0])) as store:
        assert "index" in "".join(store.mended())
        add(store, chain(ANN, 1))
        assert all(store.get(arrival.event.id) == arrival for arrival in store.scan())


def test_a_signature_of_our_own_that_is_missing_is_no_harm_but_told(camp: Camp):
    """The device signs again what leaves it, and the rest when it is next opened to write."""
    last = "(SELECT max(position) FROM run)"
    report = harm(camp, f"UPDATE run SET signature = NULL WHERE position = {last}")

    assert report.is_clean
    assert report.unsigned == 1


@pytest.mark.parametrize(("last", "is_told"), [(256, False), (257, True)])
def test_signatures_further_apart_than_any_relay_can_serve_are_told(
    tmp_path: Path, last: int, is_told: bool
):
    """The next one covers those events, too, but no segment goes from one to the other."""
    path = tmp_path / "a.db"
    base = Device("base", 1, path)
    with closing(base.store):
        for number in range(300):
            base.write("note.add", record_id="w1", text=str(number))

    report = harm(
        (path, base.replica.dataset),
        "UPDATE run SET signature = NULL WHERE seq BETWEEN 2 AND ? AND seq < 300",
        last,
    )

    assert ("is the first that is signed after event 1" in words(report)) == is_told
    assert report.is_clean == (not is_told)


def longer(body: bytes) -> bytes:
    return body + b"\x07"


def first_bit_flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"body": longer}, "is not what its author wrote"),
        ({"event_id": first_bit_flipped}, "is not what its author wrote"),
        ({"stamp": lambda stamp: stamp - (1 << 40)}, "stamped before"),
        ({"stamp": lambda stamp: stamp + 1}, "is not what its author wrote"),
    ],
)
@pytest.mark.parametrize("position", [1, 30, 60])
def test_names_the_event_that_was_changed(
    camp: Camp, position: int, change: dict[str, Any], word: str
):
    """The first is the genesis."""
    tamper(camp[0], position, **change)

    assert word in words(check(camp)) or (position == 1 and word == "stamped before")
    assert not check(camp).is_clean


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("run", "UPDATE run SET signature = zeroblob(64)"),
        ("run", "UPDATE run SET signature = NULL"),
        ("run", "UPDATE run SET seq = seq + 1"),
        ("run", "UPDATE run SET seq = (1 << 32) - 1"),
        ("run", "UPDATE run SET base = base - 1"),
        ("run", "UPDATE run SET base = NULL"),
        ("run", "UPDATE run SET feed = 1 + feed % 5"),
    ],
)
def test_events_looked_at_together_and_one_by_one_show_the_same(
    camp: Camp, table: str, change: str
):
    with closing(sqlite3.connect(camp[0])) as connection:
        rows = connection.execute(f"SELECT position, * FROM {table}").fetchall()
        blanks = ", ".join("?" * (len(rows[0]) - 1))
        for position, *row in rows:
            with connection:
                connection.execute(f"{change} WHERE position = ?", (position,))
            assert_told_alike(camp)
            with connection:
                connection.execute(f"DELETE FROM {table} WHERE position = ?", (position,))
                connection.execute(f"INSERT INTO {table} VALUES ({blanks})", row)
    assert check(camp).is_clean


@pytest.mark.parametrize("what", ["body", "event_id", "stamp"])
def test_a_changed_event_shows_the_same_among_others_and_alone(camp: Camp, what: str):
    changes: dict[str, Any] = {
        "body": longer, "event_id": first_bit_flipped, "stamp": lambda stamp: stamp - (1 << 40)
    }  # fmt: skip
    for position in (1, 2, 20, 41, 60, 84):
        tamper(camp[0], position, **{what: changes[what]})

        assert assert_told_alike(camp) > 0


def assert_told_alike(camp: Camp) -> int:
    """Compare what a check of stretches tells with that of single events; return how much."""
    path, dataset = camp
    with closing(SqliteStore(path, read_only=True)) as store:
        control = [a.event for a in store.scan() if a.event.feed.kind is FeedKind.CONTROL]
        roster = fold(dataset, control)
        together, alone = Problems(), Problems()
        checks = FeedCheck(store, roster, together), FeedCheck(store, roster, alone)
        for stretch in store.stretches():
            checks[0].take_all(stretch)
        for arrival in store.scan():
            checks[1].take(arrival.event, arrival.position)
        for check in checks:
            check.finish()
    assert together == alone
    told = [(c.events, c.cuts, c.unsigned, c.own_latest, c.forks()) for c in checks]
    assert told[0] == told[1]
    return together.count


def test_finds_every_flipped_byte_of_a_body(camp: Camp):
    for position in range(1, 86):
        tamper(camp[0], position, body=first_bit_flipped)
        assert not check(camp).is_clean
        tamper(camp[0], position, body=first_bit_flipped)
        assert check(camp).is_clean


def test_of_many_problems_the_first_hundred_are_told(camp: Camp):
    for position in range(1, 86):
        tamper(camp[0], position, body=longer, event_id=first_bit_flipped)

    report = check(camp)

    assert len(report.problems) == 100
    assert report.problem_count > 100


def test_rebuilding_mends_the_view(camp: Camp):
    assert not harm(camp, "UPDATE record SET state = x'00', form = 'x'").is_clean

    with closing(SqliteStore(camp[0])) as store:
        rebuild_view(store, camp[1])

    assert check(camp).is_clean


@pytest.mark.parametrize("number", ["NULL", "-changed", "9223372036854775807", "7"])
def test_changes_that_lost_their_numbers_stop_no_write_and_get_others(camp: Camp, number: str):
    """Who watches, and the query file, asks for what came after a number."""
    assert not harm(camp, f"UPDATE record SET changed = {number} WHERE record < 9").is_clean

    with closing(SqliteStore(camp[0])) as store:
        with store.transaction():
            store.put_records([("new", next(store.records())._replace(record_id="new"))], 1)
            store.put_records([("new", None)], 1)
        rebuild_view(store, camp[1])
        changes = store.changes(0, 100)

    assert {change.record_id for change in changes} >= {f"w{at}" for at in range(40)}
    assert len({change.number for change in changes}) == len(changes)
    assert check(camp).is_clean


@pytest.mark.parametrize("value", ["NULL", "x'80'"])
def test_a_row_whose_name_is_no_text_is_told_like_the_others_that_are_wrong(camp: Camp, value: str):
    with closing(sqlite3.connect(camp[0])) as connection, connection:
        connection.execute("UPDATE record SET conflicts = 7 WHERE record_id = 'w9'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql ="
            " replace(replace(sql, ') STRICT', ')'), 'record_id TEXT NOT NULL', 'record_id TEXT')"
            " WHERE name = 'record'"
        )

    said = words(harm(camp, f"UPDATE record SET record_id = {value} WHERE record_id = 'w5'"))

    assert "record 'w5': its row differs" in said
    assert "record 'w9': its row differs" in said

    with closing(SqliteStore(camp[0])) as store:
        rebuild_view(store, camp[1])
    assert "record 'w" not in words(check(camp))


def test_an_event_that_no_view_reads_is_listed_and_no_problem(
    base: Device, monkeypatch: pytest.MonkeyPatch
):
    """A newer version, or another program, may write what this one would refuse to."""
    monkeypatch.setattr("meshlog.replica.pen.why_unreadable", lambda *_: "")
    base.write("field.set", record_id="w1", field="a")

    report = base.fsck()

    assert report.is_clean
    assert [reason for _, reason in report.unreadable] == ["field.set: value is missing"]


def test_a_fork_is_reported_and_no_problem(base: Device):
    team = Device("team", 3, at=base)
    twin = Device("team", 3, at=base)
    with closing(team.store), closing(twin.store):
        twin.now_ms += 10
        for device, value in ((team, 1), (twin, 2)):
            device.write("field.set", record_id="w1", field="a", value=value)
            device.give(base)

        report = base.fsck()

    assert report.problems == ()
    assert [fork.split()[1] for fork in report.forks] == ["control", "data"]


def test_a_device_that_has_met_nobody_yet_is_clean(base: Device):
    team = Device("team", 3, at=base)
    with closing(team.store):
        team.write("field.set", record_id="w1", field="a", value=1)
        team.replica.root()

        assert team.fsck().problems == ()


def test_a_clock_that_was_ahead_and_is_mended_is_sound():
    """What the ended life stamped stays ahead of the clock, and a fix says by how much."""
    ann = open_replica("ann")
    note(ann, "x", T0_MS + 10**9)
    assert ann.mend_clock(T0_MS, is_right=True)

    assert fsck(ann.store, ann.dataset).problems == ()
