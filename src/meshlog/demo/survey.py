"""The rows that the devices collect: a CSV file, cut in as many parts as there are devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

from meshlog.errors import InputError
from meshlog.tools.rows.csvrows import CsvSource
from meshlog.tools.rows.lines import check_file, opened
from meshlog.tools.rows.source import RECORD_ID, Row

OWN_FORM = "water_point"
"""Form of the survey that the package carries."""

_ID_NAME = re.compile(r"(.*[_ -])?(id|uuid|code|key)", re.IGNORECASE)


class Survey(NamedTuple):
    """A CSV file, read once."""

    path: Path
    form: str
    id_column: str | None
    """The column that names the records; None lets the import choose."""
    rows_at: tuple[int, ...]
    """The physical line where each row starts, broken rows included."""


@contextmanager
def survey_file(rows: Path | None) -> Iterator[Path]:
    """Give the file to collect: the caller's, or the package's own."""
    if rows is not None:
        yield rows
        return
    with as_file(files("meshlog").joinpath("data", "survey.csv")) as own:
        yield own


def read_survey(path: Path, form: str, parts: int) -> Survey:
    """Read a survey.

    Args:
        path: CSV as ``meshlog import`` takes it.
        form: What its rows are.
        parts: In how many it will be cut: it has at least so many rows.

    Raises:
        InputError: It cannot be used.
    """
    check_file(path)
    source = CsvSource(path, form, None, ())
    seen: dict[str, set[object]] = {
        name: set() for name in source.header if _ID_NAME.fullmatch(name)
    }
    rows_at = []
    for row in source.rows():
        rows_at.append(row.line)
        if isinstance(row, Row):
            for name in list(seen):
                value = row.values.get(name)
                if value is None or value in seen[name]:
                    del seen[name]
                else:
                    seen[name].add(value)
    if len(rows_at) < parts:
        raise InputError(f"{path} has {len(rows_at)} rows: the demo needs at least {parts}")
    id_column = RECORD_ID if RECORD_ID in source.header else next(iter(seen), None)
    return Survey(path, form, id_column, tuple(rows_at))


def form_of(path: Path) -> str:
    """Return a form's name for the rows of any file: the file's own, without its ending."""
    return re.sub(r"\W+", "_", path.stem).strip("_") or "row"


def cut(survey: Survey, folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Write one file per name into ``folder``, each with the header and its share of the rows."""
    rows_at, share = survey.rows_at, len(survey.rows_at) / len(names)
    starts = [rows_at[round(place * share)] for place in range(len(names))]
    ends = [*starts[1:], None]
    written = {}
    with opened(survey.path) as lines:
        header = "".join(lines.take() for _ in range(rows_at[0] - 1))
        for name, end in zip(names, ends, strict=True):
            written[name] = folder / f"{name}.csv"
            with written[name].open(
                "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as part:
                part.write(header)
                while (end is None or lines.number + 1 < end) and (line := lines.take()):
                    part.write(line)
    return written
