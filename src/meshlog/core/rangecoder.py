"""The range coder: bits, each with its probability, to bytes and back. See ``core.coder``.

Whole numbers of at most 48 bits throughout: the same bytes on every platform.

Source: Martin, Range encoding, 1979; carries as in LZMA.
"""

from __future__ import annotations

from meshlog.core.coder import ONE, RATES, STEPS, Coder, Model
from meshlog.errors import MalformedError

WORK_FREE = 16_384
WORK_PER_BYTE = 64
"""Adaptive bits that a message may hold, and that many more for each of its bytes: each costs a
reader about a microsecond, and what is always the same costs the sender next to nothing."""

_TOP = 1 << 24
_WORD = 1 << 32
_REGISTER_BYTES = 4
_BYTE_MAX = 0xFF


class Writer(Coder):
    """Collects a message; ``finish`` returns it."""

    __slots__ = ("_low", "_out", "_range")

    def __init__(self) -> None:
        """Begin with nothing written."""
        super().__init__()
        self._low = 0
        self._range = _WORD - 1
        self._out = bytearray()

    @property
    def is_writing(self) -> bool:
        """See Coder.is_writing."""
        return True

    @property
    def size_bytes(self) -> int:
        """How long ``finish`` would be now, or up to three bytes more."""
        return len(self._out) + _REGISTER_BYTES

    def _code(self, model: Model, value: int) -> int:
        p, seen = model
        bound = (self._range >> 16) * p
        if value:
            self._low += bound
            self._range -= bound
            model[0] = p - (p * RATES[seen] >> 16)
        else:
            self._range = bound
            model[0] = p + ((ONE - p) * RATES[seen] >> 16)
        if seen < STEPS:
            model[1] = seen + 1
        while self._range < _TOP:
            self._shift()
        return 1 if value else 0

    def _chunk(self, bits: int, value: int) -> int:
        self._range >>= bits
        self._low += self._range * value
        while self._range < _TOP:
            self._shift()
        return value

    def _shift(self) -> None:
        low = self._low
        if low >= _WORD:
            _carry(self._out)
            low -= _WORD
        self._out.append(low >> 24)
        self._low = (low << 8) & (_WORD - 1)
        self._range <<= 8

    def finish(self) -> bytes:
        """Return the message: the fewest bytes that say it, zeros behind them left out."""
        size, value = _REGISTER_BYTES, self._low
        for fewer in range(_REGISTER_BYTES - 1, -1, -1):
            unit = 1 << 8 * (_REGISTER_BYTES - fewer)
            rounded = -(-self._low // unit) * unit
            if rounded < self._low + self._range:
                size, value = fewer, rounded
        out = bytearray(self._out)
        if value >= _WORD:
            _carry(out)
        return bytes(out) + (value & _WORD - 1).to_bytes(_REGISTER_BYTES, "big")[:size]


def _carry(out: bytearray) -> None:
    """Add one to the number that ``out`` is; it is below one, so the carry ends in it."""
    place = len(out) - 1
    while out[place] == _BYTE_MAX:
        out[place] = 0
        place -= 1
    out[place] += 1


class ReaderCoder(Coder):
    """Reads a message; what is past its end is zeros, but only as far as a writer leaves out."""

    __slots__ = ("_at", "_code_word", "_data", "_range", "_work_left")

    def __init__(self, data: bytes, work_free: int = WORK_FREE) -> None:
        """Read ``data``, hostile, from its first byte.

        Args:
            data: The message.
            work_free: Adaptive bits that may be read beside ``WORK_PER_BYTE`` for each byte.
        """
        super().__init__()
        self._work_left = work_free + WORK_PER_BYTE * len(data)
        self._data = data
        self._range = _WORD - 1
        self._code_word = int.from_bytes(data[:_REGISTER_BYTES] + bytes(_REGISTER_BYTES)) >> (
            8 * min(len(data), _REGISTER_BYTES)
        )
        self._at = _REGISTER_BYTES

    @property
    def is_writing(self) -> bool:
        """See Coder.is_writing."""
        return False

    def _code(self, model: Model, value: int) -> int:  # noqa: ARG002 - a reader is told nothing
        self._work_left -= 1
        if self._work_left < 0:
            raise MalformedError("expands past its limit")
        p, seen = model
        bound = (self._range >> 16) * p
        if self._code_word >= bound:
            found = 1
            self._code_word -= bound
            self._range -= bound
            model[0] = p - (p * RATES[seen] >> 16)
        else:
            found = 0
            self._range = bound
            model[0] = p + ((ONE - p) * RATES[seen] >> 16)
        if seen < STEPS:
            model[1] = seen + 1
        while self._range < _TOP:
            self._shift()
        return found

    def _chunk(self, bits: int, value: int) -> int:  # noqa: ARG002 - as above
        self._range >>= bits
        found = self._code_word // self._range
        if found >> bits:
            raise MalformedError("no such number")
        self._code_word -= found * self._range
        while self._range < _TOP:
            self._shift()
        return found

    def _shift(self) -> None:
        at = self._at
        if at < len(self._data):
            byte = self._data[at]
        elif at < len(self._data) + _REGISTER_BYTES:
            byte = 0
        else:
            raise MalformedError("truncated")
        self._at = at + 1
        self._code_word = self._code_word << 8 | byte
        self._range <<= 8

    def end(self) -> None:
        """Check that nothing is left."""
        if self._at < len(self._data):
            raise MalformedError("trailing bytes")
