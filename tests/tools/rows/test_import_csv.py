"""CSV: what a row becomes, what a second import adds, and what a bad row costs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from meshlog.errors import InputError, StoreError
from meshlog.tools.rows.importing import guess_format
from tests.tools.camp import Device

File = Callable[..., Path]
BAD_QUOTES = """code,name,depth
a,"one, two",1
b,"never closed,2
c,three,3
d,"four
lines",4
e,"x"y,5
f,six,6
"""


def test_a_row_becomes_one_event(base: Device, file: File):
    path = file(
        "code,name,depth,lat,ok,note\nw1,Kéré,12,-14.5240718,true,\nw2,007,NA,1.50,TRUE,x\n"
    )

    report = base.bring(path, id_column="code")

    assert (report.added, report.failed_count) == (2, 0)
    assert base.kinds() == ["record.put", "record.put"]
    assert base.view()["w1"]["form"] == "well"
    assert base.fields("w1") == {"name": "Kéré", "depth": 12, "lat": -14.5240718, "ok": True}
    assert base.fields("w2") == {"name": "007", "lat": "1.50", "ok": "TRUE", "note": "x"}


@pytest.mark.parametrize("id_column", ["code", None])
def test_the_same_file_again_adds_nothing(base: Device, file: File, id_column: str | None):
    path = file("code,depth\nw1,1\nw2,2\nw2,3\nw1,1\nw3,NA\n")
    base.bring(path, id_column=id_column)
    before, view = base.store.event_count(), base.view()

    again = base.bring(path, id_column=id_column)

    assert (again.added, again.changed, again.unchanged) == (0, 0, 5)
    assert (base.store.event_count(), base.view()) == (before, view)


def test_a_changed_cell_is_one_event_with_that_field_alone(base: Device, file: File):
    base.bring(file("code,a,b\nw1,1,2\nw2,1,2\n"), id_column="code")

    report = base.bring(file("code,a,b\nw1,1,3\nw2,1,2\n"), id_column="code")

    assert (report.changed, report.unchanged) == (1, 1)
    last = list(base.store.scan())[-1].event
    assert last.payload == {"record_id": "w1", "fields": {"b": 3}}


def test_an_empty_cell_says_nothing(base: Device, file: File):
    base.bring(file("code,a,b\nw1,1,2\n"), id_column="code")

    report = base.bring(file("code,a,b\nw1,,NA\n"), id_column="code")

    assert report.unchanged == 1
    assert base.fields("w1") == {"a": 1, "b": 2}


def test_a_row_without_id_is_known_again_after_somebody_edited_it(base: Device, file: File):
    path = file("name,depth\nKéré,1\n")
    base.bring(path)
    (record_id,) = base.view()
    base.write("field.set", record_id=record_id, field="depth", value=2)

    assert base.bring(path).unchanged == 1
    assert base.fields(record_id)["depth"] == 2


def test_equal_rows_without_id_are_as_many_records(base: Device, file: File):
    report = base.bring(file("a,b\n1,2\n1,2\n1,2\n"))

    assert (report.added, len(base.view())) == (3, 3)


def test_a_later_row_with_the_same_id_updates_the_former(base: Device, file: File):
    path = file("code,a,b\nw1,1,x\nw2,5,y\nw1,2,\n")

    report = base.bring(path, id_column="code")

    assert (report.added, report.changed, report.repeated) == (2, 1, 1)
    assert base.fields("w1") == {"a": 2, "b": "x"}
    assert [e.wrote[0].value for e in base.history("w1")] == [1, 2]


def test_the_column_record_id_names_the_record_by_itself(base: Device, file: File):
    base.bring(file("a,record_id\n1,w1\n"))

    assert base.fields("w1") == {"a": 1}


def test_what_somebody_deleted_stays_deleted(base: Device, file: File):
    path = file("code,a\nw1,1\n")
    base.bring(path, id_column="code")
    base.write("record.delete", record_id="w1")

    report = base.bring(path, id_column="code")

    assert (report.deleted, report.added, base.view()) == (1, 0, {})


def test_an_id_of_another_form_is_not_mixed_up(base: Device, file: File):
    base.bring(file("code,a\n1,1\n"), id_column="code")

    report = base.bring(file("code,b\n1,1\n2,2\n"), "school", id_column="code")

    assert report.added == 1
    assert report.failed[0].line == 2
    assert "'well'" in report.failed[0].reason
    assert base.fields("1") == {"a": 1}


def test_appends_in_batches(base: Device, file: File):
    told: list[tuple[int, int]] = []
    path = file("code\n" + "".join(f"w{i}\n" for i in range(1100)))

    base.bring(path, id_column="code", progress=lambda done, size: told.append((done, size)))

    size_bytes = path.stat().st_size
    assert base.batches == [512, 512, 76]
    assert told[-1] == (size_bytes, size_bytes)
    assert told == sorted(told)


# ── What is broken ───────────────────────────────────────────────────────────────────


def test_a_stray_quote_costs_its_own_line_alone(base: Device, file: File):
    report = base.bring(file(BAD_QUOTES), id_column="code")

    assert [line for line, _ in report.failed] == [3, 7]
    assert sorted(base.view()) == ["a", "c", "d", "f"]
    assert base.fields("d") == {"name": "four\nlines", "depth": 4}
    assert base.fields("a")["name"] == "one, two"


def test_a_quote_left_open_at_the_end_or_before_thousands_of_rows(base: Device, file: File):
    rows = "".join(f"w{i},{'x' * 50}\n" for i in range(3000))

    report = base.bring(file(f'code,a\nbad,"x\n{rows}z,"y'), id_column="code")

    assert [line for line, _ in report.failed] == [2, 3003]
    assert report.added == 3000


def test_each_bad_row_is_reported_by_the_line_it_starts_on(base: Device, file: File):
    lines = [
        b"code,a,b",
        b'w1,"two',
        b'lines",1',
        b"",
        b"w2,1",
        b"w3,1,2,3",
        b"w4,\xe9,1",
        b"w5,\x00,1",
        b",1,2",
        b",,",
        b"w" * 300 + b",1,2",
        b"w7,1," + b"x" * 70_000,
        b"w8,1," + b"x" * 200_000,
        b"w9,1,2",
    ]

    report = base.bring(file(b"\r\n".join(lines)), id_column="code")

    assert [line for line, _ in report.failed] == [5, 6, 7, 8, 9, 11, 12, 13]
    assert sorted(base.view()) == ["w1", "w9"]
    reasons = " / ".join(reason for _, reason in report.failed)
    for word in ("2 cells", "4 cells", "iconv", "NUL", "'code' is empty", "256 bytes", "65536"):
        assert word in reasons


def test_keeps_the_first_reasons_and_counts_them_all(base: Device, file: File):
    report = base.bring(file("code,a\n" + "x\n" * 250), id_column="code")

    assert (len(report.failed), report.failed_count) == (100, 250)


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_finds_the_delimiter_and_the_line_ends(base: Device, file: File, sign: str, end: str):
    text = end.join((f'"code{sign} x"{sign}b', f"w1{sign}2", ""))

    base.bring(file("\ufeff" + text), id_column=f"code{sign} x")

    assert base.fields("w1") == {"b": 2}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"),
        (b"\n\na,b\n", "it is empty"),
        (b"a,,b\n1,2,3\n", "column 2 has no name"),
        (b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        (b"caf\xe9,b\n1,2\n", "iconv"),
        (b'a,"b\n1,2\n', "quote"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04xlsx", "Excel"),
        (b"a" * 300 + b",b\n1,2\n", "256 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_error(
    base: Device, file: File, content: bytes, word: str
):
    with pytest.raises(InputError, match=word):
        base.bring(file(content))
    assert base.kinds() == []


def test_a_missing_file_column_or_form_is_one_error(base: Device, file: File, tmp_path: Path):
    path = file("a,b\n1,2\n")

    for options, word in (
        ({"path": tmp_path / "no.csv"}, "does not exist"),
        ({"path": tmp_path}, "is a folder"),
        ({"path": path, "form": None}, "--form"),
        ({"path": path, "id_column": "c"}, "no column 'c'"),
    ):
        with pytest.raises(InputError, match=word):
            base.bring(**options)


def test_a_column_that_names_no_record_is_refused_before_anything_is_written(
    base: Device, file: File
):
    path = file("district,a\n" + "".join(f"north,{i}\n" for i in range(10_001)))

    with pytest.raises(InputError, match="share their ids"):
        base.bring(path, id_column="district")
    assert base.kinds() == []


def test_goes_on_where_a_full_disk_stopped_it(base: Device, file: File):
    path = file("code\n" + "".join(f"w{i}\n" for i in range(600)))
    honest = base.append
    calls = iter([None, StoreError("the disk is full")])

    def failing(items):
        error = next(calls, None)
        if error:
            raise error
        honest(items)

    base.append = failing  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        base.bring(path, id_column="code")
    report = base.bring(path, id_column="code")

    assert (report.unchanged, report.added) == (512, 88)


def test_guesses_what_a_file_is(file: File):
    old = '{"a":"n","s":1,"h":[1,0],"k":"x","p":{},"v":"","i":"0"}\n'

    assert guess_format(file("a,b\n", "x")) == "csv"
    assert guess_format(file('{"a": 1}\n', "x")) == "jsonl"
    assert guess_format(file(old, "x.jsonl")) == "log"
    assert guess_format(file('{"torn\n' + old, "x.jsonl")) == "log"
    with pytest.raises(InputError, match="jq"):
        guess_format(file('[{"a": 1}]', "x.json"))


def test_the_survey_that_the_package_carries_is_whole(base: Device):
    with as_file(files("meshlog") / "data" / "survey.csv") as path:
        report = base.bring(path, "water_point", id_column="point_code")

    assert (report.added, report.failed_count) == (60, 0)
    point = base.fields("WP-003")
    assert (point["ward"], point["problem"]) == ("01", "bent rods, low yield")
    assert type(point["latitude"]) is float
