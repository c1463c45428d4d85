"""A view of every form, for programs that speak SQL: a row per record, a column per field."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Container, Iterable

COLUMNS_MAX = 200
"""Columns of a form's view."""

VIEWS_MAX = 1_000
"""Forms that get a view: a member may make up any number of them."""

_OURS = """
    SELECT name FROM sqlite_schema
    WHERE type IN ('table', 'view', 'index') AND name NOT IN (SELECT name FROM form_view)
"""
"""Names of our own tables, indices and views: a form of such a name has ``form_`` before it."""

_SQLITES = b"sqlite_"
"""How names begin that SQLite keeps for itself."""

_FORMS = """
    WITH RECURSIVE known (form) AS (
        SELECT min(form) FROM record
        UNION ALL
        SELECT (SELECT min(form) FROM record WHERE form > known.form)
        FROM known WHERE form IS NOT NULL
    )
    SELECT form FROM known WHERE form IS NOT NULL
"""
"""Each form of a record once, sorted. O(forms), whatever they hold."""

_FIELDS = """
    SELECT field FROM shape LEFT JOIN (
        SELECT field, count(*) AS records FROM record CROSS JOIN value USING (record)
        WHERE form = ?1 AND rank = 0 GROUP BY field
    ) USING (field)
    WHERE form = ?1 AND field <> '' ORDER BY records DESC, field
"""
"""The fields that records of a form have or had, the most used first."""


def make_form_views(connection: sqlite3.Connection) -> None:
    """Bring the views of forms up to date; where names allow it, every form has one.

    Made anew are those of forms with a field that is new to them; dropped, those of forms that
    no record has any more.

    Cost: O(forms + values of the forms with a new field), if there is one.
    """
    is_new = {form for (form,) in connection.execute("SELECT form FROM shape WHERE shown = 0")}
    if not is_new:
        return
    known = dict(connection.execute("SELECT name, form FROM form_view").fetchall())
    ours = {_folded(name) for (name,) in connection.execute(_OURS)}
    wanted = _names((form for (form,) in connection.execute(_FORMS).fetchall()), ours)
    for name, form in known.items():
        if wanted.get(name) != form or form in is_new:
            _drop(connection, name)
    for name, form in wanted.items():
        if known.get(name) != form or form in is_new:
            fields = [field for (field,) in connection.execute(_FIELDS, (form,))]
            with contextlib.suppress(sqlite3.OperationalError):  # a name SQLite will not have
                connection.execute(_form_view(name, form, fields))
            connection.execute("INSERT INTO form_view VALUES (?, ?)", (name, form))
    connection.execute("UPDATE shape SET shown = 1 WHERE shown = 0")
    gone = "DELETE FROM shape WHERE NOT EXISTS (SELECT 1 FROM record WHERE form = shape.form)"
    connection.execute(gone)


def drop_form_views(connection: sqlite3.Connection) -> None:
    """Drop all of them."""
    for (name,) in connection.execute("SELECT name FROM form_view").fetchall():
        _drop(connection, name)


def _drop(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(f"DROP VIEW IF EXISTS {_quoted(name)}")
    connection.execute("DELETE FROM form_view WHERE name = ?", (name,))


def _names(forms: Iterable[str], ours: Container[bytes]) -> dict[str, str]:
    """Return the form of each view by the view's name; of one name, whatever the case, the first.

    Args:
        forms: Sorted.
        ours: Names that are in use, folded.
    """
    named: dict[str, str] = {}
    taken: set[bytes] = set()
    for form in forms:
        folded = _folded(form)
        is_kept = folded in ours or folded.startswith(_SQLITES)
        name = f"form_{form}" if is_kept else form
        if not form or "\x00" in form or _folded(name) in taken:
            continue
        if len(taken) == VIEWS_MAX:
            break
        taken.add(_folded(name))
        named[name] = form
    return named


def _form_view(name: str, form: str, fields: list[str]) -> str:
    shown: list[str] = []
    taken = {b"record_id", b"written_at"}
    for field in fields:
        if _folded(field) in taken or "\x00" in field or len(shown) == COLUMNS_MAX:
            continue
        taken.add(_folded(field))
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


def _folded(name: str) -> bytes:
    """Return what SQLite compares names by: it folds the letters a to z alone."""
    return name.encode().lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
