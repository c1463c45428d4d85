"""The types of a form's fields: which values they take exactly, and how those are coded.

A type turns a value into a whole number (``pack``) where it can give back the very same value
(``unpack``), and codes that number in the light of the last one of its field in the segment.
docs/protocol.md §5 is normative.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import factorial
from typing import ClassVar, TypeAlias

from meshlog.core.coder import UINT_MAX, Coder, Context, prior
from meshlog.core.units import POWERS, SCALE_MAX, from_units, whole_units
from meshlog.core.uuids import dashes, hex_number, uuid_number
from meshlog.errors import MalformedError

Option: TypeAlias = str | int | float | bool

SHARE_MAX = 64
"""Shares are told in sixty-fourths."""

PATTERN = re.compile(r"%[YmdHMS]|[^%A-Za-z0-9]|T|Z", re.ASCII)
_DAY_S = 86_400


class FieldType(ABC):
    """How the values of one field are coded."""

    name: ClassVar[str]

    @abstractmethod
    def pack(self, value: object) -> int | None:
        """Return the number of a value, or None where ``unpack`` would not give it back."""

    @abstractmethod
    def unpack(self, packed: int) -> Option:
        """Return the value of a number that ``code`` returned."""

    @abstractmethod
    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """Code a number in the light of the last one of this field in the segment."""


@dataclass(frozen=True, slots=True)
class Whole(FieldType):
    """A whole number."""

    name: ClassVar[str] = "int"

    def pack(self, value: object) -> int | None:
        """See FieldType.pack."""
        return value if type(value) is int and abs(value) <= UINT_MAX else None

    def unpack(self, packed: int) -> int:
        """See FieldType.unpack."""
        return packed

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code."""
        del last
        return coder.sint(context, packed, typical_bits=3)


@dataclass(frozen=True, slots=True)
class Choice(FieldType):
    """One of some values; how often each was given is known."""

    options: tuple[Option, ...]
    weights: tuple[int, ...]
    _places: Mapping[tuple[type, Option], int] = field(init=False, repr=False, compare=False)

    name: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        places = {(type(option), option): place for place, option in enumerate(self.options)}
        object.__setattr__(self, "_places", places)

    def pack(self, value: object) -> int | None:
        """See FieldType.pack."""
        if type(value) not in (str, int, float, bool):
            return None
        place = self._places.get((type(value), value))  # type: ignore[arg-type]  # just checked
        return None if place is not None and value == 0 and repr(value) == "-0.0" else place

    def unpack(self, packed: int) -> Option:
        """See FieldType.unpack."""
        return self.options[packed]

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code."""
        del last
        return coder.symbol(context, len(self.options), packed, self.weights)


@dataclass(frozen=True, slots=True)
class Choices(FieldType):
    """Any of some texts, each at most once, joined by a separator."""

    separator: str
    options: tuple[str, ...]
    shares: tuple[int, ...]
    """Of 64 values, how many name the option."""
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    name: ClassVar[str] = "choices"

    def __post_init__(self) -> None:
        places = {option: place for place, option in enumerate(self.options)}
        object.__setattr__(self, "_places", places)

    def pack(self, value: object) -> int | None:
        """See FieldType.pack. A set of bits, and above it the number of their order."""
        if type(value) is not str:
            return None
        parts = value.split(self.separator, CHOSEN_MAX)
        places = [self._places.get(part, -1) for part in parts]
        if -1 in places or not 0 < len(set(places)) == len(places) <= CHOSEN_MAX:
            return None
        chosen = sum(1 << place for place in places)
        return _rank(places) << len(self.options) | chosen

    def unpack(self, packed: int) -> str:
        """See FieldType.unpack."""
        places = [place for place in range(len(self.options)) if packed >> place & 1]
        ordered = _unranked(packed >> len(self.options), places)
        return self.separator.join(self.options[place] for place in ordered)

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code. An option in the light of whether the one before it is named."""
        del last
        found = before = count = 0
        for place, share in enumerate(self.shares):
            before = coder.bit((context, place, before), packed >> place & 1, _NAMED[share], 8)
            found |= before << place
            count += before
        if not 0 < count <= CHOSEN_MAX:
            raise MalformedError("nothing chosen, or too much")
        rank = packed >> len(self.options)
        orders = factorial(count)
        if count > 1 and coder.bit((context, "order"), rank > 0, prior(30, 1), 8):
            rank = coder.direct((orders - 1).bit_length(), rank)
            if rank >= orders:
                raise MalformedError("no such order")
            found |= rank << len(self.options)
        return found


