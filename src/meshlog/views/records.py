"""A record of the live view: its value, what a local write says that it saw, and its row.

docs/views.md has the rules in plain words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from meshlog.core.codec import decode_cbor, encode_cbor, plain
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import ZERO, Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE
from meshlog.errors import MalformedError
from meshlog.ports import RecordRow
from meshlog.views.changes import FEED_REF_SIZE, REFS_MAX, Attachment, Payload, Ref


class Origin(NamedTuple):
    """Who wrote something, when, and through which feed."""

    author: bytes
    incarnation: int
    seq: int
    stamp: Stamp

    @property
    def ref(self) -> Ref:
        """The name under which a later write says that it saw this one."""
        return Ref(self.author + self.incarnation.to_bytes(4, "big"), self.seq)


class Write(NamedTuple):
    """A live value of a field."""

    value: Any
    """Deeply immutable."""
    origin: Origin


class Note(NamedTuple):
    """A remark; never replaced."""

    text: str
    origin: Origin


class Conflict(NamedTuple):
    """A field with live values that differ: nobody who wrote one had seen the others."""

    record_id: str
    field: str
    writes: tuple[Write, ...]
    """All live ones, equal ones included; the shown one first, then down the order."""

    @property
    def shown(self) -> Write:
        """The write that the view shows."""
        return self.writes[0]

    @property
    def beside(self) -> tuple[Write, ...]:
        """Those that differ from the one shown, highest first; see ``Record.conflicts``."""
        shown = encode_cbor(self.shown.value)
        return tuple(write for write in self.writes[1:] if encode_cbor(write.value) != shown)

    def resolution(self, value: object) -> Payload:
        """Return the payload of the ``field.set`` that settles this conflict.

        It replaces these values and no others: one that came meanwhile stays in conflict. Those
        of the author's own feed are named, too, because a new life may begin before it is written.

        Args:
            value: What the field is from now on; one of the values, or another.
        """
        replaces = tuple(dict.fromkeys(write.origin.ref for write in self.writes))[:REFS_MAX]
        return {
            "record_id": self.record_id,
            "field": self.field,
            "value": value,
            "replaces": replaces,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """One record, as the counted events make it."""

    record_id: str
    form: str
    created_by: str
    fields: Mapping[str, tuple[Write, ...]]
    """Live writes per field, sorted by name; the shown one first, then down the order."""
    notes: tuple[Note, ...]
    """In total order."""
    attachments: tuple[Attachment, ...]
    """Sorted by field and blob hash."""
    heads: tuple[Ref, ...]
    """Last event of each feed (of each branch of it) that touches the record, sorted."""
    visible: bool
    """False where deletes saw everything that is live."""

    @property
    def latest(self) -> Stamp:
        """The greatest stamp of what is shown: whoever has seen it writes after it."""
        writes = (write.origin.stamp for values in self.fields.values() for write in values)
        return max((*writes, *(note.origin.stamp for note in self.notes)), default=ZERO)

    def conflicts(self) -> dict[str, tuple[Write, ...]]:
        """Return the live writes of each field that differ from the one shown, highest first.

        Two authors who wrote the same value agree: values are compared as encoded, so 1,
        1.0, True and "1" are four values.
        """
        return {conflict.field: conflict.beside for conflict in self.disputed()}

    def disputed(self) -> list[Conflict]:
        """Return the fields in conflict, sorted by name."""
        found = (
            Conflict(self.record_id, name, writes)
            for name, writes in self.fields.items()
            if len(writes) > 1
        )
        return [conflict for conflict in found if conflict.beside]

    def public(self) -> dict[str, Any]:
        """Return the record as people get it: the seed's keys, of dicts, lists and scalars.

        ``conflicts`` is present only where there are some: per field a list of ``{"value",
        "author", "stamp": [wall_ms, counter], "feed", "seq"}``, ids in hex, highest first.
        """
        shown: dict[str, Any] = {
            "record_id": self.record_id,
            "form": self.form,
            "created_by": self.created_by,
            "fields": {name: plain(writes[0].value) for name, writes in self.fields.items()},
            "attachments": [attachment._asdict() for attachment in self.attachments],
            "notes": [note.text for note in self.notes],
        }
        conflicts = self.conflicts()
        if conflicts:
            shown["conflicts"] = {
                name: [_public_write(write) for write in losers]
                for name, losers in conflicts.items()
            }
        return shown


def _public_write(write: Write) -> dict[str, Any]:
    origin = write.origin
    return {
        "value": plain(write.value),
        "author": origin.author.hex(),
        "stamp": list(origin.stamp),
        "feed": origin.ref.feed.hex(),
        "seq": origin.seq,
    }


# ── What a local write says that it saw ──────────────────────────────────────────────


def _own_ref(feed: FeedKey) -> bytes:
    return feed.author + feed.incarnation.to_bytes(4, "big")


def replaces_for(record: Record | None, field: str, own_feed: FeedKey) -> tuple[Ref, ...]:
    """Return the live values of ``field`` that a write in ``own_feed`` has to name.

    Those of ``own_feed`` itself are left out: the chain says that they were seen.
    At most 64, the highest first.
    """
    if record is None:
        return ()
    refs = (write.origin.ref for write in record.fields.get(field, ()))
    return tuple(dict.fromkeys(r for r in refs if r.feed != _own_ref(own_feed)))[:REFS_MAX]


def deletes_for(record: Record | None, own_feed: FeedKey) -> tuple[Ref, ...]:
    """Return what a delete in ``own_feed`` has to name: the record's heads in other feeds."""
    if record is None:
        return ()
    return tuple(ref for ref in record.heads if ref.feed != _own_ref(own_feed))[:REFS_MAX]


