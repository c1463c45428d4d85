"""Values as JSON carries them: JSON has no bytes, so they travel as ``{"$b": hex}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshlog.errors import MalformedError

_BYTES, _MAPPING = "$b", "$m"


def to_json(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return a plain value (see ``core.cbor.plain``) in a form that ``from_json`` undoes.

    A mapping whose only key is one of our two marks is wrapped, so that nothing is mistaken.

    Example:
        >>> to_json({"hash": b"ab", "odd": {"$b": 1}})
        {'hash': {'$b': '6162'}, 'odd': {'$m': {'$b': 1}}}
    """
    if isinstance(value, bytes):
        return {_BYTES: value.hex()}
    if isinstance(value, Mapping):
        copy = {key: to_json(item) for key, item in value.items()}
        return {_MAPPING: copy} if copy.keys() in ({_BYTES}, {_MAPPING}) else copy
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(value: object) -> Any:  # noqa: ANN401 - see to_json
    """Return the value that ``to_json`` wrote.

    Raises:
        MalformedError: A mark with something else behind it.
        RecursionError: Nested as deep as no event is.

    Example:
        >>> from_json({"hash": {"$b": "6162"}, "odd": {"$m": {"$b": 1}}})
        {'hash': b'ab', 'odd': {'$b': 1}}
    """
    match value:
        case {"$b": marked, **others} if not others:
            return _bytes(marked)
        case {"$m": marked, **others} if not others:
            return _mapping(marked)
        case Mapping():
            return {key: from_json(item) for key, item in value.items()}
        case list() | tuple():
            return [from_json(item) for item in value]
    return value


def _bytes(marked: object) -> bytes:
    try:
        return bytes.fromhex(marked)  # type: ignore[arg-type] # the except is for that
    except (TypeError, ValueError) as error:
        raise MalformedError("bytes are not hex") from error


def _mapping(marked: object) -> dict[str, Any]:
    if not isinstance(marked, Mapping):
        raise MalformedError("a marked mapping is none")
    return {key: from_json(item) for key, item in marked.items()}
