"""watch: what changes in the view, as it changes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from meshlog.cli.command import TEXT, Place, command, json_option, store_options
from meshlog.cli.output import as_json, console, cut, hint, printable, shown
from meshlog.cli.stores import reading_changes
from meshlog.daemon.client import connect
from meshlog.errors import InputError
from meshlog.tools.wholefile import check_target, temporary_beside
from meshlog.views.watch import Cursor, ViewChange, changes_after, cursor_now, resumed

_CURSOR_SIZE_MAX = 64

TOLD_AGAIN = "the cursor is of another store, or of this one before it was restored: all is told"

LOOK_AGAIN_S = 10.0
"""How often a store is opened in which nobody writes: what was held may be due. A choice."""


@command(
    "watch",
    example="""
        meshlog watch
        meshlog watch --form water_point --json
        meshlog watch --once --cursor-file seen.txt
    """,
)
@click.option("--form", type=TEXT, metavar="FORM", help="Only records of this form.")
@click.option("--all", "from_start", is_flag=True, help="Begin with everything that is there.")
@click.option("--after", type=TEXT, metavar="CURSOR", help="Go on after this change.")
@click.option(
    "--cursor-file", type=TEXT, metavar="FILE",
    help="Go on after the last change that was told, kept in this file.",
)  # fmt: skip
@click.option(
    "--once", is_flag=True, help="Tell what is new, without a cursor everything; then end."
)
@json_option("Print each change as one line of JSON.")
@store_options
def watch_command(
    place: Place,
    form: str | None,
    from_start: bool,
    after: str | None,
    cursor_file: str | None,
    once: bool,
    as_json: bool,
) -> None:
    """Show what changes in the records, as it changes.

    Each change is told once, in order. A record that changes several times before it is told
    comes once, as it is then. Begins with what changes from now on; with a cursor, after it; with
    --once, or a cursor file that is not there yet, with everything. With --form, a record that
    takes another form is told once more, and that it left.
    """
    from meshlog.node.watching import follow

    if sum([from_start, after is not None, cursor_file is not None]) > 1:
        raise InputError("give one of --all, --after and --cursor-file")
    file = None if cursor_file is None else Path(cursor_file).expanduser()
    known = Cursor.parse(after) if after is not None else _kept(file)
    reader = _Reader(place, form)
    start, is_there = reader.start(known, from_start or file is not None or once)
    if not is_there:
        hint(TOLD_AGAIN)
    if not once:
        client = connect(place.data)
        if client is None:
            hint("no node runs here: only what other commands write will change anything")
        else:
            client.close()
    with suppress(KeyboardInterrupt):
        for change in follow(start, reader, 0 if once else None):
            click.echo(_line(change) if as_json else _told(change, form))
            if file is not None:
                _keep(file, change.cursor)


class _Reader:
    """Reads the next changes, anew from a store that somebody else writes."""

    def __init__(self, place: Place, form: str | None) -> None:
        self._place = place
        self._form = form
        self._seen: list[tuple[int, int]] = []
        self._looked_s = -LOOK_AGAIN_S

    def start(self, known: Cursor | None, from_start: bool) -> tuple[Cursor, bool]:
        """Return where to begin, and whether the cursor is one of this store."""
        with reading_changes(self._place) as read:
            if known is None and not from_start:
                return cursor_now(read.store), True
            return resumed(read.store, known)

    def __call__(self, place: Cursor) -> tuple[list[ViewChange], Cursor]:
        """Return the next changes and the cursor behind them; opens little while all is still."""
        seen = list(self._sizes_and_times())
        if seen == self._seen and time.monotonic() < self._looked_s + LOOK_AGAIN_S:
            return [], place
        self._looked_s = time.monotonic()
        with reading_changes(self._place) as read:
            start, is_there = resumed(read.store, place)  # it may have been restored meanwhile
            found, then = changes_after(read.store, start, self._form)
        if not is_there:
            hint(TOLD_AGAIN)
        if then == place:
            self._seen = seen
        return found, then

    def _sizes_and_times(self) -> Iterator[tuple[int, int]]:
        for path in (self._place.data, Path(f"{self._place.data}-wal")):
            with suppress(OSError):
                now = path.stat()
                yield now.st_size, now.st_mtime_ns


def _line(change: ViewChange) -> str:
    return json.dumps(asdict(change), sort_keys=True, default=as_json)


def _told(change: ViewChange, form: str | None) -> str:
    name = shown(change.record_id)
    if change.record is None:
        return printable(f"{name}  gone")
    record = change.record
    conflicts = record.get("conflicts", {})
    fields = (
        f"{shown(field)}={shown(value)}{' *' if field in conflicts else ''}"
        for field, value in record["fields"].items()
    )
    left = f" (no {shown(form)} any more)" if change.left else ""
    line = f"{name}  {shown(record['form']) or '(no form)'}{left}  {', '.join(fields)}"
    return printable(cut(line, console().width))


def _kept(file: Path | None) -> Cursor | None:
    """Return the cursor in a file; None where there is no file yet.

    Raises:
        InputError: It holds something else, or cannot be read.
    """
    if file is None:
        return None
    check_target(file)
    try:
        with file.open(encoding="ascii") as kept:
            text = kept.read(_CURSOR_SIZE_MAX)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as a cursor: name another file") from error
    return Cursor.parse(text)


def _keep(file: Path, cursor: str) -> None:
    """Keep a cursor; a reader that is killed finds this one or the one before.

    Not synced: after a power cut some changes may be told again.
    """
    temporary = temporary_beside(file)
    temporary.write_text(f"{cursor}\n", encoding="ascii")
    temporary.replace(file)
