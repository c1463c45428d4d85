"""Deterministic CBOR: what a body carries, encoded in one way only.

docs/protocol.md §1 and §3.2 are normative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import chain, repeat
from math import isfinite
from types import NoneType
from typing import Any, NoReturn, cast

import cbor2

from meshlog.errors import InputError, MalformedError

DEPTH_MAX = 16
"""Nesting of a body; forms and answers are flat, so this is generous."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def _no_tag(*_: object) -> NoReturn:
    raise MalformedError("tag in body")


_KNOWN_TAGS = (
    *range(6),
    25,
    28,
    29,
    30,
    35,
    36,
    37,
    52,
    54,
    100,
    256,
    258,
    260,
    261,
    1004,
    43000,
    55799,
)
_REFUSE_TAGS: Mapping[int, Any] = dict.fromkeys(_KNOWN_TAGS, _no_tag)

FrozenMap = cbor2.frozendict
"""The type of an immutable map that ``decode_cbor`` returns."""


def encode_cbor(value: object) -> bytes:
    """Return ``value`` as deterministic CBOR (RFC 8949 §4.2.1).

    Args:
        value: None, bool, int of 64 bits, finite float, str, bytes, and lists, tuples and
            mappings of such with text keys, nested at most 16 deep.

    Raises:
        InputError: A value outside that set; the message names it.
    """
    return cbor2.dumps(plain(value), canonical=True)


_STRICT: Mapping[str, Any] = {
    "tag_hook": _no_tag,
    "semantic_decoders": _REFUSE_TAGS,
    "allow_indefinite": False,
    "allow_duplicate_keys": False,
    "strict_hashable_types": True,  # keys made to collide cost seconds of CPU
}


_REFUSED = (cbor2.CBORError, InputError, ValueError, TypeError, OverflowError, RecursionError)


def decode_cbor(data: bytes, *, is_frozen: bool = True) -> Any:
    """Return the value in ``data``.

    Args:
        data: Any bytes.
        is_frozen: Whether it is deeply immutable (tuples, frozen mappings). Lists and
            dictionaries are read faster.

    Raises:
        MalformedError: Not CBOR, or outside the set that ``encode_cbor`` takes.
    """
    try:
        stream = BytesIO(data)
        decoder = cbor2.CBORDecoder(stream, max_depth=DEPTH_MAX + 1, **_STRICT)
        value = decoder.decode(immutable=is_frozen)
        if stream.tell() != len(data):
            raise MalformedError("trailing bytes")
        _check(value)
    except MalformedError:
        raise
    except _REFUSED as error:
        raise MalformedError("body is not plain CBOR") from error
    return value


_MARK = b"meshlog\xff"
_END = b"\x48" + _MARK
"""A byte string in CBOR, of eight bytes that no text holds."""

_ARRAY, _DEPTH_OF_ALL = b"\x9a", DEPTH_MAX + 2


def decode_all(items: Sequence[bytes]) -> list[Any] | None:
    """Return what ``decode_cbor`` returns of each, not frozen, where it is certain to return all.

    None where one may have to be refused: then each has to be decoded by itself. All are decoded
    as one list, a mark after each: a third of the cost.
    """
    joined = _END.join((*items, b""))
    count = len(items)
    # every mark that is read takes one of the places where its bytes stand, and the byte before
    # them is a head of one byte: so where there are no more places than marks, each stands
    # where it was put, and what is between two of them is one item, whole
    if joined.count(_MARK) != count or count >= 1 << 31:
        return None
    head = _ARRAY + (2 * count).to_bytes(4, "big")
    try:
        values = cbor2.loads(head + joined, max_depth=_DEPTH_OF_ALL, **_STRICT)
        if values[1::2] != [_MARK] * count:
            return None
        del values[1::2]
        _check_all(values)
    except (*_REFUSED, MalformedError):
        return None
    return cast("list[Any]", values)


def encode_checked(value: object) -> bytes:
    """Return as ``encode_cbor`` does what is made of values that ``decode_cbor`` returned.

    Nothing is looked at again, so it costs a sixth.
    """
    return cbor2.dumps(value, canonical=True)


def encode_in_order(value: object) -> bytes:
    """Return ``value`` as CBOR, the keys of its maps in the order in which they stand.

    For what a store keeps; a body has one order only. Nothing is looked at: see ``encode_cbor``
    for what may be in it.
    """
    return cbor2.dumps(value)


