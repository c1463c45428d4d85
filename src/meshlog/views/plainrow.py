"""The rows of records that plain writes of single fields alone touch, made from bytes.

Most records are such: nothing in them names what its author saw, and all is live but what its own
feed wrote again. A value is then in the row as it is in the body, so neither is decoded; and what
is done is done for many records together, in columns. What comes out is what ``fold_state`` and
``pack`` make, at a tenth of the cost; wherever that is not certain nothing comes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import chain, compress, count, pairwise, repeat
from operator import sub
from typing import NamedTuple

from meshlog.core.cbor import decode_cbor, encode_checked
from meshlog.core.hlc import COUNTER_MAX
from meshlog.errors import MalformedError
from meshlog.ports.records import RecordRow
from meshlog.views.lot import Came

_BEGINNING = b"\x82\x69field.set\xa3\x65field"
_VALUE, _RECORD = b"\x65value", b"\x69record_id"
"""A body: kind, and three keys in their order (docs/protocol.md §3.2)."""

_NAME_LENGTH_MAX = 64
"""Characters of a record's name that are never too many bytes; see ``changes.TEXT_SIZE_MAX``."""

_KNOWN_MAX, _KNOWN_SIZE_MAX = 4_096, 64
"""Starts or values that are remembered, and bytes of each at most. A choice."""

_NUMBERS = [encode_checked(number) for number in range(256)]
"""As many live values a record has at most: where there are more, it is folded."""

_NOT_CREATED, _NO_NOTES_NO_ATTACHMENTS, _NOTHING_NAMED = b"\x89\x60", b"\x80\x80", b"\x80"
"""What a state begins with, a list of nine whose first is who created the record, and empty lists:
see ``rowstate.pack``."""


class _Columns(NamedTuple):
    """Writes by record, the lowest first."""

    records: Sequence[int]
    """Index of the record of each, rising."""
    stamps: Sequence[int]
    feeds: Sequence[bytes]
    seqs: Sequence[int]
    starts: Sequence[bytes]
    """The body up to its value."""
    values: Sequence[bytes]

    def of(self, places: Sequence[int]) -> _Columns:
        """Return those at some places."""
        return _Columns._make(list(map(column.__getitem__, places)) for column in self)

    def without(self, some: AbstractSet[int]) -> _Columns:
        """Return those of other records."""
        return self.of([at for at, record in enumerate(self.records) if record not in some])

    def live(self) -> _Columns:
        """Return those that their own feed did not write again."""
        keys = zip(self.records, self.feeds, self.starts, strict=True)
        return self.of(sorted(dict(zip(keys, count(), strict=False)).values()))

    def spans(self) -> list[tuple[int, int]]:
        """Return where the writes of each record begin and end."""
        size = len(self.records)
        firsts = compress(range(1, size), map(sub, self.records[1:], self.records))
        return list(pairwise((0, *firsts, size)))


def plain_rows(
    some: Sequence[tuple[str, Came]], forked: AbstractSet[bytes]
) -> list[RecordRow | None]:
    """Return the row of each of some records; None where it has to be folded.

    Args:
        some: Their ids, not empty, and all that touches each; of one lot.
        forked: Feeds with several branches, as a ``Ref`` names them.
    """
    rows: list[RecordRow | None] = [None] * len(some)
    written = _read(some, forked)
    live = written.live()
    crowded = {at for at, values in Counter(live.records).items() if values > len(_NUMBERS)}
    if crowded:
        written, live = written.without(crowded), live.without(crowded)
    if live.records:
        for at, conflicts, state in _made(written, live):
            rows[at] = RecordRow(some[at][0], "", visible=True, conflicts=conflicts, state=state)
    return rows


