"""From what a person types to a value, and to the events that say it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from meshlog.core.event import NO_PREV, Content, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import ZERO
from meshlog.core.identity import AuthorId
from meshlog.errors import InputError
from meshlog.views.records import unreadable

Item: TypeAlias = tuple[str, Mapping[str, Any]]
"""Kind and payload of an event to be."""

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")

_NOWHERE = FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 0)


def coerce(text: str) -> str | int | float | bool:
    """Return the value that ``text`` plainly is; text where anything would be lost.

    ``true`` and ``false`` in any case, whole numbers, and decimals that come back as they
    were typed. Everything else stays: leading zeros, ``+``, ``1e5``, ``nan``, phone numbers.

    Example:
        >>> [coerce(text) for text in ("12", "-0.5", "TRUE", "007", "1.50", "1e5")]
        [12, -0.5, True, '007', '1.50', '1e5']
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text


def fields_of(words: Iterable[str], *, as_text: bool) -> dict[str, Any]:
    """Return the fields that ``FIELD=VALUE`` words give.

    Raises:
        InputError: A word without ``=`` or without a field, or one field twice.
    """
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError(f"{word!r} is not FIELD=VALUE: write it like status=OPENED")
        if name in fields:
            raise InputError(f"field {name!r} is given twice: leave one out")
        fields[name] = value if as_text else coerce(value)
    return fields


def checked(kind: str, payload: Mapping[str, Any]) -> Item:
    """Return the item if every view will be able to read it.

    Raises:
        InputError: Too long, too large, or not text; the message says which.
    """
    body = encode_body(kind, payload)
    draft = Event.make(_NOWHERE, 1, ZERO, NO_PREV, body)
    trouble = unreadable(draft, Content(kind, payload))
    if trouble:
        raise InputError(trouble.removeprefix(f"{kind}: "))
    return kind, payload
