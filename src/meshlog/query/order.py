"""The order in which records are found, and a place in it from which another question goes on."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import NamedTuple, Self

from meshlog.core.cbor import decode_cbor, encode_cbor
from meshlog.errors import InputError, MalformedError

CURSOR_SIZE_MAX = 1024 * 1024
"""Characters of a cursor: it holds the values by which its record was sorted."""

_BOUND = (int, float, str, bytes)

COLUMNS = {"@id": "record_id", "@written": "written_ms"}


class Term(NamedTuple):
    """Something that SQL sorts by."""

    sql: str
    is_down: bool


class Cursor(NamedTuple):
    """A record's place in an order, whatever becomes of the record; as text it is kept anywhere."""

    sort: tuple[str, ...]
    """Of the question that it comes from."""
    values: tuple[object, ...]
    """One per term of its order."""

    def __str__(self) -> str:
        """Return the text that ``parse`` reads: letters, digits, ``-`` and ``_``."""
        packed = encode_cbor([list(self.sort), list(self.values)])
        return urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str, sort: Sequence[str]) -> Self:
        """Read a cursor's text.

        Args:
            text: As a page of records came with it.
            sort: Of the question that it is given to.

        Raises:
            InputError: It is none, or comes from a question with another order.
        """
        wrong = f"{text[:40]!r} is no cursor: give one that records came with"
        try:
            found = cls(*_unpacked(text))
        except (MalformedError, ValueError) as error:
            raise InputError(wrong) from error
        if found.sort != tuple(sort):
            raise InputError("the cursor is of a question with another order: sort as it did")
        if str(found) != text or len(found.values) != len(terms(sort)):
            raise InputError(wrong)
        return found


def _unpacked(text: str) -> tuple[tuple[str, ...], tuple[object, ...]]:
    if len(text) > CURSOR_SIZE_MAX:
        raise MalformedError("cursor")
    match decode_cbor(urlsafe_b64decode(text + "=" * (-len(text) % 4))):
        case (tuple() as sort, tuple() as values) if all(
            value is None or isinstance(value, _BOUND) for value in values
        ):
            return sort, values
    raise MalformedError("cursor")


def terms(sort: Sequence[str]) -> list[Term]:
    """Return what a question's order consists of; the last is unique.

    Args:
        sort: As a query has it; the field at index n is joined as ``sort_n``.
    """
    found = []
    for number, told in enumerate(sort):
        is_down, name = told.startswith("-"), told.removeprefix("-")
        if name in COLUMNS:
            found.append(Term(f"record.{COLUMNS[name]}", is_down))
            continue
        kind = f"coalesce(sort_{number}.kind, 'none')"
        found += [
            Term(f"({kind} = 'none')", is_down=False),
            Term(kind, is_down),
            Term(f"sort_{number}.value", is_down),
        ]
    return [*found, Term("record.record_id", is_down=False)]


def joined(sort: Sequence[str]) -> tuple[str, list[object]]:
    """Return the joins that ``terms`` stand on, and what is bound in them."""
    joins, names = "", list[object]()
    for number, told in enumerate(sort):
        name = told.removeprefix("-")
        if name not in COLUMNS:
            at = f"sort_{number}"
            joins += (
                f" LEFT JOIN value AS {at} ON {at}.record = record.record"
                f" AND {at}.rank = 0 AND {at}.field = ?"
            )
            names.append(name)
    return joins, names


def behind(cursor: Cursor) -> tuple[str, list[object]]:
    """Return the condition that a record stands behind a place, and what is bound in it."""
    sql, bound = "0", list[object]()
    pairs = list(zip(terms(cursor.sort), cursor.values, strict=True))
    for term, value in reversed(pairs):
        sign = "<" if term.is_down else ">"
        sql = f"({term.sql} {sign} ? OR ({term.sql} IS ? AND {sql}))"
        bound = [value, value, *bound]
    return sql, bound
