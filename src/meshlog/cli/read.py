"""view: what the records are now."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import click

from meshlog.cli.command import TEXT, Place, command, json_option, store_options
from meshlog.cli.output import (
    count,
    named,
    named_fully,
    say,
    say_json,
    show_table,
    shown,
    size,
    that_fit,
    when,
)
from meshlog.cli.progress import long_progress
from meshlog.cli.stores import Reading, reading
from meshlog.cli.times import time_ms
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.errors import InputError
from meshlog.views.asof import record_as_of, records_as_of
from meshlog.views.records import Record, Write, decode

COLUMN_WIDTH_MAX = 20
"""Cells of a field in a table of records, where there is not room for all of them."""

CONFLICT_MARK = " *"


@command(
    "view",
    example="""
        meshlog view --form water_point
        meshlog view W-7
        meshlog view W-7 --as-of "2026-11-25 18:00"
        meshlog view --json > records.json
    """,
)
@click.argument("record", required=False, type=TEXT)
@click.option("--form", type=TEXT, metavar="FORM", help="Only records of this form.")
@click.option(
    "--as-of", type=TEXT, metavar="TIME",
    help="As what was written until then makes them: 2026-05-01, '2026-05-01 14:30', 3d (ago).",
)  # fmt: skip
@json_option("Print everything as JSON.")
@store_options
def view_command(
    place: Place, record: str | None, form: str | None, as_of: str | None, as_json: bool
) -> None:
    """Show the records, or one with who wrote what.

    With --as-of, by the stamps of the events: also what this device did not hold by then.
    """
    with reading(place) as read:
        until = None if as_of is None else _last_stamp(as_of)
        if record is not None:
            found = find(read, record) if until is None else _found_as_of(read, record, until)
            if not found.visible:
                raise InputError(f"record {record!r} is deleted: see `meshlog history {record}`")
            if as_json:
                say_json(found.public())
            else:
                _show_record(read, found)
            return
        if until is None:
            records = [
                decode(row) for row in read.view.rows() if row.visible and form in (None, row.form)
            ]
        else:
            with long_progress("records as they were") as told:
                then = records_as_of(read.store, until, read.standings, told)
                records = [one for one in then if form is None or one.form == form]
        if as_json:
            say_json({one.record_id: one.public() for one in records})
        elif not records:
            say(f"No records of form {shown(form)}." if form is not None else "No records yet.")
        else:
            show_records(records)


def _last_stamp(words: str) -> Stamp:
    from meshlog.node.clock import wall_ms

    until_ms = time_ms(words, wall_ms(), ahead=False)
    return Stamp(min(max(until_ms, 0), WALL_MS_MAX), COUNTER_MAX)


def _found_as_of(read: Reading, record_id: str, until: Stamp) -> Record:
    """Return a record as it was.

    Raises:
        InputError: It was not there yet; or it never was.
    """
    found = record_as_of(read.store, record_id, until, read.standings)
    if found is None:
        find(read, record_id)
        raise InputError(f"record {record_id!r} was not there yet: see `meshlog history`")
    return found


def find(read: Reading, record_id: str) -> Record:
    """Return a record, deleted ones included.

    Raises:
        InputError: There is none; the message names those with a similar id.
    """
    found = read.view.get(record_id)
    if found is not None:
        return found
    known = (row.record_id for row in read.view.rows() if row.visible)
    near = difflib.get_close_matches(record_id, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `meshlog view`"
    raise InputError(f"there is no record {record_id!r} on this device: {hint}")


def show_records(records: Iterable[Record], first: Sequence[str] = ()) -> None:
    """Print a table of each form, ``first`` its first columns; fields in conflict are marked."""
    by_form: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        by_form[one.form].append(one)
    conflicts = 0
    for form in sorted(by_form):
        some = by_form[form]
        conflicts += sum(bool(one.conflicts()) for one in some)
        carried = columns_of(some)
        names = [*(n for n in first if n in carried), *(n for n in carried if n not in first)]
        headers = ["record", *map(shown, names)]
        rows = [_row(one, names) for one in some]
        columns = that_fit(headers, rows, COLUMN_WIDTH_MAX)
        hidden = len(headers) - columns
        more = (
            f", {count(hidden, 'more field')}: `meshlog view RECORD`, or --json" if hidden else ""
        )
        say(f"{shown(form) or '(no form)'}: {count(len(some), 'record')}{more}")
        show_table(headers[:columns], [row[:columns] for row in rows], COLUMN_WIDTH_MAX)
        say()
    if conflicts:
        say(f"* in conflict, in {count(conflicts, 'record')}: see `meshlog conflicts`")


def columns_of(records: Iterable[Record]) -> list[str]:
    """Return the fields of a table of records, those first that most of the records carry.

    Of equal ones the field written first, as far as its writes are live, and of those written
    at once the one with the shorter name, as events keep them: a file's order is in no event.
    """
    used: Counter[str] = Counter()
    first: dict[str, Stamp] = {}
    for one in records:
        used.update(one.fields.keys())
        for name, writes in one.fields.items():
            stamp = min(write.origin.stamp for write in writes)
            first[name] = min(first.get(name, stamp), stamp)
    return sorted(used, key=lambda name: (-used[name], first[name], len(name), name))


def _row(record: Record, columns: Iterable[str]) -> list[str]:
    disputed = record.conflicts()
    cells = [shown(record.record_id)]
    for name in columns:
        writes = record.fields.get(name)
        mark = CONFLICT_MARK if name in disputed else ""
        cells.append(f"{shown(writes[0].value)}{mark}" if writes else "")
    return cells


def _show_record(read: Reading, record: Record) -> None:
    say(f"{shown(record.record_id)}  form {shown(record.form) or '(none)'}")
    disputed = record.conflicts()
    rows = [
        [
            shown(name) + (CONFLICT_MARK if name in disputed else ""),
            shown(writes[0].value),
            *who_and_when(read, writes[0]),
        ]
        for name, writes in record.fields.items()
    ]
    if rows:
        say()
        show_table(["field", "value", "by", "when"], rows, whole=["when"])
    if record.notes:
        say("\nnotes")
    for note in record.notes:
        who = named_fully(read.roster, note.origin.author)
        say(f"  {when(note.origin.stamp.wall_ms)}  {who}: {shown(note.text)}")
    if record.attachments:
        say("\nattachments")
    for one in record.attachments:
        say(f"  {shown(one.field)}  {size(one.size)}  {shown(one.mime)}  {shown(one.blob_hash)}")
    if disputed:
        say()
        say(f"* in conflict: see `meshlog conflicts {record.record_id}`")


def who_and_when(read: Reading, write: Write) -> list[str]:
    """Return the name of a write's author and its time, as two cells."""
    return [named(read.roster, write.origin.author), when(write.origin.stamp.wall_ms)]
