"""Records: what an event does to one, how its events fold into it, and how it is kept.

docs/views.md has the rules in plain words. Everything here is a function of the events of
one record and of who descends from whom on a branch, and that never changes: so a record
is folded alone, and no event elsewhere can make its row wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from meshlog.core.codec import VARINT_MAX, decode_cbor, encode_cbor, plain
from meshlog.core.event import SEQ_MAX, Content, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE
from meshlog.errors import MalformedError
from meshlog.ports import RecordRow

TEXT_SIZE_MAX = 256
"""UTF-8 bytes of a record id, a field name, a form, a `by`, a blob hash or a mime type.
A choice: they are names, and travel in every event."""

REFS_MAX = 64
"""References that one write makes per field. A choice: more concurrent values than this
means more devices than a dataset is built for."""

FEED_REF_SIZE = AUTHOR_ID_SIZE + 4

Payload = Mapping[str, Any]


# ── What one event does to a record ──────────────────────────────────────────────────


class Ref(NamedTuple):
    """A place in a data feed, by which a write names what its author saw."""

    feed: bytes
    """20 bytes: author ‖ incarnation (big-endian)."""
    seq: int


class Attachment(NamedTuple):
    """A blob that belongs to a field."""

    field: str
    blob_hash: str
    size: int
    """Bytes; 0 where the writer did not say."""
    mime: str


class Change(NamedTuple):
    """What one readable event does to one record."""

    record_id: str
    form: str | None = None
    by: str | None = None
    fields: Payload = MappingProxyType({})
    replaces: Mapping[str, tuple[Ref, ...]] = MappingProxyType({})
    """Per field, the values that the author saw, other than those of the own feed."""
    note: str | None = None
    attachment: Attachment | None = None
    deletes: tuple[Ref, ...] | None = None
    """The writes that a delete saw; None for everything that is not a delete."""


class Unreadable(NamedTuple):
    """An event of a known kind that no view can read: kept, relayed, skipped and listed."""

    reason: str


class _WrongError(Exception):
    """A payload breaks a rule; becomes an ``Unreadable``, never leaves this module."""


def _sized(value: object, what: str, size_min: int = 1) -> str:
    if type(value) is not str:
        raise _WrongError(f"{what} is not text")
    if not size_min <= len(value.encode()) <= TEXT_SIZE_MAX:
        raise _WrongError(f"{what} is not {size_min} to {TEXT_SIZE_MAX} bytes of text")
    return value


def _text(payload: Payload, key: str, size_min: int = 1) -> str:
    return _sized(payload.get(key), key, size_min)


def _maybe_text(payload: Payload, key: str) -> str | None:
    return _text(payload, key, size_min=0) if key in payload else None


def _refs(value: object) -> tuple[Ref, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _WrongError("replaces is not a list of references")
    if len(value) > REFS_MAX:
        raise _WrongError(f"replaces names more than {REFS_MAX} values of a field")
    refs = []
    for item in value:
        match item:
            case (bytes() as feed, int() as seq) if (
                len(feed) == FEED_REF_SIZE and type(seq) is int and 1 <= seq <= SEQ_MAX
            ):
                refs.append(Ref(feed, seq))
            case _:
                raise _WrongError("a reference is not [feed of 20 bytes, seq]")
    return tuple(refs)


def _read_create(payload: Payload) -> Change:
    return Change(
        _text(payload, "record_id"),
        form=_text(payload, "form", size_min=0),
        by=_maybe_text(payload, "by"),
    )


def _read_put(payload: Payload) -> Change:
    fields = payload.get("fields")
    if not isinstance(fields, Mapping):
        raise _WrongError("fields is not a map")
    for name in fields:
        _sized(name, "a field's name")
    replaces = payload.get("replaces", {})
    if not isinstance(replaces, Mapping):
        raise _WrongError("replaces is not a map")
    if not replaces.keys() <= fields.keys():
        raise _WrongError("replaces names a field that is not written")
    return Change(
        _text(payload, "record_id"),
        form=_maybe_text(payload, "form"),
        by=_maybe_text(payload, "by"),
        fields=fields,
        replaces={name: _refs(refs) for name, refs in replaces.items()},
    )


def _read_set(payload: Payload) -> Change:
    name = _text(payload, "field")
    if "value" not in payload:
        raise _WrongError("value is missing")
    replaces = {name: _refs(payload["replaces"])} if "replaces" in payload else {}
    record_id = _text(payload, "record_id")
    return Change(record_id, fields={name: payload["value"]}, replaces=replaces)


def _read_note(payload: Payload) -> Change:
    text = payload.get("text")
    if type(text) is not str:
        raise _WrongError("text is not text")
    return Change(_text(payload, "record_id"), note=text)


def _read_attachment(payload: Payload) -> Change:
    blob_hash = payload.get("blob_hash")
    size = payload.get("size", 0)
    if type(size) is not int or not 0 <= size <= VARINT_MAX:
        raise _WrongError("size is not a whole number of bytes")
    attachment = Attachment(
        _text(payload, "field"),
        _sized(blob_hash.hex() if type(blob_hash) is bytes else blob_hash, "blob_hash"),
        size,
        _maybe_text(payload, "mime") or "",
    )
    return Change(_text(payload, "record_id"), attachment=attachment)


def _read_delete(payload: Payload) -> Change:
    return Change(_text(payload, "record_id"), deletes=_refs(payload.get("replaces", ())))


_READERS: Mapping[str, Callable[[Payload], Change]] = {
    "record.create": _read_create,
    "record.put": _read_put,
    "field.set": _read_set,
    "note.add": _read_note,
    "attachment.add": _read_attachment,
    "record.delete": _read_delete,
}


def read_change(event: Event, content: Content | None = None) -> Change | Unreadable | None:
    """Return what ``event`` does to a record, or why it cannot be read. Never raises.

    Args:
        event: Any event; control events and unknown kinds are not records' matter: None.
        content: ``event.content``, where the caller has it; otherwise one decoding.
    """
    if event.feed.kind is not FeedKind.DATA:
        return None
    content = content or event.content
    if content is None:
        return Unreadable("body is not [kind, payload]")
    read = _READERS.get(content.kind)
    if read is None:
        return None
    try:
        return read(content.payload)
    except _WrongError as wrong:
        return Unreadable(f"{content.kind}: {wrong}")


def record_of(event: Event, content: Content | None = None) -> str | None:
    """Return the id of the record that ``event`` touches, if any. See ``read_change``."""
    change = read_change(event, content)
    return change.record_id if isinstance(change, Change) else None


def unreadable(event: Event, content: Content | None = None) -> str | None:
    """Return why views skip ``event``, or None where they read it or it is not theirs."""
    change = read_change(event, content)
    return change.reason if isinstance(change, Unreadable) else None


# ── A record ─────────────────────────────────────────────────────────────────────────


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

    def conflicts(self) -> dict[str, tuple[Write, ...]]:
        """Return the live writes of each field that differ from the one shown, highest first.

        Two authors who wrote the same value agree: values are compared as encoded, so 1,
        1.0, True and "1" are four values.
        """
        found = {}
        for name, writes in self.fields.items():
            if len(writes) > 1:
                shown = encode_cbor(writes[0].value)
                losers = tuple(w for w in writes[1:] if encode_cbor(w.value) != shown)
                if losers:
                    found[name] = losers
        return found

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


# ── The fold ─────────────────────────────────────────────────────────────────────────


class Lineage(Protocol):
    """Who descends from whom. Only asked about feeds with several events in one record."""

    def is_forked(self, feed: FeedKey) -> bool:
        """Say whether the feed has more than one branch; otherwise seq tells everything."""

    def prev(self, event_id: bytes) -> bytes | None:
        """Return the id before this one on its branch; None where the event is not held."""


class HeldEvents:
    """The lineage in a set of events at hand. Cost: O(events)."""

    def __init__(self, events: Iterable[Event]) -> None:
        """Take the events; any order, any number of times."""
        by_id = {event.id: event for event in events}
        places: set[tuple[FeedKey, int]] = set()
        self._forked: set[FeedKey] = set()
        for event in by_id.values():
            place = (event.feed, event.seq)
            if place in places:
                self._forked.add(event.feed)
            places.add(place)
        self._prev: dict[bytes, bytes] = {
            event.id: event.prev for event in by_id.values() if event.feed in self._forked
        }

    def is_forked(self, feed: FeedKey) -> bool:
        """See Lineage.is_forked."""
        return feed in self._forked

    def prev(self, event_id: bytes) -> bytes | None:
        """See Lineage.prev."""
        return self._prev.get(event_id)


class Told(NamedTuple):
    """A readable event and what it does. Its rank is its index in the total order."""

    event: Event
    change: Change

    @property
    def origin(self) -> Origin:
        """Who wrote it, when, and where."""
        feed = self.event.feed
        return Origin(feed.author, feed.incarnation, self.event.seq, self.event.stamp)


def fold_record(record_id: str, events: Iterable[Event], lineage: Lineage | None = None) -> Record:
    """Return the record that counted events make; the same for any order of ``events``.

    Args:
        record_id: Events that touch another record, or none, are skipped.
        events: Every counted event that touches the record.
        lineage: Answers for the whole dataset; without it, ``events`` is all there is,
            and a branch that they do not show in full implies nothing.

    Cost: O(n log n); in a forked feed also the events between the record's first and last.
    """
    events = list(events)
    told = []
    for event in events:
        change = read_change(event)
        if isinstance(change, Change) and change.record_id == record_id:
            told.append(Told(event, change))
    return fold_told(record_id, told, HeldEvents(events) if lineage is None else lineage)


def fold_told(record_id: str, told: Iterable[Told], lineage: Lineage) -> Record:
    """Return the record that events make whose changes were read; see ``fold_record``."""
    ranked = sorted({item.event.id: item for item in told}.values(), key=lambda i: i.event.order)
    before = _before(ranked, lineage)
    superseded = _superseded(ranked, before)
    fields: dict[str, list[Write]] = defaultdict(list)
    live_ranks = set()
    for rank in range(len(ranked) - 1, -1, -1):
        item = ranked[rank]
        origin = item.origin
        for name, value in item.change.fields.items():
            if (rank, name) not in superseded:
                fields[name].append(Write(value, origin))
                live_ranks.add(rank)
        if item.change.deletes is None and (item.change.form is not None or not item.change.fields):
            live_ranks.add(rank)
    formed = [item for item in ranked if item.change.form is not None]
    created_by = ""
    if formed:
        by = formed[0].change.by
        created_by = formed[0].event.author.hex() if by is None else by
    attachments = [i.change.attachment for i in ranked if i.change.attachment is not None]
    parents = set(before)
    return Record(
        record_id,
        form=(formed[-1].change.form or "") if formed else "",
        created_by=created_by,
        fields={name: tuple(fields[name]) for name in sorted(fields)},
        notes=tuple(Note(i.change.note, i.origin) for i in ranked if i.change.note is not None),
        attachments=tuple(sorted(attachments, key=lambda a: (a.field, a.blob_hash))),
        heads=tuple(sorted({i.origin.ref for r, i in enumerate(ranked) if r not in parents})),
        visible=not live_ranks <= _deleted(ranked, before),
    )


def _before(ranked: Sequence[Told], lineage: Lineage) -> list[int]:
    """Return, per rank, the rank of the nearest event before it on its branch, or -1."""
    before = [-1] * len(ranked)
    by_feed: dict[FeedKey, list[int]] = defaultdict(list)
    for rank, item in enumerate(ranked):
        by_feed[item.event.feed].append(rank)
    for feed, ranks in by_feed.items():
        if len(ranks) == 1:
            continue
        ranks.sort(key=lambda rank: ranked[rank].event.seq)
        if lineage.is_forked(feed):
            _climb(ranked, ranks, lineage, before)
        else:
            for earlier, later in pairwise(ranks):
                before[later] = earlier
    return before


def _climb(
    ranked: Sequence[Told], ranks: Sequence[int], lineage: Lineage, before: list[int]
) -> None:
    """Fill ``before`` for one forked feed, ``ranks`` in seq order; no step is taken twice."""
    seq_min = ranked[ranks[0]].event.seq
    nearest: dict[bytes, int] = {}
    for rank in ranks:
        event = ranked[rank].event
        passed: list[bytes] = []
        at: bytes | None = event.prev
        while at is not None and at not in nearest and event.seq - len(passed) > seq_min:
            passed.append(at)
            at = lineage.prev(at)
        found = -1 if at is None else nearest.get(at, -1)
        nearest.update(dict.fromkeys(passed, found))
        before[rank] = found
        nearest[event.id] = rank


def _superseded(ranked: Sequence[Told], before: Sequence[int]) -> set[tuple[int, str]]:
    """Return the writes, as (rank, field), that a higher write had seen."""
    gone: set[tuple[int, str]] = set()
    best: dict[tuple[int, str], int] = {}
    for earlier, later, name in reversed(list(_own_pairs(ranked, before))):
        highest = max(later, best.get((later, name), -1))
        best[earlier, name] = max(highest, best.get((earlier, name), -1))
        if highest > earlier:
            gone.add((earlier, name))
    named = [(rank, i.change.replaces) for rank, i in enumerate(ranked) if i.change.replaces]
    if named:
        at = _unambiguous(
            (rank, (place, name))
            for rank, item in enumerate(ranked)
            for place in (item.origin.ref,)
            for name in item.change.fields
        )
        for rank, replaces in named:
            for name, refs in replaces.items():
                seen = (at.get((ref, name), rank) for ref in refs)
                gone.update((earlier, name) for earlier in seen if earlier < rank)
    return gone


def _own_pairs(ranked: Sequence[Told], before: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (earlier, later, field): each write and the nearest one before it on its branch.

    A pair is yielded after all pairs further down its branch.
    """
    after: dict[int, list[int]] = defaultdict(list)
    for later, earlier in enumerate(before):
        after[earlier].append(later)
    open_writes: dict[str, list[int]] = defaultdict(list)
    todo = [(rank, False) for rank in after[-1] if after.get(rank)]
    while todo:
        rank, is_leaving = todo.pop()
        for name in ranked[rank].change.fields:
            if is_leaving:
                open_writes[name].pop()
                continue
            if open_writes[name]:
                yield open_writes[name][-1], rank, name
            open_writes[name].append(rank)
        if not is_leaving:
            todo.append((rank, True))
            todo.extend((later, False) for later in after.get(rank, ()))


