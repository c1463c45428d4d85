"""Reading and writing bytes: varints, and reads that know their bounds.

docs/protocol.md §1 is normative. Every read checks its bound before it allocates.
"""

from __future__ import annotations

import zlib
from array import array

from meshlog.errors import InputError, MalformedError

VARINT_MAX = 2**63 - 1
"""Largest varint; fits SQLite's signed 64-bit integer."""

VARINT_BYTE_MAX = 0x7F
"""Largest varint of one byte, which is that byte."""

_VARINT_BYTES_MAX = 9
_PIECE_SIZE = 16_384


def varint(value: int) -> bytes:
    """Return ``value`` (0 … 2**63-1) as LEB128, 1 to 9 bytes.

    Raises:
        InputError: It is out of that range.

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