def with_replaces(kind: str, payload: Payload, record: Record | None, own_feed: FeedKey) -> Payload:
    """Return ``payload`` with ``replaces`` filled in, if its kind has one and it says nothing.

    Args:
        kind: Kind of the event about to be appended to ``own_feed``.
        payload: As the caller gave it; one that a view cannot read is returned as it is.
        record: The record as the author sees it now; None where there is none yet.
        own_feed: The data feed that the event goes to.
    """
    if "replaces" in payload:
        return payload
    replaces: object = None
    match kind, payload:
        case "field.set", {"field": str() as name}:
            replaces = replaces_for(record, name, own_feed)
        case "record.put", {"fields": Mapping() as fields}:
            seen = {name: replaces_for(record, name, own_feed) for name in fields}
            replaces = {name: refs for name, refs in seen.items() if refs}
        case "record.delete", _:
            replaces = deletes_for(record, own_feed)
    return {**payload, "replaces": replaces} if replaces else payload


# ── The row ──────────────────────────────────────────────────────────────────────────


def encode(record: Record) -> RecordRow:
    """Return the row of ``record``: equal records, equal bytes.

    The state is CBOR: [created_by, feeds joined, [feed, seq, stamp, …] of the origins, [feed,
    seq, …] of the heads, [field, value, origin, …], [text, origin, …], [[attachment], …]].
    Feeds and origins are named by index, because one event writes many fields. The lists are
    flat, so that a value is never nested deeper here than in the event that brought it.
    """
    told = [write.origin for writes in record.fields.values() for write in writes]
    told += [note.origin for note in record.notes]
    origins = {origin: index for index, origin in enumerate(sorted(set(told)))}
    named = {origin.ref.feed for origin in origins} | {head.feed for head in record.heads}
    feeds = {feed: index for index, feed in enumerate(sorted(named))}
    state = [
        record.created_by,
        b"".join(feeds),
        [part for o in origins for part in (feeds[o.ref.feed], o.seq, o.stamp.packed())],
        [part for head in record.heads for part in (feeds[head.feed], head.seq)],
        [
            part
            for name, writes in record.fields.items()
            for write in writes
            for part in (name, write.value, origins[write.origin])
        ],
        [part for note in record.notes for part in (note.text, origins[note.origin])],
        record.attachments,
    ]
    return RecordRow(
        record.record_id, record.form, record.visible, len(record.conflicts()), encode_cbor(state)
    )


def decode(row: RecordRow) -> Record:
    """Return the record in a row that ``encode`` made.

    Raises:
        MalformedError: The state is not one; ``LiveView.rebuild`` makes it again.
    """
    try:
        created_by, joined, flat_origins, heads, flat, notes, attachments = decode_cbor(row.state)
        feeds = [joined[at : at + FEED_REF_SIZE] for at in range(0, len(joined), FEED_REF_SIZE)]
        origins = [
            Origin(
                feeds[index][:AUTHOR_ID_SIZE],
                int.from_bytes(feeds[index][AUTHOR_ID_SIZE:], "big"),
                seq,
                Stamp.unpacked(stamp),
            )
            for index, seq, stamp in _grouped(flat_origins, 3)
        ]
        fields: dict[str, list[Write]] = defaultdict(list)
        for name, value, index in _grouped(flat, 3):
            fields[name].append(Write(value, origins[index]))
        return Record(
            row.record_id,
            row.form,
            created_by,
            {name: tuple(writes) for name, writes in fields.items()},
            tuple(Note(text, origins[index]) for text, index in _grouped(notes, 2)),
            tuple(Attachment(*attachment) for attachment in attachments),
            tuple(Ref(feeds[index], seq) for index, seq in _grouped(heads, 2)),
            row.visible,
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise MalformedError("record row") from error


def _grouped(flat: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    return zip(*[iter(flat)] * size, strict=True)
