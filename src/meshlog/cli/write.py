"""put, set, note, delete: each writes one event, whether or not a node runs on the store."""

from __future__ import annotations

from typing import Any

import click

from meshlog.cli.command import TEXT, Place, command, json_option, writing_options
from meshlog.cli.output import console, cut, hint, say, say_json, shown
from meshlog.cli.session import writing
from meshlog.cli.stores import reading
from meshlog.cli.values import Item, checked, fields_of
from meshlog.errors import InputError
from meshlog.tools.rows.cells import value_of
from meshlog.views.records import Record

_text_option = click.option(
    "--text", "as_text", is_flag=True, help="Keep values as text: 12 stays '12'."
)
_json = json_option("Print what was written as JSON.")


@command(
    "put",
    example="""
        meshlog put W-7 --form water_point district=North depth_m=32 functional=true
        meshlog put W-7 phone=0123 --text
    """,
)
@click.argument("record", type=TEXT)
@click.argument("fields", nargs=-1, type=TEXT, metavar="FIELD=VALUE...")
@click.option("--form", type=TEXT, metavar="FORM", help="Say which form the record has.")
@_text_option
@_json
@writing_options
def put_command(
    place: Place,
    record: str,
    fields: tuple[str, ...],
    form: str | None,
    as_text: bool,
    as_json: bool,
) -> None:
    """Make a record, or write several of its fields at once.

    Plain numbers, true and false become what they look like; all else is text.
    """
    values = fields_of(fields, as_text=as_text)
    if not values and form is None:
        raise InputError("there is nothing to write: give FIELD=VALUE, or --form")
    payload: dict[str, Any] = {"record_id": record, "fields": values}
    if form is not None:
        payload |= {"form": form, "by": _own_name(place)}
    item = checked("record.put", payload)
    _greet(place, record, makes_records=True)
    _write(place, record, item, as_json, ", ".join(values) or f"form {form}")


@command("set", example="meshlog set W-7 functional false")
@click.argument("record", type=TEXT)
@click.argument("field", type=TEXT)
@click.argument("value", type=TEXT)
@_text_option
@_json
@writing_options
def set_command(
    place: Place, record: str, field: str, value: str, as_text: bool, as_json: bool
) -> None:
    """Write one field of a record.

    Plain numbers, true and false become what they look like; all else is text. A conflict on
    the field is settled by it.
    """
    typed = value if as_text else value_of(value)
    item = checked("field.set", {"record_id": record, "field": field, "value": typed})
    _greet(place, record)
    _write(place, record, item, as_json, f"{field} = {shown(typed)}")


@command("note", example="meshlog note W-7 'pump handle broken, part ordered'")
@click.argument("record", type=TEXT)
@click.argument("text", type=TEXT)
@_json
@writing_options
def note_command(place: Place, record: str, text: str, as_json: bool) -> None:
    """Add a note to a record. Notes are never replaced."""
    item = checked("note.add", {"record_id": record, "text": text})
    _greet(place, record)
    _write(place, record, item, as_json, "note added")


@command("delete", example="meshlog delete W-7")
@click.argument("record", type=TEXT)
@_json
@writing_options
def delete_command(place: Place, record: str, as_json: bool) -> None:
    """Delete a record: hide what this device knows of it.

    What others wrote without knowing of the delete brings the record back, and its history
    stays.
    """
    known = _known(place, record)
    if known is None:
        raise InputError(f"there is no record {record!r} on this device: see `meshlog view`")
    if not known.visible:
        raise InputError(f"record {record!r} is deleted already: see `meshlog history {record}`")
    _write(place, record, checked("record.delete", {"record_id": record}), as_json, "deleted")


def _known(place: Place, record_id: str) -> Record | None:
    with reading(place) as read:
        return read.view.get(record_id)


def _greet(place: Place, record_id: str, *, makes_records: bool = False) -> None:
    """Say when a record is new here, for it may be a typing error, or was deleted."""
    known = _known(place, record_id)
    if known is None:
        if not makes_records:
            who = shown(record_id)
            hint(f"{who} is not known on this device yet: a record without a form begins")
    elif not known.visible:
        hint(f"{shown(record_id)} was deleted: this brings it back, with all that it held")


def _own_name(place: Place) -> str:
    with reading(place) as read:
        return (read.store.get_meta("name") or b"").decode()


def _write(place: Place, record: str, item: Item, as_json: bool, what: str) -> None:
    with writing(place) as writer:
        [(event_id, seq)] = writer.emit([item])
    if as_json:
        say_json({"event": event_id, "kind": item[0], "record_id": record, "seq": seq})
    else:
        say(cut(f"{shown(record)}: {shown(what)}", console().width))