def _read(some: Sequence[tuple[str, Came]], forked: AbstractSet[bytes]) -> _Columns:
    """Return the writes of the records that are plain."""
    fit = [
        at
        for at, (record_id, came) in enumerate(some)
        if len(record_id) <= _NAME_LENGTH_MAX and came.all_count
    ]
    said = list(chain.from_iterable([sorted(some[at][1].said) for at in fit]))
    if not said:
        return _Columns((), (), (), (), (), ())
    sizes = [len(some[at][1]) for at in fit]
    records = list(chain.from_iterable(map(repeat, fit, sizes)))
    ends = [_RECORD + encode_checked(some[at][0]) for at in fit]
    after = list(chain.from_iterable(map(repeat, ends, sizes)))
    stamps, feeds, seqs, bodies = zip(*said, strict=True)
    before = list(map(bytes.removesuffix, bodies, after))
    starts, _, values = zip(*map(bytes.partition, before, repeat(_VALUE)), strict=True)
    odd = _with(records, starts, _STARTS.strangers(starts))
    odd |= _with(records, values, _VALUES.strangers(values))
    odd |= _with(records, feeds, (some[0][1].disordered | forked) & set(feeds))
    if sum(map(len, bodies)) - sum(map(len, before)) != sum(map(len, after)):
        shorter = map(sub, map(len, bodies), map(len, before))
        odd.update(compress(records, map(sub, shorter, map(len, after))))
    found = _Columns(records, stamps, feeds, seqs, starts, values)
    return found.without(odd) if odd else found


def _with(records: Sequence[int], column: Sequence[bytes], some: AbstractSet[bytes]) -> set[int]:
    """Return the records that have any of some values in a column."""
    return set(compress(records, map(some.__contains__, column))) if some else set()


def _made(written: _Columns, live: _Columns) -> Iterator[tuple[int, int, bytes]]:
    """Yield each record, its fields in conflict and its state: see ``rowstate.pack``.

    Args:
        written: All writes.
        live: Those that are.
    """
    spans = live.spans()
    feeds: list[bytes] = []
    numbers: list[bytes] = []
    starts_ms: list[int] = []
    indices: list[bytes] = []
    tips: list[bytes] = []
    tip_seqs: list[int] = []
    tip_ends = [0]
    for (at, end), (first, until) in zip(spans, written.spans(), strict=True):
        latest = dict(zip(written.feeds[first:until], written.seqs[first:until], strict=True))
        index = dict(zip(sorted(latest), _NUMBERS, strict=False))
        feeds.append(b"".join(index))
        tips += index.values()
        tip_seqs += map(latest.__getitem__, index)
        tip_ends.append(len(tips))
        indices += map(index.__getitem__, live.feeds[at:end])
        numbers += _NUMBERS[: end - at]
        starts_ms += [live.stamps[at] >> 16] * (end - at)
    ms = map(sub, [stamp >> 16 for stamp in live.stamps], starts_ms)
    counters = [stamp & COUNTER_MAX for stamp in live.stamps]
    origins = _woven(indices, _encoded(live.seqs), _encoded(ms), _encoded(counters))
    heads = _woven(tips, _encoded(tip_seqs))
    fields, conflicts = _fields(live, spans, numbers)
    starts = _encoded([live.stamps[at] >> 16 for at, _ in spans])
    for row, (at, end) in enumerate(spans):
        state = (
            _NOT_CREATED,
            _encoded_feeds(feeds[row]),
            _list_head(1 + 4 * (end - at)),
            starts[row],
            *origins[4 * at : 4 * end],
            _list_head(2 * (tip_ends[row + 1] - tip_ends[row])),
            *heads[2 * tip_ends[row] : 2 * tip_ends[row + 1]],
            _list_head(3 * (end - at)),
            *fields[3 * at : 3 * end],
            _NO_NOTES_NO_ATTACHMENTS,
            _NUMBERS[end - at - 1],
            _NOTHING_NAMED,
        )
        yield live.records[at], conflicts[row], b"".join(state)


