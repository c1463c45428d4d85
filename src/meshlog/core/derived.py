"""Ids made from content: the same row, the same id, anywhere.

Here and not with the imports that use it, because a compact segment leaves such ids out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from meshlog.core.cbor import encode_cbor
from meshlog.errors import InputError

DERIVED_ID_SIZE = 8
"""Bytes of an id made from a row's content. Two of a million rows share one with a chance of
1 in 37 million (birthday bound on 64 bits)."""

DERIVED = ("cells", "values")
"""What the content of a row may be: its cells, as in a CSV file, or its values, as in JSON."""


def derived_id(form: str, content: Mapping[str, object], occurrence: int) -> str:
    """Return the id of a row that has none of its own: the same row, the same id, anywhere.

    Args:
        form: The form that the row is imported under.
        content: What the row says, in any order.
        occurrence: 0 for the first row of a file with this content, 1 for the next, …: rows
            that say the same are as many records.

    Returns:
        16 hex digits.

    Raises:
        InputError: The content holds what a body cannot carry.
    """
    row = encode_cbor([form, content, occurrence])
    return hashlib.blake2b(row, digest_size=DERIVED_ID_SIZE).hexdigest()


def id_of_fields(form: str, fields: Mapping[str, object], rule: int) -> str | None:
    """Return the id of the first row whose fields these are, by one of the rules in DERIVED.

    None where the rule does not say what the cell was: for lists, maps, bytes, null, and
    floats that are written with an exponent.
    """
    try:
        if DERIVED[rule] == "values":
            return derived_id(form, fields, 0)
        cells = {name: _cell(value) for name, value in fields.items()}
    except InputError:
        return None
    return None if None in cells.values() else derived_id(form, cells, 0)


def _cell(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if "e" not in repr(value):
            return repr(value)
    return None
