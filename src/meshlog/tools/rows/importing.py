"""Import: a file's rows become events, as few as say what the dataset does not know yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from meshlog.core.form import FormBook
from meshlog.errors import InputError
from meshlog.ports.log import Arrival
from meshlog.tools.rows.batches import Append, Batches, Item, Outcome
from meshlog.tools.rows.csvrows import CsvSource
from meshlog.tools.rows.forms import Pinning, PutForm
from meshlog.tools.rows.jsonrows import JsonSource, read_object
from meshlog.tools.rows.lines import check_file, opened
from meshlog.tools.rows.oldlog import WIRE_KEYS, import_old_log
from meshlog.tools.rows.report import ImportReport, RowError, Tally
from meshlog.tools.rows.source import Row, Source, why_unreadable
from meshlog.views.changes import TEXT_SIZE_MAX
from meshlog.views.records import Record

Format: TypeAlias = Literal["csv", "jsonl", "log"]
Lookup: TypeAlias = Callable[[str], Record | None]
Progress: TypeAlias = Callable[[int, int], None]

REPEATED_MAX = 10_000
"""Rows that may share their id with another row of the file; they wait in memory."""

_GUESS_LINES = 5


def import_file(
    path: str | Path,
    *,
    form: str | None,
    id_column: str | None,
    lookup: Lookup,
    append: Append,
    arrivals: Iterable[Arrival] = (),
    progress: Progress | None = None,
    format: Format | None = None,  # noqa: A002 - the option's name on the command line
    na_values: Collection[str] = ("NA",),
    forms: FormBook | None = None,
    put_form: PutForm | None = None,
) -> ImportReport:
    """Bring a CSV file, JSON lines or an old meshlogd log into the dataset.

    Bad rows are reported with their line, and the rest is imported. Importing the same file
    again adds nothing. Memory does not grow with the rows, apart from about 100 bytes for
    each (500 for each event of an old log).

    Args:
        path: UTF-8 text.
        form: What the rows are; a CSV file needs it, an old log carries its own.
        id_column: The column or key that names the record. None: ``record_id`` where the
            file has it, else ids are made from the rows' content.
        lookup: Returns a record of the live view, hidden ones included; sees every append.
        append: Writes at most 512 events durably, or none.
        arrivals: The log, ``store.scan()``; read only where the file is an old log.
        progress: Told bytes done and bytes in all, after every batch.
        format: What the file is; by default the name and the first lines tell.
        na_values: Cells of a CSV file that say nothing, beside empty ones.
        forms: The forms that are pinned.
        put_form: Pins a form. Where none is pinned that has the file's fields, one is made
            from its rows before the first of them is written; by default none is.

    Raises:
        InputError: The file as a whole cannot be used; nothing was written.
        StoreError: The disk refused; earlier batches stay written. Importing again goes on.
    """
    path = Path(path)
    size_bytes = check_file(path)
    format = format or guess_format(path)  # noqa: A001 - as above
    if form is not None and not 0 < len(form.encode()) <= TEXT_SIZE_MAX:
        raise InputError(f"a form's name is 1 to {TEXT_SIZE_MAX} bytes of text")
    if format == "log":
        return import_old_log(path, arrivals, append, progress)
    source: Source
    if format == "csv":
        if form is None:
            raise InputError("name what the rows are: --form water_point")
        source = CsvSource(path, form, id_column, na_values)
    else:
        source = JsonSource(path, form, id_column)
    pin = Pinning(forms or FormBook(), put_form)
    return _import_rows(source, lookup, append, progress or _quiet, size_bytes, pin)


def guess_format(path: Path) -> Format:
    """Return what a file is, by its first lines that are JSON objects, else CSV.

    Raises:
        InputError: It is one JSON document, not lines.
    """
    with opened(path) as lines:
        for _ in range(_GUESS_LINES):
            text = lines.take().strip()
            if text.startswith("[") and path.suffix != ".csv":
                raise InputError(f"{path} is one JSON list: convert it with jq -c '.[]'")
            if not text.startswith("{"):
                continue
            try:
                found = read_object(text)
            except InputError:
                continue
            return "log" if found.keys() >= WIRE_KEYS else "jsonl"
    return "jsonl" if path.suffix in (".jsonl", ".ndjson", ".json") else "csv"


def _quiet(_done_bytes: int, _total_bytes: int) -> None:
    pass


def _import_rows(
    source: Source,
    lookup: Lookup,
    append: Append,
    progress: Progress,
    size_bytes: int,
    pin: Pinning,
) -> ImportReport:
    """Import in readings: ids that several rows share, and forms, are known before any write.

    All rows of such an id are settled together, at the last of them; else a file that says
    first 1 and then 2 of a record would write both each time it is imported.
    """
    counts = Counter(map(hash, source.named_ids()))
    shared = sum(count for count in counts.values() if count > 1)
    if shared > REPEATED_MAX:
        raise InputError(f"{shared} rows share their ids: choose a column that names the records")
    notes = pin.pin(source)
    tally = Tally()
    batches = Batches(
        append, tally, lambda: progress(min(source.done_bytes(), size_bytes), size_bytes)
    )
    importer = _Importer(source, lookup, batches, tally)
    waiting: dict[str, list[Row]] = {}
    for row in source.rows():
        if isinstance(row, RowError):
            tally.fail(row.line, row.reason)
            continue
        expected = counts[hash(row.record_id)]
        if expected <= 1 or row.derived:
            importer.settle([row])
            continue
        waiting.setdefault(row.record_id, []).append(row)
        if len(waiting[row.record_id]) == expected:
            importer.settle(waiting.pop(row.record_id))
    for rows in waiting.values():  # two ids with one hash: each waited for the other
        importer.settle(rows)
    batches.flush()
    progress(size_bytes, size_bytes)
    return tally.report(*notes)


class _Importer:
    """Turns the rows of one record into the events that they are worth."""

    def __init__(self, source: Source, lookup: Lookup, batches: Batches, tally: Tally) -> None:
        self._same = source.same
        self._lookup = lookup
        self._batches = batches
        self._tally = tally

    def settle(self, rows: list[Row]) -> None:
        """Import all rows of one record, in file order."""
        record = self._lookup(rows[0].record_id)
        if record is not None and record.visible and rows[0].derived:
            self._tally.unchanged += len(rows)
            return
        good = [row for row in rows if self._is_sound(row)]
        if not good:
            return
        self._tally.repeated += len(good) - 1
        if record is not None and not record.visible:
            self._tally.deleted += len(good)
            return
        final: dict[str, Any] = {}
        for row in good:
            final.update(row.values)
        held = {name: writes[0].value for name, writes in record.fields.items()} if record else {}
        settled = record is not None and not self._changes(final, held)
        form = record.form if record else ""
        for row in good:
            if row.form and form and row.form != form:
                known = f"record {row.record_id!r} is a {form!r}"
                self._tally.fail(row.line, f"{known}, this row is a {row.form!r}: use other ids")
                continue
            if record is None and not form and not row.form:
                self._tally.fail(row.line, "it does not say what it is: name it with --form")
                continue
            changed = {} if settled else self._changes(row.values, held)
            items = _extra_items(row, record)
            if not form and row.form:
                by = row.by if record is None else None
                items.insert(0, _put_item(row, changed, row.form, by))
            elif changed:
                items.insert(0, _put_item(row, changed))
            is_new = record is None and not form
            self._tally.unchanged += not items
            for place, item in enumerate(items):
                outcome = Outcome.ADDS if is_new else Outcome.CHANGES
                self._batches.add(row.line, Outcome.COMPLETES if place else outcome, item)
            held.update(changed)
            form = form or row.form or ""

    def _changes(self, said: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in said.items()
            if name not in held or not self._same(held[name], value)
        }

    def _is_sound(self, row: Row) -> bool:
        """Count a row as failed whose events the views could not read."""
        items = [
            _put_item(row, row.values, form=row.form or "", by=row.by),
            *_extra_items(row, None),
        ]
        reason = next(filter(None, (why_unreadable(*item) for item in items)), None)
        if reason is not None:
            self._tally.fail(row.line, reason)
        return reason is None


def _put_item(
    row: Row, changed: Mapping[str, Any], form: str | None = None, by: str | None = None
) -> Item:
    payload: dict[str, Any] = {"record_id": row.record_id, "fields": changed}
    if form is not None:
        payload["form"] = form
    if by is not None:
        payload["by"] = by
    return "record.put", payload


def _extra_items(row: Row, record: Record | None) -> list[Item]:
    """Return the notes and attachments of a row that the record lacks."""
    notes = {note.text for note in record.notes} if record else set()
    blobs = {(a.field, a.blob_hash) for a in record.attachments} if record else set()
    items: list[Item] = [
        ("note.add", {"record_id": row.record_id, "text": text})
        for text in row.notes
        if text not in notes
    ]
    return items + [
        ("attachment.add", {**attachment, "record_id": row.record_id})
        for attachment in row.attachments
        if (attachment.get("field"), attachment.get("blob_hash")) not in blobs
    ]