def _fields(
    live: _Columns, spans: Sequence[tuple[int, int]], numbers: Sequence[bytes]
) -> tuple[list[bytes], Counter[int]]:
    """Return name, value and number of each value, and of each row how many are in conflict.

    They are as they stand in rows: by record, by name, the highest first.
    """
    size = len(numbers)
    name_of = {start: start[len(_BEGINNING) :] for start in set(live.starts)}
    rank = {start: at for at, start in enumerate(sorted(name_of, key=_text))}
    width = len(rank)
    places = chain.from_iterable(
        [repeat(row * width, end - at) for row, (at, end) in enumerate(spans)]
    )
    columns = zip(places, live.starts, range(size - 1, -1, -1), strict=True)
    shown = sorted([(place + rank[start]) * size + left for place, start, left in columns])
    order = [size - 1 - key % size for key in shown]
    names = [name_of[live.starts[at]] for at in order]
    values = list(map(live.values.__getitem__, order))
    conflicts = _conflicts([key // size for key in shown], values, width)
    return _woven(names, values, map(numbers.__getitem__, order)), conflicts


def _conflicts(groups: Sequence[int], values: Sequence[bytes], width: int) -> Counter[int]:
    """Return of each row how many fields have several values.

    Args:
        groups: Of each value its row, times ``width``, and its field; rising.
        values: As many.
        width: How many fields there are in all.
    """
    adjacent = zip(groups, groups[1:], values, values[1:], strict=False)
    several = {group for group, next_, value, other in adjacent
               if group == next_ and value != other}  # fmt: skip
    return Counter([group // width for group in several])


def _woven(*columns: Iterable[bytes]) -> list[bytes]:
    """Return the first of each column, then the second of each, and so on."""
    return list(chain.from_iterable(zip(*columns, strict=True)))


def _encoded(numbers: Iterable[int]) -> list[bytes]:
    """Return numbers in CBOR (RFC 8949 §3.1), which are not negative."""
    return [
        _NUMBERS[number]
        if number < len(_NUMBERS)
        else (0x19 << 16 | number).to_bytes(3, "big")
        if number < 1 << 16
        else (0x1A << 32 | number).to_bytes(5, "big")
        if number < 1 << 32
        else encode_checked(number)
        for number in numbers
    ]


@lru_cache(maxsize=1024)
def _encoded_feeds(joined: bytes) -> bytes:
    return encode_checked(joined)


@lru_cache(maxsize=1024)
def _list_head(size: int) -> bytes:
    """Return the head of a list in CBOR: as that of a number, of major type 4."""
    head = encode_checked(size)
    return bytes((head[0] | 0x80,)) + head[1:]


def _text(start: bytes) -> bytes:
    return start[len(_BEGINNING) + 1 :]


class _Known:
    """Starts or values that were looked at: what forms write repeats itself."""

    def __init__(self, is_one: Callable[[bytes], bool]) -> None:
        self._is_one = is_one
        self._known: set[bytes] = set()

    def strangers(self, some: Iterable[bytes]) -> set[bytes]:
        """Return those of some that are not what is looked for."""
        new = set(some) - self._known
        strange = {item for item in new if not self._is_one(item)}
        self._known.update(item for item in new - strange if len(item) <= _KNOWN_SIZE_MAX)
        if len(self._known) > _KNOWN_MAX:
            self._known.clear()
        return strange


def _is_start(start: bytes) -> bool:
    """Say whether bytes begin a body that sets a field, whose name is a short text, not empty."""
    name = start[len(_BEGINNING) :]
    return start.startswith(_BEGINNING) and name[:1] in _SHORT_TEXTS and _is_scalar(name)


def _is_scalar(value: bytes) -> bool:
    """Say whether bytes are a scalar as a body carries it, encoded as ``encode_checked`` does."""
    try:
        made = decode_cbor(value)
    except MalformedError:
        return False
    return type(made) in _SCALARS and encode_checked(made) == value


_SHORT_TEXTS = frozenset(bytes((0x60 + size,)) for size in range(1, 24))
"""Heads of texts whose size is in the head (RFC 8949 §3.1), not empty."""

_SCALARS = (str, int, float, bool, bytes, type(None))
_STARTS, _VALUES = _Known(_is_start), _Known(_is_scalar)
