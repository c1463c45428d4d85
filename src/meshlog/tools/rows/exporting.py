"""Export: records as CSV or JSON lines, such that an import gives them back."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import TextIO

from meshlog.errors import InputError
from meshlog.tools.rows.cells import cell_of, json_text
from meshlog.tools.rows.source import RECORD_ID
from meshlog.views.records import Record


def export_csv(rows: Iterable[Record], out: TextIO, *, form: str | None) -> int:
    """Write the records of one form as CSV (RFC 4180, lines end with CR LF).

    The first column is ``record_id``, then every field that some record has, sorted. Of a
    conflict the shown value is written. A cell that begins with ``=`` stays as it is: the
    file gives back the very data, and a spreadsheet may take such a cell for a formula.

    Args:
        rows: Hidden ones are left out. Read once; they wait in a temporary file until all
            fields are known.
        out: Opened with ``newline=""`` and as UTF-8; stays the caller's.
        form: Records of another form are left out. None: all, if they have one form.

    Returns:
        Records written.

    Raises:
        InputError: The records have several forms and none was chosen; nothing was written.
    """
    names: set[str] = set()
    forms: set[str] = set()
    count = 0
    with TemporaryFile("w+", encoding="utf-8") as waiting:
        for record in _chosen(rows, form):
            cells = {name: cell_of(writes[0].value) for name, writes in record.fields.items()}
            names.update(cells)
            forms.add(record.form)
            waiting.write(json.dumps([record.record_id, cells]) + "\n")
            count += 1
        if len(forms) > 1:
            named = ", ".join(form or "'' (no form)" for form in sorted(forms))
            raise InputError(
                f"there are several forms – {named}: name one with --form,"
                " or write all with --format jsonl"
            )
        columns = sorted(names)
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow([RECORD_ID, *(_free_name(name, names) for name in columns)])
        waiting.seek(0)
        for line in waiting:
            record_id, cells = json.loads(line)
            writer.writerow([record_id, *(cells.get(name, "") for name in columns)])
    return count


def export_jsonl(rows: Iterable[Record], out: TextIO, *, form: str | None) -> int:
    """Write records as JSON lines: the keys of ``Record.public``, types kept, bytes as hex.

    Args:
        rows: Hidden ones are left out.
        out: Opened as UTF-8; stays the caller's.
        form: Records of another form are left out; None takes all.

    Returns:
        Records written.
    """
    count = 0
    for record in _chosen(rows, form):
        out.write(json_text(record.public()) + "\n")
        count += 1
    return count


def _chosen(rows: Iterable[Record], form: str | None) -> Iterable[Record]:
    return (row for row in rows if row.visible and form in (None, row.form))


def _free_name(name: str, taken: set[str]) -> str:
    """Return a field's column: its name, unless that is the id column's."""
    column = name
    while column == RECORD_ID or (column != name and column in taken):
        column += "_field"
    return column
