"""What a form says of a field's type: strictly read, because both ends must code alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from meshlog.core.fieldtypes import (
    PATTERN,
    SHARE_MAX,
    Choice,
    Choices,
    Decimal,
    FieldType,
    Moment,
    Option,
    Truth,
    Unique,
    Whole,
)
from meshlog.core.units import SCALE_MAX, WHOLE_MAX
from meshlog.errors import MalformedError

Params: TypeAlias = Mapping[str, Any]

OPTIONS_MAX = 256

WEIGHTS = tuple(round(2 ** (level / 2)) for level in range(24))
"""What a level of frequency weighs: each is about 1.41 times the one before it."""


def read_type(kind: str, params: Params) -> FieldType | None:
    """Return the type that a form's field names; None for ``text``, which has no number.

    Raises:
        MalformedError: Unknown, or a parameter is missing, unknown, or out of range.
    """
    if kind == "text" and not params:
        return None
    reader = _READERS.get(kind)
    if reader is None:
        raise MalformedError("unknown type")
    try:
        found: FieldType = reader(**params)
        return found
    except (TypeError, ValueError) as error:
        raise MalformedError("parameters of a type") from error


def _check(*holds: bool) -> None:
    if not all(holds):
        raise ValueError("out of range")


def _numbers(listed: object, size: int, most: int) -> tuple[int, ...]:
    """Return a list of so many whole numbers up to ``most``."""
    _check(isinstance(listed, tuple | list))
    assert isinstance(listed, tuple | list), "just checked"
    _check(len(listed) == size, *(type(item) is int and 0 <= item <= most for item in listed))
    return tuple(listed)


def _choice(options: Sequence[Option], weights: Sequence[int] | None = None) -> Choice:
    _check(isinstance(options, tuple | list), 0 < len(options) <= OPTIONS_MAX)
    _check(*(type(option) in (str, int, float, bool) for option in options))
    _check(len({(type(option), option) for option in options}) == len(options))
    if weights is None:
        return Choice(tuple(options), (1,) * len(options))
    levels = _numbers(weights, len(options), len(WEIGHTS) - 1)
    return Choice(tuple(options), tuple(WEIGHTS[level] for level in levels))


def _choices(
    options: Sequence[str], separator: str = ", ", shares: Sequence[int] | None = None
) -> Choices:
    _check(isinstance(options, tuple | list), 0 < len(options) <= OPTIONS_MAX)
    _check(type(separator) is str and bool(separator))
    _check(*(type(option) is str and separator not in option for option in options))
    _check(len(set(options)) == len(options))
    size = len(options)
    known = (16,) * size if shares is None else _numbers(shares, size, SHARE_MAX)
    return Choices(separator, tuple(options), known)


def _decimal(scales: Sequence[int], low: int, high: int) -> Decimal:
    _check(isinstance(scales, tuple | list), 0 < len(scales) <= SCALE_MAX)
    _check(*(type(scale) is int and 0 <= scale <= SCALE_MAX for scale in scales))
    _check(len(set(scales)) == len(scales), type(low) is int, type(high) is int)
    _check(-WHOLE_MAX <= low <= high <= WHOLE_MAX)
    return Decimal(tuple(scales), low, high)


def _moment(pattern: str, first: int) -> Moment:
    _check(type(pattern) is str, len(pattern) <= 32)  # noqa: PLR2004 - far more than any date
    parts = tuple(PATTERN.findall(pattern))
    _check("".join(parts) == pattern, type(first) is int, 1 <= first <= date.max.toordinal())
    fields = [part for part in parts if part[0] == "%"]
    _check(len(set(fields)) == len(fields), {"%Y", "%m", "%d"} <= set(fields))
    return Moment(pattern, first, parts, len(fields) > 3)  # noqa: PLR2004 - year, month, day


def _unique(prefix: str = "", suffix: str = "", dashed: bool = False) -> Unique:  # noqa: FBT001, FBT002 - a form's own words
    _check(type(prefix) is str, type(suffix) is str, type(dashed) is bool)
    return Unique(prefix, suffix, dashed)


def _whole() -> Whole:
    return Whole()


def _truth() -> Truth:
    return Truth()


_READERS: Mapping[str, Any] = {
    "int": _whole,
    "decimal": _decimal,
    "choice": _choice,
    "choices": _choices,
    "bool": _truth,
    "date": _moment,
    "uuid": _unique,
}
"""Names of types in a form, and how their parameters are read."""
