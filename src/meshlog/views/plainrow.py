"""The rows of records that plain writes of single fields alone touch, made from bytes.

Most records are such: nothing in them names what its author saw, and all is live but what its own
feed wrote again. A value is then in the row as it is in the body, so neither is decoded; and what
is done is done for many records together, in columns. What comes out is what ``fold_state`` and
``pack`` make, at a tenth of the cost; wherever that is not certain nothing comes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import chain, compress, count, pairwise, repeat
from operator import sub
from typing import NamedTuple, TypeVar

from meshlog.core.cbor import decode_cbor, encode_checked
from meshlog.core.hlc import COUNTER_MAX
from meshlog.errors import MalformedError
from meshlog.ports.records import RecordRow
from meshlog.views.lot import Came

T = TypeVar("T")

_BEGINNING = b"\x82\x69field.set\xa3\x65field"
_VALUE, _RECORD = b"\x65value", b"\x69record_id"
"""A body: kind, and three keys in their order (docs/protocol.md §3.2)."""

_NAME_LENGTH_MAX = 64
"""Characters of a record's name that are never too many bytes; see ``changes.TEXT_SIZE_MAX``."""

_KNOWN_MAX, _KNOWN_SIZE_MAX = 8_192, 96
"""Starts of bodies that are remembered, and bytes of each at most: some 3 MB. A choice."""

_NO_NAME = b""
_NOT_PLAIN = (_NO_NAME, b"")

_MARK = b"meshlog\xff"
_END = encode_checked(_MARK)
"""Nine bytes of which none is the head of a number in CBOR, and no number has so many after its
head: so between numbers it is found where it was put, and nowhere else."""

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
    names: Sequence[bytes]
    """Of the fields, encoded."""
    values: Sequence[bytes]
    """As rows keep them: after the names."""

    def of(self, places: Sequence[int]) -> _Columns:
        """Return those at some places."""
        return _Columns._make(list(map(column.__getitem__, places)) for column in self)

    def without(self, some: AbstractSet[int]) -> _Columns:
        """Return those of other records."""
        return self.of([at for at, record in enumerate(self.records) if record not in some])

    def live(self) -> _Columns:
        """Return those that their own feed did not write again."""
        keys = zip(self.records, self.feeds, self.names, strict=True)
        return self.of(sorted(dict(zip(keys, count(), strict=False)).values()))


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
    if any(len(came) > len(_NUMBERS) for _, came in some):
        crowded = {at for at, values in Counter(live.records).items() if values > len(_NUMBERS)}
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
    names, values = zip(*map(_SAID.__getitem__, before), strict=True)
    odd = _with(records, feeds, (some[0][1].disordered | forked) & set(feeds))
    if not all(names):
        odd |= _with(records, names, {_NO_NAME})
    if sum(map(len, bodies)) - sum(map(len, before)) != sum(map(len, after)):
        shorter = map(sub, map(len, bodies), map(len, before))
        odd.update(compress(records, map(sub, shorter, map(len, after))))
    found = _Columns(records, stamps, feeds, seqs, names, values)
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
    writes = zip(written.records, written.feeds, strict=True)
    latest = dict(zip(writes, written.seqs, strict=True))  # the last of each is the highest
    tips = sorted(latest)
    tip_spans = _spans([record for record, _ in tips])
    feeds = [feed for _, feed in tips]
    indices = list(chain.from_iterable([range(end - at) for at, end in tip_spans]))
    index_of = dict(zip(tips, indices, strict=True))
    seqs_of = _woven(indices, map(latest.__getitem__, tips))
    heads = _coded([seqs_of[2 * at : 2 * end] for at, end in tip_spans])
    spans = _spans(live.records)
    sizes = [end - at for at, end in spans]
    starts_ms = [live.stamps[at] >> 16 for at, _ in spans]
    spots = _woven(
        map(index_of.__getitem__, zip(live.records, live.feeds, strict=True)),
        live.seqs,
        map(sub, [stamp >> 16 for stamp in live.stamps], _each(starts_ms, sizes)),
        [stamp & COUNTER_MAX for stamp in live.stamps],
    )
    origins = _coded(
        [(ms, *spots[4 * at : 4 * end]) for ms, (at, end) in zip(starts_ms, spans, strict=True)]
    )
    fields, conflicts = _fields(live, sizes)
    for row, ((at, end), (first, until)) in enumerate(zip(spans, tip_spans, strict=True)):
        state = (
            _NOT_CREATED,
            _encoded_feeds(b"".join(feeds[first:until])),
            _list_head(1 + 4 * (end - at)),
            origins[row],
            _list_head(2 * (until - first)),
            heads[row],
            _list_head(3 * (end - at)),
            *fields[2 * at : 2 * end],
            _NO_NOTES_NO_ATTACHMENTS,
            _NUMBERS[end - at - 1],
            _NOTHING_NAMED,
        )
        yield live.records[at], conflicts[row], b"".join(state)