_NAMED = tuple(prior(1 + SHARE_MAX - share, 1 + share) for share in range(SHARE_MAX + 1))
CHOSEN_MAX = 16
"""Options that one value may name: their order, one of 16!, is a number of 45 bits."""


def _rank(places: Sequence[int]) -> int:
    """Return the number of an order: 0 for the rising one (Lehmer's code)."""
    rank, left = 0, sorted(places)
    for place in places:
        at = left.index(place)
        rank = rank * len(left) + at
        del left[at]
    return rank


def _unranked(rank: int, places: Sequence[int]) -> list[int]:
    """Return rising places in the order that a number stands for."""
    left, digits = list(places), []
    for size in range(1, len(left) + 1):
        rank, digit = divmod(rank, size)
        digits.append(digit)
    return [left.pop(digit) for digit in reversed(digits)]


@dataclass(frozen=True, slots=True)
class Decimal(FieldType):
    """A float that is a whole number of tenths, hundredths, …, near the others of its field."""

    scales: tuple[int, ...]
    """Digits after the point that occur, most often first."""
    low: int
    high: int
    """The range that was seen, in units of the greatest scale; others need more bytes."""

    name: ClassVar[str] = "decimal"

    def pack(self, value: object) -> int | None:
        """See FieldType.pack. The number of the scale stands behind that of units."""
        if type(value) is not float:
            return None
        finest = max(self.scales)
        for place in sorted(range(len(self.scales)), key=lambda at: self.scales[at]):
            scale = self.scales[place]
            units = whole_units(value, scale)
            if units is not None:
                inside = self.low <= units * POWERS[finest - scale] <= self.high
                return units * len(self.scales) + place if inside else None
        return None

    def unpack(self, packed: int) -> float:
        """See FieldType.unpack."""
        units, place = divmod(packed, len(self.scales))
        return from_units(units, self.scales[place])

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code. The first of a segment by its place in the range, then by steps."""
        count = len(self.scales)
        units, place = divmod(packed, count)
        before = None if last is None else last % count
        place = coder.symbol((context, "scale", before), count, place, _FALLING[:count])
        coarser = POWERS[max(self.scales) - self.scales[place]]
        low, high = -(-self.low // coarser), self.high // coarser
        if low > high:
            raise MalformedError("no such number")
        if last is None:
            bits = (high - low).bit_length()
            units = low + coder.direct(bits, units - low)
        else:
            expected = last // count * POWERS[max(self.scales) - self.scales[last % count]]
            expected = min(max(expected // coarser, low), high)
            units = expected + difference(coder, context, units - expected, self.high - self.low)
        if not low <= units <= high:
            raise MalformedError("number past its limit")
        return units * count + place


_FALLING = tuple(64 >> min(place * 2, 6) for place in range(SCALE_MAX + 1))
"""What a list that begins with the most frequent weighs before anything was seen."""


def difference(coder: Coder, context: Context, value: int, reach: int) -> int:
    """Code a difference of which only the greatest possible size, ``reach``, is known.

    Its length is expected some bits below that of the reach: neighbours in a list are often,
    and not always, neighbours on the ground.
    """
    most = reach.bit_length()
    weights = [1 + max(0, 6 - abs(length - (most - 4)) // 2) for length in range(most + 1)]
    length = coder.symbol((context, "length"), most + 1, abs(value).bit_length(), weights)
    if not length:
        return 0
    size = 1 << length - 1 | coder.direct(length - 1, abs(value) & (1 << length - 1) - 1)
    return -size if coder.direct(1, value < 0) else size


@dataclass(frozen=True, slots=True)
class Truth(FieldType):
    """True or false."""

    name: ClassVar[str] = "bool"

    def pack(self, value: object) -> int | None:
        """See FieldType.pack."""
        return int(value) if type(value) is bool else None

    def unpack(self, packed: int) -> bool:
        """See FieldType.unpack."""
        return bool(packed)

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code."""
        del last
        return coder.bit(context, packed)


