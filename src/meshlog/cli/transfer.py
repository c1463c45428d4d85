"""import and export: a person's files in and out."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO, cast

import click

from meshlog.cli.command import TEXT, Place, command, json_option, store_options, writing_options
from meshlog.cli.output import count, hint, say, say_json, shown, size
from meshlog.cli.progress import interruptible, progress
from meshlog.cli.session import writing
from meshlog.cli.stores import reading
from meshlog.errors import InputError, StoreError
from meshlog.tools.rows.exporting import export_csv, export_jsonl
from meshlog.tools.rows.importing import Format, import_file
from meshlog.tools.rows.report import ImportReport
from meshlog.views.records import decode

_NAMES = {"csv": "CSV", "jsonl": "JSON lines"}

_DASH = Path("-")
_STDIN = Path("standard input")
"""What a copy of it is called, and what people read."""

STDIN_SIZE_MAX = 1_000_000_000
"""Bytes that an import takes from standard input: they wait on this device's disk. A choice."""

_FAULTS_SHOWN = 20
"""Rows that failed, on the screen; JSON has up to a hundred."""


@command(
    "import",
    example="""
        meshlog import survey.csv --form water_point --id code
        meshlog import old-node.jsonl
        unzip -p survey.zip | meshlog import - --form water_point
    """,
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--form", type=TEXT, metavar="FORM", help="What the rows are. A CSV file needs it.")
@click.option(
    "--id",
    "id_column",
    type=TEXT,
    metavar="COLUMN",
    help="The column that names the record.  [default: record_id, else made from the row]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "jsonl", "log"]),
    help="What the file is.  [default: look into it]",
)
@click.option(
    "--na",
    "na_values",
    type=TEXT,
    multiple=True,
    metavar="TEXT",
    help="A cell that says nothing; may be given again.  [default: NA]",
)
@json_option("Print the report as JSON.")
@writing_options
def import_command(
    place: Place, *, file: Path, form: str | None, id_column: str | None,
    format_: str | None, na_values: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Bring in CSV, JSON lines or an old meshlogd log.

    FILE may be - for standard input. A row that cannot be used is reported with its line and
    the rest is imported; the exit code is 1 then. Importing the same file again adds nothing.
    """
    written = 0

    def append(items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        nonlocal written
        try:
            writer.emit(items)
        except StoreError as error:
            before = f"; the {written:,} rows before are in: import the same file again after that"
            raise StoreError(f"{error}{before if written else ''}") from error
        written += len(items)

    with (
        _readable(file) as source,
        writing(place) as writer,
        progress(f"importing {source.name}, bytes") as advance,
        interruptible(advance) as checked,
    ):
        report = import_file(
            source,
            form=form,
            id_column=id_column,
            lookup=writer.record,
            append=append,
            arrivals=writer.arrivals(),
            progress=checked,
            format=cast("Format | None", format_),
            na_values=na_values or ("NA",),
            forms=writer.forms(),
            put_form=writer.put_form,
        )
    if as_json:
        say_json({**asdict(report), "failed": [fault._asdict() for fault in report.failed]})
    else:
        _show_report(_STDIN if source != file else file, report)
    return 1 if report.failed_count else 0


@contextmanager
def _readable(file: Path) -> Iterator[Path]:
    """Yield a file that can be read several times: of standard input a copy."""
    if file != _DASH:
        yield file
        return
    with TemporaryDirectory(prefix="meshlog-") as folder:
        copy = folder / _STDIN
        size_bytes = 0
        with copy.open("wb") as out:
            while some := sys.stdin.buffer.read(1 << 16):
                size_bytes += len(some)
                if size_bytes > STDIN_SIZE_MAX:
                    raise InputError(
                        f"{_STDIN} has more than {size(STDIN_SIZE_MAX)}: save it to a file and"
                        " name that"
                    )
                out.write(some)
        try:
            yield copy
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(_STDIN))) from error


def _show_report(file: Path, report: ImportReport) -> None:
    for fault in report.failed[:_FAULTS_SHOWN]:
        hint(f"{file}, line {fault.line}: {shown(fault.reason)}")
    if report.failed_count > _FAULTS_SHOWN:
        hint(f"and {report.failed_count - _FAULTS_SHOWN:,} more; --json lists up to a hundred")
    parts = [
        f"{report.added:,} new",
        f"{report.changed:,} changed",
        f"{report.unchanged:,} unchanged",
    ]
    for number, word in (
        (report.repeated, "repeated in the file"),
        (report.deleted, "deleted here, left out"),
        (report.failed_count, "not imported"),
    ):
        if number:
            parts.append(f"{number:,} {word}")
    say(f"{file.name}: {', '.join(parts)}")
    for note in report.notes:
        say(note)


@command(
    "export",
    example="""
        meshlog export wells.csv --form water_point
        meshlog export - --format jsonl | gzip > all.jsonl.gz
    """,
)
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--form", type=TEXT, metavar="FORM", help="Only records of this form. CSV needs one form."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "jsonl"]),
    help="What to write.  [default: by FILE's name, else csv]",
)
@store_options
def export_command(place: Place, file: Path | None, form: str | None, format_: str | None) -> None:
    """Write the records as CSV or JSON lines.

    They go to FILE, or to standard output where it is - or left out. Importing the result
    gives the same records. Of a conflict the shown value is written.
    """
    if file == _DASH:
        file = None
    if format_ is None:
        format_ = (
            "jsonl" if file is not None and file.suffix in (".jsonl", ".ndjson", ".json") else "csv"
        )
    write = export_csv if format_ == "csv" else export_jsonl
    with reading(place) as read:
        rows = [row for row in read.view.rows() if form in (None, row.form)]
        if form is not None and not rows:
            raise InputError(f"there are no records of form {form!r}: see `meshlog view`")
        with _written(file) as out:
            written = write(map(decode, rows), out, form=form)
        if file is not None:
            say(f"{file}: {count(written, 'record')} as {_NAMES[format_]}")
        conflicts = sum(row.conflicts for row in rows if row.visible)
        if conflicts:
            hint(f"{count(conflicts, 'field')} in conflict: only the shown value was exported")


@contextmanager
def _written(file: Path | None) -> Iterator[TextIO]:
    """Open standard output, or a file that appears whole when the block ends, or not at all."""
    if file is None:
        out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield out
            out.flush()
        finally:
            out.detach()
        return
    if file.is_dir():
        raise InputError(f"{file} is a folder: name a file in it")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            yield out
        temporary.replace(file)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == temporary:
            error.filename = str(file)  # the name that the person gave
        raise
    finally:
        temporary.unlink(missing_ok=True)
