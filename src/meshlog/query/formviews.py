"""A view of every form, for programs that speak SQL: a row per record, a column per field."""

from __future__ import annotations

import contextlib
import re
import sqlite3

COLUMNS_MAX = 200
"""Columns of a form's view."""

RESERVED = frozenset({
    "records", "answers", "notes", "places", "conflicts", "record", "value", "note", "place",
    "words", "state", "shape", "record_form", "value_found",
})  # fmt: skip
"""Names of our own tables, indices and views: a form of that name has ``form_`` before it."""

VIEWS_MAX = 1_000
"""Forms that get a view: a member may make up any number of them."""

_OWN_TABLES = re.compile(r"sqlite_|words_|place_", re.IGNORECASE)


def make_form_views(connection: sqlite3.Connection) -> None:
    """Make a view of every form: a row per record, a column per field; where names allow it."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'view'"
    for (name,) in connection.execute(sql).fetchall():
        if name not in RESERVED:
            connection.execute(f"DROP VIEW {_quoted(name)}")
    found = connection.execute(
        """
        SELECT form, field, count(*) FROM value JOIN record USING (record)
        WHERE rank = 0 GROUP BY form, field ORDER BY form, count(*) DESC, field
        """
    ).fetchall()
    columns: dict[str, list[str]] = {}
    for form, field, _ in found:
        columns.setdefault(form, []).append(field)
    taken: set[str] = set()
    for form, fields in columns.items():
        name = form if form.casefold() not in RESERVED else f"form_{form}"
        if not form or "\x00" in form or _OWN_TABLES.match(name) or name.casefold() in taken:
            continue
        taken.add(name.casefold())
        if len(taken) > VIEWS_MAX:
            return
        with contextlib.suppress(sqlite3.OperationalError):  # a name that SQLite will not have
            connection.execute(_form_view(name, form, fields))


def _form_view(name: str, form: str, fields: list[str]) -> str:
    shown: list[str] = []
    taken = {"record_id", "written_at"}
    for field in fields:
        if field.casefold() in taken or "\x00" in field or len(shown) == COLUMNS_MAX:
            continue
        taken.add(field.casefold())
        shown.append(
            "(SELECT value FROM value WHERE value.record = record.record AND rank = 0"  # noqa: S608
            f" AND field = {_text(field)}) AS {_quoted(field)}"
        )
    columns = ", ".join(
        ["record_id", *shown,
         "strftime('%Y-%m-%dT%H:%M:%SZ', written_ms / 1000, 'unixepoch') AS written_at"]
    )  # fmt: skip
    return (
        f"CREATE VIEW {_quoted(name)} AS SELECT {columns}"  # noqa: S608 - names are quoted
        f" FROM record WHERE form = {_text(form)}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
