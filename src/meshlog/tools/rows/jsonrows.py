"""JSON lines: one object per line, as ``export`` writes them or flat."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from meshlog.core.cbor import encode_cbor
from meshlog.core.derived import derived_id
from meshlog.errors import InputError
from meshlog.tools.rows.cells import cell_of
from meshlog.tools.rows.lines import NOT_UTF8, Lines, is_text, opened
from meshlog.tools.rows.report import RowError
from meshlog.tools.rows.source import RECORD_ID, Row

EXPORTED = {RECORD_ID, "form", "created_by", "fields", "notes", "attachments", "conflicts"}
"""Keys of an exported object. One that has ``fields`` and no other key than these is read as
such; any other object is flat: its keys are fields."""


class _BadLineError(Exception):
    """A line breaks a rule; becomes a RowError, never leaves this module."""


def _no_constant(word: str) -> NoReturn:
    raise _BadLineError(f"{word} is not a number that can be kept")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadLineError("a key is there twice")
    return found


def read_object(text: str) -> dict[str, Any]:
    """Return the object in a line.

    Raises:
        InputError: There is none, or none that a body can carry; the reason is for a person.
    """
    if not is_text(text):
        raise InputError(NOT_UTF8)
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise InputError("nested too deeply") from error
    except _BadLineError as error:
        raise InputError(str(error)) from error
    except ValueError as error:  # Python reads numbers of 4,300 digits
        raise InputError("a number with too many digits") from error
    if not isinstance(found, dict):
        raise InputError("not an object: each line is one {…}")
    return found


class JsonSource:
    """A JSON lines file as rows. See ``rows.Source``."""

    def __init__(self, path: Path, form: str | None, id_column: str | None) -> None:
        """Read lines of ``path``.

        Args:
            path: UTF-8; empty lines are skipped.
            form: What the objects are that do not say it themselves.
            id_column: The key that names the record in a flat object; ``record_id`` by
                default. Where it is missing, the id is made from the object's content.
        """
        self._path = path
        self._form = form
        self._id_key = id_column
        self._lines: Lines | None = None

    def rows(self) -> Iterator[Row | RowError]:
        """See Source.rows."""
        seen: Counter[str] = Counter()
        with opened(self._path) as lines:
            self._lines = lines
            while text := lines.take():
                if not text.strip():
                    continue
                try:
                    yield self._row(lines.number, read_object(text), seen)
                except (InputError, _BadLineError) as error:
                    yield RowError(lines.number, str(error))

    def _row(self, line: int, found: dict[str, Any], seen: Counter[str]) -> Row:
        exported = isinstance(found.get("fields"), dict) and found.keys() <= EXPORTED
        fields = found["fields"] if exported else dict(found)
        form = found.get("form", self._form) if exported else self._form
        if form is not None and not isinstance(form, str):
            raise _BadLineError("form is not text")
        record_id = (found if exported else fields).pop(self._id_key or RECORD_ID, None)
        if record_id is None and self._id_key is not None:
            raise _BadLineError(f"it has no {self._id_key!r}")
        values = {name: value for name, value in fields.items() if value is not None}
        encode_cbor(values)
        derived = record_id is None
        if derived:
            first = derived_id(form or "", values, 0)
            seen[first] += 1
            record_id = derived_id(form or "", values, seen[first] - 1)
        elif isinstance(record_id, dict | list) or cell_of(record_id) == "":
            raise _BadLineError(f"{self._id_key or RECORD_ID!r} does not name a record")
        extra = found if exported else {}
        return Row(
            line,
            cell_of(record_id),
            derived,
            form,
            values,
            _text_or_none(extra.get("created_by")),
            tuple(_listed(extra, "notes", str)),
            tuple(_listed(extra, "attachments", dict)),
        )

    def named_ids(self) -> Iterator[str]:
        """See Source.named_ids."""
        return (row.record_id for row in self.rows() if isinstance(row, Row) and not row.derived)

    def done_bytes(self) -> int:
        """See Source.done_bytes."""
        return self._lines.done_bytes() if self._lines else 0

    def same(self, held: object, said: object) -> bool:
        """See Source.same. Compared as encoded: 1, 1.0, true and "1" are four values."""
        return encode_cbor(held) == encode_cbor(said)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _listed(found: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    items = found.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise _BadLineError(f"{key} is not a list of {'texts' if kind is str else 'objects'}")
    return items
