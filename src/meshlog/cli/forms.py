"""forms: what the fields of a kind of records are, as the team pinned it."""

from __future__ import annotations

from typing import Any

import click

from meshlog.cli.command import TEXT, Place, command, json_option, store_options
from meshlog.cli.output import count, say, say_json, show_table, shown
from meshlog.cli.stores import reading
from meshlog.core.cbor import plain
from meshlog.core.fieldtypes import SHARE_MAX
from meshlog.core.form import Form, FormField
from meshlog.errors import InputError


@command("forms", example="meshlog forms\nmeshlog forms water_point")
@click.argument("form", required=False, type=TEXT)
@json_option("Print the definitions as JSON.")
@store_options
def forms_command(place: Place, form: str | None, *, as_json: bool) -> None:
    """List the forms that are pinned, or show the fields of one.

    A form says of which types its fields are, so that records take few bytes on slow air. An
    import pins one. It restricts nothing: any value can still be written.
    """
    with reading(place) as read:
        book = read.ledger.forms
        known = {name: book.named(name) for name in sorted({one.name for one in book.forms})}
    if form is not None and form not in known:
        raise InputError(f"no form {form!r} is pinned: see `meshlog forms`")
    chosen = [one for name, one in known.items() if one is not None and form in (None, name)]
    if as_json:
        say_json([plain(one.definition) for one in chosen])
    elif form is not None:
        _show(chosen[0])
    elif not chosen:
        say("No forms. `meshlog import` pins one.")
    else:
        rows = [[shown(one.name), f"{len(one.fields)}", one.id.hex()[:8]] for one in chosen]
        show_table(["form", "fields", "id"], rows)


def _show(form: Form) -> None:
    told = {entry[0]: entry for entry in form.definition["fields"]}
    rows = [[shown(item.name), *_described(item, told[item.name])] for item in form.fields]
    show_table(["field", "type", "answered", "values"], rows)
    say()
    say(f"Form {shown(form.name)}, {count(len(form.fields), 'field')}, id {form.id.hex()[:8]}.")


def _described(item: FormField, entry: Any) -> list[str]:  # noqa: ANN401 - a definition's entry
    params = entry[2] if len(entry) > 2 else {}  # noqa: PLR2004 - name, type, parameters
    options = params.get("options", ())
    told = ", ".join(str(option) for option in options[:6]) + (", …" if len(options) > 6 else "")  # noqa: PLR2004 - as many as fit a line
    others = {key: value for key, value in params.items() if key in ("pattern", "prefix", "scales")}
    told = told or ", ".join(f"{key} {plain(value)}" for key, value in others.items())
    return [entry[1], f"{100 * item.share // SHARE_MAX} %", shown(told)]
