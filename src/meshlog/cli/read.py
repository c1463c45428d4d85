"""view and conflicts: what the records are now."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

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
    when,
)
from meshlog.cli.stores import Reading, reading
from meshlog.core.codec import plain
from meshlog.errors import InputError
from meshlog.views.records import Record, Write, decode

COLUMNS_MAX = 6
"""Fields that a table of records shows; the others are counted."""

CONFLICT_MARK = " *"


@command(
    "view",
    example="""
        meshlog view --form water_point
        meshlog view W-7
        meshlog view --json > records.json
    """,
)
@click.argument("record", required=False, type=TEXT)
@click.option("--form", type=TEXT, metavar="FORM", help="Only records of this form.")
@json_option("Print everything as JSON.")
@store_options
def view_command(place: Place, record: str | None, form: str | None, as_json: bool) -> None:
    """Show the records, or one RECORD with who wrote what and when."""
    with reading(place) as read:
        if record is not None:
            found = find(read, record)
            if not found.visible:
                raise InputError(f"record {record!r} is deleted: see `meshlog history {record}`")
            if as_json:
                say_json(found.public())
            else:
                _show_record(read, found)
            return
        records = [decode(row) for row in read.store.records(form) if row.visible]
        if as_json:
            say_json({one.record_id: one.public() for one in records})
        elif not records:
            say(f"No records of form {shown(form)}." if form is not None else "No records yet.")
        else:
            _show_records(records)


def find(read: Reading, record_id: str) -> Record:
    """Return a record, deleted ones included.

    Raises:
        InputError: There is none; the message names those with a similar id.
    """
    found = read.view.get(record_id)
    if found is not None:
        return found
    known = (row.record_id for row in read.store.records() if row.visible)
    near = difflib.get_close_matches(record_id, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `meshlog view`"
    raise InputError(f"there is no record {record_id!r} on this device: {hint}")


def _show_records(records: Iterable[Record]) -> None:
    by_form: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        by_form[one.form].append(one)
    conflicts = 0
    for form in sorted(by_form):
        some = by_form[form]
        conflicts += sum(bool(one.conflicts()) for one in some)
        used = Counter(name for one in some for name in one.fields)
        names = sorted(used, key=lambda name: (-used[name], name))
        columns = names[:COLUMNS_MAX]
        more = len(names) - len(columns)
        say(f"{shown(form) or '(no form)'}: {count(len(some), 'record')}"
            + (f", {count(more, 'more field')} not shown" if more else ""))  # fmt: skip
        show_table(["record", *map(shown, columns)], [_row(one, columns) for one in some])
        say()
    if conflicts:
        say(f"* in conflict, in {count(conflicts, 'record')}: see `meshlog conflicts`")


def _row(record: Record, columns: Iterable[str]) -> list[str]:
    disputed = record.conflicts()
    cells = [shown(record.record_id)]
    for name in columns:
        writes = record.fields.get(name)
        mark = CONFLICT_MARK if name in disputed else ""
        cells.append(f"{shown(writes[0].value)}{mark}" if writes else "")
    return cells


def _show_record(read: Reading, record: Record) -> None:
    roster = read.roster
    say(f"{shown(record.record_id)}  form {shown(record.form) or '(none)'}")
    disputed = record.conflicts()
    rows = [
        [
            shown(name) + (CONFLICT_MARK if name in disputed else ""),
            shown(writes[0].value),
            *_who(read, writes[0]),
        ]
        for name, writes in record.fields.items()
    ]
    if rows:
        say()
        show_table(["field", "value", "by", "when"], rows)
    for title, lines in (
        ("notes", [f"{when(note.origin.stamp.wall_ms)}  {named_fully(roster, note.origin.author)}: {note.text}"
                   for note in record.notes]),
        ("attachments", [f"{shown(one.field)}  {one.size} B  {shown(one.mime)}  {shown(one.blob_hash)}"
                         for one in record.attachments]),
    ):  # fmt: skip
        if lines:
            say()
            say(title)
            for line in lines:
                say(f"  {line}")
    if disputed:
        say()
        say(f"* in conflict: see `meshlog conflicts {record.record_id}`")


def _who(read: Reading, write: Write) -> list[str]:
    return [named(read.roster, write.origin.author), when(write.origin.stamp.wall_ms)]


@command("conflicts", example="meshlog conflicts\nmeshlog set W-7 depth_m 33")
@click.argument("record", required=False, type=TEXT)
@json_option("Print everything as JSON.")
@store_options
def conflicts_command(place: Place, record: str | None, as_json: bool) -> None:
    """Show values that were written at the same time: the one shown, and those beside it.

    Settle a conflict by writing the field.
    """
    with reading(place) as read:
        if record is not None:
            records = [find(read, record)]
        else:
            records = [decode(row) for row in read.store.records() if row.conflicts and row.visible]
        found = [
            (one, name, one.fields[name][0], losers)
            for one in records
            for name, losers in one.conflicts().items()
        ]
        if as_json:
            say_json([_conflict(read, *item) for item in found])
            return
        if not found:
            say("No conflicts.")
            return
        rows = []
        for one, name, winner, losers in found:
            rows.append(
                [
                    shown(one.record_id),
                    shown(name),
                    shown(winner.value),
                    "shown",
                    *_who(read, winner),
                ]
            )
            rows += [["", "", shown(loser.value), "beside", *_who(read, loser)] for loser in losers]
        show_table(["record", "field", "value", "", "by", "when"], rows)
        say()
        say(f"{count(len(found), 'field')} in conflict. Settle one by writing it:"
            " meshlog set RECORD FIELD VALUE")  # fmt: skip


def _conflict(
    read: Reading, record: Record, name: str, winner: Write, losers: Iterable[Write]
) -> dict[str, Any]:
    return {
        "record_id": record.record_id,
        "form": record.form,
        "field": name,
        "shown": _told(read, winner),
        "beside": [_told(read, loser) for loser in losers],
    }


def _told(read: Reading, write: Write) -> dict[str, Any]:
    origin = write.origin
    return {
        "value": plain(write.value),
        "author": origin.author.hex(),
        "name": named(read.roster, origin.author),
        "stamp": list(origin.stamp),
        "feed": origin.ref.feed.hex(),
        "seq": origin.seq,
    }
