"""The row of a record that plain writes of single fields alone touch, made from bytes.

Most records are such: nothing in them names what its author saw, and all is live but what its own
feed wrote again. A value is then in the row as it is in the body, so neither is decoded. What
comes out is what ``fold_state`` and ``pack`` make, at a fifth of the cost; wherever that is not
certain nothing comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from meshlog.core.cbor import decode_cbor, encode_checked
from meshlog.core.hlc import COUNTER_MAX
from meshlog.errors import MalformedError
from meshlog.ports.records import RecordRow
from meshlog.views.lot import Came

_BEGINNING = b"\x82\x69field.set\xa3\x65field"
_VALUE, _RECORD = b"\x65value", b"\x69record_id"
"""A body: kind, and three keys in their order (docs/protocol.md §3.2)."""

_Write: TypeAlias = tuple[int, bytes, int, bytes, bytes]
"""Stamp, feed, seq, name and value."""

_NAME_LENGTH_MAX = 64
"""Characters of a record's name that are never too many bytes; see ``changes.TEXT_SIZE_MAX``."""

_KNOWN_MAX, _KNOWN_SIZE_MAX = 4_096, 64
"""Names or values that are remembered, and bytes of each at most. A choice."""

_NUMBERS = [encode_checked(number) for number in range(256)]

_NO_NOTES, _NO_ATTACHMENTS, _NOTHING_NAMED = b"\x80", b"\x80", b"\x80"
_LIST_OF_4, _LIST_OF_9 = b"\x84", b"\x89"


def plain_row(record_id: str, came: Came, forked: AbstractSet[bytes]) -> RecordRow | None:
    """Return the row of a record; None where it has to be folded.

    Args:
        record_id: Not empty.
        came: All that touches it.
        forked: Feeds with several branches, as a ``Ref`` names them.
    """
    if len(record_id) > _NAME_LENGTH_MAX or not came.all_count:
        return None
    said = sorted(came.said, reverse=True)
    end = _RECORD + encode_checked(record_id)
    start, stop = len(_BEGINNING), -len(end)
    bodies = [body for _, _, _, body in said]
    if not (min(bodies).startswith(_BEGINNING) and max(bodies).startswith(_BEGINNING)):
        return None  # of bytes in order, what the first and the last begin with all do
    parts = [body[start:stop].partition(_VALUE) for body in bodies if body.endswith(end)]
    if len(parts) < len(bodies) or not _are_known(parts):
        return None
    heads: dict[bytes, int] = {}
    lowest: dict[bytes, int] = {}
    seen: set[tuple[bytes, bytes]] = set()
    live: list[_Write] = []
    for (stamp, feed, seq, _), (name, _, value) in zip(said, parts, strict=True):
        if feed not in lowest:
            heads[feed] = seq
        elif seq >= lowest[feed]:
            return None  # out of order, as a fix can leave it, or a twin
        lowest[feed] = seq
        if (name, feed) not in seen:
            seen.add((name, feed))
            live.append((stamp, feed, seq, name, value))
    if len(live) > len(_NUMBERS) or not forked.isdisjoint(heads):
        return None
    return _packed(record_id, heads, live)


def _packed(record_id: str, heads: dict[bytes, int], live: Sequence[_Write]) -> RecordRow:
    """Return the row in which these writes are live, the highest first; see ``rowstate.pack``."""
    feeds = {feed: index for index, feed in enumerate(sorted(heads))}
    start_ms = live[-1][0] >> 16
    origins: list[int] = []
    shown: dict[bytes, list[bytes]] = {}
    values: set[tuple[bytes, bytes]] = set()
    for (stamp, feed, seq, name, value), number in zip(
        live, _NUMBERS[len(live) - 1 :: -1], strict=True
    ):
        # as it is, backwards: the origins stand in the order of stamps
        origins += (stamp & COUNTER_MAX, (stamp >> 16) - start_ms, seq, feeds[feed])
        if name in shown:
            shown[name].append(value + number)
        else:
            shown[name] = [value + number]
        values.add((name, value))
    flat = [name + name.join(shown[name]) for name in sorted(shown, key=_text)]
    tips = [part for feed, index in feeds.items() for part in (index, heads[feed])]
    state = encode_checked(["", b"".join(feeds), [start_ms, *reversed(origins)], tips])
    assert state[:1] == _LIST_OF_4, "a list of four"
    said = [name for name, _ in values]
    conflicts = len(shown) - [*map(said.count, shown)].count(1)
    columns = (_LIST_OF_9, state[1:], _list_head(3 * len(live)), *flat, _NO_NOTES, _NO_ATTACHMENTS)
    last = _NUMBERS[len(live) - 1]
    return RecordRow(
        record_id,
        "",
        visible=True,
        conflicts=conflicts,
        state=b"".join((*columns, last, _NOTHING_NAMED)),
    )


def _list_head(size: int) -> bytes:
    """Return the head of a list in CBOR: as that of a number, of major type 4."""
    head = encode_checked(size)
    return bytes((head[0] | 0x80,)) + head[1:]


def _text(name: bytes) -> bytes:
    return name[1:]


class _Known:
    """Names and values that were looked at: what forms write repeats itself."""

    def __init__(self, is_one: Callable[[bytes], bool]) -> None:
        self._is_one = is_one
        self._known: set[bytes] = set()

    def are_all(self, some: Sequence[bytes]) -> bool:
        """Say whether all of some are what is looked for."""
        if self._known.issuperset(some):
            return True
        if not all(item in self._known or self._is_one(item) for item in some):
            return False
        self._known.update(item for item in some if len(item) <= _KNOWN_SIZE_MAX)
        if len(self._known) > _KNOWN_MAX:
            self._known.clear()
        return True


def _is_name(name: bytes) -> bool:
    """Say whether bytes are a short text in CBOR, not empty."""
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
_NAMES, _VALUES = _Known(_is_name), _Known(_is_scalar)


def _are_known(parts: Sequence[tuple[bytes, bytes, bytes]]) -> bool:
    names, _, values = zip(*parts, strict=True)
    return _NAMES.are_all(names) and _VALUES.are_all(values)
