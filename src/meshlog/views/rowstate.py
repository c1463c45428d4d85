"""What a row of the live view says, open for change: of plain tuples, so that it costs little."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from meshlog.core.cbor import decode_kept, encode_checked
from meshlog.core.hlc import COUNTER_MAX
from meshlog.errors import MalformedError
from meshlog.ports.records import RecordRow
from meshlog.views.changes import FEED_REF_SIZE

Spot: TypeAlias = tuple[int, bytes, int]
"""Packed stamp, feed (20 bytes, as in a ``Ref``) and seq of an event: sorts as the total order,
but for the twins of a fork."""

NO_SPOT: Spot = (-1, bytes(FEED_REF_SIZE), 0)
"""Before every event."""


@dataclass(slots=True)
class RowState:
    """One record as its row keeps it; see ``views.records.Record`` for what the parts mean."""

    record_id: str
    form: str = ""
    created_by: str = ""
    visible: bool = False
    fields: dict[str, list[tuple[Any, Spot]]] = field(default_factory=dict)
    """Live values, the highest first; in any order of the names."""
    notes: list[tuple[str, Spot]] = field(default_factory=list)
    attachments: list[Sequence[Any]] = field(default_factory=list)
    heads: dict[bytes, list[int]] = field(default_factory=dict)
    """Seqs per feed, rising; several only where the feed forked."""
    last: Spot = NO_SPOT
    named: dict[bytes, int] = field(default_factory=dict)
    """The highest seq that is named of a feed, where nothing in the record is as high."""


def pack(record: RowState) -> RecordRow:
    """Return the row: equal records, equal bytes.

    The state is CBOR: [created_by, feeds joined, [earliest ms, feed, seq, ms after it, counter, …]
    of the origins, [feed, seq, …] of the heads, [field, value, origin, …], [text, origin, …],
    [[attachment], …], last
    origin, [feed, seq, …] of what is named]. Feeds and origins are named by index, because one
    event writes many fields. The lists are flat, so that a value is never nested deeper here
    than in the event that brought it.
    """
    fields, heads, named = record.fields, record.heads, record.named
    spots = {spot for writes in fields.values() for _, spot in writes}
    spots.update(spot for _, spot in record.notes)
    spots.add(record.last)
    origins = {spot: index for index, spot in enumerate(sorted(spots))}
    feeds = {
        feed: index
        for index, feed in enumerate(
            sorted({spot[1] for spot in spots} | heads.keys() | named.keys())
        )
    }
    start_ms = min(origins)[0] >> 16
    flat_origins: list[int] = [start_ms]
    for stamp, feed, seq in origins:
        flat_origins += (feeds[feed], seq, (stamp >> 16) - start_ms, stamp & COUNTER_MAX)
    flat: list[Any] = []
    conflicts = 0
    for name in sorted(fields):
        writes = fields[name]
        for value, spot in writes:
            flat += (name, value, origins[spot])
        if len(writes) > 1:
            conflicts += has_conflict([value for value, _ in writes])
    state = [
        record.created_by,
        b"".join(feeds),
        flat_origins,
        [part for feed in sorted(heads) for seq in heads[feed] for part in (feeds[feed], seq)],
        flat,
        [part for text, spot in record.notes for part in (text, origins[spot])],
        record.attachments,
        origins[record.last],
        [part for feed in sorted(named) for part in (feeds[feed], named[feed])],
    ]
    return RecordRow(
        record.record_id, record.form, record.visible, conflicts, encode_checked(state)
    )


_ALIKE_IF_EQUAL = frozenset({str, int, bool, bytes, type(None)})
"""Types of which two values are encoded alike where they are equal, and no other type's are."""


def has_conflict(values: Sequence[object]) -> bool:
    """Say whether values differ as encoded: 1, 1.0, true and "1" are four."""
    shown, kind = values[0], type(values[0])
    if kind in _ALIKE_IF_EQUAL:
        return values.count(shown) < len(values) or len(set(map(type, values))) > 1
    shown = encode_checked(shown)
    return any(encode_checked(value) != shown for value in values[1:])


def unpack(row: RecordRow, read: Callable[[bytes], Any] = decode_kept) -> RowState:
    """Return what a row says that ``pack`` made.

    Args:
        row: As the store keeps it.
        read: Decodes the state; ``decode_cbor`` where people see what comes out, because a
            damaged row can hold anything.

    Raises:
        MalformedError: The state is not one; ``LiveView.rebuild`` makes it again.
    """
    try:
        (*(created_by, joined, flat_origins, heads, flat, notes, attachments, last, named),) = read(
            row.state
        )
        feeds = [joined[at : at + FEED_REF_SIZE] for at in range(0, len(joined), FEED_REF_SIZE)]
        start_ms, *later = flat_origins
        origins = [
            ((start_ms + ms << 16) + counter, feeds[at], seq)
            for at, seq, ms, counter in _grouped(later, 4)
        ]
        record = RowState(
            row.record_id,
            row.form,
            created_by,
            row.visible,
            notes=[(text, origins[at]) for text, at in _grouped(notes, 2)],
            attachments=[*attachments],
            last=origins[last],
            named={feeds[at]: seq for at, seq in _grouped(named, 2)},
        )
        fields = record.fields
        for name, value, at in _grouped(flat, 3):
            if name in fields:
                fields[name].append((value, origins[at]))
            else:
                fields[name] = [(value, origins[at])]
        for at, seq in _grouped(heads, 2):
            record.heads.setdefault(feeds[at], []).append(seq)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise MalformedError("record row") from error
    return record


def _grouped(flat: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    return zip(*[iter(flat)] * size, strict=True)
