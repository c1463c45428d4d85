"""What one event does to a record, strictly read: anything else is skipped and listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from meshlog.core.codec import VARINT_MAX
from meshlog.core.event import SEQ_MAX, Content, Event, read_bodies
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId

TEXT_SIZE_MAX = 256
"""UTF-8 bytes of a record id, a field name, a form, a `by`, a blob hash or a mime type.
A choice: they are names, and travel in every event."""

REFS_MAX = 64
"""References that one write makes per field. A choice: more concurrent values than this
means more devices than a dataset is built for."""

_SHORT = TEXT_SIZE_MAX // 4
"""Characters that are never too many bytes."""

FEED_REF_SIZE = AUTHOR_ID_SIZE + 4

Payload = Mapping[str, Any]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Ref(NamedTuple):
    """A place in a data feed, by which a write names what its author saw."""

    feed: bytes
    """20 bytes: author ‖ incarnation (big-endian)."""
    seq: int


def feed_ref(feed: FeedKey) -> bytes:
    """Return a data feed as a ``Ref`` names it, 20 bytes."""
    return feed.author + feed.incarnation.to_bytes(4, "big")


def feed_of(ref: bytes) -> FeedKey:
    """Return the data feed that a ``Ref`` names so."""
    author, life = ref[:AUTHOR_ID_SIZE], ref[AUTHOR_ID_SIZE:]
    return FeedKey(AuthorId(author), FeedKind.DATA, int.from_bytes(life, "big"))


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
    fields: Payload = _NOTHING
    replaces: Mapping[str, tuple[Ref, ...]] = _NOTHING
    """Per field, the values that the author saw, other than those of the own feed."""
    note: str | None = None
    attachment: Attachment | None = None
    deletes: tuple[Ref, ...] | None = None
    """The writes that a delete saw; None for everything that is not a delete."""


class Unreadable(NamedTuple):
    """An event of a known kind that no view can read: kept, relayed, skipped and listed."""

    reason: str


_UNREADABLE = Unreadable("body is not [kind, payload]")


class _WrongError(Exception):
    """A payload breaks a rule; becomes an ``Unreadable``, never leaves this module."""


def _sized(value: object, what: str, size_min: int = 1) -> str:
    if type(value) is not str:
        raise _WrongError(f"{what} is not text")
    if size_min <= len(value) <= _SHORT:
        return value
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


def _is_plain_set(payload: Payload) -> bool:
    """Say whether this is a write of one field as most are: that one can be read."""
    name, record_id = payload.get("field"), payload.get("record_id")
    return (
        len(payload) == 3  # noqa: PLR2004 - and the value
        and type(name) is str
        and type(record_id) is str
        and 0 < len(name) <= _SHORT
        and 0 < len(record_id) <= _SHORT
        and "value" in payload
    )


def _read_set(payload: Payload) -> Change:
    if _is_plain_set(payload):  # at half the cost
        fields = {payload["field"]: payload["value"]}
        return Change(payload["record_id"], None, None, fields, _NOTHING)
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
    return _UNREADABLE if content is None else read_content(content)


def read_content(content: Sequence[Any]) -> Change | Unreadable | None:
    """Return what ``read_change`` does of an event in a data feed that says this.

    Args:
        content: Kind and payload, as in ``Content``.
    """
    kind, payload = content
    read = _READERS.get(kind)
    if read is None:
        return None
    try:
        return read(payload)
    except _WrongError as wrong:
        return Unreadable(f"{kind}: {wrong}")


def why_unreadable(content: Sequence[Any]) -> str:
    """Return why no view can read what an event in a data feed says; empty where none needs to.

    Args:
        content: Kind and payload, as in ``Content``.
    """
    kind, payload = content
    if kind == "field.set" and _is_plain_set(payload):
        return ""
    change = read_content(content)
    return change.reason if type(change) is Unreadable else ""


def read_changes(bodies: Sequence[bytes]) -> list[Change | Unreadable | None]:
    """Return what ``read_change`` does of data events with these bodies, values not immutable.

    For who keeps none of them: it costs a third.
    """
    contents = read_bodies(bodies)
    return [_UNREADABLE if said is None else read_content(said) for said in contents]


def record_of(event: Event, content: Content | None = None) -> str | None:
    """Return the id of the record that ``event`` touches, if any. See ``read_change``."""
    change = read_change(event, content)
    return change.record_id if isinstance(change, Change) else None


def unreadable(event: Event, content: Content | None = None) -> str | None:
    """Return why views skip ``event``, or None where they read it or it is not theirs."""
    change = read_change(event, content)
    return change.reason if isinstance(change, Unreadable) else None