def encode_flat(items: Sequence[tuple[str, object]]) -> list[bytes]:
    """Return ``encode_cbor`` of each pair of a short text and a map.

    Empty for one at which a closer look has to say whether it can be carried, or how. Nearly all
    bodies are dictionaries with little nesting, and those that are written together have the same
    keys: so they are encoded by columns.
    """
    if len(items) == 1:
        return [_encode_one(*items[0])]
    alike: dict[tuple[str, ...], list[int]] = {}
    for at, (kind, value) in enumerate(items):
        if type(value) is dict and type(kind) is str:
            alike.setdefault((kind, *value), []).append(at)
    found = [b""] * len(items)
    for (kind, *names), places in alike.items():
        if 0 < len(kind) <= _KIND_LENGTH:
            made = _encode_alike(kind, tuple(names), [items[at][1] for at in places])
            for at, body in zip(places, made, strict=False):
                found[at] = body
    return found


_KIND_LENGTH = 16
"""Characters of a short text: at most 64 bytes."""


def _encode_one(kind: str, said: object) -> bytes:
    if type(said) is not dict or type(kind) is not str or not 0 < len(kind) <= _KIND_LENGTH:
        return b""
    said = _in_order(said, _FLAT_DEPTH + 1)
    try:
        return b"" if said is _ODD else _head_of(kind) + cbor2.dumps(said)
    except UnicodeEncodeError:  # a lone surrogate
        return b""


def _encode_alike(kind: str, names: tuple[str, ...], maps: list[Any]) -> list[bytes]:
    """Return the encoding of each pair of a text and a map with these keys; none if one is odd.

    What is in the maps is encoded in one go, as one list, a mark after each: so nothing has to
    be sorted, which takes most of the encoder's time.
    """
    order = _order_of(names) if len(names) <= _SHAPE_KEYS_MAX else _by_encoding(names)
    if order is None:
        return []
    columns: list[Iterable[object]] = []
    for name in order:
        column = [said[name] for said in maps]
        if not _HARMLESS.issuperset(map(type, column)):
            column = [value if type(value) in _HARMLESS else _in_order(value) for value in column]
            if _ODD in column:
                return []
        columns += repeat(name), column
    told = list(chain.from_iterable(zip(*columns, [_MARK] * len(maps), strict=False)))
    try:
        head, coded = _head_of(kind) + _map_head(len(order)), cbor2.dumps(told)
    except UnicodeEncodeError:  # a lone surrogate
        return []
    bodies = coded[_head_size(len(told)) :].split(_END)
    if len(bodies) != len(maps) + 1:  # one holds what looks like a mark
        return []
    del bodies[-1]
    return [head + body for body in bodies]


@lru_cache(maxsize=64)
def _head_of(kind: str) -> bytes:
    """Return how a pair of this text and something begins."""
    return cbor2.dumps([kind, None])[:-1]


def _map_head(length: int) -> bytes:
    """Return the head of a map: that of a list, and one bit (RFC 8949 §3)."""
    first, *rest = cbor2.dumps([None] * length)[: _head_size(length)]
    return bytes((first | 0x20, *rest))


def _head_size(length: int) -> int:
    """Return the bytes of the head of a list (RFC 8949 §3)."""
    return 1 + (length > 23) + (length > 0xFF) + 2 * (length > 0xFFFF)  # noqa: PLR2004


_ODD: Any = object()

_FLAT_DEPTH = 3
"""Nesting below the map of a body: what a write of many fields replaces."""


def _in_order(value: Any, depth: int = _FLAT_DEPTH) -> Any:
    """Return a value, or a copy whose keys stand as they are encoded; ``_ODD`` for what is odd."""
    kind = type(value)
    if kind in _HARMLESS or (kind is int and _INT_MIN <= value <= _INT_MAX):
        return value
    if kind is float and len(cbor2.dumps(value, canonical=True)) == _LONG_FLOAT_SIZE:
        return value  # finite, and as long as it is written uncanonically
    if depth and (kind is list or kind is tuple):
        made = [_in_order(item, depth - 1) for item in value]
        return _ODD if _ODD in made else made
    if depth and kind is dict:
        names = tuple(value)
        order = _order_of(names) if len(names) <= _SHAPE_KEYS_MAX else _by_encoding(names)
        if order is not None:
            said = {name: _in_order(value[name], depth - 1) for name in order}
            return _ODD if _ODD in said.values() else said
    return _ODD


_SHAPE_KEYS_MAX = 64
"""Keys of a map whose order is remembered. A choice: forms have fewer."""

_LONG_FLOAT_SIZE = 9


