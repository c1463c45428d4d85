"""query: found, shown, counted; whether or not a node runs."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.processes import Device


@pytest.fixture
def camp(base: Device) -> Device:
    base.ok("put", "W-2", "--form", "well", "depth_m=55", "status=BROKEN", "lat=-14.5", "lon=33.9")
    base.ok("note", "W-2", "the handle is broken")
    return base


def test_shows_what_was_asked_for_first(camp: Device) -> None:
    table = camp.ok("query", "depth_m > 20", "--sort", "-depth_m")

    lines = table.splitlines()
    assert lines[1].split()[:2] == ["record", "depth_m"]
    assert [line.split()[:2] for line in lines[3:5]] == [["W-2", "55"], ["W-1", "30"]]
    assert lines[-1] == "2 records found"
    assert camp.ok("query", "--limit", "1").endswith("2 records found, 1 shown\n")
    assert camp.ok("query", "depth_m > 99") == "0 records found\n"


def test_goes_on_page_after_page(camp: Device) -> None:
    pages, after = [], "start"
    while after:
        words = ("query", "--sort", "-depth_m", "--limit", "1", "--after", after, "--json")
        page = json.loads(camp.ok(*words))
        pages.append([record["record_id"] for record in page["records"]])
        after = page["after"]

    assert pages == [["W-2"], ["W-1"]]
    shown = camp("query", "--limit", "1")
    assert shown.err.startswith("for the next ones: --after ")
    assert "W-2" in camp.ok("query", "--after", shown.err.split()[-1])


def test_counts_and_prints_json_while_a_node_runs(camp: Device) -> None:
    with camp.node():
        camp.ok("set", "W-1", "depth_m", "60")

        assert camp.ok("query", "depth_m > 50", "--count") == "2\n"
        [found] = json.loads(camp.ok("query", "--text", "handle", "--json"))
    assert found["record_id"] == "W-2"
    assert json.loads(camp.ok("query", "--bbox", "33,-15,34,-14", "--count", "--json")) == {
        "count": 1
    }


def test_answers_in_sql(camp: Device) -> None:
    sql = "SELECT record_id, depth_m FROM well ORDER BY depth_m"

    assert json.loads(camp.ok("query", "--sql", sql, "--json")) == [
        {"record_id": "W-1", "depth_m": 30},
        {"record_id": "W-2", "depth_m": 55},
    ]
    assert camp.ok("query", "--sql", sql).endswith("W-2         55\n2 rows\n")


def test_a_number_past_all_numbers_is_text_in_json(camp: Device) -> None:
    """JSON has no word for it, and strict readers refuse the one that Python writes."""
    sql = "SELECT 9e999 AS more, -9e999 AS less, 9e999 - 9e999 AS none, x'ff' AS bytes"

    assert json.loads(camp.ok("query", "--sql", sql, "--json"), parse_constant=pytest.fail) == [
        {"more": "Infinity", "less": "-Infinity", "none": None, "bytes": "ff"}
    ]
    assert camp.ok("query", "--sql", sql).splitlines()[2].split() == ["Infinity", "-Infinity", "ff"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["depth_m >"], "ends where a value should be"),
        (["--bbox", "1,2,3"], "is no box: give west,south,east,north"),
        (["--bbox", "34,-14,36,-15"], "the south of the box, -14, is north of its north, -15"),
        (["--sql", "DROP VIEW records"], "SQL: not authorized"),
        (["--sql", "-- later"], "SQL: there is no statement in it"),
        (["--sql", "SELECT 1", "--count"], "--sql stands alone"),
        (["--limit", "-1"], "no whole number"),
        (["--after", "x"], "'x' is no cursor"),
        (["--text", "?"], "there is no word to look for"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(camp: Device, words: list[str], said: str) -> None:
    refused = camp("query", *words)

    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert refused.err.count("\n") == 1


def test_beside_an_encrypted_store_nothing_is_written(empty: Device) -> None:
    pytest.importorskip("sqlcipher3")
    (empty.home / "pass").write_text("correct horse battery\n")
    empty.env["MESHLOG_PASSPHRASE_FILE"] = str(empty.home / "pass")
    empty.ok("init", "Survey", "--encrypt")
    empty.ok("put", "W-1", "depth_m=30")

    assert empty.ok("query", "depth_m = 30", "--count") == "1\n"
    assert not empty.data.with_name("meshlog.db.query").exists()


def test_json_of_a_statement_loses_no_column(camp: Device) -> None:
    result = camp("query", "--sql", "SELECT 1 AS a, 2 AS a", "--json")

    assert (result.code, result.out) == (2, "")
    assert "two columns are called 'a'" in result.err


@pytest.mark.parametrize("more", [("--offset", "1"), ("--limit", "1"), ("--count",), ("a = 1",)])
def test_a_statement_stands_alone(camp: Device, more: tuple[str, ...]) -> None:
    result = camp("query", "--sql", "SELECT 1", *more)

    assert (result.code, result.out) == (2, "")
    assert "stands alone" in result.err


def test_a_file_from_before_the_store_was_restored_is_made_anew(camp: Device) -> None:
    camp.ok("query", "--count")
    camp.ok("backup", "kept.db")
    camp.ok("put", "W-3", "--form", "well", "depth_m=60")
    assert camp.ok("query", "depth_m > 50", "--count") == "2\n"

    for name in camp.data.parent.glob("meshlog.db-*"):
        name.unlink()
    shutil.copy(camp.home / "kept.db", camp.data)

    assert camp.ok("query", "depth_m > 50", "--count") == "1\n"
