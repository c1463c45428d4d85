"""What is exported comes back by import: the same cells, the same view."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.errors import InputError
from meshlog.tools.rows.exporting import export_csv, export_jsonl
from meshlog.views.records import decode
from tests.tools.camp import Device

File = Callable[..., Path]
SIGNS = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
CELLS = st.one_of(
    st.sampled_from(
        ("1.0", "1.50", "007", "TRUE", "true", " spaces ", 'say "hi"', "a,b;c\td", "x\r\ny", "\r",
         "-0.0", "1e22", "=1+1", "é≤", "9" * 30, "'", '"', "\n")
    ),
    st.text(SIGNS, min_size=1),
).filter(lambda cell: cell != "NA")  # fmt: skip
NAMES = st.lists(
    st.text(SIGNS, min_size=1, max_size=9).filter(lambda n: n.strip() and n != "record_id"),
    min_size=1,
    max_size=4,
    unique=True,
)


def exported(
    device: Device, write: Callable[..., int] = export_csv, form: str | None = None
) -> str:
    out = io.StringIO(newline="")
    write(map(decode, device.replica.view.rows()), out, form=form)
    return out.getvalue()


@settings(max_examples=60)
@given(st.data())
def test_nasty_cells_survive(data: st.DataObject):
    names = data.draw(NAMES)
    rows = data.draw(st.lists(st.tuples(*[CELLS] * len(names)), min_size=1, max_size=5))
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder, "1.csv"), Path(folder, "2.csv")
        with one.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(
                [("record_id", *names), *((f"r{i}", *r) for i, r in enumerate(rows))]
            )
        here, there = Device("here", 1), Device("there", 2)
        with closing(here.store), closing(there.store):
            first = here.bring(one, format="csv")
            two.write_text(exported(here), encoding="utf-8", newline="")
            there.bring(two, format="csv")

            assert (first.added, first.failed_count) == (len(rows), 0)
            assert fields(here) == fields(there)
            assert read(exported(here)) == {
                f"r{i}": dict(zip(names, row, strict=True)) for i, row in enumerate(rows)
            }


def fields(device: Device) -> dict[str, object]:
    return {record_id: record["fields"] for record_id, record in device.view().items()}


def read(text: str) -> dict[str, dict[str, str]]:
    rows = {row.pop("record_id"): row for row in csv.DictReader(io.StringIO(text, newline=""))}
    return {key: {k: v for k, v in row.items() if v} for key, row in rows.items()}


def test_json_lines_give_back_the_whole_view(base: Device, other: Device, file: File):
    base.write("record.create", record_id="w1", form="well", by="Aïcha")
    base.write("record.put", record_id="w1", fields={"a": 1, "b": "1", "c": [1.5, {"k": None}]})
    base.write("note.add", record_id="w1", text="two\nlines")
    base.write("attachment.add", record_id="w1", field="p", blob_hash="ab", size=3, mime="x/y")
    base.write("record.put", record_id="t1", form="tap", by="Bob", fields={"é": True})
    path = file(exported(base, export_jsonl), "all.jsonl")

    first, again = (other.bring(path, None) for _ in range(2))

    assert (first.added, first.failed_count) == (2, 0)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    assert other.view() == base.view()


def test_an_export_goes_back_into_its_own_store_without_a_change(base: Device, file: File):
    base.write("record.put", record_id="w1", form="well", fields={"a": "12", "b": 12, "c": None})

    for write, name in ((export_csv, "x.csv"), (export_jsonl, "x.jsonl")):
        assert base.bring(file(exported(base, write), name)).unchanged == 1


def test_csv_has_the_id_first_then_all_fields_sorted(base: Device):
    base.write("record.put", record_id="w2", form="well", fields={"b": 1, "record_id": "own"})
    base.write("record.put", record_id="w1", form="well", fields={"a": True})

    assert exported(base) == "record_id,a,b,record_id_field\r\nw1,true,,\r\nw2,,1,own\r\n"


def test_csv_holds_one_form_and_no_hidden_record(base: Device):
    base.write("record.put", record_id="w1", form="well", fields={"a": 1})
    base.write("record.put", record_id="t1", form="tap", fields={"b": 1})
    base.write("record.put", record_id="w2", form="well", fields={"a": 2})
    base.write("record.delete", record_id="w2")

    with pytest.raises(InputError, match="tap, well"):
        exported(base)
    assert exported(base, form="well") == "record_id,a\r\nw1,1\r\n"
    assert exported(base, export_jsonl, "tap").count("\n") == 1


def test_of_a_conflict_the_winner_is_exported(base: Device):
    team = Device("team", 3, at=base)
    with closing(team.store):
        base.write("record.put", record_id="w1", form="well", fields={"a": 1})
        team.now_ms = base.now_ms + 5000
        team.write("record.put", record_id="w1", form="well", fields={"a": 2})
        base.give(team)
        team.give(base)

        assert "conflicts" in base.view()["w1"]
        assert exported(base) == exported(team) == "record_id,a\r\nw1,2\r\n"