def _unambiguous(named: Iterable[tuple[int, Any]]) -> dict[Any, int]:
    """Return the rank of each name that exactly one event has."""
    at: dict[Any, int] = {}
    twice = set()
    for rank, name in named:
        if name in at:
            twice.add(name)
        at[name] = rank
    return {name: rank for name, rank in at.items() if name not in twice}


def _deleted(ranked: Sequence[Told], before: Sequence[int]) -> set[int]:
    """Return the ranks that a higher delete had seen: those it names, and all before them."""
    changes = enumerate(item.change for item in ranked)
    deletes = [(rank, change.deletes) for rank, change in changes if change.deletes is not None]
    if not deletes:
        return set()
    at = _unambiguous((rank, item.origin.ref) for rank, item in enumerate(ranked))
    seen_by = [-1] * len(ranked)
    for rank, refs in deletes:
        for earlier in (rank, *(at[ref] for ref in refs if ref in at)):
            seen_by[earlier] = max(seen_by[earlier], rank)
    for rank in sorted(range(len(ranked)), key=lambda r: -ranked[r].event.seq):
        if before[rank] >= 0:
            seen_by[before[rank]] = max(seen_by[before[rank]], seen_by[rank])
    return {rank for rank, highest in enumerate(seen_by) if highest > rank}


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
