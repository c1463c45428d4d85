"""A record of the live view: its value and its row.

docs/views.md has the rules in plain words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from meshlog.core.cbor import decode_cbor, encode_cbor, plain
from meshlog.core.hlc import ZERO, Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE
from meshlog.errors import MalformedError
from meshlog.ports.records import RecordRow
from meshlog.views.changes import REFS_MAX, Attachment, Payload, Ref
from meshlog.views.rowstate import RowState, Spot, pack, unpack


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

    @property
    def spot(self) -> Spot:
        """The same in one tuple that sorts as the total order."""
        return self.stamp.packed(), *self.ref

    @classmethod
    def at(cls, spot: Spot) -> Origin:
        """Return the origin that a spot stands for."""
        stamp, feed, seq = spot
        life = int.from_bytes(feed[AUTHOR_ID_SIZE:], "big")
        return cls(feed[:AUTHOR_ID_SIZE], life, seq, Stamp.unpacked(stamp))


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

    def resolution(self, value: object) -> list[Payload]:
        """Return the payloads of the ``field.set`` events that settle this conflict: mostly one.

        They replace these values and no others: one that came meanwhile stays in conflict. Those
        of the author's own feed are named, too, because a new life may begin before it is written.

        Args:
            value: What the field is from now on; one of the values, or another.
        """
        refs = list(dict.fromkeys(write.origin.ref for write in self.writes))
        said = {"record_id": self.record_id, "field": self.field, "value": value}
        parts = (tuple(refs[at : at + REFS_MAX]) for at in range(0, len(refs), REFS_MAX))
        return [{**said, "replaces": part} for part in parts]


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
    last: Origin
    """Of the event that is last in the total order, shown or not."""
    named: tuple[Ref, ...]
    """The highest place that a write or a delete names of each feed that has nothing so high in
    the record, sorted: what may come there was seen already."""

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


# ── The row ──────────────────────────────────────────────────────────────────────────


def encode(record: Record) -> RecordRow:
    """Return the row of ``record``: equal records, equal bytes. See ``rowstate.pack``."""
    heads: dict[bytes, list[int]] = defaultdict(list)
    for feed, seq in record.heads:
        heads[feed].append(seq)
    return pack(
        RowState(
            record.record_id,
            record.form,
            record.created_by,
            record.visible,
            {
                name: [(write.value, write.origin.spot) for write in writes]
                for name, writes in record.fields.items()
            },
            [(note.text, note.origin.spot) for note in record.notes],
            [*record.attachments],
            heads,
            record.last.spot,
            dict(record.named),
        )
    )


def decode(row: RecordRow) -> Record:
    """Return the record in a row that ``encode`` made.

    Raises:
        MalformedError: The state is not one; ``LiveView.rebuild`` makes it again.
    """
    try:
        return record_of(unpack(row, decode_cbor))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise MalformedError("record row") from error


def record_of(state: RowState) -> Record:
    """Return the record that ``decode(pack(state))`` returns, without the row in between.

    Args:
        state: Its values are what ``decode_cbor`` returned.
    """
    return Record(
        state.record_id,
        state.form,
        state.created_by,
        {
            name: tuple(Write(value, Origin.at(spot)) for value, spot in writes)
            for name, writes in sorted(state.fields.items())
        },
        tuple(Note(text, Origin.at(spot)) for text, spot in state.notes),
        tuple(Attachment(*attachment) for attachment in state.attachments),
        tuple(Ref(feed, seq) for feed, seqs in sorted(state.heads.items()) for seq in seqs),
        state.visible,
        Origin.at(state.last),
        tuple(Ref(feed, seq) for feed, seq in sorted(state.named.items())),
    )
