"""What a query finds is what filtering the view finds, and the file beside is only a cache."""

from __future__ import annotations

import operator
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog import InputError, Node, SimNetwork, SimTransport, StoreError
from meshlog.query import file as module
from meshlog.query.file import SCHEMA, OvertakenError, QueryFile, query_path
from meshlog.query.search import Query
from meshlog.store import SqliteStore
from meshlog.views.live import LiveView
from tests.views.world import ANN, Pen, apply, rules, settle

VALUES = st.sampled_from(
    [0, 1, 1.0, True, False, "1", "", "Pump", None, b"1", ["x"], 2.5, -3, 1e300]
)
FIELDS = st.sampled_from(["a", "b", "with space", "and", "quo'te"])
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else type(value).__name__


def typed(value: object) -> str:
    """Return a value as it is typed in a condition."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else f"'{value}'"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), FIELDS, VALUES), max_size=20),
    st.lists(st.integers(0, 5), max_size=2),
    FIELDS,
    st.sampled_from([*OPERATORS, "!="]),
    st.sampled_from([0, 1, 1.0, True, "1", "Pump", 2.5, -3]),
)
def test_finds_what_filtering_the_view_finds(
    writes: list[tuple[int, str, Any]], deleted: list[int], field: str, sign: str, wanted: Any
):
    node = Node("ann", None)
    for number, name, value in writes:
        node.set_field(f"r{number}", name, value)
    node.query()  # the file follows what changes after
    for number in deleted:
        if node.record(f"r{number}"):
            node.delete_record(f"r{number}")
    quoted = field.replace("'", "''")

    found = node.query(f"'{quoted}' {sign} {typed(wanted)}")

    def holds(fields: dict[str, Any]) -> bool:
        value = fields.get(field)
        if value is None:
            return False
        same = kind(value) == kind(wanted)
        if sign == "!=":
            return not (same and value == wanted)
        return same and OPERATORS[sign](value, wanted)

    view = node.view()
    assert found == [record for record in view.values() if holds(record["fields"])]
    missing = node.query(f"'{quoted}' is missing")
    assert missing == [r for r in view.values() if r["fields"].get(field) is None]
    assert node.query(f"not '{quoted}' is missing") == node.query(f"'{quoted}' is there")


@pytest.fixture
def camp() -> Node:
    node = Node("ann", None)
    node.put_record("W-1", {"depth_m": 30, "status": "OPENED", "lat": -14.0, "lon": 33.0}, "well")
    node.put_record("W-2", {"depth_m": 12, "status": "BROKEN", "gps": "-14.5 179.9 0 5"}, "well")
    node.put_record("W-3", {"depth_m": 55.5, "status": "BROKEN", "at": [-14.4, -179.9]}, "well")
    node.put_record("R-1", {"status": "OPENED", "Latitude": "91", "Longitude": "3"}, "road")
    node.add_note("W-2", "Pompe cassée: ask for the hand pump at the school")
    return node


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [record["record_id"] for record in found]


def test_joins_conditions_by_precedence(camp: Node):
    assert ids(camp.query("status = OPENED or status = BROKEN and depth_m > 20")) == [
        "R-1", "W-1", "W-3",
    ]  # fmt: skip
    assert ids(camp.query("(status = OPENED or status = BROKEN) and depth_m > 20")) == [
        "W-1",
        "W-3",
    ]
    assert ids(camp.query("not status in (OPENED, CLOSED)")) == ["W-2", "W-3"]
    assert ids(camp.query("status ~ brok", "depth_m < 20")) == ["W-2"]


def test_sorts_pages_and_knows_forms(camp: Node):
    assert ids(camp.query(sort=["-depth_m"])) == ["W-3", "W-1", "W-2", "R-1"]
    assert ids(camp.query(sort=["status", "-@id"])) == ["W-3", "W-2", "W-1", "R-1"]
    assert ids(camp.query(sort=["@id"], limit=2, offset=1)) == ["W-1", "W-2"]
    assert ids(camp.query(form="road")) == ["R-1"]
    assert camp.query(limit=0) == camp.query(offset=9) == []
    camp.set_field("R-1", "status", "CLOSED")
    assert ids(camp.query(sort=["-@written"], limit=1)) == ["R-1"]


def walk(node: Node, size: int, sort: list[str], between: Callable[[], object]) -> list[str]:
    """Return the ids of all records, asked for page after page."""
    found, after = [], None
    while True:
        page = node.query(sort=sort, limit=size, after=after)
        found += ids(page)
        after = page.after
        if after is None:
            return found
        assert len(page) == size
        between()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(FIELDS, VALUES), min_size=1, max_size=14),
    st.lists(st.sampled_from(["a", "-a", "b", "-b", "@id", "-@id", "-@written"]), max_size=3),
    st.integers(1, 4),
)
def test_pages_together_are_the_whole_in_its_order(
    values: list[tuple[str, Any]], sort: list[str], size: int
):
    node = Node("ann", None)
    for number, (field, value) in enumerate(values):
        node.set_field(f"r{number}", field, value)

    assert walk(node, size, sort, lambda: None) == ids(node.query(sort=sort))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 2.5, "1", "x", None]), min_size=4, max_size=10),
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([0, 1, "x"])), min_size=6, max_size=6),
    st.sampled_from([["@id"], ["a"], ["-a"], ["-a", "-@id"]]),
)
def test_a_record_that_stays_in_its_place_is_on_one_page_whatever_others_do(
    values: list[Any], meanwhile: list[tuple[int, Any]], sort: list[str]
):
    """An offset would tell some twice and others never."""
    node = Node("ann", None)
    for number, value in enumerate(values):
        node.set_field(f"stays{number}", "a", value)
        node.set_field(f"other{number}", "a", value)
    left = list(meanwhile)

    def others_move() -> None:
        if left:
            number, value = left.pop()
            node.set_field(f"other{number}", "a", value)
            if node.record(f"other{number // 2}"):
                node.delete_record(f"other{number // 2}")

    found = walk(node, 3, sort, others_move)

    stayed = [record_id for record_id in found if record_id.startswith("stays")]
    assert stayed == [i for i in ids(node.query(sort=sort)) if i.startswith("stays")]
    assert len(stayed) == len(values)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("", "no cursor"), ("x", "no cursor"), ("é", "no cursor"), ("start", "no cursor"),
        ("gmFhYWI", "no cursor"), ("goBhYQ", "no cursor"), ("goCBYWH", "no cursor"),
        ("goCBgA", "no cursor"), ("goCCYWFhYg", "no cursor"), ("goFhYYFhYQ", "another order"),
        ("A" * 1_100_000, "no cursor"),
    ],
)  # fmt: skip
def test_what_is_no_cursor_of_this_question_is_refused(camp: Node, after: str, said: str):
    with pytest.raises(InputError, match=said):
        camp.query(after=after)
    with pytest.raises(InputError, match="an offset or a cursor"):
        camp.query(after=camp.query(limit=1).after, offset=1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cassee", ["W-2"]),
        ("hand pump", ["W-2"]),
        ('"hand pump"', ["W-2"]),
        ('"pump hand"', []),
        ("brok*", ["W-2", "W-3"]),
        ("OPENED", ["R-1", "W-1"]),
        ("opened OR broken", []),  # words of FTS5 are words here
        ("NEAR(a b)", []),
    ],
)
def test_finds_words_in_notes_and_text_values(camp: Node, text: str, found: list[str]):
    assert ids(camp.query(text=text)) == found


def test_nobody_hides_words_behind_a_nul():
    node = Node("ann", None)
    node.put_record("r1", {"a": "of note\x00 the Pump"})
    node.put_record("r2", {"a": "50%_"})

    assert ids(node.query("a ~ pump")) == ids(node.query(text="pump")) == ["r1"]
    assert ids(node.query("a ~ 'note\x00 THE'")) == ["r1"]
    assert ids(node.query("a ~ '%_'")) == ["r2"]


def test_no_phrase_reaches_from_one_text_into_the_next():
    node = Node("ann", None)
    node.put_record("r1", {"a": "ends in hand", "b": "pump begins"})
    node.add_note("r1", "seen twice\nat the school")
    node.add_note("r1", "pump \U000ffffd mended")

    assert node.query(text='"hand pump"') == node.query(text='"begins seen"') == []
    assert node.query(text='"school pump"') == node.query(text='"hand \U000ffffd pump"') == []
    assert node.query(text='"school\U000ffffdpump"') == []
    for text in ("hand pump school", '"twice at the"', '"pump mended"', '"in hand" "pump begins"'):
        assert ids(node.query(text=text)) == ["r1"]


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((32.9, -14.1, 33.1, -13.9), ["W-1"]),
        ((33.0, -14.0, 33.0, -14.0), ["W-1"]),
        ((33.0000001, -14.1, 33.1, -13.9), []),
        ((179, -15, 180, -14), ["W-2"]),
        ((179, -15, -179, -14), ["W-2", "W-3"]),
        ((-180, -90, 180, 90), ["W-1", "W-2", "W-3"]),
    ],
)
def test_finds_places_in_a_box_the_date_line_included(
    camp: Node, box: tuple[float, float, float, float], found: list[str]
):
    assert ids(camp.query(bbox=box)) == found


@pytest.mark.parametrize("box", [(-180, -1, -170, 1), (170, -1, 180, 1), (170, -1, -170, 1)])
def test_the_meridian_of_180_degrees_is_found_from_both_sides(
    box: tuple[float, float, float, float],
):
    node = Node("ann", None)
    node.put_record("east", {"lat": 0.5, "lon": 180.0})
    node.put_record("west", {"lat": 0.5, "lon": -180.0})
    node.put_record("north", {"lat": 2.5, "lon": -180.0})

    assert ids(node.query(bbox=box)) == ["east", "west"]
    assert node.query(bbox=(-179, -1, 179, 1)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"bbox": (0, 1, 1, 0)}, {"bbox": (float("nan"), 0, 1, 1)}, {"bbox": (-200, 0, 1, 1)},
        {"bbox": (1, 2, 3)}, {"bbox": (0, 0, 10**400, 1)}, {"bbox": ("a", 0, 1, 1)}, {"limit": 1.5},
        {"limit": -1}, {"offset": -1}, {"text": '"open'}, {"text": "?!"}, {"text": "x" * 2_000},
        {"sort": ["a"] * 9}, {"limit": 2**63}, {"offset": 2**63}, {"form": "\udcff"},
        {"text": "\udcff"}, {"sort": ["\udcff"]},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(camp: Node, wrong: dict[str, Any]):
    with pytest.raises(InputError):
        camp.query(**wrong)


def test_the_file_goes_on_after_a_restart_and_begins_anew_after_a_restore(tmp_path: Path):
    store = tmp_path / "store"
    with Node("ann", None, store) as ann:
        ann.put_record("r1", {"a": 1})
        assert len(ann.query("a = 1")) == 1
    shutil.copytree(tmp_path, tmp_path / "backup")
    with Node("ann", None, store) as ann:
        ann.set_field("r1", "a", 2)
        ann.put_record("r2", {"a": 1})
        assert ids(ann.query("a = 1")) == ["r2"]
    shutil.copy(query_path(store), query_path(tmp_path / "backup" / "store"))

    with Node("ann", None, tmp_path / "backup" / "store") as ann:
        ann.put_record("r3", {"a": 1})
        assert ids(ann.query("a = 1")) == ["r1", "r3"]


def test_who_wrote_something_is_called_as_now_when_somebody_of_that_name_comes(tmp_path: Path):
    air = SimNetwork()
    ann = Node("ann", SimTransport("ann", air), tmp_path / "store")
    bobs = [Node("bob", SimTransport(place, air)) for place in ("hut", "ridge")]
    with ann, closing(sqlite3.connect(tmp_path / "store.query")) as file:
        for number, bob in enumerate(bobs):
            bob.set_field(f"r{number}", "a", 1)
            bob.add_note(f"r{number}", "seen")
        air.set_partitions([{"ann", "hut"}, {"ridge"}])
        ann.gossip_round()
        ann.query()
        assert file.execute("SELECT author FROM answers").fetchall() == [("bob",)]

        air.set_partitions([{"ann", "hut", "ridge"}])
        ann.gossip_round()
        ann.query()

        told = [f"bob~{bob.replica.identity.author.hex()[:8]}" for bob in bobs]
        for view in ("answers", "notes"):
            rows = file.execute(f"SELECT author FROM {view} ORDER BY record_id").fetchall()
            assert [author for (author,) in rows] == told


def test_who_sees_the_store_as_it_was_does_not_make_a_later_file_anew(tmp_path: Path):
    """On a million records that takes minutes, in which nobody else can ask."""
    path = tmp_path / "store"
    with Node("ann", None, path) as ann, QueryFile(query_path(path)) as file:
        ann.put_record("r1", {"a": 1})
        ann.query()
        with closing(SqliteStore(path, read_only=True)) as earlier:
            earlier.last_change()  # the snapshot begins
            ann.put_record("r2", {"a": 1})
            ann.query()

            with pytest.raises(OvertakenError):
                file.catch_up(earlier, str, is_snapshot=True)
            assert file.find(Query()).record_ids == ["r1", "r2"]
            with closing(SqliteStore(path, read_only=True)) as later:
                assert file.catch_up(later, str, is_snapshot=True) == 0
            file.catch_up(earlier, str)  # as of a store that was restored
            assert file.find(Query()).record_ids == ["r1"]
        assert ids(ann.query()) == ["r1", "r2"]


def test_a_program_that_locks_the_file_for_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "BUSY_WAIT_S", 0.0)
    path = tmp_path / "store"
    with Node("ann", None, path) as ann:
        ann.put_record("r1", {"a": 1})
        ann.query()
        with closing(sqlite3.connect(query_path(path), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            ann.put_record("r2", {"a": 1})

            with pytest.raises(StoreError, match="another program has locked"):
                ann.query()
            other.execute("COMMIT")
        assert ids(ann.query()) == ["r1", "r2"]


def test_the_first_question_tells_how_far_it_has_come(tmp_path: Path):
    """On a million events it takes half a minute."""
    told: list[tuple[int, int]] = []
    with Node("ann", None, tmp_path / "store") as ann, QueryFile(":memory:") as file:
        ann.emit_many(
            [("field.set", {"record_id": f"r{n}", "field": "a", "value": n}) for n in range(600)]
        )
        ann.view()  # its rows are settled

        file.catch_up(ann.replica.store, str, progress=lambda *now: told.append(now))

        assert [total for _, total in told] == [599, 599]
        assert [done for done, _ in told] == [255, 511]


def test_what_was_found_before_it_was_settled_goes_when_it_counts_no_more():
    """A row that is settled as it was is no change, and the file had shown another meanwhile."""
    pen = Pen(ANN)
    horizon_ms = 20
    with closing(SqliteStore(":memory:")) as store, QueryFile(":memory:") as file:
        view = LiveView(store, lambda: rules(store, horizon_ms))

        def found(where: str) -> list[str]:
            file.catch_up(store, str, view.unsettled())
            return file.find(Query(where=(where,))).record_ids

        apply(store, pen.set(10, "old"))
        settle(store, view)
        apply(store, pen.set(20, "new"), pen(20, "field.set", record_id="r2", field="a", value="x"))
        assert found("a = new") == ["r1"]
        assert found("a = x") == ["r2"]

        horizon_ms = 15
        with store.transaction():
            view.mark(["r1", "r2"])
        settle(store, view)

        assert found("a = old") == ["r1"]
        assert found("a = x") == []


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 300])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes):
    store = tmp_path / "store"
    with Node("ann", None, store) as ann:
        ann.put_record("r1", {"a": 1})
        ann.query()
    Path(query_path(store)).write_bytes(damage)

    with Node("ann", None, store) as ann:
        assert ids(ann.query("a = 1")) == ["r1"]


def test_a_file_of_another_version_is_made_anew(tmp_path: Path):
    with Node("ann", None, tmp_path / "store") as ann:
        ann.put_record("r1", {"a": 1})
        ann.query()
    with closing(sqlite3.connect(tmp_path / "store.query")) as file, file:
        file.execute("DROP VIEW answers")
        file.execute("PRAGMA user_version = 1")

    with Node("ann", None, tmp_path / "store") as ann:
        assert ids(ann.query("a = 1")) == ["r1"]
    with closing(sqlite3.connect(tmp_path / "store.query")) as file:
        assert file.execute("SELECT count(*) FROM answers").fetchone() == (1,)


def test_damage_in_the_middle_says_that_it_is_gone_and_the_next_question_is_answered(
    tmp_path: Path,
):
    path = tmp_path / "store.query"
    with Node("ann", None, tmp_path / "store") as ann:
        for number in range(300):
            ann.put_record(f"r{number}", {"a": "x" * 200})
        ann.query()
    raw = bytearray(path.read_bytes())
    raw[8_192:] = bytes(len(raw) - 8_192)
    path.write_bytes(raw)

    found: list[dict[str, Any]] = []
    for _ in range(2):  # where the first question meets the damage, the second does not
        with Node("ann", None, tmp_path / "store") as ann, suppress(StoreError):
            found = ann.query("a ~ x")

    assert len(found) == 300


def test_other_programs_read_it_by_forms(tmp_path: Path):
    with Node("ann", None, tmp_path / "store") as ann:
        ann.put_record("W-1", {"depth_m": 30, 'odd "name"': True, "none": None}, "water point")
        ann.put_record("X-1", {"a": 1, "A": 2, "record_id": 3}, "records")
        ann.put_record("X-2", {"a": 1}, "sqlite_master")
        ann.put_record("X-3", {"a": 1}, "")
        ann.query()
    with closing(sqlite3.connect(f"file:{tmp_path}/store.query?mode=ro", uri=True)) as file:
        file.row_factory = sqlite3.Row
        [well] = file.execute('SELECT * FROM "water point"').fetchall()
        [odd] = file.execute("SELECT * FROM form_records").fetchall()
        answers = file.execute(
            "SELECT field, kind, value, author FROM answers WHERE record_id = 'W-1'"
        ).fetchall()
        count = file.execute("SELECT count(*) FROM records").fetchone()[0]

    assert (well["record_id"], well["depth_m"], well['odd "name"']) == ("W-1", 30, 1)
    assert dict(odd).keys() == {"record_id", "A", "written_at"}
    assert [tuple(answer) for answer in answers] == [
        ("depth_m", "number", 30, "ann"),
        ("none", "none", None, "ann"),
        ('odd "name"', "truth", 1, "ann"),
    ]
    assert count == 4


def form_views(file: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """Return what the views of forms show, without the columns that are empty in a row."""
    file.row_factory = sqlite3.Row
    named = file.execute("SELECT name FROM form_view ORDER BY name").fetchall()
    rows = {
        name: file.execute(f'SELECT * FROM "{name}" ORDER BY record_id').fetchall()
        for (name,) in named
    }
    return {
        name: [{key: v for key, v in dict(row).items() if v is not None} for row in some]
        for name, some in rows.items()
        if some
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(["well", "Well", "road", "records", ""]),
            st.sampled_from(["a", "b", "c", None]),
            st.booleans(),
        ),
        max_size=14,
    )
)
def test_views_of_forms_that_follow_show_what_views_made_anew_show(
    writes: list[tuple[int, str, str | None, bool]],
):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        with Node("ann", None, path) as ann:
            for number, form, field, is_asked in writes:
                if field is None and ann.record(f"r{number}"):
                    ann.delete_record(f"r{number}")
                else:
                    ann.put_record(f"r{number}", {} if field is None else {field: number}, form)
                if is_asked:
                    ann.query()
            ann.query()
            with closing(sqlite3.connect(f"{path}.query")) as file:
                followed = form_views(file)
        Path(f"{path}.query").unlink()
        with Node("ann", None, path) as ann:
            ann.query()
        with closing(sqlite3.connect(f"{path}.query")) as file:
            assert form_views(file) == followed


def test_a_new_field_makes_the_view_of_its_form_anew_and_no_other(tmp_path: Path):
    places = "SELECT name, rowid FROM sqlite_schema WHERE type = 'view'"
    with Node("ann", None, tmp_path / "store") as ann:
        for number in range(20):
            ann.put_record(f"r{number}", {"a": number}, f"form{number}")
        ann.query()
        with closing(sqlite3.connect(tmp_path / "store.query")) as file:
            before = dict(file.execute(places).fetchall())

            ann.set_field("r7", "b", 1)
            ann.query()

            after = dict(file.execute(places).fetchall())
            assert file.execute("SELECT a, b FROM form7").fetchall() == [(7, 1)]
    assert {name for name, at in after.items() if before[name] != at} == {"form7"}


def test_conditions_beyond_what_sqlite_takes_are_refused_as_such(camp: Node):
    with pytest.raises(InputError, match="at most 256 values"):
        camp.query(f"a in ({','.join('1' * 257)})")
    with pytest.raises(InputError, match="at most 64 conditions"):
        camp.query(*["a = 1"] * 65)
    with pytest.raises(InputError, match="no text in UTF-8"):
        camp.query("a = '\udcff'")
    assert camp.query(*[f"a in ({','.join('1' * 256)})"] * 64) == []


def test_no_name_of_a_form_stops_a_query():
    """Any member may name a form; whatever the name, all are found, after the next write, too."""
    node = Node("ann", None)
    with closing(sqlite3.connect(":memory:")) as file:
        file.executescript(SCHEMA)
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_schema")]
    for number, name in enumerate(names):
        node.put_record(f"r{number}", {"a": 1}, name)
        node.put_record(f"s{number}", {"a": 1}, name.upper())
    node.query()
    for number in range(len(names)):  # with a new field each view is made anew
        node.put_record(f"r{number}", {"b": 1})
        node.put_record(f"s{number}", {"b": 1})

    assert len(node.query("a = 1")) == 2 * len(names) > 20


def test_a_form_with_a_name_of_ours_or_of_sqlite_has_its_view_too(tmp_path: Path):
    names = ["ahead", "words_data", "sqlite_schema", "place_visit", "words_said", "É", "é"]
    with Node("ann", None, tmp_path / "s.db") as node:
        for name in names:
            node.put_record(name, {"a": name}, name)
        node.query()

    with closing(sqlite3.connect(tmp_path / "s.db.query")) as file:
        views = {form: name for name, form in file.execute("SELECT name, form FROM form_view")}
        shown = {name: file.execute(f'SELECT a FROM "{views[name]}"').fetchall() for name in names}
    assert shown == {name: [(name,)] for name in names}
    assert [views[name] for name in names[:4]] == [
        "form_ahead", "form_words_data", "form_sqlite_schema", "place_visit",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM record", "ATTACH 'x' AS y", "PRAGMA query_only = OFF", "SELECT 1; SELECT 2",
        "SELECT load_extension('x')", "nonsense", "SELECT * FROM nowhere", "VACUUM", "\x00",
        "SELECT zeroblob(900000000)",
    ],
)  # fmt: skip
def test_sql_that_does_more_than_read_is_refused(tmp_path: Path, sql: str):
    with QueryFile(str(tmp_path / "q")) as file, pytest.raises(InputError, match="SQL: "):
        file.select(sql, 10)
    with QueryFile(str(tmp_path / "q")) as file:
        assert file.select("SELECT 1 AS one", 10) == (["one"], [(1,)])
        assert file.select("SELECT * FROM words WHERE words MATCH 'pump'", 10) == (["text"], [])


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


def test_a_statement_without_end_is_stopped_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SELECT_TIME_S", 0.0)

    with QueryFile(":memory:") as file, pytest.raises(InputError, match="longer than 0 s"):
        file.select(ENDLESS, 1)


def test_a_person_can_stop_a_statement():
    """SQLite reports what its progress handler raised as an error of its own."""
    keys = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    with QueryFile(":memory:") as file:
        keys.start()
        with pytest.raises(KeyboardInterrupt):
            file.select(ENDLESS, 1)


def test_a_folder_that_cannot_be_written_is_searched_all_the_same(tmp_path: Path):
    with Node("ann", None, tmp_path / "store") as ann:
        ann.put_record("r1", {"a": 1})
        (tmp_path / "store.query").mkdir()

        assert ids(ann.query("a = 1")) == ["r1"]


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": "depth_m"}, {"sort": [5]}, {"sort": None}, {"form": 5}, {"text": None},
        {"bbox": 5}, {"after": 5}, {"where": (5,)}, {"where": (b"a = 1",)},
    ],
)  # fmt: skip
def test_an_argument_of_another_type_is_refused_by_name(asked: dict[str, Any]):
    """A sort that is one text would else be a field for each of its letters."""
    with pytest.raises(InputError, match=r"text|box"):
        Query(**asked)
