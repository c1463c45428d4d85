"""conflicts: values that were written while nobody had seen the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from meshlog.cli.command import TEXT, Place, command, json_option, store_options
from meshlog.cli.output import count, named, say, say_json, show_table, shown
from meshlog.cli.read import find, who_and_when
from meshlog.cli.stores import Reading, reading
from meshlog.core.codec import plain
from meshlog.views.records import Record, Write, decode


@command("conflicts", example="meshlog conflicts\nmeshlog set W-7 depth_m 33")
@click.argument("record", required=False, type=TEXT)
@json_option("Print everything as JSON.")
@store_options
def conflicts_command(place: Place, record: str | None, as_json: bool) -> None:
    """Show values that were written at the same time.

    They were written by people who had not seen each other's: one is shown, the others stay
    beside it. Settle a conflict by writing the field.
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
                    *who_and_when(read, winner),
                ]
            )
            rows += [
                ["", "", shown(loser.value), "beside", *who_and_when(read, loser)]
                for loser in losers
            ]
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
