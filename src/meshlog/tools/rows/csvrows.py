"""CSV: rows with the physical line they start on; a broken row never takes others with it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from meshlog.core.derived import derived_id
from meshlog.errors import InputError
from meshlog.tools.rows.cells import cell_of, value_of
from meshlog.tools.rows.lines import NOT_UTF8, Lines, is_text, opened
from meshlog.tools.rows.report import RowError
from meshlog.tools.rows.source import RECORD_ID, Row

DELIMITERS = (",", ";", "\t")
ROW_LENGTH_MAX = 65_536
"""Characters that one row may span over several lines: an event holds no more bytes."""

NAME_SIZE_MAX = 256
"""UTF-8 bytes of a column's name: a field's name is no longer (docs/views.md)."""


class CsvRow(NamedTuple):
    """The cells of a row, and where it starts."""

    line: int
    cells: list[str]


def read_row(lines: Lines, delimiter: str) -> CsvRow | RowError | None:
    """Return the next row or what is wrong with it; None at the end.

    A row whose quotes do not close costs its first line alone: reading goes on with the
    line after it, so that one stray quote does not swallow the rest of the file.
    """
    first = lines.take()
    if not first:
        return None
    line = lines.number
    taken: list[str] = []

    def feed() -> Iterator[str]:
        length = len(first)
        yield first
        while length <= ROW_LENGTH_MAX and (text := lines.take()):
            taken.append(text)
            length += len(text)
            yield text

    try:
        cells = next(csv.reader(feed(), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        many = len(taken) > 0 or "unexpected end" in str(error)
        lines.put_back(taken)
        return RowError(line, "a quote is opened and not closed" if many else _csv_reason(error))
    if any("\x00" in cell for cell in cells):
        return RowError(line, "it holds a NUL byte: the file is damaged there")
    if not all(map(is_text, cells)):
        return RowError(line, NOT_UTF8)
    return CsvRow(line, cells)


def _csv_reason(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        return "a cell is too long: an event holds 64 KiB"
    if "expected after" in text:
        return 'a quoted cell goes on after its quote: write a quote in it twice ("")'
    return text


class CsvSource:
    """A CSV file as rows. See ``rows.Source``."""

    def __init__(
        self, path: Path, form: str, id_column: str | None, na_values: Collection[str]
    ) -> None:
        """Read the header.

        Args:
            path: UTF-8, with or without a byte order mark.
            form: What the rows are.
            id_column: The column whose cells name the records. None: ``record_id`` where
                the file has it, else ids are made from each row's content.
            na_values: Cells that say nothing, beside empty ones.

        Raises:
            InputError: No usable header, or no such column.
        """
        self._path = path
        self._lines: Lines | None = None
        self._form = form
        self._silent = frozenset((*na_values, ""))
        headers = [_header(path, sign) for sign in DELIMITERS]
        _, self.delimiter, header = max(headers, key=lambda found: found[0])
        if isinstance(header, RowError):
            raise InputError(f"{path}: the line that names the columns: {header.reason}")
        check_header(header)
        self.header = header
        if id_column is not None and id_column not in header:
            raise InputError(f"there is no column {id_column!r}: the file has {', '.join(header)}")
        named = id_column or (RECORD_ID if RECORD_ID in header else None)
        self._id_place = header.index(named) if named else None

    def rows(self) -> Iterator[Row | RowError]:
        """See Source.rows."""
        seen: Counter[str] = Counter()
        with opened(self._path) as lines:
            self._lines = lines
            read_row(lines, self.delimiter)
            while (row := read_row(lines, self.delimiter)) is not None:
                if isinstance(row, RowError):
                    yield row
                elif any(row.cells):
                    yield self._row(row, seen)

    def _row(self, row: CsvRow, seen: Counter[str]) -> Row | RowError:
        if len(row.cells) != len(self.header):
            want, have = len(self.header), len(row.cells)
            return RowError(row.line, f"it has {have} cells, the header has {want}")
        said = {
            name: cell
            for place, (name, cell) in enumerate(zip(self.header, row.cells, strict=True))
            if cell not in self._silent and place != self._id_place
        }
        values = {name: value_of(cell) for name, cell in said.items()}
        if self._id_place is None:
            first = derived_id(self._form, said, 0)
            seen[first] += 1
            again = seen[first] - 1
            record_id = derived_id(self._form, said, again) if again else first
            return Row(row.line, record_id, derived=True, form=self._form, values=values)
        record_id = row.cells[self._id_place]
        if not record_id:
            return RowError(row.line, f"the cell of {self.header[self._id_place]!r} is empty")
        return Row(row.line, record_id, derived=False, form=self._form, values=values)

    def named_ids(self) -> Iterator[str]:
        """See Source.named_ids. Nothing is read where no column names the records."""
        if self._id_place is None:
            return
        with opened(self._path) as lines:
            read_row(lines, self.delimiter)
            while (row := read_row(lines, self.delimiter)) is not None:
                if isinstance(row, CsvRow) and len(row.cells) == len(self.header):
                    yield row.cells[self._id_place]

    def done_bytes(self) -> int:
        """See Source.done_bytes."""
        return self._lines.done_bytes() if self._lines else 0

    def same(self, held: object, said: object) -> bool:
        """See Source.same. Compared as cells: 12 and "12" look the same in the file."""
        return cell_of(held) == cell_of(said)


def _header(path: Path, delimiter: str) -> tuple[int, str, list[str] | RowError]:
    """Return how many columns there are if this is the delimiter, it, and their names."""
    with opened(path) as lines:
        row = read_row(lines, delimiter)
    if isinstance(row, CsvRow) and row.cells:
        return len(row.cells), delimiter, row.cells
    if isinstance(row, RowError):
        with opened(path) as lines:
            return lines.take().count(delimiter) + 1, delimiter, row
    return 0, delimiter, RowError(1, "it is empty and has to name the columns")


def check_header(header: Sequence[str]) -> None:
    """Raise InputError where a header names a column twice, not at all, or at length."""
    for place, name in enumerate(header, 1):
        if not name.strip():
            raise InputError(f"column {place} has no name: give it one in the first line")
        if len(name.encode()) > NAME_SIZE_MAX:
            raise InputError(f"the name of column {place} is longer than {NAME_SIZE_MAX} bytes")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise InputError(f"two columns are called {twice[0]!r}: rename one")
