"""From what a person types to a value, and to the events that say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from meshlog.core.event import encode_body
from meshlog.errors import InputError
from meshlog.tools.rows.cells import value_of
from meshlog.tools.rows.source import why_unreadable

Item: TypeAlias = tuple[str, Mapping[str, Any]]
"""Kind and payload of an event to be."""


def fields_of(words: Iterable[str], *, as_text: bool) -> dict[str, Any]:
    """Return the fields that ``FIELD=VALUE`` words give.

    Args:
        words: The first ``=`` ends the field's name.
        as_text: Whether values stay text; otherwise ``tools.cells.value_of`` reads them.

    Raises:
        InputError: A word without ``=`` or without a field, or one field twice.

    Example:
        >>> fields_of(["depth_m=32", "phone=0123", "formula=a=b"], as_text=False)
        {'depth_m': 32, 'phone': '0123', 'formula': 'a=b'}
    """
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError(f"{word!r} is not FIELD=VALUE: write it like status=OPENED")
        if name in fields:
            raise InputError(f"field {name!r} is given twice: leave one out")
        fields[name] = value if as_text else value_of(value)
    return fields


def checked(kind: str, payload: Mapping[str, Any]) -> Item:
    """Return the item if every view will be able to read it.

    Raises:
        InputError: Too long, too large, or not text; the message says which.
    """
    encode_body(kind, payload)
    trouble = why_unreadable(kind, payload)
    if trouble is not None:
        raise InputError(trouble.removeprefix(f"{kind}: "))
    return kind, payload