def _by_encoding(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return keys in the order of their encodings; None where one has none, or is no plain text."""
    if not all(type(name) is str for name in names):
        return None
    try:
        coded = {name: name.encode() for name in names}
    except UnicodeEncodeError:
        return None
    return tuple(sorted(names, key=lambda name: (len(coded[name]), coded[name])))


_order_of = lru_cache(maxsize=64)(_by_encoding)
"""Of small maps: what is written one after the other mostly has the same keys."""


def decode_kept(data: bytes) -> Any:
    """Return the value in what ``encode_checked`` made and a store kept; lists, not tuples.

    Raises:
        MalformedError: The bytes are damaged; not every damage is found.
    """
    try:
        return cbor2.loads(data, tag_hook=_no_tag, semantic_decoders=_REFUSE_TAGS)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedError("not plain CBOR") from error


def plain(value: Any, depth: int = 0) -> Any:
    """Return a mutable copy made of dict, list and scalars, no subclasses of them.

    Raises:
        InputError: A type, a number or a depth that a body cannot carry.
    """
    kind: object = type(value)
    if kind in _AS_THEY_ARE or (kind is str and value.isascii()):
        return value
    kind = _kind_of(type(value))  # type: ignore[arg-type] # a type is hashable
    if kind is Mapping or kind is list or kind is tuple:
        if depth >= DEPTH_MAX:
            raise InputError(f"nested deeper than {DEPTH_MAX}")
        if kind is Mapping:
            return {_key(key): plain(item, depth + 1) for key, item in value.items()}
        return [plain(item, depth + 1) for item in value]
    if kind is str:
        return _text(value)
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise InputError("integer past 64 bits")
        return int.__int__(value)
    if kind is float:
        if not isfinite(value):
            raise InputError("number is not finite")
        return float.__float__(value)
    if kind is bytes:
        return bytes.__bytes__(value)
    raise InputError(f"a body cannot carry {type(value).__name__}")


_AS_THEY_ARE = frozenset({bool, NoneType, bytes})


@lru_cache(maxsize=256)
def _kind_of(type_: type) -> type | None:
    """Return which of the types that a body carries one is, or derives from."""
    return next((kind for kind in _KINDS if issubclass(type_, kind)), None)


_KINDS = (NoneType, bool, str, int, float, bytes, Mapping, list, tuple)


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError("text holds a lone surrogate") from None
    return value if type(value) is str else str.__str__(value)


def _key(value: object) -> str:
    if type(value) is str and value.isascii():
        return value
    if not isinstance(value, str):
        raise InputError("a key is not text")
    return _text(value)


_HARMLESS = frozenset({str, bytes, bool, type(None)})
"""Types that a decoder only makes where a body may carry them; encoded in one way only."""


def _check(value: object, depth: int = 0) -> None:
    """Raise InputError where a *decoded* value is outside what a body carries; copies nothing."""
    kind = type(value)
    items: Iterable[object]
    if (kind is tuple or kind is list) and depth < DEPTH_MAX:
        items = cast("tuple[object, ...]", value)
    elif (kind is FrozenMap or kind is dict) and depth < DEPTH_MAX:
        for key in cast("Mapping[object, object]", value):
            if type(key) is not str:
                raise InputError("a key is not text")
        items = cast("Mapping[object, object]", value).values()
    else:
        plain(value, depth)
        return
    for item in items:
        kind = type(item)  # what is mostly there is judged here: a call costs more than all of it
        if kind in _HARMLESS or (kind is int and _INT_MIN <= cast("int", item) <= _INT_MAX):
            continue
        _check(item, depth + 1)


_FLAT = _HARMLESS | {int}


def _check_all(values: list[Any], depth: int = 0) -> None:
    """Raise InputError where one of these *decoded* values, not frozen, is not for a body.

    Level by level, all values of one at once.
    """
    while True:
        kinds = set(map(type, values))
        if int in kinds:
            numbers = [value for value in values if type(value) is int]
            if min(numbers) < _INT_MIN or max(numbers) > _INT_MAX:
                raise InputError("integer past 64 bits")
        if kinds <= _FLAT:
            return
        if not kinds <= _FLAT | {float, list, dict}:
            raise InputError("not what a body can carry")
        if not all(isfinite(value) for value in values if type(value) is float):
            raise InputError("number is not finite")
        lists = [value for value in values if type(value) is list]
        maps = [value for value in values if type(value) is dict]
        if depth >= DEPTH_MAX and (lists or maps):
            raise InputError(f"nested deeper than {DEPTH_MAX}")
        if not set(map(type, chain.from_iterable(maps))) <= {str}:
            raise InputError("a key is not text")
        values = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, maps))]
        depth += 1
