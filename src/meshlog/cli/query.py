"""query: records that are found by what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from meshlog.cli.command import TEXT, Place, Whole, command, json_option, store_options
from meshlog.cli.output import count, hint, say, say_json, show_table, shown
from meshlog.cli.progress import long_progress
from meshlog.cli.read import show_records
from meshlog.cli.stores import Reading, reading
from meshlog.core.roster import labels
from meshlog.errors import InputError
from meshlog.query.file import OvertakenError, QueryFile, query_path
from meshlog.query.search import Found, Query
from meshlog.views.records import Record

ROWS_MAX = 10_000
"""Rows of a statement in SQL: a screen, not an export."""

START = "start"
"""What stands for the cursor before the first page."""


@command(
    "query",
    example="""
        meshlog query --form water_point 'status = BROKEN and depth_m > 30'
        meshlog query --text 'pump handle' --sort -depth_m --limit 20
        meshlog query --bbox 33.5,-15.2,34.1,-14.6 --count
        meshlog query --form water_point --limit 100 --after start --json
        meshlog query --sql 'SELECT district, count(*) FROM water_point GROUP BY 1'
    """,
)
@click.argument("where", nargs=-1, type=TEXT, metavar="[CONDITION]...")
@click.option("--form", type=TEXT, metavar="FORM", help="Only records of this form.")
@click.option("--text", type=TEXT, metavar="WORDS", default="",
              help="Words that notes and text values hold.")  # fmt: skip
@click.option("--bbox", type=TEXT, metavar="W,S,E,N", help="Only places in this box, in degrees.")
@click.option("--sort", type=TEXT, metavar="FIELD", multiple=True,
              help="By this field; -FIELD the greatest first; @id, @written.")  # fmt: skip
@click.option("--limit", type=Whole(0, 10**9), metavar="NUMBER", help="At most so many.")
@click.option("--offset", type=Whole(0, 10**9), metavar="NUMBER", default=0,
              help="Leave out the first ones.")  # fmt: skip
@click.option("--after", type=TEXT, metavar="CURSOR",
              help="Go on behind the page that said it; `start` begins.")  # fmt: skip
@click.option("--count", "only_count", is_flag=True, help="Only say how many there are.")
@click.option("--sql", type=TEXT, metavar="SELECT", help="Ask in SQL instead; see docs/sql.md.")
@click.option("--fresh", is_flag=True, help="Make the query file anew first.")
@json_option("Print everything as JSON.")
@store_options
def query_command(
    place: Place,
    *,
    where: tuple[str, ...],
    form: str | None,
    text: str,
    bbox: str | None,
    sort: tuple[str, ...],
    limit: int | None,
    offset: int,
    after: str | None,
    only_count: bool,
    sql: str | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Find records by what their fields, notes and places say.

    A condition is FIELD = VALUE, with !=, <, <=, >, >= or ~ (contains); FIELD in (A, B); FIELD
    is missing; joined by and, or, not. Everything that is given must hold.

    Page after page: --limit says how many, --after where to go on. With --after, JSON is an object
    of records and the next cursor, after, which is null on the last page.
    """
    box = None if bbox is None else _box(bbox)
    behind = None if after == START else after
    asked = Query(form, where, text, box, sort, limit, offset, behind)
    is_narrowed = asked.conditions or sort or limit is not None or after is not None
    if sql is not None and (is_narrowed or only_count or offset):
        raise InputError("--sql stands alone: say the rest in SQL")
    with _asking(place, fresh=fresh) as (read, file):
        if sql is not None:
            _show_rows(*file.select(sql, ROWS_MAX + 1), as_json=as_json)
            return
        total = file.count(asked)
        found = Found([], None) if only_count else file.find(asked)
        if only_count:
            say_json({"count": total}) if as_json else say(str(total))
            return
        if as_json:
            page = [record.public() for record in _records(read, found)]
            say_json(page if after is None else {"records": page, "after": found.after})
            return
        _show(_records(read, found), asked, total)
        if found.after is not None:
            hint(f"for the next ones: --after {found.after}")


@contextmanager
def _asking(place: Place, *, fresh: bool) -> Iterator[tuple[Reading, QueryFile]]:
    """Open store and query file, this brought up to date.

    Others ask, too: where one who saw the store later was there first, it is looked at again. A
    file that stays ahead is of this store before it was restored, and made anew.
    """
    for is_snapshot in (True, True, False):
        with reading(place) as read, QueryFile(query_path(place.data)) as file:
            if fresh:
                file.clear()
            named = labels(read.roster)
            try:
                with long_progress("looking at what changed") as told:
                    unsettled = read.view.unsettled()
                    file.catch_up(
                        read.store, named, unsettled, is_snapshot=is_snapshot, progress=told
                    )
            except OvertakenError:
                continue
            yield read, file
            return


def _records(read: Reading, found: Found) -> list[Record]:
    known = (read.view.get(record_id) for record_id in found.record_ids)
    return [record for record in known if record is not None and record.visible]


def _show(records: list[Record], asked: Query, total: int) -> None:
    if records:
        show_records(records, asked.fields)
    say(
        f"{count(total, 'record')} found"
        + (f", {len(records)} shown" if len(records) < total else "")
    )


def _show_rows(columns: list[str], rows: list[tuple[object, ...]], *, as_json: bool) -> None:
    if len(rows) > ROWS_MAX:
        rows.pop()
        hint(f"only the first {ROWS_MAX} rows are shown: say LIMIT, or open the query file itself")
    if as_json:
        twice = [name for index, name in enumerate(columns) if name in columns[:index]]
        if twice:
            raise InputError(f"two columns are called {twice[0]!r}: name one with AS")
        say_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        cells = [["" if cell is None else shown(cell) for cell in row] for row in rows]
        show_table([shown(name) for name in columns], cells)
        say(count(len(rows), "row"))


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError as error:
        raise InputError(
            f"{text!r} is no box: give west,south,east,north, such as 33.5,-15.2,34.1,-14.6"
        ) from error
    return west, south, east, north