@dataclass(frozen=True, slots=True)
class Moment(FieldType):
    """A day, or a second, written after a pattern of %Y %m %d %H %M %S."""

    name: ClassVar[str] = "date"

    pattern: str
    first: int
    """A day that is about where the values lie, counted from 0001-01-01 as day 1."""
    parts: tuple[str, ...]
    is_exact: bool
    """Whether it tells seconds, not days."""
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        regex = "".join(
            f"(?P<{part[1]}>[0-9]{{{4 if part == '%Y' else 2}}})"
            if part[0] == "%"
            else re.escape(part)
            for part in self.parts
        )
        object.__setattr__(self, "_regex", re.compile(regex, re.ASCII))

    def pack(self, value: object) -> int | None:
        """See FieldType.pack."""
        found = self._regex.fullmatch(value) if type(value) is str else None
        if found is None:
            return None
        told = {key: int(part) for key, part in found.groupdict().items()}
        try:
            day = date(told["Y"], told["m"], told["d"]).toordinal()
        except ValueError:
            return None
        if not self.is_exact:
            return day
        hour, minute, second = told.get("H", 0), told.get("M", 0), told.get("S", 0)
        if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - the hours of a day
            return None
        return day * _DAY_S + hour * 3_600 + minute * 60 + second

    def unpack(self, packed: int) -> str:
        """See FieldType.unpack."""
        number, second = divmod(packed, _DAY_S) if self.is_exact else (packed, 0)
        day = date.fromordinal(number)
        told = {
            "%Y": f"{day.year:04}",
            "%m": f"{day.month:02}",
            "%d": f"{day.day:02}",
            "%H": f"{second // 3_600:02}",
            "%M": f"{second // 60 % 60:02}",
            "%S": f"{second % 60:02}",
        }
        return "".join(told.get(part, part) for part in self.parts)

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code. Counted from the last one, the first from ``first``."""
        unit = _DAY_S if self.is_exact else 1
        expected = self.first * unit if last is None else last
        told = coder.sint(
            (context, last is None),
            packed - expected,
            date.max.toordinal() * _DAY_S,
            typical_bits=7 if last is None else 0,
        )
        if not unit <= expected + told < (date.max.toordinal() + 1) * unit:
            raise MalformedError("number past its limit")
        return expected + told


@dataclass(frozen=True, slots=True)
class Unique(FieldType):
    """A UUID, or 32 hex digits in lower case, between fixed texts: 16 bytes nobody can guess."""

    name: ClassVar[str] = "uuid"

    prefix: str
    suffix: str
    dashed: bool

    def pack(self, value: object) -> int | None:
        """See FieldType.pack."""
        if type(value) is not str or not value.startswith(self.prefix):
            return None
        digits = value[len(self.prefix) : len(value) - len(self.suffix)]
        packed = hex_number(digits.replace("-", "") if self.dashed else digits, 32)
        return packed if packed is not None and self.unpack(packed) == value else None

    def unpack(self, packed: int) -> str:
        """See FieldType.unpack."""
        return f"{self.prefix}{dashes(packed) if self.dashed else f'{packed:032x}'}{self.suffix}"

    def code(self, coder: Coder, context: Context, packed: int, last: int | None) -> int:
        """See FieldType.code."""
        del last
        return uuid_number(coder, context, packed)
