"""How a cell of text becomes a value, and a value a cell: the two undo each other."""

from __future__ import annotations

import json
import math
import re

from meshlog.core.cbor import plain

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", re.ASCII)
_NUMBER_LENGTH_MAX = 25
"""No shorter text than ``-1.2345678901234567e-308`` is any float's."""


def value_of(cell: str) -> str | int | float | bool:
    """Return what a cell of a CSV file means; whatever is not surely a number stays text.

    A number or a truth value is taken only where ``cell_of`` gives back the very same text:
    ``007``, ``1.50``, ``+5`` and ``TRUE`` stay text.

    Example:
        >>> [value_of(cell) for cell in ("12", "-14.5240718", "true", "007", "1.50", "TRUE")]
        [12, -14.5240718, True, '007', '1.50', 'TRUE']
    """
    if cell in ("true", "false"):
        return cell == "true"
    if len(cell) > _NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(cell):
        return cell
    if cell.lstrip("-").isdigit():
        whole = int(cell)
        return whole if str(whole) == cell and _INT_MIN <= whole <= _INT_MAX else cell
    number = float(cell)
    return number if math.isfinite(number) and repr(number) == cell else cell


def cell_of(value: object) -> str:
    """Return a value as a cell. Lists and maps become JSON, bytes hex, None an empty cell.

    Args:
        value: What a body can carry; see ``encode_cbor``.
    """
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case bytes():
            return value.hex()
    return json_text(value)


def json_text(value: object) -> str:
    """Return a value as one line of JSON; bytes become hex, because JSON cannot carry them."""
    return json.dumps(plain(value), ensure_ascii=False, default=bytes.hex)
