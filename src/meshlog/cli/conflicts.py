"""conflicts: values that were written while nobody had seen the other, and how to settle them."""

from __future__ import annotations

import sys
from typing import Any

import click

from meshlog.cli.command import (
    TEXT,
    Place,
    command,
    family,
    json_option,
    store_options,
    writing_options,
)
from meshlog.cli.output import count, hint, named, say, say_json, show_table, shown
from meshlog.cli.read import find, who_and_when
from meshlog.cli.session import writing
from meshlog.cli.stores import Reading, reading
from meshlog.cli.values import checked
from meshlog.core.cbor import encode_cbor, plain
from meshlog.errors import InputError
from meshlog.tools.rows.cells import value_of
from meshlog.views.records import Conflict, Write


@family(
    "conflicts",
    usual="show",
    example="""
        meshlog conflicts
        meshlog conflicts W-7
        meshlog conflicts resolve W-7 depth_m 33
    """,
)
def conflicts_command() -> None:
    """Show and settle values that were written at the same time.

    They were written by people who had not seen each other's: one is shown, the others stay
    beside it, the same way on every device, until somebody settles it.
    """


@command("show", example="meshlog conflicts show W-7")
@click.argument("record", required=False, type=TEXT)
@json_option("Print everything as JSON.")
@store_options
def show_command(place: Place, record: str | None, as_json: bool) -> None:
    """Show the conflicts of all records, or of one."""
    with reading(place) as read:
        if record is not None:
            find(read, record)
        found = read.view.conflicts(record)
        if as_json:
            say_json([_conflict(read, one) for one in found])
        elif found:
            _show(read, found)
            say()
            say(f"{count(len(found), 'field')} in conflict. Settle one:"
                " meshlog conflicts resolve RECORD FIELD VALUE")  # fmt: skip
        else:
            say("No conflicts.")


@command(
    "resolve",
    example="""
        meshlog conflicts resolve W-7 depth_m 33
        meshlog conflicts resolve W-7 depth_m --take team_a
        meshlog conflicts resolve W-7 depth_m
    """,
)
@click.argument("record", type=TEXT)
@click.argument("field", type=TEXT)
@click.argument("value", required=False, type=TEXT)
@click.option("--take", type=TEXT, metavar="NAME", help="Take the value that this author wrote.")
@click.option("--text", "as_text", is_flag=True, help="Keep the value as text: 12 stays '12'.")
@json_option("Print what was written as JSON.")
@writing_options
def resolve_command(
    place: Place,
    record: str,
    field: str,
    value: str | None,
    take: str | None,
    as_text: bool,
    as_json: bool,
) -> None:
    """Settle a conflict with a value, or with an author's.

    Without either it shows them and asks. This is a write like any other. It replaces the
    values that it shows you, and those alone: one that was written meanwhile, and is not here
    yet, will be in conflict with yours.
    """
    if value is not None and take is not None:
        raise InputError("give a VALUE or --take NAME, not both")
    with reading(place) as read:
        conflict = _named(read, record, field)
        if value is not None:
            chosen: object = value if as_text else value_of(value)
        else:
            chosen = _taken(read, conflict, take) if take is not None else _asked(read, conflict)
        told = _conflict(read, conflict)
    items = [checked("field.set", said) for said in conflict.resolution(chosen)]
    with writing(place) as writer:
        *_, (event_id, seq) = writer.emit(items)
        after = writer.record(record)
    remaining = after.conflicts().get(field, ()) if after else ()
    if as_json:
        say_json({"event": event_id, "seq": seq, "value": plain(chosen), "settled": told})
        return
    say(f"{shown(record)}: {shown(field)} = {shown(chosen)}")
    if remaining:
        hint(f"{count(len(remaining), 'value')} came meanwhile: see `meshlog conflicts {record}`")


def _named(read: Reading, record: str, field: str) -> Conflict:
    """Return the conflict on a field.

    Raises:
        InputError: There is none; the message says what there is.
    """
    found = find(read, record)
    for conflict in found.disputed():
        if conflict.field == field:
            if not found.visible:
                break
            return conflict
    known = [conflict.field for conflict in found.disputed()] if found.visible else []
    more = (
        f"in conflict: {', '.join(map(shown, known))}" if known else "write it with `meshlog set`"
    )
    raise InputError(f"{field!r} of record {record!r} is not in conflict: {more}")


def _taken(read: Reading, conflict: Conflict, name: str) -> object:
    """Return the value of the author with a name.

    Raises:
        InputError: Nobody of that name wrote one, or several did.
    """
    writes = [w for w in conflict.writes if named(read.roster, w.origin.author) == name]
    values = {encode_cbor(write.value): write.value for write in writes}
    if len(values) == 1:
        return values.popitem()[1]
    if values:
        raise InputError(f"{name!r} wrote {len(values)} of the values: give the VALUE itself")
    names = dict.fromkeys(named(read.roster, write.origin.author) for write in conflict.writes)
    raise InputError(f"{name!r} wrote none of the values, {', '.join(names)} did")


def _asked(read: Reading, conflict: Conflict) -> object:
    """Let the person choose among the values.

    Raises:
        InputError: Nobody sits there.
    """
    writes = (conflict.shown, *conflict.beside)
    if not sys.stdin.isatty():
        raise InputError("say what it is: give a VALUE, or --take NAME")
    rows = [
        [str(number), shown(write.value), *who_and_when(read, write)]
        for number, write in enumerate(writes, 1)
    ]
    show_table(["", "value", "by", "when"], rows, whole=["when"])
    number = click.prompt("Which one", type=click.IntRange(1, len(writes)))
    return writes[number - 1].value


def _show(read: Reading, found: list[Conflict]) -> None:
    rows = []
    for one in found:
        where = [shown(one.record_id), shown(one.field)]
        rows.append([*where, shown(one.shown.value), "shown", *who_and_when(read, one.shown)])
        rows += [
            ["", "", shown(write.value), "beside", *who_and_when(read, write)]
            for write in one.beside
        ]
    show_table(["record", "field", "value", "", "by", "when"], rows, whole=["record", "when"])


def _conflict(read: Reading, conflict: Conflict) -> dict[str, Any]:
    record = read.view.get(conflict.record_id)
    return {
        "record_id": conflict.record_id,
        "form": record.form if record else "",
        "field": conflict.field,
        "shown": _told(read, conflict.shown),
        "beside": [_told(read, write) for write in conflict.beside],
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


for _one in (show_command, resolve_command):
    conflicts_command.add_command(_one)
