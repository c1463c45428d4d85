"""One codec for everything: bounded reads, varints, deterministic CBOR for bodies.

docs/protocol.md §1 is normative. Every read checks its bound before it allocates.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from math import isfinite
from types import NoneType
from typing import Any, NoReturn, cast

import cbor2

from meshlog.errors import InputError, MalformedError

DEPTH_MAX = 16
"""Nesting of a body; forms and answers are flat, so this is generous."""

VARINT_MAX = 2**63 - 1
"""Largest varint; fits SQLite's signed 64-bit integer."""

VARINT_BYTE_MAX = 0x7F
"""Largest varint of one byte, which is that byte."""

_VARINT_BYTES_MAX = 9
_PIECE_SIZE = 16_384
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def varint(value: int) -> bytes:
    """Return ``value`` (0 … 2**63-1) as LEB128, 1 to 9 bytes.

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    if not 0 <= value <= VARINT_MAX:
        raise InputError(f"varint out of range: {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int, limit: int = VARINT_MAX) -> tuple[int, int]:
    """Return the varint at a place in hostile bytes, and the place behind it.

    Args:
        data: What it stands in.
        at: Where it begins, at most the end.
        limit: The most that it may be.

    Raises:
        MalformedError: Cut short, past its limit, or not the shortest form.
    """
    value = shift = 0
    for byte in data[at : at + _VARINT_BYTES_MAX]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            if byte == 0 and shift:
                raise MalformedError("varint not shortest")
            if value > limit:
                raise MalformedError("number past its limit")
            return value, at
        shift += 7
    is_whole = shift == 7 * _VARINT_BYTES_MAX
    raise MalformedError("varint too long" if is_whole else "truncated")


_IS_LITTLE_ENDIAN = array("i", bytes((1, 0, 0, 0)))[0] == 1


def numbers_of(data: bytes) -> array[int]:
    """Return the 32-bit numbers, signed and big-endian, that ``data`` is made of."""
    numbers = array("i", data)
    if _IS_LITTLE_ENDIAN:
        numbers.byteswap()
    return numbers


class Reader:
    """Cursor over hostile bytes; every method raises MalformedError past the end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        """Read ``data`` from its first byte."""
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._at

    def skip(self, size_bytes: int) -> None:
        """Step over ``size_bytes`` bytes without a copy."""
        if size_bytes > self.left:
            raise MalformedError("truncated")
        self._at += size_bytes

    def take(self, size_bytes: int) -> bytes:
        """Return the next ``size_bytes`` bytes."""
        if size_bytes > self.left:
            raise MalformedError("truncated")
        start = self._at
        self._at += size_bytes
        return self._data[start : self._at]

    def uint(self, size_bytes: int) -> int:
        """Return a big-endian unsigned integer of ``size_bytes`` bytes."""
        return int.from_bytes(self.take(size_bytes), "big")

    def varint(self, limit: int = VARINT_MAX) -> int:
        """Return a LEB128 integer of at most ``limit``; the shortest form only."""
        value, self._at = read_varint(self._data, self._at, limit)
        return value

    def block(self, limit: int) -> bytes:
        """Return a byte string that its varint length precedes, at most ``limit`` bytes."""
        return self.take(self.varint(limit))

    def end(self) -> None:
        """Check that nothing is left."""
        if self.left:
            raise MalformedError("trailing bytes")


class Inflating(Reader):
    """Cursor over hostile bytes that are deflated (RFC 1951, no header): inflates as it goes.

    In memory are a piece, and what is taken at once.
    """

    __slots__ = ("_gone", "_inflater", "_limit", "_next", "_source")

    def __init__(self, data: bytes, start: int, limit: int) -> None:
        """Read what ``data`` inflates to from ``start`` on: at most ``limit`` bytes."""
        super().__init__(b"")
        self._source, self._next, self._limit = data, start, limit
        self._inflater = zlib.decompressobj(wbits=-15)
        self._gone = 0
        """Inflated bytes that stood before those at hand."""

    @property
    def left(self) -> int:
        """Bytes at hand; 0 at the end alone."""
        self._fill(1)
        return len(self._data) - self._at

    @property
    def position(self) -> int:
        """See ``Reader.position``."""
        return self._gone + self._at

    def skip(self, size_bytes: int) -> None:
        """See ``Reader.skip``."""
        while size_bytes:
            step = min(size_bytes, self.left)
            if not step:
                raise MalformedError("truncated")
            self._at += step
            size_bytes -= step

    def take(self, size_bytes: int) -> bytes:
        """See ``Reader.take``. What is all that is at hand is handed over, not copied."""
        self._fill(size_bytes)
        if self._at or len(self._data) != size_bytes:
            return super().take(size_bytes)
        taken, self._data = self._data, b""
        self._gone += size_bytes
        return taken

    def varint(self, limit: int = VARINT_MAX) -> int:
        """See ``Reader.varint``."""
        self._fill(_VARINT_BYTES_MAX)
        return super().varint(limit)

    def _fill(self, size_bytes: int) -> None:
        """Have so many bytes at hand, or all there are."""
        at_hand = len(self._data) - self._at
        pieces = [self._data[self._at :]]
        while at_hand < size_bytes and not self._is_over:
            room = size_bytes - at_hand if size_bytes > _PIECE_SIZE else _PIECE_SIZE
            pieces.append(self._piece(room))
            at_hand += len(pieces[-1])
        if len(pieces) == 1:
            return
        self._gone += self._at
        self._data, self._at = b"".join(pieces), 0
        is_odd = self._inflater.unused_data or (self._is_over and self._next < len(self._source))
        if is_odd or self._gone + len(self._data) > self._limit:
            raise MalformedError("inflates past its limit")

    @property
    def _is_over(self) -> bool:
        return self._inflater.eof

    def _piece(self, size_bytes_max: int) -> bytes:
        deflated = self._inflater.unconsumed_tail
        if not deflated:
            deflated = self._source[self._next : self._next + _PIECE_SIZE]
            self._next += len(deflated)
        if not deflated:
            raise MalformedError("inflates past its limit")  # or has no end
        try:
            return self._inflater.decompress(deflated, size_bytes_max)
        except zlib.error as error:
            raise MalformedError("not deflated") from error


def block(data: bytes) -> bytes:
    """Return ``data`` with its length as a varint before it."""
    return varint(len(data)) + data


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
    except (
        cbor2.CBORError,
        InputError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise MalformedError("body is not plain CBOR") from error
    return value


def encode_checked(value: object) -> bytes:
    """Return as ``encode_cbor`` does what is made of values that ``decode_cbor`` returned.

    Nothing is looked at again, so it costs a sixth.
    """
    return cbor2.dumps(value, canonical=True)


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
"""Types that a decoder only makes where a body may carry them."""


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
