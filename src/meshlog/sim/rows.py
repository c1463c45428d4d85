"""The survey that scenarios write: rows that the package carries, and what visits change."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

FORM = "water_point"

VISITED = (
    "status",
    "problem",
    "households",
    "yield_l_per_min",
    "fee_per_month",
    "committee_active",
    "visited_on",
    "enumerator",
    "remark",
)
"""What a visit to a water point may change."""


class Row(NamedTuple):
    """One record of the survey."""

    record_id: str
    payload: dict[str, Any]
    """Of the ``record.put`` that makes it."""
    edits: dict[str, list[Any]]
    """What some of its fields may become."""


@cache
def _table() -> list[dict[str, str]]:
    text = files("meshlog").joinpath("data", "survey.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def survey_rows() -> list[Row]:
    """Return the rows, in order."""
    table = _table()
    key, *columns = table[0]
    edits = {
        column: [_typed(value) for value in sorted({row[column] for row in table if row[column]})]
        for column in VISITED
    }
    rows = []
    for row in table:
        fields = {column: _typed(row[column]) for column in columns if row[column]}
        payload = {"record_id": row[key], "form": FORM, "fields": fields}
        rows.append(Row(row[key], payload, edits))
    return rows


def _typed(text: str) -> int | float | bool | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text
