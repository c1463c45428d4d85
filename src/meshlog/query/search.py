"""One question to the query file: which records, in which order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from meshlog.errors import InputError
from meshlog.query.order import COLUMNS, Cursor, behind, joined, terms
from meshlog.query.projection import APART
from meshlog.query.where import Condition, read_where

TEXT_SIZE_MAX = 1_024
SORTS_MAX = 8
WHERES_MAX = 64
"""Conditions that are given side by side: SQLite takes expressions at most 1,000 deep."""
WHOLE_MAX = 2**63 - 1
"""Of SQLite's whole numbers."""

_SIDES = 4
_EAST = 180


class Found(NamedTuple):
    """What a query finds, or a page of it."""

    record_ids: list[str]
    """In its order."""
    after: str | None
    """The cursor behind the last of them; None where no more follow."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked; everything given must hold."""

    form: str | None = None
    where: tuple[str, ...] = ()
    """Conditions, see ``where.read_where``."""
    text: str = ""
    """Words that notes and text values must hold, all of them; ``pump*`` any that begin so, and
    ``"hand pump"`` those beside each other in one note or value."""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north, in degrees; from 170 to -170 crosses the date line."""
    sort: Sequence[str] = ()
    """Fields, each with ``-`` before it for the greatest first; ``@id`` and ``@written`` are the
    record id and the latest write. Records without the field come last."""
    limit: int | None = None
    offset: int = 0
    after: str | None = None
    """A cursor that records came with: only those behind it in the order."""
    conditions: list[Condition] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Read everything that can be wrong.

        Raises:
            InputError: It is; the message says where.
        """
        self._check_types()
        pages = (self.offset, 0 if self.limit is None else self.limit)
        if not all(type(number) is int and 0 <= number <= WHOLE_MAX for number in pages):
            raise InputError("limit and offset are whole numbers from 0, of 64 bits")
        if len(self.where) > WHERES_MAX:
            raise InputError(
                f"at most {WHERES_MAX} conditions stand side by side: join them by and"
            )
        asked = (*self.where, *self.sort, self.text, self.form or "")
        if any("\ud800" <= char <= "\udfff" for text in asked for char in text):
            raise InputError("a condition has a character that is no text in UTF-8")
        if len(self.sort) > SORTS_MAX:
            raise InputError(f"records are sorted by at most {SORTS_MAX} fields")
        if self.form is not None:
            self.conditions.append(Condition("record.form = ?", (self.form,)))
        self.conditions.extend(read_where(text) for text in self.where)
        if self.text.strip():
            self.conditions.append(_words(self.text))
        if self.bbox is not None:
            self.conditions.append(_inside(self.bbox))
        if self.after is not None:
            if self.offset:
                raise InputError("give an offset or a cursor, not both")
            Cursor.parse(self.after, self.sort)

    def _check_types(self) -> None:
        for name, told in (("form", self.form), ("after", self.after)):
            if not isinstance(told, str | None):
                raise InputError(f"{name} is text")
        if not _is_texts([self.text, *self.where]):
            raise InputError("conditions and words to look for are texts")
        if not _is_texts(self.sort):
            raise InputError("sort is a list of fields, each a text")

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the query names, each once."""
        asked = [name for condition in self.conditions for name in condition.fields]
        asked += [name.removeprefix("-") for name in self.sort]
        return tuple(dict.fromkeys(name for name in asked if name not in COLUMNS))


def find(connection: sqlite3.Connection, query: Query) -> Found:
    """Return the records that a query finds."""
    conditions = [condition.sql for condition in query.conditions]
    joins, values = joined(query.sort)
    values += [value for condition in query.conditions for value in condition.values]
    if query.after is not None:
        sql, bound = behind(Cursor.parse(query.after, query.sort))
        conditions.append(sql)
        values += bound
    order = terms(query.sort)
    sql = (
        f"SELECT {', '.join(term.sql for term in order)} FROM record{joins}"  # noqa: S608 - bound
        f" WHERE {' AND '.join(conditions) or '1'}"
        f" ORDER BY {', '.join(term.sql + ' DESC' * term.is_down for term in order)}"
        " LIMIT ? OFFSET ?"
    )
    limit = -1 if query.limit is None else min(query.limit + 1, WHOLE_MAX)
    rows = connection.execute(sql, (*values, limit, query.offset)).fetchall()
    is_cut = query.limit is not None and len(rows) > query.limit
    rows = rows[: query.limit]
    after = query.after if is_cut else None
    if is_cut and rows:
        after = str(Cursor(tuple(query.sort), rows[-1]))
    return Found([row[-1] for row in rows], after)


def count(connection: sqlite3.Connection, query: Query) -> int:
    """Return how many records a query finds, whatever page of them is asked for."""
    where = " AND ".join(condition.sql for condition in query.conditions) or "1"
    values = [value for condition in query.conditions for value in condition.values]
    sql = f"SELECT count(*) FROM record WHERE {where}"  # noqa: S608 - values are bound
    return int(connection.execute(sql, values).fetchone()[0])


def _words(text: str) -> Condition:
    if len(text) > TEXT_SIZE_MAX:
        raise InputError(f"a text to look for has at most {TEXT_SIZE_MAX} characters")
    phrases = []
    for index, part in enumerate(text.split('"')):
        if index % 2:
            phrases.append(_phrase(part))
        else:
            for word in part.split():
                star = "*" if word.endswith("*") else ""
                phrases.append(_phrase(word.rstrip("*")) + star)
    if text.count('"') % 2:
        raise InputError(f"a quotation mark is not closed in {text[:40]!r}")
    wanted = " AND ".join(phrase for phrase in phrases if any(map(str.isalnum, phrase)))
    if not wanted:
        raise InputError(f"there is no word to look for in {text[:40]!r}")
    return Condition("record.record IN (SELECT rowid FROM words WHERE words MATCH ?)", (wanted,))


def _phrase(text: str) -> str:
    return '"' + text.replace("\x00", " ").replace(APART, " ") + '"'


def _inside(bbox: tuple[float, float, float, float]) -> Condition:
    if not _is_box(bbox):
        raise InputError("a box is four numbers: west, south, east, north, in degrees")
    west, south, east, north = bbox
    if not all(-_EAST <= side <= _EAST for side in bbox):
        raise InputError("a box is west, south, east, north in degrees: 33.5,-15.2,34.1,-14.6")
    if south > north:
        raise InputError(f"the south of the box, {south:g}, is north of its north, {north:g}")
    # the tree keeps 32-bit numbers, rounded outward: the exact ones beside it decide
    lat = "lat_max >= ? AND lat_min <= ? AND lat BETWEEN ? AND ?"
    values: tuple[object, ...] = (south, north, south, north)
    if west <= east:
        lon = "lon_max >= ? AND lon_min <= ? AND lon BETWEEN ? AND ?"
        values += (west, east, west, east)
    else:
        lon = "(lon >= ? OR lon <= ?)"
        values += (west, east)
    if _EAST in (east, -west):  # 180° west and 180° east are one meridian
        lon = f"({lon} OR abs(lon) = {_EAST})"
    sql = f"(SELECT record FROM place WHERE {lat} AND {lon})"  # noqa: S608 - values are bound
    return Condition(f"record.record IN {sql}", values)


def _is_texts(told: object) -> bool:
    return isinstance(told, list | tuple) and all(isinstance(one, str) for one in told)


def _is_box(told: object) -> bool:
    if not isinstance(told, list | tuple) or len(told) != _SIDES:
        return False
    return all(type(side) in (int, float) for side in told)
