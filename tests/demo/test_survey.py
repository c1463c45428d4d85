"""Cutting a survey in parts: every row lands in one of them, as it stood."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from meshlog.demo.survey import cut, form_of, read_survey, survey_file
from meshlog.errors import InputError

NAMES = ("base", "team_a", "team_b")


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def parts_of(path: Path, folder: Path) -> list[list[list[str]]]:
    """Return the rows of each part, headers checked and left out."""
    survey = read_survey(path, "well", len(NAMES))
    header, *_ = rows_of(path)
    parts = [rows_of(part) for part in cut(survey, folder, NAMES).values()]
    assert [part[0] for part in parts] == [header] * len(parts)
    return [part[1:] for part in parts]


def test_every_row_lands_in_one_part_in_order(tmp_path: Path) -> None:
    path = tmp_path / "survey.csv"
    path.write_text("id,text\n" + "".join(f'{n},"a\nb, {n}"\n' for n in range(10)), "utf-8")

    parts = parts_of(path, tmp_path)

    assert [row for part in parts for row in part] == [[str(n), f"a\nb, {n}"] for n in range(10)]
    assert [len(part) for part in parts] == [3, 4, 3]


def test_the_package_carries_a_survey_whose_rows_have_names(tmp_path: Path) -> None:
    with survey_file(None) as path:
        survey = read_survey(path, "water_point", len(NAMES))
        parts = parts_of(path, tmp_path)

    assert survey.id_column is not None
    assert min(len(part) for part in parts) >= 10


@pytest.mark.parametrize(
    ("header", "row", "chosen"),
    [
        ("point_code,village", "{n},Kéré", "point_code"),
        ("village,_uuid", "Kéré,u{n}", "_uuid"),
        ("village_id,record_id", "7,r{n}", "record_id"),
        ("village_id,depth", "7,{n}", None),
        ("lid,depth", "{n},{n}", None),
    ],
)
def test_a_column_names_the_records_if_it_is_called_so_and_does(
    tmp_path: Path, header: str, row: str, chosen: str | None
) -> None:
    path = tmp_path / "survey.csv"
    path.write_text("\n".join([header, *(row.format(n=n) for n in range(5))]), "utf-8")

    assert read_survey(path, "well", 3).id_column == chosen


def test_a_broken_row_goes_to_a_part_like_any_other(tmp_path: Path) -> None:
    """The import tells of it; the demo goes on."""
    path = tmp_path / "survey.csv"
    path.write_bytes(b'id,text\n1,a\n2,"open\n3,c\n4,\xff\n5,e\n6,f\n')

    survey = read_survey(path, "well", 3)
    written = cut(survey, tmp_path, NAMES)

    lines = [line for part in written.values() for line in part.read_bytes().splitlines()[1:]]
    assert lines == path.read_bytes().splitlines()[1:]


@pytest.mark.parametrize("text", ["", "id,text\n", "id,text\n1,a\n2,b\n"])
def test_a_file_with_too_few_rows_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "survey.csv"
    path.write_text(text, "utf-8")

    with pytest.raises(InputError):
        read_survey(path, "well", 3)


def test_a_form_is_called_like_its_file() -> None:
    assert form_of(Path("/x/Water points 2022.csv")) == "Water_points_2022"
    assert form_of(Path("/x/--.csv")) == "row"