def _fields(live: _Columns, sizes: Sequence[int]) -> tuple[list[bytes], Counter[int]]:
    """Return name and value, and number, of each value, and of each row how many are in conflict.

    They are as they stand in rows: by record, by name, the highest first.
    """
    size = len(live.names)
    rank = {name: at for at, name in enumerate(sorted(set(live.names), key=_text))}
    places = _each(range(0, len(sizes) * len(rank), len(rank)), sizes)
    columns = zip(places, live.names, range(size - 1, -1, -1), strict=True)
    shown = sorted([(place + rank[name]) * size + left for place, name, left in columns])
    order = [size - 1 - key % size for key in shown]
    values = list(map(live.values.__getitem__, order))
    numbers = list(chain.from_iterable([_NUMBERS[:count] for count in sizes]))
    conflicts = _conflicts([key // size for key in shown], values, len(rank))
    return _woven(values, map(numbers.__getitem__, order)), conflicts


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


def _spans(records: Sequence[int]) -> list[tuple[int, int]]:
    """Return where what is of each record begins and ends."""
    size = len(records)
    firsts = compress(range(1, size), map(sub, records[1:], records))
    return list(pairwise((0, *firsts, size)))


def _each(items: Iterable[int], sizes: Iterable[int]) -> Iterator[int]:
    """Yield each of some numbers so many times."""
    return chain.from_iterable(map(repeat, items, sizes))


def _coded(lists: Sequence[Sequence[int]]) -> list[bytes]:
    """Return what is in each of some lists of numbers, encoded; without the lists' heads."""
    marked = list(chain.from_iterable(chain.from_iterable(zip(lists, repeat((_MARK,))))))
    coded = encode_checked(marked).removeprefix(_list_head(len(marked))).split(_END)
    return coded[:-1]


def _woven(*columns: Iterable[T]) -> list[T]:
    """Return the first of each column, then the second of each, and so on."""
    return list(chain.from_iterable(zip(*columns, strict=True)))


@lru_cache(maxsize=1024)
def _encoded_feeds(joined: bytes) -> bytes:
    return encode_checked(joined)


@lru_cache(maxsize=1024)
def _list_head(size: int) -> bytes:
    """Return the head of a list in CBOR: as that of a number, of major type 4."""
    head = encode_checked(size)
    return bytes((head[0] | 0x80,)) + head[1:]


def _text(name: bytes) -> bytes:
    return name[1:]


class _Said(dict[bytes, tuple[bytes, bytes]]):
    """What bodies say up to the record's name: a field's name, and it with the value, as in rows.

    Without a name where they are not plain. What forms write repeats itself: so it is remembered.
    """

    def __missing__(self, before: bytes) -> tuple[bytes, bytes]:
        """Look at the start of a body."""
        start, _, value = before.partition(_VALUE)
        name = start.removeprefix(_BEGINNING)
        is_plain = len(name) < len(start) and _is_name(name) and _is_scalar(value)
        said = (name, name + value) if is_plain else _NOT_PLAIN
        if len(before) <= _KNOWN_SIZE_MAX:
            if len(self) >= _KNOWN_MAX:
                self.clear()
            self[before] = said
        return said


_SAID = _Said()


@lru_cache(maxsize=256)
def _is_name(name: bytes) -> bool:
    """Say whether bytes are a short text, not empty."""
    return name[:1] in _SHORT_TEXTS and _is_scalar(name)


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
